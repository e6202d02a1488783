//! Reading direct pages.

use super::state::Pinned;
use crate::pager::Pager;
use crate::runs::PageRun;
use crate::{PageId, Result};
use aquifer_io::Buffer;
use aquifer_sync::Arc;

/// Keeps direct pages alive for a reader (DP5). To be taken before the reader looks up which pages it will read. It is narrowed
/// and dropped outside the gate, under no latch.
#[derive(Debug)]
pub struct Pin {
    pager: Arc<Pager>,
    id: u64,
}

impl Pin {
    /// Pins every direct page that is attached now, and those attached later, until it is narrowed or dropped.
    pub fn everything(pager: &Arc<Pager>) -> Pin {
        let mut state = pager.direct.lock();
        let id = state.next_pin;
        state.next_pin += 1;
        state.pins.insert(id, Pinned::All);
        Pin { pager: Arc::clone(pager), id }
    }

    /// Pins these pages alone from now on, and frees the others that were held for it alone. They were found attached while
    /// everything was pinned.
    pub fn narrow(&self, pages: &[PageRun]) {
        self.pager.change_pin(self.id, Some(Arc::new(pages.to_vec())));
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pager.change_pin(self.id, None);
    }
}

impl Pager {
    /// Reads direct pages that are pinned, or that nobody else can detach, into buffers of a page each. The buffers come back
    /// in their order, also after an error. Does not wait for anything but the disk.
    ///
    /// # Errors
    ///
    /// The disk's; `Corrupt` for a page that is not what was written (DP7), or that does not exist.
    pub fn read_direct(&self, pages: &[PageId], buffers: &mut Vec<Buffer>) -> Result<()> {
        debug_assert_eq!(pages.len(), buffers.len());
        let Some(file) = &self.file else {
            return pages.iter().zip(buffers).try_for_each(|(&page, buffer)| self.copy_frame(page, buffer));
        };
        if let Some(&page) = pages.iter().find(|&&page| self.table.location(page).slot == 0) {
            return Err(self.no_such_page(page));
        }
        let requests = pages
            .iter()
            .zip(buffers.drain(..))
            .map(|(&page, b)| (self.table.location(page).slot, b))
            .collect();
        let mut outcome = Ok(());
        for (&page, (buffer, result)) in pages.iter().zip(file.read(requests)) {
            let at = self.table.location(page);
            let checked = match result {
                Ok(()) => file.check(page, at, &buffer),
                Err(error) if error.kind == std::io::ErrorKind::UnexpectedEof => {
                    Err(file.corrupt(page, at.slot, "the file ends before it".into()))
                }
                Err(error) => Err(error.into()),
            };
            outcome = outcome.and(checked);
            buffers.push(buffer);
        }
        outcome
    }

    fn copy_frame(&self, page: PageId, buffer: &mut [u8]) -> Result<()> {
        loop {
            match self.shared(page) {
                Ok(latched) => {
                    buffer.copy_from_slice(latched.bytes());
                    return Ok(());
                }
                Err(retry) => self.resolve(retry)?,
            }
        }
    }
}

//! Reading every page back from disk and comparing it with the checksum in its location.

use crate::pager::Pager;
use crate::translation::Location;
use crate::{PageId, Result};
use aquifer_io::Buffer;

/// Pages read at a time.
const BATCH_BYTES: usize = 256 << 10;

impl Pager {
    /// Every page that exists, ascending, but for direct pages that are not attached yet, or not any more. O(pages).
    pub fn pages(&self) -> Vec<PageId> {
        let end = self.ids.lock().next();
        self.direct.referred_to(end, |page| self.exists(page))
    }

    fn exists(&self, page: PageId) -> bool {
        use crate::translation::Residence::Absent;
        self.table.location(page).slot != 0
            || self.table.entry(page).is_some_and(|entry| entry.get() != Absent)
    }

    /// Is this where the page's newest version lies? Not if it was written elsewhere meanwhile, and not while it is dirty: a
    /// checkpoint that has written a copy of it gives its slot away (E6).
    fn lies_at(&self, page: PageId, at: Location) -> bool {
        match self.shared(page) {
            Ok(latched) => !latched.is_dirty() && self.table.location(page) == at,
            Err(_) => self.table.location(page) == at,
        }
    }

    /// Reads the newest written version of every page from disk and compares checksums; `visit` gets each page with its
    /// result. Pages that were never written are passed over. Changes may go on meanwhile.
    ///
    /// # Errors
    ///
    /// None of its own: every error goes to `visit`.
    pub fn verify(&self, mut visit: impl FnMut(PageId, Result<()>)) {
        let Some(file) = &self.file else { return };
        let last = self.ids.lock().next();
        let mut batch: Vec<(PageId, Location)> = Vec::new();
        let mut check = |batch: &mut Vec<(PageId, Location)>| {
            let requests = batch.iter().map(|(_, at)| (at.slot, Buffer::zeroed(file.page_bytes()))).collect();
            for (&(page, at), (buffer, result)) in batch.iter().zip(file.read(requests)) {
                let checked = result.map_err(Into::into).and_then(|()| file.check(page, at, &buffer));
                if checked.is_ok() || self.lies_at(page, at) {
                    visit(page, checked);
                }
            }
            batch.clear();
        };
        for page in (1..last).map(PageId) {
            let at = self.table.location(page);
            if at.slot != 0 {
                batch.push((page, at));
            }
            if batch.len() * file.page_bytes() >= BATCH_BYTES {
                check(&mut batch);
            }
        }
        check(&mut batch);
    }
}

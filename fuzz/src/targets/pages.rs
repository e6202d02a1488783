//! What the targets about pages have in common: pagers over memory, and pages read until they are there.

use crate::disk::{Files, MemoryDisk};
use aquifer_buffer::{Mutation, PageId, Pager, PagerOptions, Result, Retry, Superblock};
use aquifer_pools::Budget;
use aquifer_sync::Arc;

/// Attempts after which something goes round in circles. One attempt may load a page or split one.
const ATTEMPTS_MAX: u32 = 300;

/// A pager over this data file, in 2 MiB.
pub(super) fn open(data: Vec<u8>) -> Result<(Arc<Pager>, Superblock)> {
    let disk = MemoryDisk::new(&Files::from([("data".to_owned(), data)]));
    open_on(&disk)
}

/// A pager over the data file of this disk.
pub(super) fn open_on(disk: &MemoryDisk) -> Result<(Arc<Pager>, Superblock)> {
    Pager::open(disk.disk(), PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) })
}

/// A pager in memory.
pub(super) fn in_memory(page_bytes: usize) -> Arc<Pager> {
    let options = PagerOptions { page_bytes, budget: Budget::new(4 << 20) };
    Pager::in_memory(options).expect("four mebibytes are enough")
}

/// Attempts a change inside the gate until it is done, or cannot be.
pub(super) fn change<R>(
    pager: &Pager,
    mut attempt: impl FnMut(&Mutation<'_>) -> std::result::Result<R, Retry>,
) -> Result<R> {
    for _ in 0..ATTEMPTS_MAX {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return Ok(done),
            Err(retry) => pager.resolve(retry)?,
        }
    }
    panic!("{ATTEMPTS_MAX} attempts, and no end");
}

/// A page's bytes.
pub(super) fn read(pager: &Pager, page: PageId) -> Result<Vec<u8>> {
    for _ in 0..ATTEMPTS_MAX {
        match pager.shared(page) {
            Ok(latched) => return Ok(latched.bytes().to_vec()),
            Err(retry) => pager.resolve(retry)?,
        }
    }
    panic!("{ATTEMPTS_MAX} attempts, and no end");
}

/// Makes a page with these bytes.
pub(super) fn add(pager: &Pager, bytes: &[u8]) -> Result<PageId> {
    change(pager, |m| {
        let mut page = m.allocate()?;
        page.bytes_mut().copy_from_slice(bytes);
        Ok(page.id())
    })
}

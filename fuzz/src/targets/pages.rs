//! What the targets about pages have in common: pagers over memory, and pages read until they are there.

use crate::disk::{Files, MemoryDisk};
use crate::source::{Source, put_piece};
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

/// The pages of an input: bit 0 of its first byte says pages of 64 KiB, the second byte how many there are, at most `pages_max`.
/// Of each come the first bytes and the last ones; between them are zeros. Page n of the input is page n of the pager.
pub(super) fn from_input(source: &mut Source<'_>, pages_max: usize) -> Arc<Pager> {
    let page_bytes = if source.u8() & 1 == 1 { 65536 } else { 4096 };
    let pager = in_memory(page_bytes);
    for number in 0..1 + source.below(pages_max) {
        let (head, tail) = (source.piece(), source.piece());
        let mut page = vec![0; page_bytes];
        let head = &head[..head.len().min(page_bytes)];
        let tail = &tail[tail.len().saturating_sub(page_bytes)..];
        page[..head.len()].copy_from_slice(head);
        page[page_bytes - tail.len()..].copy_from_slice(tail);
        let id = add(&pager, &page).expect("the budget holds some pages");
        assert_eq!(id, PageId(number as u32 + 1));
    }
    pager
}

/// The beginning of an input, of which [`from_input`] makes the pages of this pager again.
pub(super) fn to_input(pager: &Pager) -> Vec<u8> {
    let all = pager.pages();
    let mut input = vec![u8::from(pager.page_bytes() > 4096), all.len() as u8 - 1];
    for &page in &all {
        let bytes = read(pager, page).expect("it exists");
        // The longest stretch of zeros is the free space in the middle.
        let (mut gap, mut at) = (bytes.len()..bytes.len(), 0);
        while at < bytes.len() {
            let zeros = bytes[at..].iter().take_while(|&&byte| byte == 0).count();
            if zeros > gap.len() {
                gap = at..at + zeros;
            }
            at += zeros + 1;
        }
        put_piece(&mut input, &bytes[..gap.start]);
        put_piece(&mut input, &bytes[gap.end..]);
    }
    input
}

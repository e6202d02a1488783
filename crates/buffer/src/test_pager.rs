//! A pager on a real file whose pages say what they are: for the tests of this crate.

use crate::{ExclusivePage, Flip, Mutation, PageId, Pager, PagerOptions, Result, Retry};
use aquifer_io::{Backend, Disk, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;

pub(crate) const ID: [u8; 16] = *b"a test database!";

pub(crate) fn options(budget_bytes: usize) -> PagerOptions {
    PagerOptions { page_bytes: 4096, budget: Budget::new(budget_bytes) }
}

pub(crate) fn disk(directory: &tempfile::TempDir) -> Arc<dyn Disk> {
    open_disk(directory.path(), Backend::Posix, true).unwrap()
}

/// Fills a page with words that say what it is, so that any mixture of versions shows.
pub(crate) fn fill(page: &mut ExclusivePage<'_>, content: u64) {
    let id = u64::from(page.id().0);
    for word in page.bytes_mut().chunks_exact_mut(8) {
        word.copy_from_slice(&(content << 32 | id).to_le_bytes());
    }
}

/// What `fill` put there.
pub(crate) fn content(pager: &Pager, page: PageId) -> Result<u64> {
    loop {
        match pager.shared(page) {
            Ok(shared) => {
                let first = u64::from_le_bytes(shared.bytes()[..8].try_into().unwrap());
                assert_eq!(first as u32, page.0, "another page's bytes");
                for word in shared.bytes().chunks_exact(8) {
                    assert_eq!(u64::from_le_bytes(word.try_into().unwrap()), first, "a mixture of versions");
                }
                return Ok(first >> 32);
            }
            Err(retry) => pager.resolve(retry)?,
        }
    }
}

/// Runs `attempt` inside the gate until it succeeds.
pub(crate) fn change<R>(
    pager: &Pager,
    attempt: impl Fn(&Mutation<'_>) -> std::result::Result<R, Retry>,
) -> Result<R> {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return Ok(done),
            Err(retry) => pager.resolve(retry)?,
        }
    }
}

pub(crate) fn allocate(pager: &Pager, with: u64) -> Result<PageId> {
    change(pager, |m| {
        let mut page = m.allocate()?;
        fill(&mut page, with);
        Ok(page.id())
    })
}

pub(crate) fn set(pager: &Pager, page: PageId, to: u64) -> Result<()> {
    change(pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        fill(&mut page, to);
        Ok(())
    })
}

pub(crate) fn checkpoint(pager: &Pager) -> Result<u64> {
    let mut flip: Flip = pager.flip(|| 1);
    pager.write_checkpoint(&mut flip)?;
    let generation = pager.install(&mut flip, 1)?;
    pager.release(flip)?;
    Ok(generation)
}

/// Frees a page.
pub(crate) fn free(pager: &Pager, page: PageId) -> Result<()> {
    change(pager, |m| m.free(m.exclusive(page)?))
}

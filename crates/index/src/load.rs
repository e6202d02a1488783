//! Bringing pages into memory before they are needed, looks at one and copies of whole ones, for either index.
//!
//! # Invariants
//!
//! - **AH1** Loading ahead is a favour: what does not fit in memory is left out, and whoever needs a page that is still missing
//!   loads it by itself.

use crate::fault::{Attempt, damaged};
use aquifer_buffer::{PageId, PageWords, Pager, Result, Retry};

/// No index is so high, nor a chain usually so long, that its pages need more rounds; some may be evicted again in between.
const ROUNDS_MAX: usize = 12;

/// Loads what looking these keys up meets, the misses of a level in one batch (AH1).
pub(crate) fn load_for_keys<T>(
    pager: &Pager,
    keys: &[&[u8]],
    mut look_up: impl FnMut(&[u8]) -> Attempt<T>,
) -> Result<()> {
    let mut pending = keys.to_vec();
    let mut missing = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut stopped = None;
        missing.clear();
        pending.retain(|key| match look_up(key) {
            Ok(_) => false,
            Err(Retry::Missing(page) | Retry::Evicted(page)) => {
                missing.push(page);
                true
            }
            Err(stop) => {
                stopped = Some(stop);
                true
            }
        });
        if let Some(stop) = stopped {
            pager.resolve(stop)?;
        }
        if pending.is_empty() {
            break;
        }
        missing.sort_unstable();
        missing.dedup();
        pager.load_many(&missing)?;
    }
    Ok(())
}

/// Loads the pages that a parent names, once the parent is there.
pub(crate) fn load_named(pager: &Pager, named: Attempt<Vec<PageId>>) -> Result<()> {
    match named {
        Ok(pages) => {
            let _ = pager.load_many(&pages); // AH1: who needs a page that cannot be loaded will say so
            Ok(())
        }
        Err(Retry::Damaged(..)) => Ok(()), // as above
        Err(retry) => pager.resolve(retry),
    }
}

/// What `look` finds on a page, loaded if need be, read without a latch: it may see the page half changed, and is then asked again.
///
/// # Errors
///
/// What loading it gives.
pub(crate) fn look_at<T>(pager: &Pager, id: PageId, look: impl Fn(PageWords<'_>) -> T) -> Result<T> {
    loop {
        let attempt: Attempt<T> = pager.read(id).and_then(|page| {
            let found = look(page.words());
            page.validate()?;
            Ok(found)
        });
        match attempt {
            Ok(found) => return Ok(found),
            Err(retry) => pager.resolve(retry)?,
        }
    }
}

/// Makes `copy` the bytes of a page, loaded if need be.
///
/// # Errors
///
/// What loading it gives; `Corrupt` if no page has this id.
pub(crate) fn copy_page(pager: &Pager, id: PageId, copy: &mut Vec<u8>) -> Result<()> {
    if id == PageId::NONE {
        return Err(damaged(id, "no page has this id"));
    }
    loop {
        match pager.shared(id) {
            Ok(latched) => {
                copy.clear();
                copy.extend_from_slice(latched.bytes());
                return Ok(());
            }
            Err(retry) => pager.resolve(retry)?,
        }
    }
}

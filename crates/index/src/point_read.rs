//! Reading one record, of an index of either kind.
//!
//! Readers take no latch: they read and look then whether the page has changed meanwhile. Who is disturbed time and again takes one after all.

use crate::fault::Attempt;
use crate::words::Words;
use crate::{Lookup, ValueKind};
use aquifer_buffer::{Optimistic, Pager, Result, Retry};

/// How often a reader begins anew before it takes a latch.
const RESTARTS: usize = 2;

/// Lookups of one key.
pub trait PointReads: TryRead {
    /// Copies the value of `key` into `out` (what it held is lost). Returns whether there is one. One page a level.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    #[inline]
    fn get_into(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        Ok(self.look_up(pager, key, out)?.kind.is_some())
    }

    /// As [`get_into`](Self::get_into), and says whether it is the value or its descriptor, and when the page was changed last.
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into).
    #[inline]
    fn look_up(&self, pager: &Pager, key: &[u8], out: &mut Vec<u8>) -> Result<Lookup> {
        let mut kind = None;
        let changed_at = read(self, pager, key, |value| {
            kind = value.as_ref().map(|value| value.kind);
            match value {
                Some(value) => value.copy_to(out),
                None => out.clear(),
            }
        })?;
        Ok(Lookup { kind, changed_at })
    }

    /// Is there a record?
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into).
    fn contains(&self, pager: &Pager, key: &[u8]) -> Result<bool> {
        Ok(self.look_for(pager, key)?.kind.is_some())
    }

    /// As [`look_up`](Self::look_up), without the value.
    ///
    /// # Errors
    ///
    /// As [`get_into`](Self::get_into).
    fn look_for(&self, pager: &Pager, key: &[u8]) -> Result<Lookup> {
        let mut kind = None;
        let changed_at = read(self, pager, key, |value| kind = value.map(|value| value.kind))?;
        Ok(Lookup { kind, changed_at })
    }
}

impl<I: TryRead> PointReads for I {}

/// What each index does for it. Nobody outside can name it.
pub trait TryRead {
    /// Looks `key` up, gives what was found to `take`, and says when the page was changed last. `take` may have been given something torn
    /// if it fails. If `latched`, writers are kept away from the page that has the key, or would have it, while it is read.
    fn try_read(
        &self,
        pager: &Pager,
        key: &[u8],
        latched: bool,
        take: &mut impl FnMut(Option<Seen<'_>>),
    ) -> Attempt<u64>;
}

/// Where a value was seen.
#[derive(Debug)]
pub struct Seen<'p> {
    pub(crate) page: Optimistic<'p>,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) kind: ValueKind,
}

impl Seen<'_> {
    #[inline(always)]
    fn copy_to(&self, out: &mut Vec<u8>) {
        self.page.words().copy_to(self.offset, self.len, out);
    }
}

/// `take` is called again if what it was given turns out to be torn.
#[inline(always)]
fn read<I: TryRead + ?Sized>(
    index: &I,
    pager: &Pager,
    key: &[u8],
    mut take: impl FnMut(Option<Seen<'_>>),
) -> Result<u64> {
    match index.try_read(pager, key, false, &mut take) {
        Ok(changed_at) => Ok(changed_at),
        Err(stop) => read_patiently(index, pager, key, stop, &mut take),
    }
}

#[cold]
fn read_patiently<I: TryRead + ?Sized>(
    index: &I,
    pager: &Pager,
    key: &[u8],
    mut retry: Retry,
    take: &mut impl FnMut(Option<Seen<'_>>),
) -> Result<u64> {
    let mut restarts = 0;
    loop {
        restarts += usize::from(retry == Retry::Changed);
        pager.resolve(retry)?;
        match index.try_read(pager, key, restarts >= RESTARTS, take) {
            Ok(changed_at) => return Ok(changed_at),
            Err(again) => retry = again,
        }
    }
}

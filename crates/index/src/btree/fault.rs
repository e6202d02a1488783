//! Why work on a tree stopped, inside this crate.

use aquifer_buffer::{Error, PageId, Retry};

/// A page's bytes do not make a tree page; says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

impl Nonsense {
    /// Names the page.
    pub(crate) fn on(self, page: PageId) -> Stop {
        Stop::Damaged(page, self.0)
    }
}

/// Why an attempt stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something has to happen first; then again.
    Retry(Retry),
    /// A page, seen whole, is not what it must be.
    Damaged(PageId, &'static str),
}

/// What an attempt comes to.
pub(crate) type Attempt<T> = std::result::Result<T, Stop>;

impl From<Retry> for Stop {
    #[inline]
    fn from(retry: Retry) -> Self {
        Stop::Retry(retry)
    }
}

/// The error for a page whose checksum held and whose structure does not.
pub(crate) fn damaged(page: PageId, what: &str) -> Error {
    // The slot is the buffer manager's secret; 0 says that it is unknown.
    Error::Corrupt { page, slot: 0, offset: 0, what: format!("tree page: {what}") }
}

//! What attempts on an index come to, inside this crate.

use aquifer_buffer::{Error, PageId, Retry};

/// A page's bytes do not make a page of an index; says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

impl Nonsense {
    /// Names the page.
    pub(crate) fn on(self, page: PageId) -> Retry {
        Retry::Damaged(page, self.0)
    }
}

/// What an attempt comes to.
pub(crate) type Attempt<T> = std::result::Result<T, Retry>;

/// The error for a page whose checksum held and whose structure does not, where there is no attempt to stop.
pub(crate) fn damaged(page: PageId, what: &str) -> Error {
    // The slot is the buffer manager's secret; 0 says that it is unknown.
    Error::Corrupt { page, slot: 0, offset: 0, what: what.into() }
}

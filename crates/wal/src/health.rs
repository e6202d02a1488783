//! Whether the log works: once it has failed, it has failed for good.

use crate::{Error, Result};
use aquifer_sync::OnceLock;

/// The sticky failed state of a log.
#[derive(Debug, Default)]
pub(crate) struct Health {
    cause: OnceLock<String>,
}

impl Health {
    /// An error if the log has failed.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
        }
    }

    /// The log fails; the first cause stands.
    pub(crate) fn fail(&self, cause: &str) {
        // An earlier cause is the one to report.
        let _ = self.cause.set(cause.to_owned());
    }

    /// Why it failed, if it has.
    pub(crate) fn cause(&self) -> Option<String> {
        self.cause.get().cloned()
    }
}

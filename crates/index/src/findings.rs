//! What checking one page of either index comes to.

/// What was found on a page.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Vec<String>,
    /// Bytes of keys and values of a page of records.
    pub(crate) record_bytes: u64,
}

/// Faults of one page that are worth telling.
const FAULTS_MAX: usize = 8;

impl Findings {
    pub(crate) fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }

    pub(crate) fn require(&mut self, holds: bool, what: &str) {
        if !holds {
            self.fault(what.into());
        }
    }
}

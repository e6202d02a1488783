//! One run: which workload, on how many records, with how many threads.
//!
//! 1. Equal specs do equal work: everything drawn at random comes from the seed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::records::{CHECK_BYTES, COUNT_BYTES};
use crate::{Error, Workload};

/// Bytes that [`Workload::UpdateField`] changes.
pub const FIELD_BYTES: usize = 8;

/// The most records: their numbers must stay clear of those of absent keys.
pub const RECORDS_MAX: u64 = 1 << 40;

/// What a commit survives when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Whatever has been flushed by then.
    Eventual,
    /// The death of the process.
    Process,
    /// Loss of power.
    Power,
}

impl Durability {
    /// The name that command lines and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Eventual => "eventual",
            Durability::Process => "process",
            Durability::Power => "power",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Durability {
    type Err = Error;

    fn from_str(name: &str) -> Result<Durability, Error> {
        [Durability::Eventual, Durability::Process, Durability::Power]
            .into_iter()
            .find(|durability| durability.name() == name)
            .ok_or_else(|| Error::UnknownDurability { name: name.to_owned() })
    }
}

/// What the transactions of a run are protected from; of a workload with transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Each reads one moment, and no update is lost.
    #[default]
    Snapshot,
    /// As if they had run one after the other.
    Serializable,
}

impl Isolation {
    /// The name that command lines and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::Snapshot => "snapshot",
            Isolation::Serializable => "serializable",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isolation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Isolation, Error> {
        [Isolation::Snapshot, Isolation::Serializable]
            .into_iter()
            .find(|isolation| isolation.name() == name)
            .ok_or_else(|| Error::UnknownIsolation { name: name.to_owned() })
    }
}

/// What one run does.
///
/// ```
/// use aquifer_workload::{Spec, Workload};
///
/// let spec = Spec { records: 50_000, threads: 2, ..Spec::new(Workload::Get) };
/// assert_eq!(spec.ops(), 50_000); // as many as records, unless said otherwise
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The kind of work.
    pub workload: Workload,
    /// Records that the store holds, or will hold when it is loaded.
    pub records: u64,
    /// Operations over all threads; the workload's own number where `None`. See [`Spec::ops`].
    pub ops: Option<u64>,
    /// Threads, each with a session of its own.
    pub threads: usize,
    /// Bytes of every value; at least 8, and 16 for `update-field` and the `rmw` workloads.
    pub value_bytes: usize,
    /// The memory that the store was given, in MiB; for the report alone.
    pub budget_mib: u64,
    /// What the run's commits wait for. Loading before a run is [`Durability::Eventual`], followed by a sync.
    pub durability: Durability,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Records of a batch, in the workloads that have batches.
    pub batch: usize,
    /// Everything is read once before the clock starts, if the workload finds records in place: so that it is in memory as
    /// far as it fits.
    pub warm: bool,
    /// What the transactions are protected from, in a workload that has them.
    pub isolation: Isolation,
    /// Threads that overwrite records meanwhile and are not measured, in the workloads that read beside writers.
    pub writers: usize,
}

impl Spec {
    /// The workload with its usual numbers: a million records, one thread, 64 MiB, and what the workload
    /// itself says.
    pub fn new(workload: Workload) -> Spec {
        Spec {
            workload,
            records: 1_000_000,
            ops: None,
            threads: 1,
            value_bytes: workload.default_value_bytes(),
            budget_mib: 64,
            durability: workload.default_durability(),
            seed: 1,
            batch: workload.default_batch(),
            warm: false,
            isolation: workload.default_isolation(),
            writers: workload.default_writers(),
        }
    }

    /// How many operations the run is asked for.
    ///
    /// Workloads of whole passes finish the pass that they are in and have at least one for each thread, so they
    /// may do more.
    pub fn ops(&self) -> u64 {
        self.ops.unwrap_or_else(|| self.workload.default_ops(self.records))
    }

    /// Whether the numbers make a run.
    ///
    /// # Errors
    /// [`Error::Spec`], which names the number.
    pub fn check(&self) -> Result<(), Error> {
        let value_bytes_min = match self.workload {
            Workload::UpdateField => CHECK_BYTES + FIELD_BYTES,
            Workload::Rmw | Workload::RmwZipf | Workload::RmwHot => CHECK_BYTES + COUNT_BYTES,
            _ => CHECK_BYTES,
        };
        let what = if self.records == 0 || self.records > RECORDS_MAX {
            format!("--records is {}; 1 to {RECORDS_MAX} can be had", self.records)
        } else if self.ops() == 0 {
            "--ops is 0; at least one is needed".to_owned()
        } else if self.threads == 0 || self.threads > 4096 {
            format!("--threads is {}; 1 to 4096 can be had", self.threads)
        } else if self.value_bytes < value_bytes_min {
            let workload = self.workload;
            format!("--value is {} bytes; {workload} needs at least {value_bytes_min}", self.value_bytes)
        } else if self.batch == 0 {
            "--batch is 0; at least one record is needed".to_owned()
        } else if self.writers > 0 && self.workload.default_writers() == 0 {
            format!("--writers is {}; {} has none beside it", self.writers, self.workload)
        } else if self.writers > 4096 {
            format!("--writers is {}; 0 to 4096 can be had", self.writers)
        } else if self.workload == Workload::FillSync && self.durability != Durability::Power {
            format!("--durability is {}; fillsync is at power, fillrandom at any", self.durability)
        } else {
            return Ok(());
        };
        Err(Error::Spec { what })
    }
}

#[cfg(test)]
mod tests;

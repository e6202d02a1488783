//! The list of workloads.
//!
//! 1. This is the only list: programs print it, parse names by it and iterate over it.
//! 2. What a workload does is said here in words and in `operations.rs` in code.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Durability, Error, Isolation};

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Workload {
    /// All records in random key order, in batches.
    Load,
    /// All records in rising key order, in one bulk load.
    Bulk,
    /// New records in rising key order, one commit each.
    FillSeq,
    /// New records in random key order, one commit each.
    FillRandom,
    /// Existing records written anew, one commit each.
    Overwrite,
    /// New records in random key order, one `Power` commit each.
    FillSync,
    /// Single reads of existing keys.
    Get,
    /// Single reads of absent keys.
    GetMiss,
    /// Reads of several existing keys at once.
    MultiGet,
    /// A hundred records from an existing key on.
    Scan100,
    /// Everything, forwards.
    FullScan,
    /// Everything, backwards.
    Reverse,
    /// YCSB A: half reads, half updates, zipf.
    YcsbA,
    /// YCSB B: 95 % reads, 5 % updates, zipf.
    YcsbB,
    /// YCSB C: reads, zipf.
    YcsbC,
    /// YCSB D: 95 % reads of the latest, 5 % inserts.
    YcsbD,
    /// YCSB E: 95 % scans of 1 to 100 records, 5 % inserts, zipf.
    YcsbE,
    /// YCSB F: half reads, half read-modify-writes, zipf.
    YcsbF,
    /// Eight bytes changed inside a value.
    UpdateField,
    /// Transactions that read a few records and change them; drawn uniformly.
    Rmw,
    /// The same, zipf.
    RmwZipf,
    /// The same, all on a few records.
    RmwHot,
    /// Single reads while others write.
    GetWhileWriting,
    /// Reads within snapshots while others write.
    SnapshotWhileWriting,
    /// The five transactions of TPC-C over tables of their own.
    TpccKv,
    /// Opening after a kill in the middle of a load.
    Reopen,
}

impl Workload {
    /// Every workload, in the order in which programs list them.
    pub const ALL: [Workload; 26] = [
        Workload::Load,
        Workload::Bulk,
        Workload::FillSeq,
        Workload::FillRandom,
        Workload::Overwrite,
        Workload::FillSync,
        Workload::Get,
        Workload::GetMiss,
        Workload::MultiGet,
        Workload::Scan100,
        Workload::FullScan,
        Workload::Reverse,
        Workload::YcsbA,
        Workload::YcsbB,
        Workload::YcsbC,
        Workload::YcsbD,
        Workload::YcsbE,
        Workload::YcsbF,
        Workload::UpdateField,
        Workload::Rmw,
        Workload::RmwZipf,
        Workload::RmwHot,
        Workload::GetWhileWriting,
        Workload::SnapshotWhileWriting,
        Workload::TpccKv,
        Workload::Reopen,
    ];

    /// The name that command lines and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Load => "load",
            Workload::Bulk => "bulk",
            Workload::FillSeq => "fillseq",
            Workload::FillRandom => "fillrandom",
            Workload::Overwrite => "overwrite",
            Workload::FillSync => "fillsync",
            Workload::Get => "get",
            Workload::GetMiss => "getmiss",
            Workload::MultiGet => "multiget",
            Workload::Scan100 => "scan100",
            Workload::FullScan => "fullscan",
            Workload::Reverse => "reverse",
            Workload::YcsbA => "ycsb-a",
            Workload::YcsbB => "ycsb-b",
            Workload::YcsbC => "ycsb-c",
            Workload::YcsbD => "ycsb-d",
            Workload::YcsbE => "ycsb-e",
            Workload::YcsbF => "ycsb-f",
            Workload::UpdateField => "update-field",
            Workload::Rmw => "rmw",
            Workload::RmwZipf => "rmw-zipf",
            Workload::RmwHot => "rmw-hot",
            Workload::GetWhileWriting => "get-while-writing",
            Workload::SnapshotWhileWriting => "snapshot-while-writing",
            Workload::TpccKv => "tpcc-kv",
            Workload::Reopen => "reopen",
        }
    }

    /// What it does and what counts as one operation, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Workload::Load => {
                "all records in random key order, in batches; an operation is a record, a latency a batch"
            }
            Workload::Bulk => {
                "all records in rising key order, in one bulk load on one thread; an operation is a record, a latency the load"
            }
            Workload::FillSeq => "new records in rising key order, one commit each",
            Workload::FillRandom => "new records in random key order, one commit each",
            Workload::Overwrite => "existing records, drawn uniformly, written anew, one commit each",
            Workload::FillSync => "new records in random key order, one commit at power durability each",
            Workload::Get => "reads of existing keys, drawn uniformly",
            Workload::GetMiss => "reads of absent keys",
            Workload::MultiGet => {
                "reads of a batch of existing keys; an operation is a key, a latency a batch"
            }
            Workload::Scan100 => "100 records from an existing key on; an operation is a scan",
            Workload::FullScan => {
                "everything forwards, by each thread; an operation is a record, a latency a pass"
            }
            Workload::Reverse => {
                "everything backwards, by each thread; an operation is a record, a latency a pass"
            }
            Workload::YcsbA => "half reads, half updates; zipf 0.99",
            Workload::YcsbB => "95 % reads, 5 % updates; zipf 0.99",
            Workload::YcsbC => "reads; zipf 0.99",
            Workload::YcsbD => "95 % reads of late records, 5 % inserts; zipf 0.99 from the latest",
            Workload::YcsbE => "95 % scans of 1 to 100 records, 5 % inserts; zipf 0.99",
            Workload::YcsbF => "half reads, half read-modify-writes; zipf 0.99",
            Workload::UpdateField => {
                "8 bytes changed inside an existing value, drawn uniformly, one commit each"
            }
            Workload::Rmw => "transactions that read 4 records, drawn uniformly, and write them changed",
            Workload::RmwZipf => "the same on records drawn by zipf 0.99",
            Workload::RmwHot => "the same on records drawn uniformly from 64",
            Workload::GetWhileWriting => {
                "reads of existing keys, drawn uniformly, while other threads overwrite records, one commit each"
            }
            Workload::SnapshotWhileWriting => {
                "the same reads, a batch of them in one snapshot; an operation is a key, as a latency is"
            }
            Workload::TpccKv => {
                "the five transactions of TPC-C over tables of their own, conditions checked; an operation is a transaction"
            }
            Workload::Reopen => {
                "opening after a kill in the middle of a load; an operation is a recovered record"
            }
        }
    }

    /// Whether the store must know an order of its keys.
    pub fn needs_order(self) -> bool {
        matches!(
            self,
            Workload::Scan100 | Workload::FullScan | Workload::Reverse | Workload::YcsbE | Workload::Bulk
        )
    }

    /// Whether the store must hold the records before the run; the others are best begun with an empty one.
    pub fn needs_records(self) -> bool {
        !matches!(
            self,
            Workload::Load
                | Workload::Bulk
                | Workload::FillSeq
                | Workload::FillRandom
                | Workload::FillSync
                | Workload::TpccKv
                | Workload::Reopen
        )
    }

    /// Whether it writes.
    pub fn writes(self) -> bool {
        !matches!(
            self,
            Workload::Get
                | Workload::GetMiss
                | Workload::MultiGet
                | Workload::Scan100
                | Workload::FullScan
                | Workload::Reverse
                | Workload::YcsbC
        )
    }

    /// Whether its operations are transactions that may conflict: only then an isolation level and retries mean something.
    pub fn is_transactional(self) -> bool {
        matches!(self, Workload::Rmw | Workload::RmwZipf | Workload::RmwHot | Workload::TpccKv)
    }

    /// Whether [`run()`](crate::run()) can run it on any store; the others are measured by whoever knows more than a [`Store`](crate::Store) tells.
    pub fn runs_on_a_store(self) -> bool {
        !matches!(self, Workload::TpccKv | Workload::Reopen)
    }

    /// Threads that write beside those that are measured, when nobody says.
    pub fn default_writers(self) -> usize {
        usize::from(matches!(self, Workload::GetWhileWriting | Workload::SnapshotWhileWriting))
    }

    /// Operations when nobody says: as many as records, where an operation costs about as much as a record.
    pub fn default_ops(self, records: u64) -> u64 {
        match self {
            Workload::FillSync => records.min(10_000),
            Workload::Scan100 | Workload::YcsbE => records.div_ceil(20),
            _ => records,
        }
    }

    /// Bytes of a value when nobody says.
    pub fn default_value_bytes(self) -> usize {
        if self == Workload::UpdateField { 1000 } else { 100 }
    }

    /// Records of a batch when nobody says; 1 where there are no batches.
    pub fn default_batch(self) -> usize {
        match self {
            Workload::Load | Workload::Reopen => 1000,
            Workload::MultiGet => 32,
            Workload::SnapshotWhileWriting => 100,
            _ => 1,
        }
    }

    /// What transactions are protected from when nobody says.
    pub fn default_isolation(self) -> Isolation {
        if self == Workload::TpccKv { Isolation::Serializable } else { Isolation::Snapshot }
    }

    /// Durability when nobody says.
    pub fn default_durability(self) -> Durability {
        if self == Workload::FillSync { Durability::Power } else { Durability::Eventual }
    }

    /// All names, with commas, for messages.
    pub fn names() -> String {
        Workload::ALL.map(Workload::name).join(", ")
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(name: &str) -> Result<Workload, Error> {
        Workload::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
            .ok_or_else(|| Error::UnknownWorkload { name: name.to_owned() })
    }
}

// A report names its workload as a command line does (rule 1).

impl TryFrom<String> for Workload {
    type Error = Error;

    fn try_from(name: String) -> Result<Workload, Error> {
        name.parse()
    }
}

impl From<Workload> for &'static str {
    fn from(workload: Workload) -> &'static str {
        workload.name()
    }
}

#[cfg(test)]
mod tests;

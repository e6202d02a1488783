//! The engines of a comparison: our two kinds of table, our two isolation levels, and the peers.

use super::Programs;
use aquifer_workload::{Isolation, Report, Workload};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// The peers that `benches/peers` knows; each is a feature of it.
pub const PEERS: [&str; 3] = ["lmdb", "redb", "rocksdb"];

/// What reports of ours name as the engine.
const OURS: &str = "aquifer";
/// What they name as the kind of the table that has no order.
const HASHED: &str = "hashed";

/// One engine, as far as a comparison is concerned. It prints as the rows name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Ours, with a sorted table: what the others are compared with.
    Sorted,
    /// Ours, with a sorted table and serializable transactions; the others of ours have snapshot isolation.
    Serializable,
    /// Ours, with a hashed table.
    Hashed,
    /// Another.
    Peer(String),
}

impl Engine {
    /// Ours, and these peers.
    pub fn all(peers: &[String]) -> Vec<Engine> {
        let peers = peers.iter().cloned().map(Engine::Peer);
        [Engine::Sorted, Engine::Serializable, Engine::Hashed].into_iter().chain(peers).collect()
    }

    /// The engine whose row a report is.
    pub fn of(report: &Report) -> Engine {
        match (report.engine.as_str(), report.kind.as_str(), report.isolation) {
            (OURS, HASHED, _) => Engine::Hashed,
            (OURS, _, Some(Isolation::Serializable)) => Engine::Serializable,
            (OURS, _, _) => Engine::Sorted,
            (peer, _, _) => Engine::Peer(peer.to_string()),
        }
    }

    /// Can it do a workload? Levels mean something for transactions alone; a hashed table has no order; and what needs more than
    /// a store only ours can do.
    pub fn runs(&self, workload: Workload) -> bool {
        match self {
            Engine::Sorted => true,
            Engine::Serializable => workload.is_transactional(),
            Engine::Hashed => !workload.needs_order() && workload != Workload::TpccKv,
            Engine::Peer(_) => workload.runs_on_a_store(),
        }
    }

    /// The name of a directory for it.
    pub fn folder(&self) -> &str {
        match self {
            // The same records.
            Engine::Sorted | Engine::Serializable => "aquifer-sorted",
            Engine::Hashed => "aquifer-hashed",
            Engine::Peer(name) => name,
        }
    }

    /// The program that runs a workload on it in a directory; what the workload is has still to be said.
    pub fn command(&self, programs: &Programs, directory: &Path) -> Command {
        let ours = |kind: &str| {
            let mut command = Command::new(&programs.ours);
            command.arg("bench").arg(directory).args(["--kind", kind]);
            command
        };
        let leveled = |isolation: Isolation| {
            let mut command = ours("sorted");
            command.args(["--isolation", isolation.name()]);
            command
        };
        match self {
            Engine::Sorted => leveled(Isolation::Snapshot),
            Engine::Serializable => leveled(Isolation::Serializable),
            Engine::Hashed => ours(HASHED),
            Engine::Peer(name) => {
                let mut command = Command::new(&programs.peers);
                command.args(["run", "--engine", name]).arg(directory);
                command
            }
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Engine::Sorted => f.write_str(OURS),
            Engine::Serializable => write!(f, "{OURS} ({})", Isolation::Serializable),
            Engine::Hashed => write!(f, "{OURS} ({HASHED})"),
            Engine::Peer(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;

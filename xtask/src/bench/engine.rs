//! The engines of a comparison: our two kinds of table, and the peers.

use super::Programs;
use aquifer_workload::{Report, Workload};
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
    /// Ours, with a hashed table.
    Hashed,
    /// Another.
    Peer(String),
}

impl Engine {
    /// Ours, and these peers.
    pub fn all(peers: &[String]) -> Vec<Engine> {
        let peers = peers.iter().cloned().map(Engine::Peer);
        [Engine::Sorted, Engine::Hashed].into_iter().chain(peers).collect()
    }

    /// The engine whose row a report is.
    pub fn of(report: &Report) -> Engine {
        match (report.engine.as_str(), report.kind.as_str()) {
            (OURS, HASHED) => Engine::Hashed,
            (OURS, _) => Engine::Sorted,
            (peer, _) => Engine::Peer(peer.to_string()),
        }
    }

    /// Can it do a workload? A hashed table has no order, and only ours tells how opening after a kill went.
    pub fn runs(&self, workload: Workload) -> bool {
        match self {
            Engine::Sorted => true,
            Engine::Hashed => !workload.needs_order(),
            Engine::Peer(_) => workload != Workload::Reopen,
        }
    }

    /// The name of a directory for it.
    pub fn folder(&self) -> &str {
        match self {
            Engine::Sorted => "aquifer-sorted",
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
        match self {
            Engine::Sorted => ours("sorted"),
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
            Engine::Hashed => write!(f, "{OURS} ({HASHED})"),
            Engine::Peer(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;

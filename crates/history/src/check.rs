//! Dependencies between transactions, and the cycles that a level forbids.
//!
//! | dependency | from → to | Adya's name |
//! |---|---|---|
//! | [`Follows`](Dependency::Follows) | who wrote a version → who wrote the next | ww |
//! | [`Reads`](Dependency::Reads) | who wrote a version → who read it | wr |
//! | [`Overwritten`](Dependency::Overwritten) | who read a version → who wrote the next | rw |
//! | [`Precedes`](Dependency::Precedes) | who was over → who began afterwards | real time |
//!
//! # Invariants
//!
//! - **CH1** A history is serializable if and only if the first three have no cycle; strictly, if with the fourth they have none either.
//! - **CH2** It is one of snapshot isolation if every cycle has two `Overwritten` in a row (A. Cerone, A. Gotsman, "Analysing Snapshot
//!   Isolation", PODC 2016). To find the others, each transaction is two nodes: reached by `Overwritten`, from which none leads on, or otherwise.
//! - **CH3** Real time takes an edge or two for each transaction: those that are over are a chain of moments, and who begins hangs on the last.
//!
//! Sources: A. Adya, "Weak Consistency" (1999), for dependencies and the names of anomalies; Kingsbury and Alvaro, "Elle" (2020).

use crate::graph::Graph;
use crate::history::Transaction;
use crate::versions::{Inferred, infer};
use std::fmt;

/// What a history is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Reads are of one moment, and of two transactions that write a key at the same time one fails.
    Snapshot,
    /// The same, and that moment is not before the transaction began.
    StrongSnapshot,
    /// As if one came after the other.
    Serializable,
    /// The same, in an order that agrees with time.
    StrictSerializable,
}

impl Level {
    fn has_time(self) -> bool {
        matches!(self, Level::StrongSnapshot | Level::StrictSerializable)
    }

    fn is_snapshot(self) -> bool {
        matches!(self, Level::Snapshot | Level::StrongSnapshot)
    }
}

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// The other wrote the version behind the one that this wrote (ww).
    Follows {
        /// Of this key.
        key: u64,
    },
    /// The other read the version that this wrote (wr).
    Reads {
        /// Of this key.
        key: u64,
    },
    /// The other wrote the version behind the one that this read (rw).
    Overwritten {
        /// Of this key.
        key: u64,
    },
    /// This was over before the other began.
    Precedes,
}

impl Dependency {
    fn is_overwritten(self) -> bool {
        matches!(self, Dependency::Overwritten { .. })
    }
}

/// All steps, in words.
fn told(steps: &[Step]) -> String {
    let mut told = steps[0].transaction.to_string();
    for (at, step) in steps.iter().enumerate() {
        let next = steps[(at + 1) % steps.len()].transaction;
        let which = if at == 0 { "" } else { ", which" };
        told += &format!("{which} {step} {next}");
    }
    told
}

/// A transaction, by its place in the history, and why the next comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The transaction.
    pub transaction: u32,
    /// What leads on to the next.
    pub dependency: Dependency,
}

/// Without the transaction: what happened to it, up to the next.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dependency {
            Dependency::Follows { key } => write!(f, "is overwritten at key {key} by"),
            Dependency::Reads { key } => write!(f, "is read at key {key} by"),
            Dependency::Overwritten { key } => {
                write!(f, "read at key {key} the version before that of")
            }
            Dependency::Precedes => write!(f, "was over before"),
        }
    }
}

/// What no history of a level has. Transactions are named by their places in the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Anomaly {
    /// The history is not one that can be checked.
    #[error("value {value} is appended twice to key {key}: give every append a value of its own")]
    AppendedTwice {
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// A transaction contradicts itself.
    #[error("transaction {transaction} does not read at key {key} what it has read and appended before")]
    Internal {
        /// The transaction.
        transaction: u32,
        /// The key.
        key: u64,
    },
    /// A value that nobody appended.
    #[error("transaction {reader} reads at key {key} value {value}, which nobody has appended")]
    Invented {
        /// Who read it.
        reader: u32,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// A value that is there twice.
    #[error("transaction {reader} reads at key {key} value {value} twice")]
    Repeated {
        /// Who read it.
        reader: u32,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// A value of an aborted transaction (G1a).
    #[error("G1a: transaction {reader} reads at key {key} value {value} of {writer}, which was aborted")]
    AbortedRead {
        /// Who read it.
        reader: u32,
        /// Who wrote it.
        writer: u32,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// A value that its writer went on from (G1b).
    #[error(
        "G1b: transaction {reader} reads at key {key} up to value {value} of {writer}, which appended more to it"
    )]
    IntermediateRead {
        /// Who read it.
        reader: u32,
        /// Who wrote it.
        writer: u32,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// Two lists of a key of which neither is the beginning of the other.
    #[error("transactions {} and {} read lists of key {key} of which neither is the beginning of the other", readers[0], readers[1])]
    IncompatibleOrder {
        /// The key.
        key: u64,
        /// Who read them.
        readers: [u32; 2],
    },
    /// A cycle of dependencies.
    #[error("{name}: transaction {}", told(steps))]
    Cycle {
        /// Adya's name for it: `G0`, `G1c`, `G-single`, `G-nonadjacent` or `G2`, with `-realtime` where time is part of it.
        name: &'static str,
        /// One after the other; the last leads to the first.
        steps: Vec<Step>,
    },
}

/// Checks that a history is one of a level. O(operations), and as much memory.
///
/// # Errors
///
/// The first anomaly that was found.
///
/// ```
/// use aquifer_history::{Anomaly, Level, Operation::{Append, Read}, Transaction, check};
///
/// // Two that each read what the other writes: write skew.
/// let history = [
///     Transaction::committed(0, 9, vec![Read { key: 1, list: vec![] }, Append { key: 2, value: 1 }]),
///     Transaction::committed(1, 8, vec![Read { key: 2, list: vec![] }, Append { key: 1, value: 1 }]),
/// ];
/// assert_eq!(check(&history, Level::Snapshot), Ok(()));
/// assert!(matches!(check(&history, Level::Serializable), Err(Anomaly::Cycle { name: "G2", .. })));
/// ```
pub fn check(transactions: &[Transaction], level: Level) -> Result<(), Anomaly> {
    let inferred = infer(transactions)?;
    let edges = edges(transactions, &inferred, level.has_time());
    let mut all = Graph::new(edges.nodes);
    edges.list.iter().for_each(|&(from, to, dependency)| all.add(from, to, dependency));
    let find = |graph: &Graph<Dependency>, follow: fn(Dependency) -> bool| {
        let Some(component) = graph.component_with_cycle(follow) else { return Ok(()) };
        Err(Anomaly::of_cycle(graph.cycle(&component, follow), &edges))
    };
    find(&all, |dependency| matches!(dependency, Dependency::Follows { .. } | Dependency::Precedes))?;
    find(&all, |dependency| !dependency.is_overwritten())?;
    find(&doubled(&edges), |_| true)?;
    if level.is_snapshot() { Ok(()) } else { find(&all, |_| true) }
}

/// Edges between transactions, and between them and moments, whose numbers come behind theirs.
struct Edges {
    transactions: u32,
    nodes: usize,
    list: Vec<(u32, u32, Dependency)>,
}

fn edges(transactions: &[Transaction], inferred: &Inferred, with_time: bool) -> Edges {
    let count = transactions.len();
    let mut edges = Edges { transactions: count as u32, nodes: count, list: Vec::new() };
    for (&key, versions) in &inferred.keys {
        let next = versions.writers.iter().skip(1);
        for (&from, &to) in versions.writers.iter().zip(next) {
            edges.add(from, to, Dependency::Follows { key });
        }
        for &behind in &versions.behind {
            if let Some(&last) = versions.writers.last() {
                edges.add(last, behind, Dependency::Follows { key });
            }
        }
    }
    for read in &inferred.reads {
        let (key, versions) = (read.key, &inferred.keys[&read.key]);
        if let Some(&writer) = read.len.checked_sub(1).and_then(|last| versions.writers.get(last)) {
            edges.add(writer, read.reader, Dependency::Reads { key });
        }
        let next = match versions.writers.get(read.len) {
            Some(writer) => std::slice::from_ref(writer),
            None => &versions.behind,
        };
        next.iter().for_each(|&writer| edges.add(read.reader, writer, Dependency::Overwritten { key }));
    }
    if with_time {
        edges.add_time(transactions, &inferred.counts);
    }
    edges
}

impl Edges {
    fn add(&mut self, from: u32, to: u32, dependency: Dependency) {
        if from != to {
            self.list.push((from, to, dependency));
        }
    }

    /// CH3.
    fn add_time(&mut self, transactions: &[Transaction], counts: &[bool]) {
        let counting = |number: &u32| counts[*number as usize];
        let mut by_end: Vec<u32> = (0..transactions.len() as u32).filter(counting).collect();
        let mut by_begin = by_end.clone();
        by_end.sort_unstable_by_key(|&number| transactions[number as usize].end);
        by_begin.sort_unstable_by_key(|&number| transactions[number as usize].begin);
        let mut ended = by_end.into_iter().peekable();
        let mut moment = None;
        for begins in by_begin {
            while let Some(over) =
                ended.next_if(|&over| transactions[over as usize].end < transactions[begins as usize].begin)
            {
                let next = self.nodes as u32;
                self.nodes += 1;
                self.add(over, next, Dependency::Precedes);
                if let Some(before) = moment.replace(next) {
                    self.add(before, next, Dependency::Precedes);
                }
            }
            if let Some(moment) = moment {
                self.add(moment, begins, Dependency::Precedes);
            }
        }
    }
}

/// CH2: node `n` reached by anything but `Overwritten` is n, reached by that it is n + nodes.
fn doubled(edges: &Edges) -> Graph<Dependency> {
    let mut graph = Graph::new(2 * edges.nodes);
    let reached = edges.nodes as u32;
    for &(from, to, dependency) in &edges.list {
        if dependency.is_overwritten() {
            graph.add(from, to + reached, dependency);
        } else {
            graph.add(from, to, dependency);
            graph.add(from + reached, to, dependency);
        }
    }
    graph
}

impl Anomaly {
    /// Of a cycle of nodes, each perhaps one of two (CH2) or a moment (CH3).
    fn of_cycle(cycle: Vec<(u32, Dependency)>, edges: &Edges) -> Anomaly {
        let steps = cycle.into_iter().map(|(node, dependency)| (node % edges.nodes as u32, dependency));
        let steps = steps.filter(|&(node, _)| node < edges.transactions);
        let mut steps: Vec<Step> =
            steps.map(|(transaction, dependency)| Step { transaction, dependency }).collect();
        let first = (0..steps.len()).min_by_key(|&at| steps[at].transaction).unwrap_or(0);
        steps.rotate_left(first);
        let is = |at: usize| steps[at % steps.len()].dependency.is_overwritten();
        let overwritten = (0..steps.len()).filter(|&at| is(at)).count();
        let names = match overwritten {
            0 if steps.iter().any(|step| matches!(step.dependency, Dependency::Reads { .. })) => {
                ["G1c", "G1c-realtime"]
            }
            0 => ["G0", "G0-realtime"],
            1 => ["G-single", "G-single-realtime"],
            _ if (0..steps.len()).any(|at| is(at) && is(at + 1)) => ["G2", "G2-realtime"],
            _ => ["G-nonadjacent", "G-nonadjacent-realtime"],
        };
        let with_time = steps.iter().any(|step| step.dependency == Dependency::Precedes);
        Anomaly::Cycle { name: names[usize::from(with_time)], steps }
    }
}

#[cfg(test)]
mod tests;

//! The order of each key's versions, and who wrote and read which.
//!
//! # Invariants
//!
//! - **VE1** A list that was read is a version. Versions of a key only grow, so of any two lists that were read one is the beginning of
//!   the other, and the longest has the order of all. Where this does not hold, nothing can be said of the key.
//! - **VE2** A transaction counts if it was committed, or if its outcome is unknown and a committed one has read from it.
//! - **VE3** Values of transactions that count and that nobody has read come behind the longest list, in an order of their own that is not known.

use crate::check::Anomaly;
use crate::history::{Operation, Outcome, Transaction};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A read of what others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) reader: u32,
    pub(crate) key: u64,
    /// Length of the list without what the reader itself had appended.
    pub(crate) len: usize,
}

/// The versions of a key.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// Who appended each value of the longest list.
    pub(crate) writers: Vec<u32>,
    /// Who appended values behind it (VE3), each once.
    pub(crate) behind: Vec<u32>,
}

/// What a history says of its versions.
#[derive(Debug, Default)]
pub(crate) struct Inferred {
    pub(crate) keys: BTreeMap<u64, Versions>,
    pub(crate) reads: Vec<Read>,
    pub(crate) counts: Vec<bool>,
}

/// Who appended a value, and whether it was the last that he appended to the key.
#[derive(Debug, Clone, Copy)]
struct Origin {
    writer: u32,
    is_last: bool,
}

/// Infers, or says what contradicts itself.
pub(crate) fn infer(transactions: &[Transaction]) -> Result<Inferred, Anomaly> {
    let origins = origins(transactions)?;
    let mut counts: Vec<bool> = transactions.iter().map(|t| t.outcome == Outcome::Committed).collect();
    for transaction in transactions.iter().filter(|t| t.outcome == Outcome::Committed) {
        for (key, list) in lists(transaction) {
            for value in list {
                let writer = origins.get(&(key, *value)).map(|origin| origin.writer as usize);
                if let Some(writer) =
                    writer.filter(|&writer| transactions[writer].outcome == Outcome::Unknown)
                {
                    counts[writer] = true; // VE2
                }
            }
        }
    }
    let mut longest: HashMap<u64, (u32, &[u64])> = HashMap::new();
    let mut reads = Vec::new();
    for (number, transaction) in transactions.iter().enumerate().filter(|&(number, _)| counts[number]) {
        let reader = number as u32;
        for (key, list) in first_reads(reader, transaction)? {
            check_values(reader, key, list, &origins, transactions)?;
            reads.push(Read { reader, key, len: list.len() });
            let (of, known) = longest.entry(key).or_insert((reader, list));
            let shared = known.len().min(list.len());
            if known[..shared] != list[..shared] {
                return Err(Anomaly::IncompatibleOrder { key, readers: [*of, reader] });
            }
            if list.len() > known.len() {
                (*of, *known) = (reader, list);
            }
        }
    }
    let mut keys: BTreeMap<u64, Versions> = BTreeMap::new();
    let mut observed: HashSet<(u64, u64)> = HashSet::new();
    for (key, (_, list)) in longest {
        observed.extend(list.iter().map(|&value| (key, value)));
        keys.entry(key).or_default().writers =
            list.iter().map(|&value| origins[&(key, value)].writer).collect();
    }
    for (&(key, value), origin) in &origins {
        if counts[origin.writer as usize] && origin.is_last && !observed.contains(&(key, value)) {
            keys.entry(key).or_default().behind.push(origin.writer);
        }
    }
    keys.values_mut().for_each(|versions| versions.behind.sort_unstable());
    Ok(Inferred { keys, reads, counts })
}

fn origins(transactions: &[Transaction]) -> Result<HashMap<(u64, u64), Origin>, Anomaly> {
    let mut origins = HashMap::new();
    for (writer, transaction) in transactions.iter().enumerate() {
        let mut last = HashMap::new();
        for operation in &transaction.operations {
            let &Operation::Append { key, value } = operation else { continue };
            let origin = Origin { writer: writer as u32, is_last: true };
            if origins.insert((key, value), origin).is_some() {
                return Err(Anomaly::AppendedTwice { key, value });
            }
            if let Some(before) = last.insert(key, value) {
                origins.insert((key, before), Origin { is_last: false, ..origin });
            }
        }
    }
    Ok(origins)
}

fn lists(transaction: &Transaction) -> impl Iterator<Item = (u64, &[u64])> {
    transaction.operations.iter().filter_map(|operation| match operation {
        Operation::Read { key, list } => Some((*key, &list[..])),
        Operation::Append { .. } => None,
    })
}

/// The first list that a transaction read of each key, without its own values at the end; the others follow from it, or contradict it.
fn first_reads(reader: u32, transaction: &Transaction) -> Result<Vec<(u64, &[u64])>, Anomaly> {
    let mut first: Vec<(u64, &[u64])> = Vec::new();
    let mut own: HashMap<u64, Vec<u64>> = HashMap::new();
    for operation in &transaction.operations {
        match operation {
            Operation::Append { key, value } => own.entry(*key).or_default().push(*value),
            Operation::Read { key, list } => {
                let own = own.get(key).map_or(&[][..], Vec::as_slice);
                let others =
                    list.strip_suffix(own).ok_or(Anomaly::Internal { transaction: reader, key: *key })?;
                match first.iter().find(|(other, _)| other == key) {
                    Some((_, before)) if *before != others => {
                        return Err(Anomaly::Internal { transaction: reader, key: *key });
                    }
                    Some(_) => {}
                    None => first.push((*key, others)),
                }
            }
        }
    }
    Ok(first)
}

fn check_values(
    reader: u32,
    key: u64,
    list: &[u64],
    origins: &HashMap<(u64, u64), Origin>,
    transactions: &[Transaction],
) -> Result<(), Anomaly> {
    let mut seen = HashSet::with_capacity(list.len());
    for (at, &value) in list.iter().enumerate() {
        let Some(&Origin { writer, is_last }) = origins.get(&(key, value)) else {
            return Err(Anomaly::Invented { reader, key, value });
        };
        if !seen.insert(value) {
            return Err(Anomaly::Repeated { reader, key, value });
        }
        if transactions[writer as usize].outcome == Outcome::Aborted {
            return Err(Anomaly::AbortedRead { reader, writer, key, value });
        }
        if writer == reader {
            return Err(Anomaly::Internal { transaction: reader, key });
        }
        if at + 1 == list.len() && !is_last {
            return Err(Anomaly::IntermediateRead { reader, writer, key, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

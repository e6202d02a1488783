//! What is known of transactions.
//!
//! Every key holds a list. A transaction appends a value to it, or reads all of it. No value is appended to a key twice, so a list tells by
//! whom it was made, and in which order: from ordinary values neither could be known.
//!
//! Source: K. Kingsbury, P. Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020.

/// What a transaction did, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Appended a value to the list of a key.
    Append {
        /// Whose list.
        key: u64,
        /// What no other operation appends to it.
        value: u64,
    },
    /// Read the list of a key.
    Read {
        /// Whose list.
        key: u64,
        /// What was in it.
        list: Vec<u64>,
    },
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was told that its changes are there.
    Committed,
    /// It was told that they are not.
    Aborted,
    /// It was told neither: a crash came first, or an error that leaves it open.
    Unknown,
}

/// A transaction.
///
/// Times are of one clock for all transactions, in any unit: an earlier `end` than another's `begin` says that the one was over before the other
/// began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Operations, in their order.
    pub operations: Vec<Operation>,
    /// How it ended.
    pub outcome: Outcome,
    /// Before its first operation.
    pub begin: u64,
    /// After its commit had returned.
    pub end: u64,
}

impl Transaction {
    /// A committed transaction.
    ///
    /// ```
    /// use aquifer_history::{Operation, Outcome, Transaction};
    ///
    /// let append = Transaction::committed(0, 1, vec![Operation::Append { key: 7, value: 1 }]);
    /// assert_eq!(append.outcome, Outcome::Committed);
    /// ```
    pub fn committed(begin: u64, end: u64, operations: Vec<Operation>) -> Transaction {
        Transaction { operations, outcome: Outcome::Committed, begin, end }
    }
}

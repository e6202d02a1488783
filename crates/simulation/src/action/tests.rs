//! What is drawn: everything that there is comes often enough.

use super::*;
use crate::world::HASHED_TABLE;

/// Values that no page of an index takes, put or appended, in one table.
fn large_values(actions: &[Action], of: u8) -> usize {
    let is_large = |change: &&Change| change.table == of && change.value_len.is_some_and(|len| len > 1024);
    let count = |action: &Action| match action {
        Action::One { change, .. } => usize::from(is_large(&change)),
        Action::Batch { changes, .. } => changes.iter().filter(is_large).count(),
        Action::Append { table, .. } => usize::from(*table == of),
        Action::Transact(transact) => transact.changes.iter().filter(is_large).count(),
        Action::Scan { others, .. } | Action::Backup { others } => large_values(others, of),
        _ => 0,
    };
    actions.iter().map(count).sum()
}

#[test]
fn every_table_gets_large_values() {
    let all: Vec<Action> = (0..200).flat_map(draw).collect();
    for table in 0..TABLES {
        assert!(large_values(&all, table) > 300, "{} in table {table}", large_values(&all, table));
    }
    assert!(large_values(&all, HASHED_TABLE) > 1000, "{}", large_values(&all, HASHED_TABLE));
}

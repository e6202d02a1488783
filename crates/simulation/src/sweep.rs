//! Every disk operation of a scenario in its turn fails, or loses power, and everything that follows is judged.
//!
//! For each scenario and each kind of trouble: the k-th call that it can strike is struck, for k = 1, 2, … until the scenario runs
//! clean. Each time the life ends in a loss of power, damaged in several ways, with and without further losses of power during
//! the recovery that follows.

use crate::action::{Action, Again, Change, End, Trouble, Wait};
use crate::campaign::{self, Failure};
use crate::world::{HASHED_TABLE, Tally};
use aquifer::Durability;

/// A name, what comes before the trouble, and what is swept.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    before: Vec<Action>,
    swept: Vec<Action>,
}

/// What a scenario is swept with.
pub const TROUBLES: [Trouble; 5] =
    [Trouble::PowerLoss, Trouble::ErrorOnce, Trouble::ErrorForGood, Trouble::SyncError, Trouble::Full];

/// Ways in which each end is damaged.
const ENDS: u64 = 3;

fn put(table: u8, keys: std::ops::Range<u32>, len: u16, durability: Durability) -> Action {
    let changes = keys.map(|key| Change { table, key, value_len: Some(len) }).collect();
    Action::Batch { client: 0, changes, durability, wait: Wait::Now }
}

fn close() -> Action {
    Action::End { end: End::Close, seed: 5, again: Vec::new() }
}

fn open() -> Action {
    Action::End { end: End::Kill, seed: 1, again: Vec::new() }
}

fn table(table: u8, logged: bool) -> Action {
    Action::Create { table, logged }
}

/// A database of two tables and a few records.
fn small() -> Vec<Action> {
    vec![open(), table(0, true), table(1, false), put(0, 0..20, 100, Durability::Power)]
}

/// More than memory holds.
fn large() -> Vec<Action> {
    with(small(), (0..60).map(|n| put(0, n * 50..n * 50 + 50, 800, Durability::Eventual)).collect())
}

fn with(mut actions: Vec<Action>, more: Vec<Action>) -> Vec<Action> {
    actions.extend(more);
    actions
}

/// A second backup, while others change and checkpoint what it copies.
fn backup() -> Scenario {
    Scenario {
        name: "backup",
        before: with(
            with(large(), vec![Action::Backup { others: vec![] }]),
            (0..12).map(|n| put(0, n * 50..n * 50 + 50, 700, Durability::Eventual)).collect(),
        ),
        swept: vec![Action::Backup {
            others: (0..20)
                .flat_map(|n| [put(0, n * 9..n * 9 + 9, 500, Durability::Eventual), Action::Checkpoint])
                .collect(),
        }],
    }
}

/// Snapshots of checkpoints, while what they read is changed, dropped and checkpointed.
fn checkpoint_snapshots() -> Scenario {
    let read = |goes| Action::ReadKept { which: 0, goes };
    let change = |n: u32| vec![put(0, n * 9..n * 9 + 20, 500, Durability::Eventual), Action::Checkpoint];
    Scenario {
        name: "checkpoint snapshots",
        before: with(small(), vec![put(0, 0..90, 600, Durability::Eventual), Action::Keep]),
        swept: [
            vec![put(1, 0..9, 70, Durability::Power), Action::Keep],
            (0..4).flat_map(change).collect(),
            vec![Action::Drop { table: 1 }, read(true), Action::Step { times: 9 }, Action::Keep, read(false)],
            (4..7).flat_map(change).collect(),
            vec![read(true), Action::Verify, read(true), Action::Step { times: 9 }, Action::Verify],
        ]
        .concat(),
    }
}

/// Ranges that are deleted, and tables loaded in bulk, with and without a log.
fn ranges_and_bulk_loads() -> Scenario {
    Scenario {
        name: "ranges and bulk loads",
        before: with(
            small(),
            vec![
                table(2, true),
                table(3, false),
                put(0, 0..90, 600, Durability::Eventual),
                put(3, 0..90, 600, Durability::Eventual),
            ],
        ),
        swept: vec![
            Action::RangeDelete { table: 0, first: 8, count: 70, durability: Durability::Power },
            Action::RangeDelete { table: 3, first: 8, count: 70, durability: Durability::Power },
            Action::BulkLoad { table: 2, count: 60, value_len: 300, large_len: 6000 },
            put(0, 20..30, 70, Durability::Process),
            Action::Step { times: 4 },
            Action::Checkpoint,
            Action::RangeDelete { table: 2, first: 0, count: 1000, durability: Durability::Power },
            Action::Verify,
        ],
    }
}

/// The scenarios: creation, opening, batches, checkpoints, eviction, change of segments, tables made and dropped, large values,
/// backups, snapshots of checkpoints, ranges and bulk loads, growth and shrinking of the file.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "create", before: vec![], swept: with(small(), vec![]) },
        Scenario {
            name: "open",
            before: with(small(), vec![put(0, 5..30, 50, Durability::Process)]),
            swept: vec![open(), put(0, 7..9, 9, Durability::Power)],
        },
        Scenario {
            name: "batch",
            before: with(small(), vec![table(2, true)]),
            swept: vec![
                put(2, 0..40, 200, Durability::Power),
                put(0, 10..15, 300, Durability::Process),
                put(1, 0..9, 30, Durability::Power),
                put(0, 10..12, 0, Durability::Power),
            ],
        },
        Scenario {
            name: "checkpoint",
            before: with(
                small(),
                vec![put(1, 0..50, 200, Durability::Power), put(0, 0..90, 200, Durability::Eventual)],
            ),
            swept: vec![
                Action::Checkpoint,
                put(0, 3..6, 70, Durability::Power),
                Action::Checkpoint,
                Action::Verify,
            ],
        },
        ranges_and_bulk_loads(),
        Scenario {
            name: "eviction and growth",
            before: large(),
            swept: vec![
                put(0, 100..150, 700, Durability::Eventual),
                put(0, 2000..2050, 800, Durability::Eventual),
                Action::Scan { table: 0, from: None, reverse: false, every: 1, others: vec![] },
                Action::Step { times: 4 },
            ],
        },
        Scenario {
            name: "segments",
            before: small(),
            swept: (0..12).map(|n| put(0, n..n + 20, 900, Durability::Power)).collect(),
        },
        Scenario {
            name: "tables",
            before: with(small(), vec![put(1, 0..30, 100, Durability::Eventual)]),
            swept: vec![
                table(2, true),
                Action::Drop { table: 1 },
                put(2, 0..3, 10, Durability::Power),
                Action::Step { times: 9 },
                table(1, false),
                Action::Drop { table: 0 },
                Action::Checkpoint,
            ],
        },
        large_values(),
        large_values_in_a_hashed_table(),
        backup(),
        checkpoint_snapshots(),
        shrinking(),
    ]
}

/// A file that has become too long.
fn shrinking() -> Scenario {
    Scenario {
        name: "shrinking",
        before: with(large(), vec![Action::Checkpoint]),
        swept: vec![Action::Drop { table: 0 }, Action::Step { times: 200 }, Action::Checkpoint, close()],
    }
}

/// Values with pages of their own come, change and go.
fn large_values() -> Scenario {
    Scenario {
        name: "large values",
        before: with(
            small(),
            vec![
                table(2, false),
                put(0, 0..3, 9000, Durability::Power),
                put(2, 0..2, 9000, Durability::Power),
                Action::Checkpoint,
            ],
        ),
        swept: vec![
            put(0, 2..5, 30_000, Durability::Power),
            Action::Append { table: 0, key: 0, len: 5000, durability: Durability::Power },
            Action::Patch { table: 0, key: 1, at: 3, durability: Durability::Eventual },
            Action::Abandon { table: 0, key: 0, len: 60_000 },
            Action::Checkpoint,
            put(0, 1..2, 10, Durability::Power),
            put(2, 0..3, 20_000, Durability::Power),
            Action::RangeDelete { table: 0, first: 0, count: 2, durability: Durability::Power },
            Action::RangeDelete { table: 2, first: 1, count: 9, durability: Durability::Power },
            Action::Drop { table: 0 },
            Action::Step { times: 9 },
            Action::Verify,
        ],
    }
}

/// The same in a hashed table, which has a log here.
fn large_values_in_a_hashed_table() -> Scenario {
    let hashed = HASHED_TABLE;
    Scenario {
        name: "large values in a hashed table",
        before: vec![
            open(),
            table(hashed, true),
            put(hashed, 0..30, 300, Durability::Power),
            put(hashed, 0..3, 9000, Durability::Power),
            Action::Checkpoint,
        ],
        swept: vec![
            put(hashed, 2..5, 30_000, Durability::Power),
            Action::Append { table: hashed, key: 0, len: 5000, durability: Durability::Power },
            Action::Patch { table: hashed, key: 1, at: 3, durability: Durability::Eventual },
            Action::Abandon { table: hashed, key: 0, len: 60_000 },
            put(hashed, 30..50, 300, Durability::Eventual),
            Action::Checkpoint,
            put(hashed, 1..2, 10, Durability::Power),
            Action::Drop { table: hashed },
            Action::Step { times: 9 },
            Action::Verify,
        ],
    }
}

impl Scenario {
    /// Sweeps with one kind of trouble. Every `stride`-th call is struck. What went on.
    ///
    /// # Errors
    ///
    /// The first thing that the database got wrong, with the number of the call.
    pub fn sweep(&self, trouble: Trouble, stride: u16) -> Result<Tally, (u16, Box<Failure>)> {
        let mut total = Tally::default();
        for nth in (1..).step_by(usize::from(stride)) {
            let mut struck = false;
            for end in 0..ENDS {
                let seed = u64::from(nth) * ENDS + end;
                let power = |nth, seed| Again { trouble: Trouble::PowerLoss, nth, seed };
                let twice = if end == 0 {
                    vec![]
                } else {
                    vec![power(nth % 37 + 1, seed), power(end as u16 * 11, seed + 1)]
                };
                let mut actions = self.before.clone();
                let mut last = Vec::new();
                if let Some(Action::End { end, seed: kept, .. }) = self.swept.first() {
                    // The opening itself is swept.
                    let mut again = vec![Again { trouble, nth, seed }];
                    again.extend(twice);
                    actions.push(Action::End { end: *end, seed: *kept, again });
                    actions.extend(self.swept[1..].iter().cloned());
                } else {
                    actions.push(Action::Inject { trouble, nth });
                    actions.extend(self.swept.iter().cloned());
                    last = twice;
                }
                actions.push(Action::End { end: End::Power, seed, again: last });
                let tally = campaign::run(seed, &actions).map_err(|failure| (nth, failure))?;
                struck |= end == 0 && tally.faults > 0; // no other faults are there then
                total.add(tally);
            }
            if !struck {
                return Ok(total);
            }
        }
        unreachable!("a scenario has fewer calls than that")
    }
}

#[cfg(test)]
mod tests;

//! What happens in a simulation: a list of actions, drawn from a seed before anything runs.
//!
//! An action carries everything that it needs, so a list from which actions were removed still makes sense: what refers to
//! a table that is not there does nothing.

use aquifer::Durability;
use aquifer_sim::Random;

/// Tables that there may be at once.
pub const TABLES: u8 = 4;
/// Clients whose tickets are kept apart.
pub const CLIENTS: u8 = 5;

/// One change of one key; no value removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which table.
    pub table: u8,
    /// Which key.
    pub key: u32,
    /// Length of the new value in bytes.
    pub value_len: Option<u16>,
}

/// How a client goes on after its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It waits at once.
    Now,
    /// It keeps a ticket.
    Later,
}

/// What the disk does wrong, at the n-th call from now on that it can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Power is lost.
    PowerLoss,
    /// A change fails once.
    ErrorOnce,
    /// A change fails, and all after it.
    ErrorForGood,
    /// A read fails once.
    ReadError,
    /// A sync fails once.
    SyncError,
    /// Three calls that need space find none.
    Full,
    /// A write is acknowledged and lost.
    LostWrite,
    /// A write goes elsewhere.
    MisdirectedWrite,
    /// A read comes from elsewhere.
    MisdirectedRead,
    /// A read gives what was there before.
    StaleRead,
    /// A read gives a wrong bit.
    FlippedRead,
}

impl Trouble {
    /// Does the disk lie, rather than fail?
    pub fn is_silent(self) -> bool {
        use Trouble::*;
        matches!(self, LostWrite | MisdirectedWrite | MisdirectedRead | StaleRead | FlippedRead)
    }
}

/// An opening that meets trouble, and after which power is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// What goes wrong.
    pub trouble: Trouble,
    /// At which call.
    pub nth: u16,
    /// What survives.
    pub seed: u64,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Loss of power: what was not synced is kept, lost or garbage.
    Power,
    /// Death of the process: what was written is kept.
    Kill,
    /// A clean close.
    Close,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A table is made, if there is none of that number.
    Create {
        /// Which.
        table: u8,
        /// With a log.
        logged: bool,
    },
    /// A table is dropped.
    Drop {
        /// Which.
        table: u8,
    },
    /// One key changes.
    One {
        /// Who.
        client: u8,
        /// What.
        change: Change,
        /// How sure.
        durability: Durability,
        /// Waiting.
        wait: Wait,
    },
    /// A few bytes of a value change: by putting it anew, or in place.
    Patch {
        /// Which table.
        table: u8,
        /// Which key.
        key: u32,
        /// Where, modulo its length.
        at: u16,
        /// How sure.
        durability: Durability,
    },
    /// Bytes are put behind a value that is there, or that becomes one.
    Append {
        /// Which table.
        table: u8,
        /// Which key.
        key: u32,
        /// How many.
        len: u16,
        /// How sure.
        durability: Durability,
    },
    /// A value is written as a stream, and not finished.
    Abandon {
        /// Which table.
        table: u8,
        /// Which key.
        key: u32,
        /// Its length.
        len: u16,
    },
    /// Several keys change, all or none.
    Batch {
        /// Who.
        client: u8,
        /// What.
        changes: Vec<Change>,
        /// How sure.
        durability: Durability,
        /// Waiting.
        wait: Wait,
    },
    /// Keys change in a transaction, half of them after others have acted.
    Transact(Transact),
    /// All keys of a range go, in one commit.
    RangeDelete {
        /// Which table.
        table: u8,
        /// The first key.
        first: u32,
        /// Numbers of keys, there or not.
        count: u32,
        /// How sure.
        durability: Durability,
    },
    /// A table is loaded in bulk, if it is empty.
    BulkLoad {
        /// Which table.
        table: u8,
        /// Records.
        count: u32,
        /// Length of their values in bytes.
        value_len: u16,
        /// That of every twelfth instead, where it is not 0.
        large_len: u16,
    },
    /// A client waits for its tickets.
    Tickets {
        /// Who.
        client: u8,
    },
    /// Keys are read.
    Get {
        /// Which table.
        table: u8,
        /// The first key.
        key: u32,
        /// How many, together if more than one.
        count: u8,
    },
    /// A range is read to its end, and between its records others act.
    Scan {
        /// Which table.
        table: u8,
        /// The first key, or the last if backwards.
        from: Option<u32>,
        /// Backwards.
        reverse: bool,
        /// Records between two actions of others.
        every: u8,
        /// What the others do.
        others: Vec<Action>,
    },
    /// A backup is made, and meanwhile others act.
    Backup {
        /// What they do.
        others: Vec<Action>,
    },
    /// A snapshot of a checkpoint is taken, and stays open.
    Keep,
    /// One that is open is read.
    ReadKept {
        /// Which.
        which: u8,
        /// It goes afterwards.
        goes: bool,
    },
    /// A checkpoint is asked for.
    Checkpoint,
    /// Everything is made durable.
    Sync,
    /// Background work, so many units.
    Step {
        /// Units at most.
        times: u8,
    },
    /// Everything is read back and checked.
    Verify,
    /// From now on the disk does something wrong.
    Inject {
        /// What.
        trouble: Trouble,
        /// At which call.
        nth: u16,
    },
    /// From now on so much space is left.
    Space {
        /// KiB.
        kib: u16,
    },
    /// There is space again.
    Room,
    /// A bit of a file rots.
    Rot {
        /// Which.
        seed: u64,
    },
    /// The life ends, and the next begins.
    End {
        /// How.
        end: End,
        /// What survives.
        seed: u64,
        /// Openings that meet trouble, one after the other, before one that does not.
        again: Vec<Again>,
    },
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transact {
    /// At the stricter level.
    pub serializable: bool,
    /// What it changes; of every seventh change it thinks better.
    pub changes: Vec<Change>,
    /// What others do before the second half.
    pub others: Vec<Action>,
    /// It is rolled back.
    pub rolls_back: bool,
    /// How sure.
    pub durability: Durability,
}

/// What a list of actions is drawn from.
#[derive(Debug, Clone, Copy)]
struct Taste {
    keys: u64,
    value_len: u64,
    /// In a hundred, values that no leaf takes.
    large_percent: u64,
    silent: bool,
}

/// The actions of a seed.
pub fn draw(seed: u64) -> Vec<Action> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x51D0);
    let random = &mut random;
    let keys = *pick(random, &[12, 60, 300, 300, 4000]);
    let value_len = *pick(random, &[20, 120, 120, 900]);
    let large_percent = *pick(random, &[0, 0, 2, 10]);
    let taste = Taste { keys, value_len, large_percent, silent: random.chance(25) };
    let mut actions = Vec::new();
    for table in 0..1 + random.below(3) as u8 {
        actions.push(Action::Create { table, logged: table == 0 || random.chance(70) });
    }
    for _ in 0..1 + random.below(6) {
        life(random, taste, &mut actions);
    }
    actions
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}

fn life(random: &mut Random, taste: Taste, actions: &mut Vec<Action>) {
    let begin = actions.len();
    let length = *pick(random, &[5, 30, 120, 400]);
    for _ in 0..1 + random.below(length) {
        let action = any(random, taste, true);
        actions.push(action);
    }
    if taste.keys > 1000 && random.chance(50) {
        // More than memory holds.
        for start in (0..4000).step_by(40) {
            let changes =
                (start..start + 40).map(|key| Change { table: 0, key, value_len: Some(900) }).collect();
            let at = begin + random.below((actions.len() - begin) as u64 + 1) as usize;
            let batch =
                Action::Batch { client: 0, changes, durability: Durability::Eventual, wait: Wait::Now };
            actions.insert(at, batch);
        }
        // More than is loaded at a time.
        let mut changes = Vec::new();
        for _ in 0..1100 + random.below(400) {
            let key = random.below(taste.keys) as u32;
            let value_len = random.chance(90).then(|| random.below(30) as u16);
            changes.push(Change { table: 0, key, value_len });
        }
        let transact = Transact {
            serializable: random.chance(30),
            changes,
            others: (0..random.below(4)).map(|_| any(random, taste, false)).collect(),
            rolls_back: false,
            durability: durability(random),
        };
        actions.push(Action::Transact(transact));
    }
    if random.chance(70) {
        let trouble = trouble(random, taste.silent);
        let most = *pick(random, &[3, 20, 100, 600]);
        let inject = Action::Inject { trouble, nth: 1 + random.below(most) as u16 };
        let at = begin + random.below((actions.len() - begin) as u64 + 1) as usize;
        actions.insert(at, inject);
    }
    if random.chance(15) {
        let at = begin + random.below((actions.len() - begin) as u64 + 1) as usize;
        actions.insert(at, Action::Space { kib: *pick(random, &[0, 4, 64, 300]) });
        if random.chance(70) {
            let later = at + 1 + random.below((actions.len() - at) as u64) as usize;
            actions.insert(later, Action::Room);
        }
    }
    if taste.silent && random.chance(50) {
        for _ in 0..1 + random.below(8) {
            actions.push(Action::Rot { seed: random.draw() });
        }
    }
    let mut again = Vec::new();
    while random.chance(25) {
        let nth = 1 + random.below(40) as u16;
        again.push(Again { trouble: Trouble::PowerLoss, nth, seed: random.draw() });
    }
    let end = match random.below(10) {
        0 => End::Close,
        1..=3 => End::Kill,
        _ => End::Power,
    };
    actions.push(Action::End { end, seed: random.draw(), again });
}

fn trouble(random: &mut Random, silent: bool) -> Trouble {
    use Trouble::*;
    if silent {
        return *pick(random, &[LostWrite, MisdirectedWrite, MisdirectedRead, StaleRead, FlippedRead]);
    }
    *pick(
        random,
        &[PowerLoss, PowerLoss, PowerLoss, PowerLoss, ErrorOnce, ErrorForGood, ReadError, SyncError, Full],
    )
}

fn durability(random: &mut Random) -> Durability {
    *pick(random, &[Durability::Power, Durability::Process, Durability::Eventual, Durability::Eventual])
}

fn wait(random: &mut Random) -> Wait {
    *pick(random, &[Wait::Now, Wait::Now, Wait::Later])
}

fn change(random: &mut Random, taste: Taste) -> Change {
    let value_len = match random.below(10) {
        _ if taste.large_percent > 0 && random.chance(taste.large_percent) => Some(large_len(random)),
        0 | 1 => None,
        2 => Some(0),
        _ => Some(random.below(taste.value_len) as u16),
    };
    Change { table: table(random), key: random.below(taste.keys) as u32, value_len }
}

/// A length of a few pages.
fn large_len(random: &mut Random) -> u16 {
    1025 + random.below(20_000) as u16
}

/// The first table more often than others.
fn table(random: &mut Random) -> u8 {
    random.below(u64::from(TABLES)).min(random.below(u64::from(TABLES))) as u8
}

/// Something that only large values know.
fn large(random: &mut Random, key: u32) -> Action {
    let (table, len) = (table(random), large_len(random));
    match random.chance(70) {
        true => Action::Append { table, key, len, durability: durability(random) },
        false => Action::Abandon { table, key, len },
    }
}

fn transact(random: &mut Random, taste: Taste) -> Action {
    let most = *pick(random, &[2, 10, 40]);
    Action::Transact(Transact {
        serializable: random.chance(30),
        changes: (0..1 + random.below(most)).map(|_| change(random, taste)).collect(),
        others: (0..random.below(12)).map(|_| any(random, taste, false)).collect(),
        rolls_back: random.chance(10),
        durability: durability(random),
    })
}

fn any(random: &mut Random, taste: Taste, may_nest: bool) -> Action {
    let client = random.below(u64::from(CLIENTS)) as u8;
    let key = random.below(taste.keys) as u32;
    match random.below(100) {
        0 => Action::Create { table: table(random), logged: random.chance(75) },
        1 if may_nest => Action::Drop { table: table(random) },
        2..=11 => {
            let most = *pick(random, &[2, 10, 60]);
            let changes = (0..1 + random.below(most)).map(|_| change(random, taste)).collect();
            Action::Batch { client, changes, durability: durability(random), wait: wait(random) }
        }
        12..=17 => Action::Tickets { client },
        18..=27 => Action::Get { table: table(random), key, count: *pick(random, &[1, 1, 1, 8]) },
        28..=30 if may_nest => {
            let others = (0..random.below(8)).map(|_| any(random, taste, false)).collect();
            let from = random.chance(60).then_some(key);
            Action::Scan {
                table: table(random),
                from,
                reverse: random.chance(40),
                every: 1 + random.below(20) as u8,
                others,
            }
        }
        31..=33 => Action::Checkpoint,
        34..=35 => Action::Sync,
        36..=42 => Action::Step { times: 1 + random.below(4) as u8 },
        43 => Action::Keep,
        44 => Action::ReadKept { which: random.below(2) as u8, goes: random.chance(40) },
        45 if may_nest => Action::Verify,
        46 if may_nest => {
            // With as many checkpoints, so that what the kept one has is superseded and its slots would be used again.
            let others = (0..random.below(80)).flat_map(|_| [any(random, taste, false), Action::Checkpoint]);
            Action::Backup { others: others.collect() }
        }
        47..=49 if taste.large_percent > 0 => large(random, key),
        46..=55 => Action::Patch {
            table: table(random),
            key,
            at: random.draw() as u16,
            durability: durability(random),
        },
        56..=57 => Action::RangeDelete {
            table: table(random),
            first: key,
            count: (random.below(taste.keys * 2) / *pick(random, &[2, 16, 16])) as u32 + 1,
            durability: durability(random),
        },
        58 if may_nest => {
            let large_len = if taste.large_percent > 0 { large_len(random) } else { 0 };
            let count = if large_len > 0 { taste.keys.min(600) } else { taste.keys } * 2;
            let (table, count) = (table(random), random.below(count) as u32);
            Action::BulkLoad { table, count, value_len: random.below(taste.value_len) as u16, large_len }
        }
        59..=63 if may_nest => transact(random, taste),
        59..=60 => {
            // A stretch of neighbours goes: pages become loose and are merged.
            let (table, end) = (table(random), key + 1 + random.below(80) as u32);
            let changes = (key..end).map(|key| Change { table, key, value_len: None }).collect();
            Action::Batch { client, changes, durability: durability(random), wait: wait(random) }
        }
        _ => Action::One {
            client,
            change: change(random, taste),
            durability: durability(random),
            wait: wait(random),
        },
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

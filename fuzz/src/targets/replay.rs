//! A log of arbitrary records behind a sound checkpoint.
//!
//! ```text
//! input:  flags u8: bit 0 the log is closed | record* (pieces)
//! ```

use super::{Seeds, Target};
use crate::disk::{Files, MemoryDisk};
use crate::recipe::{self, State};
use crate::source::{Source, put_piece};
use aquifer::ErrorKind;
use aquifer::fuzzing::{Change, read_record, write_create, write_record};
use aquifer_wal::{Log, LogOptions, Lsn};
use std::collections::BTreeMap;

/// Opening refuses the log as corrupt, or gives exactly the state to which the records, applied one after the other to
/// plain maps, lead from the checkpoint (RC2); verification then finds nothing. What attaches pages of large values, which no map
/// knows, is only opened.
pub const TARGET: Target = Target { name: "replay", run, input_bytes_max: 8 << 10, seeds };

/// Longer keys and values than a page of 4 KiB takes.
const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 1024;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let flags = source.u8();
    let mut records = Vec::new();
    while !source.is_empty() {
        records.push(source.piece());
    }
    let data = &recipe::bases()[0].files["data"];
    let disk = MemoryDisk::new(&Files::from([("data".to_owned(), data.clone())]));
    write_log(&disk, data, &records, flags & 1 == 1);
    let attaches = records.iter().any(|record| {
        let mut attaches = false;
        let _ = read_record(record, |_, _, change| attaches |= matches!(change, Change::Attach(..)));
        attaches
    });
    match recipe::options(&disk).open("") {
        _ if attaches => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        Ok(db) => {
            let expected = model(&records).expect("RC2: the log was accepted, and makes no sense");
            if expected.values().flat_map(BTreeMap::keys).any(|key| key.len() == KEY_BYTES_MAX) {
                // Records in the place of groups of long keys: what is none is found by whoever reads it.
                let (_, _) = (recipe::read_state(&db), db.verify(|_| {}));
                return;
            }
            assert_eq!(recipe::read_state(&db).expect("all of it is new"), expected);
            let report = db.verify(|_| {}).expect("verification reports");
            assert!(report.is_clean(), "{:?}", report.faults);
        }
    }
}

/// A log of these records, as the newest superblock of `data` wants it.
fn write_log(disk: &MemoryDisk, data: &[u8], records: &[&[u8]], close: bool) {
    let generation = |at: usize| Source::new(&data[at + 40..]).u64();
    let newest = if generation(0) > generation(64 << 10) { 0 } else { 64 << 10 };
    let mut fields = Source::new(&data[newest + 16..]);
    let (database_id, incarnation, _generation, flip) =
        (fields.array(), fields.u64(), fields.u64(), fields.u64());
    let options = LogOptions { segment_bytes_max: 64 << 10, ring_bytes: 64 << 10, database_id, incarnation };
    let log = Log::start(disk.disk(), "log", options, Lsn(flip)).expect("a disk with room");
    for record in records {
        loop {
            match log.reserve(record.len()) {
                Ok(reserved) => break reserved.fill(record),
                Err(_) => log.wait_for_room(record.len()).expect("a disk with room"),
            }
        }
    }
    let ended = if close { log.close() } else { log.wait_durable(log.reserved()) };
    ended.expect("a disk with room");
}

/// The state after these records; nothing if one of them cannot be applied.
fn model(records: &[&[u8]]) -> Option<State> {
    let last = recipe::states().last().expect("there is one");
    // Tables have the numbers in whose order they were made.
    let mut names: BTreeMap<u32, String> = (1u32..).zip(last.keys().cloned()).collect();
    let mut state = last.clone();
    for record in records {
        let mut sound = true;
        let read = read_record(record, |table, key, change| {
            sound &= apply(&mut state, &mut names, table, key, change).is_some();
        });
        if read.is_err() || !sound {
            return None;
        }
    }
    Some(state)
}

fn apply(
    state: &mut State,
    names: &mut BTreeMap<u32, String>,
    table: u32,
    key: &[u8],
    change: Change<'_>,
) -> Option<()> {
    if let Change::Create(_) = change {
        let name = std::str::from_utf8(key).ok()?;
        state.contains_key(name).eq(&false).then_some(())?;
        names.insert(table, name.to_owned());
        state.insert(name.to_owned(), BTreeMap::new());
        return Some(());
    }
    let name = names.get(&table)?.clone();
    if let Change::Drop = change {
        names.remove(&table);
        state.remove(&name);
        return Some(());
    }
    let rows = state.get_mut(&name)?;
    if let Change::RangeDelete(high) = change {
        rows.retain(|at, _| at.as_slice() < key || high.is_some_and(|high| at.as_slice() >= high));
        return Some(());
    }
    (key.len() <= KEY_BYTES_MAX).then_some(())?;
    match change {
        Change::Put(value) => {
            (value.len() <= VALUE_BYTES_MAX).then_some(())?;
            rows.insert(key.to_vec(), value.to_vec());
        }
        Change::Patch(parts) => parts.apply(rows.get_mut(key)?).then_some(())?,
        Change::Delete => drop(rows.remove(key)),
        Change::Attach(..) => return None,
        Change::Adopt(_) => return None, // no checkpoint has such a tree
        Change::Create(_) | Change::Drop | Change::RangeDelete(_) => unreachable!("returned above"),
    }
    Some(())
}

fn seeds() -> Seeds {
    let build = |flags: u8, records: &[Vec<u8>]| {
        let mut input = vec![flags];
        records.iter().for_each(|record| put_piece(&mut input, record));
        input
    };
    let put = |table: u32, key: &[u8], value: &[u8]| write_record(&[(table, key, Some(value))]);
    // key 001 of table 1: 300 bytes, of which some change.
    let patch = b"\x01\x01\x09\x07key 001\x02\x05\x03abc\xf0\x01\x02de".to_vec();
    let drop_table = |table: u8| vec![1, 1, table << 3 | 4, 0];
    let many: Vec<_> = (0..12u32).map(|n| put(1, format!("more {n}").as_bytes(), &[n as u8; 600])).collect();
    vec![
        ("nothing".into(), build(1, &[])),
        ("puts".into(), build(1, &[put(1, b"key 001", b"new"), put(2, b"", b""), put(1, b"zz", &[9; 1000])])),
        ("deletes".into(), build(0, &[write_record(&[(1, b"key 001", None), (1, b"nobody", None)])])),
        ("patch".into(), build(1, std::slice::from_ref(&patch))),
        ("patch-misfit".into(), build(1, &[put(1, b"key 001", b"short"), patch])),
        ("create".into(), build(1, &[write_create(3, "three"), put(3, b"a", b"b")])),
        ("create-drop".into(), build(0, &[write_create(3, "x"), drop_table(3), write_create(4, "x")])),
        ("drop".into(), build(1, &[drop_table(1)])),
        ("drop-and-use".into(), build(1, &[drop_table(1), put(1, b"a", b"b")])),
        ("last-id".into(), build(1, &[write_create(u32::MAX, "last")])),
        ("near-last-id".into(), build(1, &[write_create(u32::MAX - 1, "last"), write_create(5, "five")])),
        ("unknown-table".into(), build(1, &[put(77, b"a", b"b")])),
        ("long-key".into(), build(1, &[put(1, &[7; 600], b"b")])),
        ("checkpoint".into(), build(1, &[vec![2, 1], vec![3, 0, 0]])),
        ("later-checkpoint".into(), build(1, &[vec![2, 100]])),
        ("many".into(), build(0, &many)),
    ]
}

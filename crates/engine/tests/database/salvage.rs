//! Salvage: every block of a small database is destroyed in turn. Whatever it was, all that does not depend on it comes
//! back, nothing comes back that was not there, and the loss is named.

use crate::model::{State, read_state};
use aquifer::{Database, Durability, LostKind, Options, SalvageReport, TableDef, TableOptions};
use aquifer_sim::SimDisk;
use std::collections::BTreeMap;
use std::path::Path;

type Contents = BTreeMap<String, Vec<u8>>;

const TYPED: TableDef<str, u64> = TableDef::new("typed");

fn options() -> Options {
    Database::options().memory_budget(2 << 20).background(false)
}

/// Salvages these files: the report, and what the new database holds.
fn salvage(contents: &Contents) -> (SalvageReport, State) {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::with_contents(contents);
    let report = Database::salvage(options().disk(disk.disk()), "", dir.path(), |_| ()).unwrap();
    assert_eq!(&disk.contents(), &with_lock(contents, &disk), "the damaged database is not changed");
    let db = options().open(dir.path()).unwrap();
    crate::assert_clean(&db);
    let state = read_state(&db);
    (report, state)
}

fn with_lock(contents: &Contents, disk: &SimDisk) -> Contents {
    let mut contents = contents.clone();
    if let Some(lock) = disk.contents().get("LOCK") {
        contents.insert("LOCK".into(), lock.clone());
    }
    contents
}

fn fill(db: &Database) {
    let many = db.create_table("many", TableOptions::default()).unwrap();
    for n in 0u32..500 {
        many.put_with(&n.to_be_bytes(), &[n as u8; 60], Durability::Eventual).unwrap().lsn();
    }
    let few = db.create_table("few", TableOptions::unlogged()).unwrap();
    few.put(b"one", b"1").unwrap();
    let typed = TYPED.create(db, TableOptions::default()).unwrap();
    for n in 0..100u64 {
        typed.put_with(&format!("name {n:04}"), &n, Durability::Eventual).unwrap().lsn();
    }
    db.create_table("gone", TableOptions::default()).unwrap().put(b"k", b"v").unwrap();
}

/// A database that was closed, after some checkpoints; with it what it held.
fn closed() -> (Contents, State) {
    let disk = SimDisk::new();
    let db = options().disk(disk.disk()).segment_bytes_max(128 << 10).create("").unwrap();
    fill(&db);
    db.checkpoint().unwrap();
    db.drop_table("gone").unwrap();
    while db.step().unwrap() {}
    let many = db.table("many").unwrap();
    for n in 0u32..100 {
        many.put_with(&(5 * n).to_be_bytes(), &[0xEE; 50], Durability::Eventual).unwrap().lsn();
        many.delete_with(&(5 * n + 1).to_be_bytes(), Durability::Eventual).unwrap().lsn();
    }
    let state = read_state(&db);
    drop(many);
    db.close().unwrap();
    (disk.contents(), state)
}

/// A database that was killed with changes in the log alone: the states after each of its last changes.
fn killed() -> (Contents, Vec<State>) {
    let disk = SimDisk::new();
    let db = options().disk(disk.disk()).segment_bytes_max(128 << 10).create("").unwrap();
    fill(&db);
    db.checkpoint().unwrap();
    let mut states = vec![read_state(&db)];
    let many = db.table("many").unwrap();
    let mut long = vec![7; 400];
    many.put(b"patched", &long).unwrap();
    states.push(read_state(&db));
    for n in 0u32..20 {
        match n % 4 {
            0 => many.put(&(9 * n).to_be_bytes(), b"new").unwrap(),
            1 => many.delete(&(9 * n).to_be_bytes()).unwrap(),
            2 => {
                long[n as usize] = 9;
                many.put(b"patched", &long).unwrap();
            }
            _ => {
                db.create_table(&format!("late {n}"), TableOptions::default()).unwrap();
                states.push(read_state(&db));
                db.table(&format!("late {n}")).unwrap().put(b"k", b"v").unwrap();
            }
        }
        states.push(read_state(&db));
    }
    db.drop_table("typed").unwrap();
    states.push(read_state(&db));
    (disk.after_kill().contents(), states)
}

/// Checks that nothing came back that was not there, and that what is missing is said to be.
#[track_caller]
fn check(report: &SalvageReport, state: &State, expected: &State, context: &str) {
    // Where no map says which version is the newest, an older one may come back, and the report says so.
    let old_versions = report.unchecked_leaves > 0 && !report.doubts.is_empty();
    for (name, records) in state {
        let Some(expected) = expected.get(name) else {
            let made_up = report.catalog_damaged && name.starts_with("table-");
            assert!(made_up || old_versions, "{context}: table {name}: {report:?}");
            continue;
        };
        for (key, value) in records {
            let right = expected.get(key) == Some(value);
            assert!(right || old_versions, "{context}: {name} {key:?}: {report:?}");
        }
    }
    for (name, records) in expected {
        let Some(table) = report.tables.iter().find(|table| table.name == *name) else {
            assert!(report.catalog_damaged, "{context}: {name} is missing: {report:?}");
            continue;
        };
        for key in records.keys().filter(|key| !state[name].contains_key(*key)) {
            let covers =
                |from: &[u8], to: Option<&[u8]>| from <= key && to.is_none_or(|to| key.as_slice() < to);
            let named = table.lost.iter().any(|gap| covers(&gap.from, gap.to.as_deref()));
            let doubted =
                report.doubts.iter().any(|doubt| doubt.contains("without a log") && doubt.contains(name));
            assert!(named || doubted, "{context}: {name} {key:?} is missing and not said to be: {report:?}");
        }
    }
    if report.is_complete() {
        assert!(state == expected, "{context}: {report:?}");
    }
}

fn destroy(contents: &Contents, name: &str, block: usize) -> Option<Contents> {
    let bytes = &contents[name][block * 4096..][..4096];
    if bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    let mut damaged = contents.clone();
    let block = &mut damaged.get_mut(name).unwrap()[block * 4096..][..4096];
    block.iter_mut().enumerate().for_each(|(n, byte)| *byte = (n as u8).wrapping_mul(167) ^ 0xA5);
    Some(damaged)
}

#[test]
fn a_sound_database_comes_over_whole() {
    let (contents, expected) = closed();
    let (report, state) = salvage(&contents);
    assert!(report.is_complete(), "{report:?}");
    assert!(state == expected);
    assert_eq!((report.lost_pages.len(), report.unchecked_leaves), (0, 0));
    let (contents, states) = killed();
    let (report, state) = salvage(&contents);
    assert!(report.is_complete(), "{report:?}");
    assert!(&state == states.last().unwrap());
    assert!(report.log.records >= 20 && report.log.lost_entries == 0, "{report:?}");
}

#[test]
fn types_and_options_come_over() {
    let (contents, _) = closed();
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::with_contents(&contents);
    Database::salvage(options().disk(disk.disk()), "", dir.path(), |_| ()).unwrap();
    let db = options().open(dir.path()).unwrap();
    assert_eq!(TYPED.open(&db).unwrap().get("name 0042").unwrap(), Some(42));
    assert!(!db.table("few").unwrap().info().logged);
}

#[test]
fn each_destroyed_block_of_a_closed_database_costs_what_it_held() {
    let (contents, expected) = closed();
    let records: usize = expected.values().map(BTreeMap::len).sum();
    let (mut leaves, mut inner, mut nodes, mut nothing, mut catalog) = (0, 0, 0, 0, 0);
    for block in 0..contents["data"].len() / 4096 {
        let Some(damaged) = destroy(&contents, "data", block) else { continue };
        let (report, state) = salvage(&damaged);
        let context = format!("block {block}");
        check(&report, &state, &expected, &context);
        let left: usize = state.values().map(BTreeMap::len).sum();
        match report.lost_pages.as_slice() {
            [] => {
                assert!(state == expected, "{context}: {report:?}");
                nothing += 1;
            }
            [lost] if lost.kind == LostKind::Leaf => {
                let table = lost.table.as_deref().unwrap();
                if table == "(catalog)" {
                    assert!(report.catalog_damaged && left == records, "{context}: {report:?}");
                    catalog += 1;
                    continue;
                }
                let of_table = report.tables.iter().find(|t| t.name == table).unwrap();
                assert_eq!(of_table.lost.len(), 1, "{context}: {report:?}");
                assert!(left < records && records - left <= 200, "{context}: {left}");
                assert!(!report.is_complete());
                leaves += 1;
            }
            [lost] if lost.kind == LostKind::Inner => {
                assert!(state == expected, "{context}: {report:?}");
                assert!(report.is_complete() && lost.table.as_deref() == Some("many"), "{report:?}");
                inner += 1;
            }
            [lost] if lost.kind == LostKind::MapNode => {
                assert!(state == expected, "{context}: {report:?}");
                assert!(!report.is_complete() && report.unchecked_leaves > 0, "{report:?}");
                nodes += 1;
            }
            _ => panic!("{context}: {report:?}"),
        }
    }
    assert!(leaves >= 8, "{leaves}");
    assert_eq!((inner, nodes, catalog), (1, 1, 1));
    assert!(nothing >= 2, "both superblocks are among {nothing}");
}

#[test]
fn each_destroyed_block_of_a_killed_database_costs_what_it_held() {
    let (contents, states) = killed();
    let last = states.last().unwrap();
    for block in 0..contents["data"].len() / 4096 {
        let Some(damaged) = destroy(&contents, "data", block) else { continue };
        let (report, state) = salvage(&damaged);
        check(&report, &state, last, &format!("block {block}"));
        if report.lost_pages.is_empty() && report.doubts.is_empty() {
            assert!(&state == last, "block {block}: {report:?}");
        }
    }
}

#[test]
fn a_damaged_log_gives_the_prefix_that_is_readable() {
    let (contents, states) = killed();
    let segments: Vec<&String> = contents.keys().filter(|name| name.starts_with("log/")).collect();
    let (mut ended, mut whole) = (0, 0);
    for name in segments {
        for block in 0..contents[name].len() / 4096 {
            let Some(damaged) = destroy(&contents, name, block) else { continue };
            let (report, state) = salvage(&damaged);
            let context = format!("{name}, block {block}: {:?}", report.log);
            assert!(states.contains(&state), "{context}");
            if &state == states.last().unwrap() {
                whole += 1;
                continue;
            }
            let end = report.log.end.as_ref().unwrap();
            // The last batch cannot be told from a torn end.
            let torn = end.damage.is_none() && states[states.len() - 2] == state;
            assert!(torn || (report.log.damage.is_some() && !report.is_complete()), "{context}");
            ended += 1;
        }
    }
    assert!(ended >= 15 && whole >= 1, "{ended} {whole}");
}

#[test]
fn a_log_that_is_gone_costs_what_came_since_the_checkpoint() {
    let (mut contents, states) = killed();
    contents.retain(|name, _| !name.starts_with("log/"));
    let (report, state) = salvage(&contents);
    assert!(states[0] == state, "{report:?}");
    assert!(report.log.damage.is_some() && !report.is_complete());
}

/// An opening that is cut off begins a log of its own, and perhaps writes a superblock: neither confuses a salvage.
#[test]
fn an_opening_that_was_cut_off_takes_nothing_away() {
    let (contents, states) = killed();
    let opened = SimDisk::with_contents(&contents);
    options().disk(opened.disk()).open("").unwrap();
    let operations = opened.counts().changes();
    assert!(operations > 20);
    for at in 1..=operations {
        let disk = SimDisk::with_contents(&contents);
        disk.inject(aquifer_sim::Fault::power_loss().nth(at));
        let _ = options().disk(disk.disk()).open("");
        let (report, state) = salvage(&disk.after_kill().contents());
        assert!(&state == states.last().unwrap(), "operation {at}: {report:?}");
        assert!(report.is_complete(), "operation {at}: {report:?}");
    }
}

#[test]
fn both_superblocks_may_be_gone() {
    for (contents, expected) in [closed(), {
        let (c, mut s) = killed();
        (c, s.pop().unwrap())
    }] {
        let damaged = destroy(&contents, "data", 0).unwrap_or(contents.clone());
        let damaged = destroy(&damaged, "data", 16).unwrap_or(damaged);
        let (report, state) = salvage(&damaged);
        assert_eq!(report.generation, None);
        assert!(!report.is_complete());
        assert!(state == expected, "{report:?}");
    }
}

#[test]
fn a_lost_catalog_costs_names_and_types_alone() {
    let (contents, expected) = closed();
    let row = b"many";
    let data = &contents["data"];
    let mut damaged = contents.clone();
    for block in 0..data.len() / 4096 {
        let page = &data[block * 4096..][..4096];
        let of_catalog = page[12..16] == [0; 4] && page[24..28] == [1, 0, 0, 0];
        if of_catalog && page.windows(4).any(|window| window == row) {
            damaged = destroy(&damaged, "data", block).unwrap();
        }
    }
    let (report, state) = salvage(&damaged);
    assert!(report.catalog_damaged, "{report:?}");
    let many = report.tables.iter().find(|table| table.records == expected["many"].len() as u64).unwrap();
    assert_eq!((many.name.as_str(), many.named, &many.lost), ("table-1", false, &vec![]));
    assert_eq!(state["table-1"], expected["many"]);
}

#[test]
fn a_cut_file_loses_its_tail_and_says_so() {
    let (contents, expected) = closed();
    let blocks = contents["data"].len() / 4096;
    for kept in [blocks - 1, blocks * 3 / 4, blocks / 2, 40] {
        let mut damaged = contents.clone();
        damaged.get_mut("data").unwrap().truncate(kept * 4096);
        let (report, state) = salvage(&damaged);
        check(&report, &state, &expected, &format!("{kept} blocks"));
    }
}

#[test]
fn what_is_in_the_way_is_refused_and_nothing_is_made() {
    let (contents, _) = closed();
    let disk = SimDisk::with_contents(&contents);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter"), "dear").unwrap();
    let salvage = |to: &Path| Database::salvage(options().disk(disk.disk()), "", to, |_| ()).map(|_| ());
    assert_eq!(salvage(dir.path()).unwrap_err().kind(), aquifer::ErrorKind::Usage);
    let foreign = Contents::from([("data".to_owned(), vec![b'x'; 1 << 18])]);
    let disk = SimDisk::with_contents(&foreign);
    let to = dir.path().join("new");
    let error = Database::salvage(options().disk(disk.disk()), "", &to, |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), aquifer::ErrorKind::Format, "{error}");
    assert!(options().open(&to).is_err());
}

#[test]
fn it_takes_the_lock_and_tells_its_progress() {
    let source = tempfile::tempdir().unwrap();
    let db = options().create(source.path()).unwrap();
    fill(&db);
    let dest = tempfile::tempdir().unwrap();
    let error = Database::salvage(options(), source.path(), dest.path(), |_| ()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), aquifer::ErrorKind::Locked, "{error}");
    drop(db);
    let mut stages = Vec::new();
    let report = Database::salvage(options(), source.path(), dest.path(), |at| {
        assert!(at.done <= at.total, "{at:?}");
        stages.push(at.stage);
    })
    .unwrap();
    assert!(report.is_complete(), "{report:?}");
    stages.dedup();
    use aquifer::SalvageStage as S;
    assert_eq!(stages, [S::Pages, S::Records, S::Log]);
}

#[test]
fn what_a_range_delete_took_does_not_come_back() {
    for in_checkpoint in [false, true] {
        let disk = SimDisk::new();
        let db = options().disk(disk.disk()).create("").unwrap();
        let table = db.create_table("t", TableOptions::default()).unwrap();
        for n in 0u32..4000 {
            table.put_with(&n.to_be_bytes(), &[n as u8; 60], Durability::Eventual).unwrap().lsn();
        }
        db.checkpoint().unwrap();
        table.range_delete(&40u32.to_be_bytes()[..]..&3900u32.to_be_bytes()[..]).unwrap();
        table.put(&77u32.to_be_bytes(), b"later").unwrap();
        if in_checkpoint {
            db.checkpoint().unwrap(); // it has the pages that were cut out, and not freed yet
        }
        let state = read_state(&db);
        std::mem::forget((db, table));
        let (_, salvaged) = salvage(&disk.after_kill().contents());
        assert_eq!(salvaged, state, "in the checkpoint: {in_checkpoint}");
    }
}

//! Files that are not what was written: refused or found, never believed.

use crate::model::read_state;
use aquifer::{Database, Durability, ErrorKind, Options, TableOptions};
use aquifer_sim::{Random, SimDisk};
use std::collections::BTreeMap;

type Contents = BTreeMap<String, Vec<u8>>;

fn options(disk: &SimDisk) -> Options {
    Database::options().memory_budget(2 << 20).background(false).disk(disk.disk())
}

/// A database with a checkpoint and a log behind it, as a kill leaves it.
fn killed() -> Contents {
    let disk = SimDisk::new();
    let db = options(&disk).segment_bytes_max(256 << 10).create("").unwrap();
    let table = db.create_table("t", TableOptions::default()).unwrap();
    for n in 0u32..400 {
        table.put_with(&n.to_be_bytes(), &[1; 300], Durability::Eventual).unwrap().lsn();
    }
    db.checkpoint().unwrap();
    for n in 0u32..200 {
        table.put(&n.to_be_bytes(), &[2; 300]).unwrap();
    }
    let contents = disk.after_kill().contents();
    drop((table, db));
    contents
}

/// Opens a database with these files, and reads all of it if it opens.
fn try_all(contents: &Contents) -> Result<(), ErrorKind> {
    let db = options(&SimDisk::with_contents(contents)).open("").map_err(|error| error.kind())?;
    let table = db.table("t").map_err(|error| error.kind())?;
    for record in table.iter() {
        record.map_err(|error| error.kind())?;
    }
    Ok(())
}

#[test]
fn the_undamaged_files_are_fine() {
    assert_eq!(try_all(&killed()), Ok(()));
}

#[test]
fn foreign_empty_and_cut_files_are_refused() {
    let whole = killed();
    let segment = whole.keys().find(|name| name.starts_with("log/")).unwrap().clone();
    type Damage = Box<dyn Fn(&mut Vec<u8>)>;
    let cases: [(&str, &str, Damage); 7] = [
        ("empty data", "data", Box::new(|bytes| bytes.clear())),
        (
            "random data",
            "data",
            Box::new(|bytes| bytes.iter_mut().enumerate().for_each(|(n, b)| *b = n as u8 ^ 0x5A)),
        ),
        ("zeroed data", "data", Box::new(|bytes| bytes.fill(0))),
        ("cut data", "data", Box::new(|bytes| bytes.truncate(40 * 4096))),
        ("text as data", "data", Box::new(|bytes| *bytes = b"SQLite format 3\0".repeat(8192))),
        ("empty segment", &segment, Box::new(|bytes| bytes.clear())),
        ("zeroed segment", &segment, Box::new(|bytes| bytes.fill(0))),
    ];
    for (what, file, damage) in cases {
        let mut contents = whole.clone();
        damage(contents.get_mut(file).unwrap());
        let kind = try_all(&contents).expect_err(what);
        assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Format), "{what}: {kind:?}");
    }
}

#[test]
fn a_missing_log_is_refused() {
    let mut contents = killed();
    contents.retain(|name, _| !name.starts_with("log/"));
    assert_eq!(try_all(&contents), Err(ErrorKind::Corrupt));
}

#[test]
fn an_older_superblock_is_no_way_back() {
    let whole = killed();
    // Two superblocks, at 0 and 64 KiB; the newer one has the greater generation.
    let data = &whole["data"];
    let generation = |at: usize| u64::from_le_bytes(data[at + 40..at + 48].try_into().unwrap());
    let newer = if generation(0) > generation(65536) { 0 } else { 65536 };
    let mut contents = whole.clone();
    contents.get_mut("data").unwrap()[newer + 100] ^= 1;
    assert_eq!(try_all(&contents), Err(ErrorKind::Corrupt));
    let mut contents = whole.clone();
    contents.get_mut("data").unwrap()[65536 - newer + 100] ^= 1;
    assert_eq!(try_all(&contents), Ok(()), "the older one is not needed");
}

#[test]
fn a_newer_format_is_named() {
    let mut contents = killed();
    let data = contents.get_mut("data").unwrap();
    for start in [0, 65536] {
        let block = &mut data[start..start + 4096];
        block[8] = 99;
        let crc = aquifer_codec::checksum::crc32c(0, &block[..4092]);
        block[4092..].copy_from_slice(&crc.to_le_bytes());
    }
    let error = options(&SimDisk::with_contents(&contents)).open("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert!(error.to_string().contains("99"), "{error}");
}

/// Any flipped bit is found: by an error, by verification, or it changed nothing that is used.
#[test]
fn flipped_bits_never_change_what_is_read() {
    let whole = killed();
    let expected = read_state(&options(&SimDisk::with_contents(&whole)).open("").unwrap());
    let mut random = Random(11);
    let mut found = 0;
    for round in 0..400 {
        let mut contents = whole.clone();
        let name = contents.keys().nth(random.below(contents.len() as u64) as usize).unwrap().clone();
        let bytes = contents.get_mut(&name).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        let context = format!("round {round}: {name}, byte {at}");
        match options(&SimDisk::with_contents(&contents)).open("") {
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Format), "{context}: {error}");
                found += 1;
            }
            Ok(db) => {
                let table = db.table("t").unwrap();
                let read: Result<BTreeMap<_, _>, _> = table.iter().collect();
                match read {
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error}");
                        let report = db.verify(|_| {}).unwrap();
                        assert!(!report.is_clean(), "{context}");
                        assert!(report.faults.iter().any(|fault| fault.owner.as_deref() == Some("t")));
                        found += 1;
                    }
                    // The last batch of a log that a kill left open cannot be told from one that was never written.
                    Ok(read) if name.starts_with("log/") => assert!(
                        read == expected["t"]
                            || db.recovery_report().tail_cut_bytes > 0
                            || lost_only_the_end(&read),
                        "{context}"
                    ),
                    Ok(read) => assert!(read == expected["t"], "{context}"),
                }
            }
        }
    }
    assert!(found > 5, "{found}");
}

/// The updates in the log came in the order of the keys: a prefix of them is there.
fn lost_only_the_end(read: &BTreeMap<Vec<u8>, Vec<u8>>) -> bool {
    let updated = read.values().take_while(|value| value[0] == 2).count();
    read.len() == 400 && read.values().skip(updated).all(|value| value[0] == 1) && updated >= 199
}

#[test]
fn verification_names_damaged_pages_and_their_owners() {
    let disk = SimDisk::new();
    let db = options(&disk).create("").unwrap();
    for name in ["healthy", "sick"] {
        let table = db.create_table(name, TableOptions::default()).unwrap();
        for n in 0u32..200 {
            let value = format!("{name} {n:0200}");
            table.put_with(&n.to_be_bytes(), value.as_bytes(), Durability::Eventual).unwrap().lsn();
        }
    }
    db.close().unwrap();
    drop(db);
    let mut contents = disk.contents();
    let data = contents.get_mut("data").unwrap();
    let wanted = b"sick 0000";
    let at = data.windows(wanted.len()).rposition(|window| window == wanted).unwrap();
    data[at] ^= 0x20;
    let db = options(&SimDisk::with_contents(&contents)).open("").unwrap();
    let mut stages = Vec::new();
    let report = db
        .verify(|progress| {
            assert!(progress.done <= progress.total);
            stages.push(progress.stage);
        })
        .unwrap();
    assert!(!report.is_clean());
    assert!(
        report.faults.iter().all(|fault| fault.owner.as_deref() != Some("healthy")),
        "{:?}",
        report.faults
    );
    let sick: Vec<_> = report.faults.iter().filter(|fault| fault.owner.as_deref() == Some("sick")).collect();
    assert!(!sick.is_empty() && sick.iter().all(|fault| fault.page.is_some()));
    assert!(sick[0].to_string().contains(" of table sick: "), "{}", sick[0]);
    stages.dedup();
    assert_eq!(stages, [aquifer::VerifyStage::Tables, aquifer::VerifyStage::Pages]);
    let healthy = report.tables.iter().find(|table| table.name == "healthy").unwrap();
    assert_eq!((healthy.records, healthy.depth), (200, 2));
    assert!(db.table("healthy").unwrap().iter().all(|record| record.is_ok()));
    assert!(db.table("sick").unwrap().iter().any(|record| record.is_err()));
}

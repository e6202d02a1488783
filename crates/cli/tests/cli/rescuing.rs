//! `dump`, `restore`, `salvage`, `log`: a database as a stream, and what is left of a damaged one.

use crate::program::Place;
use serde_json::json;
use std::fs;

fn many() -> String {
    (0..800).map(|n| format!("key {n:05}\t{}\n", "v".repeat(50))).collect()
}

#[test]
fn a_dump_is_restored_from_a_file() {
    let place = Place::loaded(&many());
    place.run("put DB second k v").succeeded();
    let out = place.run("dump DB all.dump").succeeded();
    assert!(out.starts_with("dumped 2 tables, 801 records, "), "{out}");
    let out = place.run("restore copy all.dump").succeeded();
    assert!(out.starts_with("restored 2 tables, 801 records, "), "{out}");
    assert_eq!(place.run("scan copy t").succeeded(), many());
    assert_eq!(place.run("get copy second k").succeeded(), "v\n");
    assert!(place.run("verify copy").succeeded().contains("no damage"));
    assert!(!place.file("all.dump.part").exists());
}

#[test]
fn a_dump_goes_through_a_pipe_and_summaries_are_objects() {
    let place = Place::loaded("a\t1\nb\t22\n");
    let out = place.command_output("dump DB -", b"");
    assert!(out.status.success() && out.stderr.is_empty());
    assert!(out.stdout.starts_with(b"AQUIDUMP"));
    let restored = place.run_with("restore copy --json", &out.stdout).json().remove(0);
    assert_eq!((&restored["tables"], &restored["records"]), (&json!(1), &json!(2)));
    assert_eq!((&restored["record_bytes"], &restored["dump_bytes"]), (&json!(5), &json!(out.stdout.len())));
    let dumped = place.run("dump DB file --json").json().remove(0);
    assert_eq!(dumped["dump_bytes"], json!(out.stdout.len()));
    let piped = place.command_output("dump DB --json", b"");
    let summary: serde_json::Value = serde_json::from_slice(&piped.stderr).unwrap();
    assert_eq!((&summary["records"], piped.stdout.len()), (&json!(2), out.stdout.len()));
    assert_eq!(place.run("scan copy t").succeeded(), "a\t1\nb\t22\n");
}

#[test]
fn a_damaged_dump_ends_with_5_and_no_database() {
    let place = Place::loaded(&many());
    place.run("dump DB all.dump").succeeded();
    let whole = fs::read(place.file("all.dump")).unwrap();
    let mut damaged = whole.clone();
    damaged[5000] ^= 1;
    place.run_with("restore copy", &damaged).failed(5, &["chunk 2", "begins at byte 70", "another copy"]);
    place.run("tables copy").failed(1, &["no database"]);
    place.run_with("restore copy", &whole[..whole.len() - 1]).failed(5, &["ends at byte"]);
    place.run_with("restore copy", b"a\t1\n").failed(5, &["no dump"]);
    place.run("tables copy").failed(1, &["no database"]);
    place.run_with("restore copy", &whole).succeeded();
    assert_eq!(place.run("scan copy t").succeeded(), many());
}

#[test]
fn what_is_there_is_not_written_over() {
    let place = Place::loaded("a\t1\n");
    place.run("dump DB all.dump").succeeded();
    place.run("restore DB all.dump").failed(2, &["already"]);
    assert_eq!(place.run("scan DB t").succeeded(), "a\t1\n");
    fs::create_dir(place.file("full")).unwrap();
    place.write("full/letter", "dear");
    place.run("restore full all.dump").failed(2, &["not empty"]);
    place.run("salvage DB full").failed(2, &["not empty"]);
    place.run("salvage DB DB").failed(2, &["already"]);
    place.run("dump nowhere x").failed(1, &["no database"]);
    place.run("restore copy nowhere").failed(6, &["nowhere"]);
    place.run("salvage nowhere copy").failed(1, &["no database"]);
    place.run("log nowhere").failed(1, &["no database"]);
    for path in ["nowhere", "copy", "x"] {
        assert!(!place.file(path).exists(), "{path}");
    }
}

#[test]
fn page_sizes_come_over_or_are_chosen() {
    let place = Place::new();
    let line = format!("{}\t{}\n", "k".repeat(1500), "v".repeat(3000));
    place.run_with("load DB t --page-kib 16", line.as_bytes()).succeeded();
    place.run("dump DB all.dump").succeeded();
    place.run("restore copy all.dump").succeeded();
    assert_eq!(place.run("stats copy --json").json()[0]["page_bytes"], json!(16384));
    place.run("restore small all.dump --page-kib 4").succeeded();
    assert_eq!(place.run("stats small --json").json()[0]["page_bytes"], json!(4096));
    let key = "k".repeat(1500); // long, for these pages
    assert_eq!(place.run(&format!("get small t {key}")).succeeded().len(), 3001);
    place.run("restore wide all.dump --page-kib 64").succeeded();
    assert_eq!(place.run("stats wide --json").json()[0]["page_bytes"], json!(65536));
    place.run("salvage DB salvaged").succeeded();
    assert_eq!(place.run("stats salvaged --json").json()[0]["page_bytes"], json!(16384));
}

#[test]
fn a_sound_database_is_salvaged_whole() {
    let place = Place::loaded(&many());
    let out = place.run("salvage DB copy").succeeded();
    assert!(out.contains("800 records") && !out.contains("lost:"), "{out}");
    assert_eq!(place.run("scan copy t").succeeded(), many());
    let report = place.run("salvage DB again --json").json().remove(0);
    assert_eq!((&report["complete"], &report["records"]), (&json!(true), &json!(800)));
    assert_eq!(report["log"]["end"]["closed"], json!(true));
}

#[test]
fn a_lost_leaf_costs_its_keys_and_they_are_named() {
    let place = Place::loaded(&many());
    let path = place.db().join("data");
    let sound = fs::read(&path).unwrap();
    // Leaves of the table; some are older versions, which nobody misses.
    let is_leaf = |page: &[u8]| page[0] == 1 && page[12..16] == [1, 0, 0, 0] && page[4..6] != [0, 0];
    let leaves = (32..sound.len() / 4096).filter(|block| is_leaf(&sound[block * 4096..][..4096]));
    let mut runs = leaves.map(|block| {
        let mut data = sound.clone();
        data[block * 4096..][..4096].fill(0xA5);
        fs::write(&path, data).unwrap();
        let _ = fs::remove_dir_all(place.file("copy"));
        place.run("salvage DB copy --json")
    });
    let run = runs.find(|run| run.code != 0).expect("a leaf that is in use");
    assert_eq!(run.code, 5, "{run:?}");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["complete"], json!(false), "{report}");
    let lost = report["tables"][0]["lost"].as_array().unwrap();
    assert_eq!((lost.len(), &report["lost_leaves"]), (1, &json!(1)), "{report}");
    let (from, to) = (lost[0]["from"].as_str().unwrap(), lost[0]["to"].as_str());
    let outside = |key: &str| key < from || to.is_some_and(|to| key >= to);
    let expected: String = many().split_inclusive('\n').filter(|line| outside(&line[..9])).collect();
    assert!(expected.len() < many().len());
    assert_eq!(place.run("scan copy t").succeeded(), expected);
    let run = place.run("salvage DB other");
    assert!(
        run.code == 5 && run.out.contains("lost: leaf, page ") && run.out.contains("lost: table t: keys"),
        "{run:?}"
    );
    assert!(run.err.contains("the report says what is missing"), "{run:?}");
}

#[test]
fn a_lost_catalog_costs_names() {
    let place = Place::loaded(&many());
    let path = place.db().join("data");
    let mut data = fs::read(&path).unwrap();
    for page in data.chunks_mut(4096).skip(32) {
        if page[0] == 1 && page[12..16] == [0; 4] && page[24..28] == [1, 0, 0, 0] {
            page.fill(0x5A);
        }
    }
    fs::write(&path, data).unwrap();
    place.run("tables DB").failed(5, &[]);
    let run = place.run("salvage DB copy");
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.out.contains("unnamed: table-1"), "{run:?}");
    assert_eq!(place.run("scan copy table-1").succeeded(), many());
}

#[test]
fn the_log_is_printed() {
    let place = Place::loaded("a\t1\nb\t2\n");
    place.run("delete DB t b").succeeded();
    place.run_words(["put", "DB", "t", "long", &"x".repeat(300)], b"").succeeded();
    let out = place.run("log DB").succeeded();
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    let put = lines.iter().find(|line| line.get(3) == Some(&"put")).unwrap();
    assert_eq!((put[2], put[4]), ("t", "long"));
    assert_eq!(put[5], format!("{}… (300 bytes)", "x".repeat(40)));
    let last = out.lines().last().unwrap();
    assert!(last.contains("it was closed") && last.contains("log/"), "{out}");
    let objects = place.run("log DB --json").json();
    let end = &objects.last().unwrap()["end"];
    assert_eq!((&end["closed"], &end["damage"]), (&json!(true), &json!(null)));
    let put = objects.iter().find(|object| object["changes"][0]["operation"] == "put").unwrap();
    assert_eq!(put["changes"][0]["value"], json!("x".repeat(300)));
    let lsn = put["lsn"].as_u64().unwrap();
    let from = place.run(&format!("log DB --json --limit 1 --from {lsn}")).json();
    assert_eq!((from.len(), &from[0]), (2, put));
    let none = place.run(&format!("log DB --json --from {}", u64::MAX)).json();
    assert_eq!(none.len(), 1);
}

/// The segment of the log that holds this text, and where.
fn segment_with(place: &Place, text: &[u8]) -> Option<(std::path::PathBuf, Vec<u8>, usize)> {
    fs::read_dir(place.db().join("log")).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        let bytes = fs::read(&path).ok()?;
        let at = bytes.windows(text.len()).position(|window| window == text)?;
        Some((path, bytes, at))
    })
}

#[test]
fn a_damaged_log_is_told() {
    use std::io::Write as _;
    let place = Place::loaded("a\t1\n");
    // A kill leaves a log that is needed.
    let mut child = place.spawn(["load", "DB", "t", "--batch", "1"]);
    let lines: String = (0..40).map(|n| format!("{n:02}late\t{n:02}{}\n", "w".repeat(100))).collect();
    child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    let begun = std::time::Instant::now();
    while segment_with(&place, b"38late").is_none() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it never logged what it read");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let whole = place.run("log DB").succeeded();
    assert!(whole.contains("38late") && whole.contains("it was not closed"), "{whole}");
    let (path, mut bytes, at) = segment_with(&place, b"10late").unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    let run = place.run("log DB").failed(5, &["damaged", "log/"]);
    assert!(run.out.contains("09late") && !run.out.contains("11late"), "{run:?}");
    assert!(run.out.lines().last().unwrap().contains("damaged: "), "{run:?}");
    place.run("tables DB").failed(5, &[]);
    let run = place.run("salvage DB copy");
    assert!(run.code == 5 && run.out.contains("lost: the rest of the log"), "{run:?}");
    let keys = place.run("scan copy t --keys").succeeded();
    assert!(keys.contains("09late") && !keys.contains("11late") && keys.ends_with("a\n"), "{keys}");
}

#[test]
fn all_take_the_lock() {
    let place = Place::loaded("a\t1\n");
    let holder = place.spawn(["load", "DB", "t"]);
    let begun = std::time::Instant::now();
    let id = holder.id().to_string();
    while fs::read_to_string(place.db().join("LOCK")).is_ok_and(|text| text.trim() != id) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it never opened the database");
        std::thread::yield_now();
    }
    for line in ["dump DB x", "salvage DB copy", "log DB"] {
        place.run(line).failed(4, &[&id]);
    }
    let mut holder = holder;
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    place.run("log DB").succeeded();
}

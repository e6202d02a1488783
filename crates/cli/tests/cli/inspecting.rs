//! `tables`, `stats`, `verify`, `checkpoint`: figures that can be read, and damage that is named.

use crate::program::Place;
use serde_json::json;
use std::path::{Path, PathBuf};

#[test]
fn tables_are_listed() {
    let place = Place::loaded("a\t1\nb\t2\n");
    place.run("put DB second k v").succeeded();
    let out = place.run("tables DB").succeeded();
    let first: Vec<_> = out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["table", "second", "t"]);
    let json = place.run("tables DB --json").json();
    assert_eq!(json[1]["name"], json!("t"));
    assert_eq!(json[1]["key_type"], json!("bytes"));
    assert_eq!(json[1]["logged"], json!(true));
}

#[test]
fn figures_are_printed() {
    let place = Place::loaded("a\t1\n");
    let out = place.run("stats DB --backend posix").succeeded();
    for name in ["backend", "pages", "data file", "log files", "memory", "opening"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "no {name} in {out}");
    }
    let stats = place.run("stats DB --json").json().remove(0);
    assert_eq!(stats["tables"], json!(1));
    assert_eq!(stats["page_bytes"], json!(4096));
    assert_eq!(stats["memory_budget_bytes"], json!(8 << 20));
    assert_eq!(stats["recovery"]["clean"], json!(true));
    assert!(stats["pager"]["file_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_backend_is_what_was_asked_for() {
    let place = Place::loaded("a\t1\n");
    let stats = place.run("stats DB --json --backend posix").json().remove(0);
    assert!(stats["backend"].as_str().unwrap().contains("posix"), "{stats}");
    assert_eq!(place.run("get DB t a --backend posix").succeeded(), "1\n");
}

#[test]
fn a_checkpoint_is_written() {
    let place = Place::loaded("a\t1\n");
    assert!(place.run("checkpoint DB").succeeded().starts_with("checkpoint: "));
    let json = place.run("checkpoint DB --json").json().remove(0);
    assert!(json["seconds"].is_number(), "{json}");
    assert_eq!(place.run("get DB t a").succeeded(), "1\n");
}

#[test]
fn a_sound_database_is_found_sound() {
    let place = Place::loaded("a\t1\nb\t22\n");
    let out = place.run("verify DB").succeeded();
    assert!(out.contains("no damage"), "{out}");
    let report = place.run("verify DB --json").json().remove(0);
    assert_eq!(report["clean"], json!(true));
    assert_eq!(report["records"], json!(2));
    assert_eq!(report["tables"][0]["record_bytes"], json!(5));
}

/// Every block of the data file is damaged in turn: what the checkpoint needs is then found damaged, and nothing
/// makes the program fail in another way.
#[test]
fn damage_is_found_and_its_page_named() {
    let lines: String = (0..800).map(|n| format!("key {n:05}\t{}\n", "v".repeat(50))).collect();
    let place = Place::loaded(&lines);
    let sound = files(&place.db());
    let data = sound.iter().position(|(path, _)| path.ends_with("data")).unwrap();
    let (mut told, mut named) = (0, 0);
    for block in 0..sound[data].1.len() / 4096 {
        let bytes = &sound[data].1[block * 4096..][..4096];
        if bytes.iter().all(|&byte| byte == 0) {
            continue; // reserved, and never written
        }
        // Verifying may write: each block is damaged in files that are otherwise sound.
        for (path, content) in &sound {
            std::fs::write(path, content).unwrap();
        }
        let mut damaged = sound[data].1.clone();
        damaged[block * 4096 + 2000] ^= 0x40;
        std::fs::write(&sound[data].0, damaged).unwrap();
        let run = place.run("verify DB");
        assert!(run.code == 0 || run.code == 5, "block {block}: {run:?}");
        told += usize::from(run.code == 5);
        named += usize::from(run.out.contains("damage: page ") || run.err.contains("page "));
    }
    // The records alone fill a dozen pages.
    assert!(told >= 12 && named >= 12, "of the damaged blocks {told} were told, {named} with their pages");
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

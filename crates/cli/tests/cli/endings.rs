//! How the program ends: exit codes, help, locks, foreign files, readers that go away.

use crate::program::Place;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::{Duration, Instant};

#[test]
fn help_is_there_for_every_command() {
    let place = Place::new();
    let help = place.run("--help").succeeded();
    assert!(help.contains("Exit codes:"), "{help}");
    for command in
        "load get put delete scan tables stats verify checkpoint dump restore salvage log bench".split(' ')
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let help = place.run(&format!("{command} --help")).succeeded();
        assert!(help.contains("Usage: aquifer"), "{help}");
    }
    assert!(!help.contains("load-until-killed"));
    assert!(place.run("--version").succeeded().starts_with("aquifer "));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let place = Place::new();
    for line in [
        "",
        "frobnicate DB",
        "get DB",
        "scan DB t --limit x",
        "load DB t --format xml",
        "load DB t --batch 0",
    ] {
        assert_eq!(place.run(line).code, 2, "{line}");
    }
    assert_eq!(place.run("put DB t k v --durability forever").code, 2);
    assert_eq!(place.run("scan DB t --prefix a --from b").code, 2);
    assert!(!place.db().exists());
}

#[test]
fn a_second_opener_is_refused() {
    let place = Place::loaded("a\t1\n");
    let mut first = place.spawn(["load", "DB", "t"]);
    // Until it holds the lock: asking earlier might take it away from it.
    let begun = Instant::now();
    let holder = first.id().to_string();
    while std::fs::read_to_string(place.db().join("LOCK")).is_ok_and(|text| text.trim() != holder) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first never opened the database");
        std::thread::yield_now();
    }
    let second = place.run("get DB t a");
    second.failed(4, &[&first.id().to_string()]);
    first.stdin.take().unwrap().write_all(b"b\t2\n").unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(place.run("get DB t b").succeeded(), "2\n");
}

#[test]
fn foreign_files_end_with_5() {
    let place = Place::new();
    std::fs::create_dir(place.db()).unwrap();
    std::fs::write(place.db().join("data"), vec![b'x'; 1 << 16]).unwrap();
    place.run("get DB t a").failed(5, &[]);
    place.run_with("load DB t", b"a\t1\n").failed(5, &[]);
    assert_eq!(std::fs::read(place.db().join("data")).unwrap(), vec![b'x'; 1 << 16]);
}

#[test]
fn a_file_in_the_place_of_the_directory_ends_with_6() {
    let place = Place::new();
    place.write("db", "a file");
    place.run("put DB t k v").failed(6, &[]);
    place.run("stats DB").failed(6, &[]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lines: String = (0..20_000).map(|n| format!("{n:08}\t{}\n", "v".repeat(40))).collect();
    let place = Place::loaded(&lines);
    let mut child = place.spawn(["scan", "DB", "t"]);
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("00000000\t"), "{first}");
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn an_output_that_fails_ends_with_6() {
    let place = Place::loaded("a\t1\n");
    for line in ["get DB t a", "scan DB t", "stats DB", "tables DB --json"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let run = place.run_into(line, full);
        run.failed(6, &["cannot write to standard output"]);
    }
}

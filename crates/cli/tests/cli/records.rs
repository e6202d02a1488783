//! `get`, `put`, `delete`, `scan`: records in and out, in every text form.

use crate::program::{Place, is_database};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

#[track_caller]
fn check_scan(place: &Place, options: &str, expected: &str) {
    let out = place.run(&format!("scan DB t {options}")).succeeded();
    assert_eq!(out.lines().collect::<Vec<_>>().join(" "), expected, "{options}");
}

#[test]
fn what_is_put_is_got_until_it_is_deleted() {
    let place = Place::new();
    assert_eq!(place.run("put DB t key one").succeeded(), "");
    assert_eq!(place.run("get DB t key").succeeded(), "one\n");
    place.run("put DB t key two --durability eventual").succeeded();
    assert_eq!(place.run("get DB t key").succeeded(), "two\n");
    assert_eq!(place.run("delete DB t key --durability process").succeeded(), "");
    place.run("get DB t key").failed(1, &["no key `key` in table `t`"]);
    place.run("delete DB t key").failed(1, &["no key `key`"]);
}

#[test]
fn a_record_with_a_time_to_live_expires() {
    let place = Place::new();
    place.run("put DB sessions ada long --ttl 3600").succeeded();
    place.run("put DB sessions bob over --ttl 0").succeeded();
    place.run("put DB sessions eve stays").succeeded();
    let file = place.write("value", [7; 9000]).display().to_string();
    place.run(&format!("put DB sessions zoe --file {file} --ttl 0.5")).succeeded();
    let begun = std::time::Instant::now();
    while place.run("get DB sessions zoe").code == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    }
    assert_eq!(place.run("get DB sessions ada").succeeded(), "long\n");
    place.run("get DB sessions bob").failed(1, &["no key `bob`"]);
    assert_eq!(place.run("scan DB sessions").succeeded(), "ada\tlong\neve\tstays\n");
    let json = place.run("tables DB --json").json();
    assert_eq!((&json[0]["expires"], &json[0]["time_to_live_seconds"]), (&json!(true), &json!(null)));
    assert!(place.run("tables DB").succeeded().contains("if told"));
    let lines = place.run("log DB").succeeded();
    assert!(!lines.contains("create table") || lines.contains("bytes to bytes, expiring"), "{lines}");
    place.run("put DB plain k v").succeeded();
    place.run("put DB plain k v --ttl 1").failed(2, &["table plain do not expire"]);
    assert_eq!(place.run("put DB sessions k v --ttl -1").code, 2);
    assert_eq!(place.run("put DB sessions k v --ttl 1e99").code, 2);
}

#[test]
fn a_file_of_any_length_is_a_value() {
    let place = Place::new();
    let long: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    for bytes in [&long[..], &long[..5000], b"short", b""] {
        let file = place.write("value", bytes).display().to_string();
        place.run(&format!("put DB t k --file {file}")).succeeded();
        assert!(place.command_output("get DB t k --raw", b"").stdout == bytes);
        place.run_with("put DB t from-stdin --file -", bytes).succeeded();
        assert!(place.command_output("get DB t from-stdin --raw", b"").stdout == bytes);
    }
    place.run_with("put DB t k --file -", &long).succeeded();
    let lines = place.run("log DB").succeeded();
    assert!(lines.contains("attach\tk\t(3,000,000 bytes in pages of their own)"), "{lines}");
    assert_eq!(place.run("put DB t k v --file x").code, 2, "one value, not two");
    assert_eq!(place.run("put DB t k").code, 2, "no value");
    place.run("put DB t k --file nowhere").failed(6, &["nowhere"]);
    place.run("verify DB").succeeded();
}

#[test]
fn bytes_are_given_and_printed_as_digits() {
    let place = Place::new();
    place.run("put DB t 0xff00 0x0A").succeeded();
    assert_eq!(place.run("get DB t 0xFF00").succeeded(), "\n\n");
    check_scan(&place, "", "0xff00\t0x0a");
    assert_eq!(place.run("get DB t 0xff00 --raw").succeeded(), "\n");
    place.run("put DB t 0xf x").failed(2, &["0xf", "number is even"]);
    place.run("put DB t 0xqq x").failed(2, &["`q` is no hexadecimal digit"]);
}

#[test]
fn text_is_taken_literally_on_request() {
    let place = Place::new();
    place.run("put DB t 0xff 0x --text").succeeded();
    assert_eq!(place.run("get DB t 0xff --text").succeeded(), "0x3078\n");
    place.run("get DB t 0xff").failed(1, &["no key"]);
    check_scan(&place, "--text --prefix 0x", "0x30786666\t0x3078");
    assert_eq!(place.run("get DB t 0x30786666 --raw").succeeded(), "0x");
}

#[test]
fn arguments_need_not_be_text() {
    let place = Place::new();
    let key = OsStr::from_bytes(&[0xfe, b'k']);
    let words = |last| [OsStr::new("put"), OsStr::new("DB"), OsStr::new("t"), key, OsStr::new(last)];
    place.run_words(words("v"), b"").succeeded();
    check_scan(&place, "", "0xfe6b\tv");
}

#[test]
fn a_value_may_have_lines() {
    let place = Place::new();
    place.run_words(["put", "DB", "t", "k", "a\nb\t"], b"").succeeded();
    assert_eq!(place.run("get DB t k").succeeded(), "a\nb\t\n");
    assert_eq!(place.run("get DB t k --json").json(), [json!({"key": "k", "value": "a\nb\t"})]);
    check_scan(&place, "", "k\t0x610a6209");
}

#[test]
fn a_value_may_look_like_a_number_or_be_empty() {
    let place = Place::new();
    place.run("put DB t -1 -2.5").succeeded();
    place.run_words(["put", "DB", "t", "empty", ""], b"").succeeded();
    check_scan(&place, "", "-1\t-2.5 empty\t");
}

#[test]
fn scans_are_bounded_reversed_and_limited() {
    let place = Place::loaded("a\t1\nab\t2\nb\t3\nba\t4\nc\t5\n");
    check_scan(&place, "--keys", "a ab b ba c");
    check_scan(&place, "--keys --reverse", "c ba b ab a");
    check_scan(&place, "--keys --prefix b", "b ba");
    check_scan(&place, "--keys --prefix b --reverse", "ba b");
    check_scan(&place, "--keys --from ab", "ab b ba c");
    check_scan(&place, "--keys --to b", "a ab");
    check_scan(&place, "--keys --from ab --to ba", "ab b");
    check_scan(&place, "--keys --from ab --to ba --reverse", "b ab");
    check_scan(&place, "--keys --from b --to b", "");
    check_scan(&place, "--limit 2", "a\t1 ab\t2");
    check_scan(&place, "--limit 1 --reverse", "c\t5");
    check_scan(&place, "--limit 0", "");
    check_scan(&place, "--prefix zzz", "");
    place.run("scan DB t --from c --to a").failed(2, &["--from is behind --to"]);
}

#[test]
fn scans_print_json() {
    let place = Place::loaded("a\t1\nb\t\\\"x\\\"\n");
    let records = place.run("scan DB t --json").json();
    assert_eq!(records, [json!({"key": "a", "value": "1"}), json!({"key": "b", "value": "\\\"x\\\""})]);
    assert_eq!(place.run("scan DB t --json --keys --limit 1").json(), [json!({"key": "a"})]);
}

#[test]
fn what_is_scanned_can_be_loaded_again() {
    let mut lines = Vec::new();
    for byte in 0..=255u8 {
        if byte != b'\n' && byte != b'\t' {
            lines.extend_from_slice(&[b'k', byte, b'x', b'\t', b'0', b'x', byte, b'y', b'\n']);
        }
    }
    let (one, two) = (Place::new(), Place::new());
    one.run_with("load DB t", &lines).succeeded();
    let scanned = one.run("scan DB t").succeeded();
    assert_eq!(scanned.lines().count(), 254);
    two.run_with("load DB t --hex", scanned.as_bytes()).succeeded();
    assert_eq!(two.run("scan DB t").succeeded(), scanned);
    let raw = two.run("get DB t k!x --raw").succeeded();
    assert_eq!(raw, "0x!y");
}

#[test]
fn reading_makes_no_database_and_no_table() {
    let place = Place::new();
    for command in
        ["get DB t k", "scan DB t", "tables DB", "stats DB", "verify DB", "checkpoint DB", "delete DB t k"]
    {
        place.run(command).failed(1, &["no database at"]);
        assert!(!place.db().exists(), "{command}");
    }
    place.run("put DB other k v").succeeded();
    assert!(is_database(&place.db()));
    for command in ["get DB t k", "scan DB t", "delete DB t k"] {
        place.run(command).failed(1, &["no table `t`"]);
    }
    assert_eq!(place.run("tables DB --json").json().len(), 1);
}

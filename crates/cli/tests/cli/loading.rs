//! `load`: the three formats, bad lines, and going on after them.

use crate::program::{Place, is_database};
use serde_json::json;

#[track_caller]
fn check_table(place: &Place, expected: &[(&str, &str)]) {
    let out = place.run("scan DB t").succeeded();
    let found: Vec<_> = out.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_catalogue_is_loaded_and_found_again() {
    let place = Place::new();
    let lines: String = (0..5000)
        .map(|n| format!("/usr/share/{:02}/file {n}\t{}\t644\t17000000{n}.25\n", n % 50, n * 7))
        .collect();
    let out = place.run_with("load DB files", lines.as_bytes()).succeeded();
    assert!(out.starts_with("loaded 5,000 records, "), "{out}");
    let found = place.run("scan DB files --prefix /usr/share/07/").succeeded();
    assert_eq!(found.lines().count(), 100);
    assert!(found.contains("/usr/share/07/file 57\t399\t644\t1700000057.25\n"), "{found}");
    let one = place.run_words(["get", "DB", "files", "/usr/share/07/file 57"], b"").succeeded();
    assert_eq!(one, "399\t644\t1700000057.25\n");
    assert_eq!(place.run("verify DB --json").json()[0]["records"], json!(5000));
}

#[test]
fn the_later_of_two_records_counts() {
    let place = Place::loaded("k\t1\nk\t2\nj\t3\nk\t4\n");
    check_table(&place, &[("j", "3"), ("k", "4")]);
    place.run_with("load DB t --batch 1", b"k\t5\nj\t6\nk\t7").succeeded();
    check_table(&place, &[("j", "6"), ("k", "7")]);
}

#[test]
fn line_ends_and_empty_lines_do_not_matter() {
    let place = Place::loaded("a\t1\r\n\r\n\nb\t2\nc\t3");
    check_table(&place, &[("a", "1"), ("b", "2"), ("c", "3")]);
}

#[test]
fn no_input_makes_an_empty_table() {
    let place = Place::new();
    assert!(place.run("load DB t").succeeded().starts_with("loaded 0 records"));
    check_table(&place, &[]);
}

#[test]
fn any_bytes_are_loaded() {
    let place = Place::new();
    place.run_with("load DB t", b"\xff\xfe\t\x00\x01\n").succeeded();
    check_table(&place, &[("0xfffe", "0x0001")]);
}

#[test]
fn lines_may_end_with_zero_or_be_keys_alone() {
    let place = Place::new();
    place.run_with("load DB t --null", b"a\nb\t1\0c\t2\0").succeeded();
    check_table(&place, &[("0x610a62", "1"), ("c", "2")]);
    let place = Place::new();
    place.run_with("load DB t --keys-only", b"x\ny z\n").succeeded();
    check_table(&place, &[("x", ""), ("y z", "")]);
}

#[test]
fn a_file_is_read_as_well() {
    let place = Place::new();
    place.write("in.tsv", "a\t1\n");
    place.run("load DB t in.tsv").succeeded();
    place.run_with("load DB t -", b"b\t2\n").succeeded();
    check_table(&place, &[("a", "1"), ("b", "2")]);
}

#[test]
fn csv_has_columns_with_names() {
    let place = Place::new();
    place.write("in.csv", "id,name,note\r\n1,ada,\"x, y\"\r\n2,bob,\r\n");
    place.run("load DB t in.csv --format csv --key name").succeeded();
    check_table(&place, &[("ada", "1,\"x, y\""), ("bob", "2,")]);
    place.run("load DB t in.csv --format csv --key age").failed(3, &["no column `age`", "id, name, note"]);
}

#[test]
fn jsonl_has_fields() {
    let place = Place::new();
    place
        .run_with("load DB t --format jsonl --key id", b"{\"id\": 7, \"a\": [1]}\n{\"id\":\"x\"}\n")
        .succeeded();
    check_table(&place, &[("7", "{\"id\": 7, \"a\": [1]}"), ("x", "{\"id\":\"x\"}")]);
    place.run("load DB t --format jsonl").failed(2, &["needs --key"]);
}

#[test]
fn a_bad_line_is_told_and_the_load_goes_on_behind_it() {
    let place = Place::new();
    let input = b"a\t1\nb\t2\n\nbad\nc\t3\nd\t4\n";
    let run = place.run_with("load DB t", input);
    let run =
        run.failed(3, &["line 4: there is no tab", "lines 1 to 3 are committed: 2 records", "--from-line 4"]);
    assert!(run.err.contains("--from-line 5"), "{run:?}");
    assert_eq!(run.out, "");
    check_table(&place, &[("a", "1"), ("b", "2")]);
    place.run_with("load DB t --from-line 4", input).failed(3, &["line 4", "nothing is committed"]);
    place.run_with("load DB t --from-line 5", input).succeeded();
    check_table(&place, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
}

#[test]
fn a_bad_line_is_told_in_json() {
    let place = Place::new();
    let run = place.run_with("load DB t --json", b"a\t1\nbad\n").failed(3, &["line 2"]);
    let summary: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(summary["records"], json!(1));
    assert_eq!(summary["resume_from_line"], json!(2));
    assert!(summary["error"].as_str().unwrap().starts_with("line 2: there is no tab"), "{summary}");
    let summary = place.run_with("load DB t --json", b"a\t1\nb\t22\n").json().remove(0);
    assert_eq!(summary["records"], json!(2));
    assert_eq!(summary["bytes"], json!(5));
    assert_eq!(summary["error"], json!(null));
}

#[test]
fn bad_lines_are_passed_over_on_request() {
    let place = Place::new();
    let mut input = b"a\t1\n".to_vec();
    for _ in 0..20 {
        input.extend_from_slice(b"bad\n");
    }
    input.extend_from_slice(b"b\t2\n");
    let run = place.run_with("load DB t --skip-bad", &input);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("passed over 20 bad lines"), "{run:?}");
    assert!(run.err.contains("passed over line 2: there is no tab"), "{run:?}");
    assert_eq!(run.err.lines().count(), 11, "{run:?}");
    check_table(&place, &[("a", "1"), ("b", "2")]);
}

#[test]
fn long_keys_are_keys_and_longer_ones_are_told() {
    let place = Place::new();
    let value = "v".repeat(5000);
    let input = format!("a\t1\nk\t{value}\n");
    place.run_with("load DB t", input.as_bytes()).succeeded();
    assert_eq!(place.run("get DB t k").succeeded(), format!("{value}\n"), "a large value");
    place.run("delete DB t k").succeeded();
    let long_key = format!("{value}\tv\n");
    place.run_with("load DB t", long_key.as_bytes()).succeeded();
    check_table(&place, &[("a", "1"), (&value, "v")]);
    assert_eq!(place.run(&format!("scan DB t --prefix {}", &value[..4000])).succeeded(), long_key);
    place.run(&format!("put DB t {value}w w")).succeeded();
    assert_eq!(place.run(&format!("get DB t {value}w")).succeeded(), "w\n");
    place.run(&format!("delete DB t {value}")).succeeded();
    place.run("verify DB").succeeded();
    check_table(&place, &[("a", "1"), (&format!("{value}w"), "w")]);
    let too_long = format!("{}\tv\n", "k".repeat(65_537));
    place.run_with("load DB t", too_long.as_bytes()).failed(3, &["line 1", "the key has 65537 bytes"]);
    let larger = Place::new();
    larger.run_with("load DB t --page-kib 64", input.as_bytes()).succeeded();
    assert_eq!(larger.run("get DB t k").succeeded().len(), 5001);
    larger.run_with("load DB t --page-kib 4", b"").failed(2, &["pages of 64 KiB"]);
}

#[test]
fn a_line_beyond_all_measure_is_told() {
    let place = Place::new();
    let mut input = b"a\t1\nk\t".to_vec();
    input.resize(17 << 20, b'x');
    place.run_with("load DB t", &input).failed(3, &["line 2: the line is longer than"]);
    check_table(&place, &[("a", "1")]);
}

#[test]
fn a_missing_file_leaves_no_database_behind() {
    let place = Place::new();
    place.run("load DB t nowhere.tsv").failed(6, &["cannot read nowhere.tsv"]);
    assert!(!is_database(&place.db()));
}

#[test]
fn options_that_do_not_fit_leave_no_database_behind() {
    let place = Place::new();
    place.run("load DB t --format csv --null").failed(2, &["--format tsv"]);
    place.run("load DB t --key name").failed(2, &["a column is a number"]);
    place.run("load DB t --page-kib 5").failed(2, &["page size"]);
    assert!(!is_database(&place.db()));
}

#[test]
fn a_table_without_log_is_made_on_request() {
    let place = Place::new();
    place.run_with("load DB t --unlogged", b"a\t1\n").succeeded();
    check_table(&place, &[("a", "1")]);
    assert_eq!(place.run("tables DB --json").json()[0]["logged"], json!(false));
    place.run("put DB u k v").succeeded();
    place.run_with("load DB u --unlogged", b"").failed(2, &["table `u` has a log"]);
}

#[test]
fn a_hashed_table_is_made_on_request_and_has_no_order() {
    let place = Place::new();
    place.run_with("load DB h --kind hashed", b"a\t1\nb\t2\nc\t3\n").succeeded();
    assert_eq!(place.run("get DB h b").succeeded(), "2\n");
    place.run("put DB h d 4").succeeded();
    place.run("delete DB h a").succeeded();
    let out = place.run("scan DB h").succeeded();
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["b\t2", "c\t3", "d\t4"]);
    assert_eq!(place.run("scan DB h --limit 1 --keys").succeeded().lines().count(), 1);
    for option in ["--from a", "--to b", "--prefix a", "--reverse"] {
        let name = option.split(' ').next().unwrap();
        place.run(&format!("scan DB h {option}")).failed(2, &[name, "table `h` is hashed"]);
    }
    assert_eq!(place.run("tables DB --json").json()[0]["kind"], json!("hashed"));
    place.run_with("load DB h --kind sorted", b"").failed(2, &["--kind sorted: table `h` is hashed"]);
    place
        .run("bench DB --kind hashed --workload scan100")
        .failed(2, &["--kind hashed: scan100 needs keys in order"]);
    let line =
        place.run("bench DB --json --kind hashed --workload get --records 500 --ops 100").json().remove(0);
    assert_eq!(line["kind"], json!("hashed"));
    assert!(place.run("verify DB").succeeded().contains("no damage"));
}

#[test]
fn every_durability_and_batch_size_loads_the_same() {
    let input: String = (0..3000).map(|n| format!("{:04}\t{n}\n", n * 7919 % 3000)).collect();
    for durability in ["power", "process", "eventual"] {
        for batch in ["1000", "7"] {
            let place = Place::new();
            place
                .run_with(&format!("load DB t --durability {durability} --batch {batch}"), input.as_bytes())
                .succeeded();
            assert_eq!(place.run("scan DB t --keys").succeeded().lines().count(), 3000);
        }
    }
}

#[test]
fn the_smallest_budget_takes_any_batch_size() {
    let input: String = (0..20_000).map(|n| format!("{n:06}\t{}\n", "v".repeat(n % 300))).collect();
    for batch in ["1000", "1000000"] {
        let place = Place::new();
        let words = ["load", "DB", "t", "--batch", batch];
        place.run_in(2, words, input.as_bytes()).succeeded();
        assert_eq!(place.run("scan DB t --keys").succeeded().lines().count(), 20_000);
    }
}

#[test]
fn sorted_input_is_loaded_in_bulk_or_not_at_all() {
    let place = Place::new();
    let lines: String = (0..3000).map(|n| format!("key{n:06}\t{n}\n")).collect();
    let out = place.run_with("load DB t --sorted", lines.as_bytes()).succeeded();
    assert!(out.starts_with("loaded 3,000 records, "), "{out}");
    let log = place.run("log DB").succeeded();
    assert!(log.contains("t\tbulk load") && !log.contains("\tput\t"), "{log}");
    assert_eq!(place.run("scan DB t --prefix key00299").succeeded().lines().count(), 10);
    assert_eq!(place.run("verify DB --json").json()[0]["records"], json!(3000));

    let place = Place::new();
    let out = place.run_with("load DB t --sorted", b"b\t1\nc\t2\na\t3\n");
    out.failed(3, &["line 3", "record 2 is out of order", "nothing is loaded"]);
    check_table(&place, &[]);
    place.run_with("load DB t --sorted", b"a\t1\nb\t2\n").succeeded();
    place.run_with("load DB t --sorted", b"c\t3\n").failed(3, &["table t is not empty"]);
    check_table(&place, &[("a", "1"), ("b", "2")]);
}

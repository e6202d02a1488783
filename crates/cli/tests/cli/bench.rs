//! `bench`: every workload runs and says what the interface promises.

use crate::program::Place;
use serde_json::{Value, json};

/// The fields of a line, in order.
const FIELDS: &str = "engine version workload kind records ops threads value_bytes budget_mib durability backend ops_per_s \
                      p50_us p99_us p999_us user_bytes log_bytes log_padding_bytes data_bytes file_bytes resident_bytes";

fn bench(place: &Place, options: &str) -> Vec<Value> {
    place.run(&format!("bench DB --json --records 3000 {options}")).json()
}

#[test]
fn every_workload_has_its_line() {
    let place = Place::new();
    let lines = bench(&place, "--workload all --ops 500 --threads 2 --seconds 1 --items 100 --customers 30");
    assert_eq!(lines.len(), 26);
    for line in &lines {
        assert!(line["ops_per_s"].as_f64().unwrap() >= 0.0, "{line}");
        assert_eq!(line["budget_mib"], json!(8));
        assert!(line["workload"] == json!("tpcc-kv") || line["records"] == json!(3000), "{line}");
        assert!(line["resident_bytes"].as_u64().unwrap() > 1 << 20, "{line}");
    }
    assert!(place.run("verify DB").succeeded().contains("no damage"));
}

#[test]
fn transactions_tell_their_level_and_retries() {
    let place = Place::new();
    let lines = bench(&place, "--workload rmw,rmw-hot --ops 2000 --threads 4 --isolation serializable");
    for line in &lines {
        assert_eq!((&line["isolation"], &line["ops"]), (&json!("serializable"), &json!(2000)));
        assert!(line["retries"].as_u64().is_some(), "{line}");
    }
    let lines = bench(&place, "--workload get-while-writing,snapshot-while-writing --ops 2000 --writers 2");
    for line in &lines {
        assert_eq!((&line["isolation"], &line["writers"]), (&Value::Null, &json!(2)));
        assert!(line["writes_per_s"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[test]
fn tpcc_tells_its_kinds_and_checks_its_conditions() {
    let place = Place::new();
    let run = "bench DB --workload tpcc-kv --warehouses 1 --items 100 --customers 30 --threads 2 --seconds 1";
    let line = place.run(&format!("{run} --json")).json().remove(0);
    let kinds: Vec<&str> =
        line["parts"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["new-order", "payment", "order-status", "delivery", "stock-level"]);
    assert_eq!(line["isolation"], json!("serializable"));
    let text = place.run(&format!("{run} --isolation snapshot")).succeeded();
    assert!(text.contains("new orders a minute") && text.contains("all conditions hold"), "{text}");
    place.run(&format!("{run} --kind hashed")).failed(2, &["the tables of tpcc-kv are sorted"]);
}

#[test]
fn the_fields_are_those_of_the_interface() {
    let place = Place::new();
    let out = place.run("bench DB --json --records 1000 --workload fillsync --ops 50").succeeded();
    let mut rest = out.as_str();
    for field in FIELDS.split_whitespace() {
        let at = rest
            .find(&format!("\"{field}\":"))
            .unwrap_or_else(|| panic!("no {field}, or out of order, in {out}"));
        rest = &rest[at..];
    }
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&line["engine"], &line["workload"]), (&json!("aquifer"), &json!("fillsync")));
    assert_eq!((&line["kind"], &line["durability"]), (&json!("sorted"), &json!("power")));
    assert_eq!(line["user_bytes"], json!(50 * 116));
    assert!(line["log_bytes"].as_u64().unwrap() > 50 * 116, "{line}");
}

#[test]
fn records_are_loaded_once() {
    let place = Place::new();
    bench(&place, "--workload get --ops 10");
    // A stranger in the table tells whether it was made anew.
    place.run("put DB bench stranger x").succeeded();
    bench(&place, "--workload get,getmiss,ycsb-a --ops 10");
    assert_eq!(place.run("get DB bench stranger").succeeded(), "x\n");
    bench(&place, "--workload get --ops 10 --value 64");
    place.run("get DB bench stranger").failed(1, &["no key"]);
}

#[test]
fn other_tables_are_left_alone() {
    let place = Place::loaded("a\t1\n");
    bench(&place, "--workload load,fillseq,get,overwrite --ops 500");
    assert_eq!(place.run("scan DB t").succeeded(), "a\t1\n");
}

#[test]
fn reopening_brings_back_what_was_acknowledged() {
    let place = Place::new();
    for durability in ["process", "power", "eventual"] {
        let line = bench(&place, &format!("--workload reopen --durability {durability}")).remove(0);
        assert_eq!(line["workload"], json!("reopen"));
        assert!(line["p50_us"].as_f64().unwrap() > 0.0, "{line}");
    }
    let text = place.run("bench DB --records 3000 --workload reopen --durability power").succeeded();
    assert!(text.contains("recovered   "), "{text}");
}

#[test]
fn figures_are_printed_for_people() {
    let place = Place::new();
    let out = place.run("bench DB --records 1000 --workload load,get").succeeded();
    assert!(out.starts_with("load: aquifer "), "{out}");
    assert!(out.contains("\nget: aquifer "), "{out}");
    assert!(out.contains("throughput"), "{out}");
}

#[test]
fn numbers_that_make_no_run_are_told() {
    let place = Place::new();
    place.run("bench DB --workload get --records 0").failed(2, &["--records is 0"]);
    place.run("bench DB --workload load,fillsync --durability eventual").failed(2, &["fillsync is at power"]);
    let run = place.run("bench DB --workload get,gat");
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("no workload is called `gat`"), "{run:?}");
    assert!(!place.db().exists());
}

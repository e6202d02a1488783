//! Tables with types of their own, as a program made them.

use crate::program::Place;
use aquifer::{Database, TableDef, TableOptions};
use serde_json::json;

const COUNTS: TableDef<str, u64> = TableDef::new("counts");
const GRID: TableDef<(i32, String), f64> = TableDef::new("grid");

/// A database with both tables.
fn made() -> Place {
    let place = Place::new();
    let db = Database::options().memory_budget(8 << 20).create(place.db()).unwrap();
    let counts = COUNTS.create(&db, TableOptions::default()).unwrap();
    counts.put("apples", &3).unwrap();
    let grid = GRID.create(&db, TableOptions::default()).unwrap();
    grid.put(&(-1, "west".to_owned()), &0.5).unwrap();
    grid.put(&(7, "east".to_owned()), &-2.0).unwrap();
    db.close().unwrap();
    place
}

#[test]
fn they_are_printed_by_their_types() {
    let place = made();
    assert_eq!(place.run("get DB counts apples").succeeded(), "3\n");
    assert_eq!(place.run("get DB counts apples --json").json(), [json!({"key": "apples", "value": 3})]);
    assert_eq!(place.run("scan DB grid").succeeded(), "[-1,\"west\"]\t0.5\n[7,\"east\"]\t-2.0\n");
    assert_eq!(
        place.run("scan DB grid --json --limit 1").json(),
        [json!({"key": [-1, "west"], "value": 0.5})]
    );
    assert_eq!(place.run("scan DB grid --prefix [7]").succeeded(), "[7,\"east\"]\t-2.0\n");
}

#[test]
fn they_are_written_by_their_types() {
    let place = made();
    place.run("put DB counts pears 12").succeeded();
    place.run("put DB grid [8,\"n\"] 1e3").succeeded();
    place.run("put DB counts plums -1").failed(2, &["`-1` is no value of type u64"]);
    place.run("put DB counts plums 0xff").failed(2, &["no value of type u64"]);
    place.run("delete DB grid [-1,\"west\"]").succeeded();
    place.run_with("load DB counts", b"figs\t7\napples\t4\n").succeeded();
    place.run_with("load DB counts", b"figs\tmany\n").failed(3, &["line 1: `many` is no value of type u64"]);
    let db = Database::options().memory_budget(8 << 20).open(place.db()).unwrap();
    let counts = COUNTS.open(&db).unwrap();
    assert_eq!(counts.get("pears").unwrap(), Some(12));
    assert_eq!(counts.get("figs").unwrap(), Some(7));
    assert_eq!(counts.get("apples").unwrap(), Some(4));
    let grid = GRID.open(&db).unwrap();
    assert_eq!(grid.get(&(8, "n".to_owned())).unwrap(), Some(1000.0));
    assert_eq!(grid.get(&(-1, "west".to_owned())).unwrap(), None);
}

#[test]
fn they_are_listed_with_their_types() {
    let json = made().run("tables DB --json").json();
    assert_eq!(json[0]["key_type"], json!("str"));
    assert_eq!(json[0]["value_type"], json!("u64"));
    assert_eq!(json[1]["key_type"], json!("(i32, str)"));
    assert_eq!(json[1]["value_type"], json!("f64"));
}

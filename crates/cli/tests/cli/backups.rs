//! `backup`, the archive, and `restore` and `verify` of a backup.

use crate::program::Place;
use serde_json::json;
use std::fs;

#[test]
fn a_backup_is_brought_up_to_date_checked_and_restored() {
    let place =
        Place::loaded(&(0..800).map(|n| format!("key {n:05}\t{}\n", "v".repeat(50))).collect::<String>());
    let out = place.run("backup DB copy").succeeded();
    assert!(out.starts_with("backed up ") && out.contains(" pages ("), "{out}");
    place.run("put DB t new value").succeeded();
    let again = place.run("backup DB copy --json").json().remove(0);
    assert_eq!(again["incremental"], json!(true));
    assert!(again["pages_copied"].as_u64() < again["pages"].as_u64(), "{again}");
    let out = place.run("verify copy").succeeded();
    assert!(out.starts_with("a backup up to log position ") && out.contains("no damage"), "{out}");
    let out = place.run("restore again copy").succeeded();
    assert!(out.starts_with("restored to ") && out.contains("the backup and 0 commits"), "{out}");
    assert_eq!(place.run("scan again t").succeeded(), place.run("scan DB t").succeeded());
    place.run("tables copy").failed(5, &["it is a backup"]);
    place.run("restore again copy").failed(2, &["not empty"]);
    place.run("restore other copy --page-kib 8").failed(2, &["keeps its page size"]);
    place.run("backup DB DB").failed(2, &["no part of a backup"]);
}

#[test]
fn a_backup_is_brought_forward_by_an_archive_which_the_database_remembers() {
    let place = Place::loaded("a\t1\n");
    place.run("checkpoint DB --archive kept").succeeded();
    place.run("backup DB copy").succeeded();
    let lsn = place.run("verify copy --json").json().remove(0)["lsn"].as_u64().unwrap();
    place.run("put DB t b 2").succeeded();
    place.run("put DB t c 3").succeeded();
    let restored = place.run("restore all copy --log kept --json").json().remove(0);
    assert_eq!((&restored["backup_lsn"], &restored["commits"]), (&json!(lsn), &json!(2)));
    assert_eq!(place.run("scan all t").succeeded(), "a\t1\nb\t2\nc\t3\n");
    place.run(&format!("restore none copy --log kept --until-lsn {lsn}")).succeeded();
    assert_eq!(place.run("scan none t").succeeded(), "a\t1\n");
    place
        .run("restore early copy --log kept --until-time 2001-01-01T00:00:00Z")
        .failed(5, &["begin with an earlier backup"]);
    place.run("restore late copy --log kept --until-time 4102444800").succeeded();
    assert_eq!(place.run("scan late t").succeeded(), "a\t1\nb\t2\nc\t3\n");
    for (wrong, told) in
        [("--log kept --until-time noon", "2026-02-14T09:30:00Z"), ("--until-lsn 7", "--log")]
    {
        let run = place.run(&format!("restore x copy {wrong}"));
        assert!(run.code == 2 && run.err.contains(told), "{run:?}");
    }
    place.run("restore x copy --log kept --until-lsn 999999999").failed(5, &["was asked for"]);
    fs::rename(place.file("kept"), place.file("moved")).unwrap();
    place.run("get DB t a").failed(2, &["cannot be used"]);
    place.run("checkpoint DB --no-archive").succeeded();
    assert_eq!(place.run("get DB t a").succeeded(), "1\n");
}

#[test]
fn damage_in_a_backup_is_told() {
    let place = Place::loaded(&(0..3000).map(|n| format!("key {n:05}\tvalue\n")).collect::<String>());
    place.run("backup DB copy").succeeded();
    let path = place.file("copy/data");
    let mut bytes = fs::read(&path).unwrap();
    bytes[(128 << 10) + 4096 + 50] ^= 1;
    fs::write(&path, bytes).unwrap();
    place.run("verify copy").failed(5, &["damaged"]);
    place.run("restore again copy").failed(5, &["damaged"]);
    place.run("tables again").failed(1, &["no database"]);
}

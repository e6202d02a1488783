//! Which engine runs what, where, and by which command.

use super::{Engine, PEERS, Programs};
use aquifer_workload::Workload;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn ordered_workloads_have_no_hashed_row() {
    let engines = Engine::all(&["lmdb".to_string()]);
    let rows = |workload| {
        let rows = engines.iter().filter(|engine| engine.runs(workload));
        rows.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(rows(Workload::Get), ["aquifer", "aquifer (hashed)", "lmdb"]);
    assert_eq!(rows(Workload::FillRandom), ["aquifer", "aquifer (hashed)", "lmdb"]);
    assert_eq!(rows(Workload::Scan100), ["aquifer", "lmdb"]);
    assert_eq!(rows(Workload::Bulk), ["aquifer", "lmdb"]);
    assert_eq!(rows(Workload::Reopen), ["aquifer", "aquifer (hashed)"]);
    assert_eq!(rows(Workload::RmwHot), ["aquifer", "aquifer (serializable)", "aquifer (hashed)", "lmdb"]);
    assert_eq!(rows(Workload::TpccKv), ["aquifer", "aquifer (serializable)"]);
}

#[test]
fn no_two_engines_share_a_directory_but_our_levels() {
    let engines = Engine::all(&PEERS.map(String::from));
    let folders: BTreeSet<&str> = engines.iter().map(Engine::folder).collect();
    assert_eq!(folders.len(), PEERS.len() + 2);
}

#[test]
fn commands_name_the_engine_and_the_kind() {
    let programs = Programs { ours: "ours".into(), peers: "peers".into() };
    let line = |engine: &Engine| {
        let command = engine.command(&programs, Path::new("dir"));
        let parts = std::iter::once(command.get_program()).chain(command.get_args());
        parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let lines: Vec<String> = Engine::all(&["rocksdb".to_string()]).iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "ours bench dir --kind sorted --isolation snapshot",
            "ours bench dir --kind sorted --isolation serializable",
            "ours bench dir --kind hashed",
            "peers run --engine rocksdb dir"
        ]
    );
}

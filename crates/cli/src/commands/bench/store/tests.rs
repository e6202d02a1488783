//! The engine behind the workloads' traits.

use super::AquiferStore;
use aquifer::{Database, TableKind, TableOptions};
use aquifer_workload::{Durability, Session as _, Spec, Store as _, Workload};

#[test]
fn it_does_what_the_workloads_ask_for() {
    let db = Database::in_memory(8 << 20).unwrap();
    let store = AquiferStore::emptied(&db, TableKind::Sorted).unwrap();
    aquifer_workload::conformance::check(&store).unwrap();
}

#[test]
fn on_disk_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::options().memory_budget(8 << 20).create(dir.path().join("db")).unwrap();
    let store = AquiferStore::emptied(&db, TableKind::Sorted).unwrap();
    aquifer_workload::conformance::check(&store).unwrap();
    db.close().unwrap();
}

#[test]
fn emptying_leaves_other_tables_alone() {
    let db = Database::in_memory(8 << 20).unwrap();
    let other = db.create_table("other", TableOptions::default()).unwrap();
    other.put(b"k", b"v").unwrap();
    let store = AquiferStore::emptied(&db, TableKind::Sorted).unwrap();
    store.session(Durability::Eventual).put(b"k", b"w").unwrap();
    let store = AquiferStore::emptied(&db, TableKind::Sorted).unwrap();
    assert!(!store.session(Durability::Eventual).get(b"k", &mut Vec::new()).unwrap());
    assert_eq!(other.get(b"k").unwrap().unwrap(), b"v");
}

#[test]
fn every_workload_runs_in_memory() {
    for workload in Workload::ALL.into_iter().filter(|workload| workload.runs_on_a_store()) {
        let db = Database::in_memory(16 << 20).unwrap();
        let store = AquiferStore::emptied(&db, TableKind::Sorted).unwrap();
        let spec = Spec { records: 2000, ops: Some(1000), threads: 2, ..Spec::new(workload) };
        if workload.needs_records() {
            aquifer_workload::load(&store, &spec, &|_, _| {}).unwrap();
        }
        let report = aquifer_workload::run(&store, &spec, &|_, _| {}).unwrap();
        assert!(report.ops >= 1000, "{report}");
    }
}

#[test]
fn every_workload_without_an_order_runs_on_a_hashed_table() {
    let workloads = Workload::ALL.into_iter().filter(|it| !it.needs_order() && it.runs_on_a_store());
    for workload in workloads {
        let db = Database::in_memory(16 << 20).unwrap();
        let store = AquiferStore::emptied(&db, TableKind::Hashed).unwrap();
        let spec = Spec { records: 2000, ops: Some(1000), threads: 2, ..Spec::new(workload) };
        if workload.needs_records() {
            aquifer_workload::load(&store, &spec, &|_, _| {}).unwrap();
        }
        let report = aquifer_workload::run(&store, &spec, &|_, _| {}).unwrap();
        assert!(report.ops >= 1000 && report.to_json().contains("\"hashed\""), "{report}");
    }
}

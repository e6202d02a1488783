//! Every adapter does what the workloads rely on, and gives back what it was given.

#[cfg(any(feature = "lmdb", feature = "redb", feature = "rocksdb"))]
#[track_caller]
fn check<S: aquifer_workload::Store>(open: impl Fn(&std::path::Path) -> S) {
    use aquifer_workload::{Durability, Session, Spec, Workload, conformance, count_records};
    let spec = |workload| Spec {
        records: 2_000,
        ops: Some(500),
        threads: 2,
        value_bytes: 50,
        ..Spec::new(workload)
    };
    let run = |store: &S, spec: &Spec| {
        let report = aquifer_peers::run::measure(store, spec).expect("the workload runs");
        assert_eq!(report.ops, spec.ops(), "{}", spec.workload);
        assert!(report.version.starts_with(|c: char| c.is_ascii_digit()), "{}", report.version);
    };

    let directory = tempfile::tempdir().expect("a temporary folder");
    let store = open(directory.path());
    conformance::check(&store).expect("the adapter conforms");
    use Workload::{
        Get, GetMiss, GetWhileWriting, MultiGet, Overwrite, Rmw, RmwHot, RmwZipf, Scan100,
        SnapshotWhileWriting, UpdateField, YcsbA, YcsbF,
    };
    let reading = [Get, GetMiss, MultiGet, Scan100, GetWhileWriting, SnapshotWhileWriting];
    for workload in reading.into_iter().chain([Overwrite, UpdateField, YcsbA, YcsbF, Rmw, RmwZipf, RmwHot]) {
        run(&store, &spec(workload));
    }
    for durability in [Durability::Process, Durability::Power] {
        run(&store, &Spec { ops: Some(50), durability, ..spec(Overwrite) });
    }
    assert_eq!(count_records(&store, 50).expect("the records are right"), 2_000);
    drop(store);
    assert_eq!(count_records(&open(directory.path()), 50).expect("the records are right"), 2_000, "reopened");

    let directory = tempfile::tempdir().expect("a temporary folder");
    let store = open(directory.path());
    run(&store, &Spec { ops: Some(2_000), threads: 1, ..spec(Workload::Bulk) });
    drop(store);
    let store = open(directory.path());
    let count = store.session(Durability::Eventual).scan(None, u64::MAX, true, &mut |_, _| {});
    assert_eq!(count.expect("a scan"), 2_000, "loaded in bulk, and reopened");
}

#[cfg(feature = "lmdb")]
#[test]
fn lmdb_conforms() {
    check(|directory| aquifer_peers::engines::lmdb::Lmdb::open(directory).expect("opens"));
}

#[cfg(feature = "redb")]
#[test]
fn redb_conforms() {
    check(|directory| aquifer_peers::engines::redb::Redb::open(directory, 16).expect("opens"));
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb_conforms() {
    check(|directory| aquifer_peers::engines::rocksdb::Rocksdb::open(directory, 16, true).expect("opens"));
}

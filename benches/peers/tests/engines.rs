//! Every adapter does what the workloads rely on, and gives back what it was given.

#[cfg(any(feature = "lmdb", feature = "redb"))]
#[track_caller]
fn check<S: aquifer_workload::Store>(open: impl Fn(&std::path::Path) -> S) {
    use aquifer_workload::{Spec, Workload, conformance, count_records};
    let directory = tempfile::tempdir().expect("a temporary folder");
    let store = open(directory.path());
    conformance::check(&store).expect("the adapter conforms");
    for workload in [Workload::Get, Workload::YcsbA, Workload::Scan100, Workload::UpdateField] {
        let spec =
            Spec { records: 2_000, ops: Some(500), threads: 2, value_bytes: 50, ..Spec::new(workload) };
        let report = aquifer_peers::run::measure(&store, &spec).expect("the workload runs");
        assert_eq!(report.ops, 500, "{workload}");
    }
    assert_eq!(count_records(&store, 50).expect("the records are right"), 2_000);
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

//! Which records serve which workload.

use super::{Note, after};
use aquifer_workload::{Spec, Workload};

fn spec(workload: Workload) -> Spec {
    Spec { records: 100, ops: Some(100), value_bytes: 100, ..Spec::new(workload) }
}

fn loaded() -> Note {
    Note::loaded(&spec(Workload::Load))
}

#[test]
fn records_of_the_same_number_and_size_serve() {
    assert!(loaded().serves(&spec(Workload::Get)));
    assert!(!loaded().serves(&Spec { records: 99, ..spec(Workload::Get) }));
    assert!(!loaded().serves(&Spec { records: 101, ..spec(Workload::Get) }));
    assert!(!loaded().serves(&Spec { value_bytes: 1000, ..spec(Workload::UpdateField) }));
}

#[test]
fn added_records_serve_all_but_those_who_add() {
    let grown = after(Some(loaded()), &spec(Workload::YcsbD)).unwrap();
    assert!(grown.serves(&spec(Workload::FullScan)));
    assert!(!grown.serves(&spec(Workload::YcsbD)));
    assert!(!grown.serves(&spec(Workload::YcsbE)));
    assert!(loaded().serves(&spec(Workload::YcsbE)));
}

#[test]
fn a_workload_that_writes_every_record_is_a_load() {
    assert_eq!(after(None, &spec(Workload::Load)), Some(loaded()));
    assert_eq!(after(None, &spec(Workload::FillRandom)), Some(loaded()));
    assert_eq!(after(None, &Spec { ops: Some(99), ..spec(Workload::FillSync) }), None);
    assert_eq!(after(None, &spec(Workload::FillSeq)), None);
}

#[test]
fn updates_and_reads_leave_the_records_as_they_are() {
    for workload in
        [Workload::Get, Workload::Overwrite, Workload::YcsbA, Workload::UpdateField, Workload::Reverse]
    {
        assert_eq!(after(Some(loaded()), &spec(workload)), Some(loaded()), "{workload}");
    }
}

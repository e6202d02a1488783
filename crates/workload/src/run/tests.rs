//! Every workload runs, does as much as it was asked, and its report is sane.

use std::cell::Cell;

use super::{count_records, is_empty, load, part, run};
use crate::map_store::MapStore;
use crate::{Durability, Error, Isolation, Report, Session, Spec, Store, Workload, records};

const RECORDS: u64 = 2000;

fn spec(workload: Workload, threads: usize) -> Spec {
    Spec { records: RECORDS, ops: Some(3001), threads, ..Spec::new(workload) }
}

fn loaded(spec: &Spec) -> MapStore {
    let store = MapStore::new();
    if spec.workload.needs_records() {
        load(&store, spec, &|_, _| {}).unwrap();
    }
    store
}

fn checked(store: &MapStore, spec: &Spec) -> Report {
    let report = run(store, spec, &|_, _| {}).unwrap();
    let passes = matches!(spec.workload, Workload::FullScan | Workload::Reverse);
    // A pass each, and as many more as 3,001 operations are begun passes.
    assert_eq!(report.ops, if passes { RECORDS * (spec.threads as u64).max(2) } else { 3001 });
    assert!(report.elapsed_s > 0.0 && report.ops_per_s > 0.0);
    let rate = report.ops as f64 / report.elapsed_s;
    assert!((report.ops_per_s / rate - 1.0).abs() < 1e-9);
    assert!(report.p50_us > 0.0 && report.p50_us <= report.p99_us && report.p99_us <= report.p999_us);
    assert!(report.p999_us <= report.elapsed_s * 1e6 * 1.01, "{} in {} s", report.p999_us, report.elapsed_s);
    assert_eq!(spec.workload.writes(), report.user_bytes > 0);
    assert!(report.resident_bytes > 0);
    assert_eq!((report.workload, report.threads, report.records), (spec.workload, spec.threads, RECORDS));
    report
}

#[test]
fn every_workload_runs_with_one_thread_and_with_several() {
    for workload in Workload::ALL.into_iter().filter(|workload| workload.runs_on_a_store()) {
        for threads in [1, 3] {
            let spec = spec(workload, threads);
            let report = checked(&loaded(&spec), &spec);
            let per_write = 16 + spec.value_bytes as u64;
            let writes = report.user_bytes / per_write;
            match workload {
                Workload::Load
                | Workload::Bulk
                | Workload::FillSeq
                | Workload::FillRandom
                | Workload::FillSync
                | Workload::Overwrite => {
                    assert_eq!(report.user_bytes, 3001 * per_write, "{workload}");
                }
                Workload::UpdateField => assert_eq!(report.user_bytes, 3001 * (16 + 8)),
                // Half, and a twentieth, of 3,001; seven standard deviations are 192 and 84.
                Workload::YcsbA | Workload::YcsbF => {
                    assert!(writes.abs_diff(1500) < 192, "{workload}: {writes}")
                }
                Workload::YcsbB | Workload::YcsbD | Workload::YcsbE => {
                    assert!(writes.abs_diff(150) < 84, "{workload}: {writes}");
                }
                Workload::Rmw | Workload::RmwZipf | Workload::RmwHot => {
                    assert_eq!(report.user_bytes, 4 * 3001 * per_write, "{workload}");
                    assert_eq!(report.isolation, Some(Isolation::Snapshot));
                }
                Workload::GetWhileWriting | Workload::SnapshotWhileWriting => {
                    assert!(writes >= 1 && report.writes_per_s > 0.0, "{workload}");
                }
                _ => assert_eq!(report.user_bytes, 0, "{workload}"),
            }
        }
    }
}

#[test]
fn workloads_leave_a_store_that_the_others_accept() {
    let first = spec(Workload::YcsbD, 2);
    let store = loaded(&first);
    let workloads = Workload::ALL.into_iter().filter(|&workload| workload.needs_records());
    for workload in workloads {
        let spec = Spec { value_bytes: 100, ..spec(workload, 2) };
        let passes = matches!(workload, Workload::FullScan | Workload::Reverse);
        let report = run(&store, &spec, &|_, _| {}).unwrap();
        assert!(report.ops == 3001 || passes, "{workload}");
    }
    // The inserts of D and E are counted by a pass over everything.
    let report = run(&store, &spec(Workload::FullScan, 1), &|_, _| {}).unwrap();
    assert!(report.ops > 2 * RECORDS, "{}", report.ops);
    assert_eq!(report.ops, 2 * count_records(&store, 100).unwrap());
}

#[test]
fn fills_write_what_their_names_say() {
    let keys = |workload| {
        let store = MapStore::new();
        run(&store, &Spec { ops: None, ..spec(workload, 3) }, &|_, _| {}).unwrap();
        let mut keys = Vec::new();
        let mut session = store.session(Durability::Eventual);
        session.scan(None, u64::MAX, false, &mut |key, _| keys.push(key.to_vec())).unwrap();
        keys
    };
    let rising: Vec<_> = (0..RECORDS).map(|number| records::sequential_key(number).to_vec()).collect();
    assert_eq!(keys(Workload::FillSeq), rising);
    assert_eq!(keys(Workload::Bulk), rising);
    let mut random: Vec<_> = (0..RECORDS).map(|number| records::key(number).to_vec()).collect();
    random.sort();
    assert_eq!(keys(Workload::FillRandom), random);
    assert_eq!(keys(Workload::Load), random);
}

#[test]
fn equal_seeds_do_equal_work() {
    let contents = |seed| {
        let spec = Spec { seed, ..spec(Workload::YcsbA, 1) };
        let store = loaded(&spec);
        run(&store, &spec, &|_, _| {}).unwrap();
        let mut contents = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| contents.extend([key.to_vec(), value.to_vec()]);
        store.session(Durability::Eventual).scan(None, u64::MAX, false, &mut visit).unwrap();
        contents
    };
    assert_eq!(contents(1), contents(1));
    assert_ne!(contents(1), contents(2));
}

#[test]
fn progress_rises_to_the_end() {
    let last = Cell::new(0);
    let calls = Cell::new(0);
    let progress = |done, total| {
        assert!(done >= last.replace(done) && done <= total);
        assert_eq!(total, 3001);
        calls.set(calls.get() + 1);
    };
    let spec = spec(Workload::Get, 2);
    let store = loaded(&spec);
    run(&store, &spec, &progress).unwrap();
    assert!(calls.get() > 0);
    assert_eq!(last.get(), 3001);
}

#[test]
fn what_needs_more_than_a_store_is_refused() {
    for workload in [Workload::Reopen, Workload::TpccKv] {
        let error = run(&MapStore::new(), &Spec::new(workload), &|_, _| {}).unwrap_err();
        assert!(matches!(error, Error::Spec { .. }), "{error}");
    }
}

#[test]
fn counting_finds_a_gap() {
    let store = MapStore::new();
    assert!(is_empty(&store).unwrap());
    assert_eq!(count_records(&store, 100).unwrap(), 0);
    load(&store, &spec(Workload::Get, 1), &|_, _| {}).unwrap();
    assert!(!is_empty(&store).unwrap());
    assert_eq!(count_records(&store, 100).unwrap(), RECORDS);
    let mut session = store.session(Durability::Eventual);
    session.delete(&records::key(RECORDS - 1)).unwrap();
    assert_eq!(count_records(&store, 100).unwrap(), RECORDS - 1);
    session.delete(&records::key(7)).unwrap();
    let message = count_records(&store, 100).unwrap_err().to_string();
    assert!(message.contains("there are 1998 records, but not the first 1998"), "{message}");
}

#[test]
fn parts_are_next_to_each_other_and_leave_nothing_out() {
    for units in [0, 1, 2, 3, 10, 3001] {
        for threads in [1, 2, 3, 7, 128] {
            let mut next = 0;
            for number in 0..threads {
                let part = part(units, threads, number);
                assert_eq!(part.start, next);
                assert!(part.end - part.start <= units.div_ceil(threads as u64));
                next = part.end;
            }
            assert_eq!(next, units);
        }
    }
}

#[test]
fn more_threads_than_operations_are_no_trouble() {
    let spec = Spec { ops: Some(2), ..spec(Workload::Get, 64) };
    assert_eq!(run(&loaded(&spec), &spec, &|_, _| {}).unwrap().ops, 2);
}

//! The table and the choice among runs.

use super::{Report, median, table};
use aquifer_workload::{Counters, Description, Spec, Workload};
use std::time::Duration;

fn row(engine: &str, workload: Workload, ops: u64) -> Report {
    let description = Description {
        engine: engine.to_string(),
        version: "1".to_string(),
        kind: "sorted".to_string(),
        backend: "posix".to_string(),
    };
    let written = Counters { file_bytes: 5_000_000, ..Counters::default() };
    let spec = Spec::new(workload);
    let report = Report::of_reopen(&spec, description, ops, Duration::from_secs(1), written);
    Report {
        p50_us: 1.0,
        p99_us: 2.0,
        p999_us: 3.0,
        resident_peak_bytes: 7_000_000,
        ..report.expect("memory is known")
    }
}

#[test]
fn the_median_run_counts() {
    let runs = [30, 10, 20].map(|ops| row("lmdb", Workload::Get, ops));
    assert_eq!(median(runs.to_vec()).ops, 20);
    assert_eq!(median(vec![row("lmdb", Workload::Get, 5)]).ops, 5);
}

#[test]
fn rows_are_compared_with_ours_on_the_same_work() {
    let hashed = Report { kind: "hashed".to_string(), ..row("aquifer", Workload::Get, 4000) };
    let rows = [
        hashed,
        row("aquifer", Workload::Get, 2000),
        row("lmdb", Workload::Get, 1000),
        row("aquifer", Workload::Load, 500),
        row("lmdb", Workload::Load, 1000),
        row("lmdb", Workload::YcsbA, 1000),
        Report { retries: 500, ..row("aquifer", Workload::Rmw, 2000) },
    ];
    let expected = "\
workload  threads  engine            durability  kops/s  ours ÷  p50 µs  p99 µs  p99.9 µs  retries  file MB  mem MB
get             1  aquifer (hashed)  eventual       4.0    0.50     1.0     2.0       3.0                 5       7
get             1  aquifer           eventual       2.0    1.00     1.0     2.0       3.0                 5       7
get             1  lmdb              eventual       1.0    2.00     1.0     2.0       3.0                 5       7
load            1  aquifer           eventual       0.5    1.00     1.0     2.0       3.0                 5       7
load            1  lmdb              eventual       1.0    0.50     1.0     2.0       3.0                 5       7
ycsb-a          1  lmdb              eventual       1.0             1.0     2.0       3.0                 5       7
rmw             1  aquifer           eventual       2.0    1.00     1.0     2.0       3.0    0.250        5       7
";
    assert_eq!(table(&rows), expected);
}

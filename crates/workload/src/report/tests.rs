//! The line of JSON and the text, to the letter.

use std::time::Duration;

use super::{Measured, Part, Report, duration, grouped, size};
use crate::store::{Counters, Description};
use crate::{Isolation, Spec, Workload};

fn report() -> Report {
    let spec = Spec { threads: 2, records: 1_000_000, ..Spec::new(Workload::YcsbA) };
    let description = Description {
        engine: "aquifer".into(),
        version: "0.1.0".into(),
        kind: "sorted".into(),
        backend: "uring".into(),
    };
    let measured = Measured {
        ops: 1_000_000,
        elapsed: Duration::from_millis(1250),
        p50_us: 1.023,
        p99_us: 4.5,
        p999_us: 1250.0,
        user_bytes: 58_000_000,
        retries: 0,
        writes_per_s: 0.0,
        written: Counters {
            log_bytes: 60_000_000,
            log_padding_bytes: 4096,
            data_bytes: 100,
            file_bytes: 3 << 30,
        },
    };
    let mut report = Report::new(&spec, description, measured).unwrap();
    assert!(report.resident_bytes > 0 && report.resident_peak_bytes > 0);
    (report.resident_bytes, report.resident_peak_bytes) = (10 << 20, 20 << 20);
    report
}

#[test]
fn json_has_the_promised_fields_in_their_order() {
    assert_eq!(
        report().to_json(),
        concat!(
            r#"{"engine":"aquifer","version":"0.1.0","workload":"ycsb-a","kind":"sorted","records":1000000,"#,
            r#""ops":1000000,"threads":2,"value_bytes":100,"budget_mib":64,"durability":"eventual","#,
            r#""backend":"uring","ops_per_s":800000.0,"p50_us":1.023,"p99_us":4.5,"p999_us":1250.0,"#,
            r#""user_bytes":58000000,"log_bytes":60000000,"log_padding_bytes":4096,"data_bytes":100,"#,
            r#""file_bytes":3221225472,"resident_bytes":10485760,"resident_peak_bytes":20971520,"#,
            r#""elapsed_s":1.25,"batch":1,"seed":1,"isolation":null,"retries":0,"writers":0,"writes_per_s":0.0}"#
        )
    );
}

#[test]
fn json_is_read_back_and_new_fields_are_skipped() {
    let line = report().to_json();
    assert_eq!(Report::from_json(&line).unwrap(), report());
    let newer = line.replace("}", r#","colour":"blue"}"#);
    assert_eq!(Report::from_json(&newer).unwrap(), report());
    assert!(Report::from_json("{}").is_err());
}

#[test]
fn text_is_for_people() {
    let text = "\
ycsb-a: aquifer 0.1.0, sorted, uring, eventual, 64 MiB
  work        1,000,000 operations, 2 threads, 1,000,000 records of 16 + 100 bytes
  throughput  800,000/s, 1.250 s
  latency     p50 1.02 µs, p99 4.50 µs, p99.9 1.25 ms
  written     user 55.3 MiB, log 57.2 MiB and 4.0 KiB padding, data 100 B
  files       3.00 GiB
  memory      10.0 MiB resident, 20.0 MiB at most";
    assert_eq!(report().to_string(), text);
}

#[test]
fn text_tells_of_transactions_and_writers_where_there_are_some() {
    let part = |name: &str| Part {
        name: name.into(),
        ops: 500_000,
        rolled_back: 5,
        retries: 1234,
        ops_per_s: 400_000.0,
        p50_us: 1.0,
        p99_us: 2.0,
        p999_us: 3000.0,
    };
    let report = Report {
        isolation: Some(Isolation::Serializable),
        retries: 12_500,
        writers: 3,
        writes_per_s: 1e6,
        parts: vec![part("new-order"), part("payment")],
        value_bytes: 0,
        ..report()
    };
    let text = report.to_string();
    let due = "\
  work        1,000,000 operations, 2 threads, 1,000,000 records
  throughput  800,000/s, 1.250 s
  isolation   serializable; 12,500 retries, 0.0125 each
  beside      3 threads that write, 1,000,000/s
  new-order     400,000/s, p50 1.00 µs, p99 2.00 µs, p99.9 3.00 ms; 1,234 retries, 5 rolled back
  payment       400,000/s, p50 1.00 µs, p99 2.00 µs, p99.9 3.00 ms; 1,234 retries, 5 rolled back
";
    assert!(text.contains(due), "{text}");
    assert_eq!(Report::from_json(&report.to_json()).unwrap(), report);
}

#[test]
fn a_clock_that_stood_still_gives_a_number() {
    let report = Report::of_reopen(
        &Spec::new(Workload::Reopen),
        Description {
            engine: "e".into(),
            version: "1".into(),
            kind: "sorted".into(),
            backend: "posix".into(),
        },
        5,
        Duration::ZERO,
        Counters::default(),
    )
    .unwrap();
    assert!(report.ops_per_s.is_finite());
    assert_eq!(Report::from_json(&report.to_json()).unwrap().ops, 5);
}

#[test]
fn counters_are_differences_but_for_the_size_of_files() {
    let before = Counters { log_bytes: 10, log_padding_bytes: 1, data_bytes: 5, file_bytes: 100 };
    let after = Counters { log_bytes: 30, log_padding_bytes: 4, data_bytes: 6, file_bytes: 90 };
    assert_eq!(
        after.since(before),
        Counters { log_bytes: 20, log_padding_bytes: 3, data_bytes: 1, file_bytes: 90 }
    );
}

#[test]
fn numbers_are_in_the_unit_that_reads_best() {
    assert_eq!(
        [0, 999, 1000, 123_456, 1_234_567].map(grouped),
        ["0", "999", "1,000", "123,456", "1,234,567"]
    );
    assert_eq!([0.5, 1500.0, 2.5e6].map(duration), ["0.50 µs", "1.50 ms", "2.50 s"]);
    assert_eq!([1023, 1024, 5 << 20, 1 << 30].map(size), ["1023 B", "1.0 KiB", "5.0 MiB", "1.00 GiB"]);
}

//! Defaults, and refusal of numbers that make no run.

use super::{Durability, Spec};
use crate::Workload;

#[test]
fn defaults_are_those_of_the_workload() {
    assert_eq!(Spec::new(Workload::Get).ops(), 1_000_000);
    assert_eq!(Spec::new(Workload::Scan100).ops(), 50_000);
    assert_eq!(Spec { records: 7, ..Spec::new(Workload::Scan100) }.ops(), 1);
    assert_eq!(Spec { ops: Some(3), ..Spec::new(Workload::Get) }.ops(), 3);
    assert_eq!(Spec::new(Workload::FillSync).ops(), 10_000);
    assert_eq!(Spec::new(Workload::FillSync).durability, Durability::Power);
    assert_eq!(Spec::new(Workload::UpdateField).value_bytes, 1000);
    assert_eq!(Spec::new(Workload::Load).batch, 1000);
    for workload in Workload::ALL {
        Spec::new(workload).check().unwrap();
    }
}

#[track_caller]
fn refused(spec: Spec, message: &str) {
    assert_eq!(spec.check().unwrap_err().to_string(), message);
}

#[test]
fn numbers_that_make_no_run_are_refused() {
    let get = || Spec::new(Workload::Get);
    refused(Spec { records: 0, ..get() }, "--records is 0; 1 to 1099511627776 can be had");
    refused(Spec { ops: Some(0), ..get() }, "--ops is 0; at least one is needed");
    refused(Spec { threads: 0, ..get() }, "--threads is 0; 1 to 4096 can be had");
    refused(Spec { value_bytes: 7, ..get() }, "--value is 7 bytes; get needs at least 8");
    refused(Spec { batch: 0, ..get() }, "--batch is 0; at least one record is needed");
    refused(
        Spec { value_bytes: 15, ..Spec::new(Workload::UpdateField) },
        "--value is 15 bytes; update-field needs at least 16",
    );
    refused(
        Spec { durability: Durability::Process, ..Spec::new(Workload::FillSync) },
        "--durability is process; fillsync is at power, fillrandom at any",
    );
}

#[test]
fn durabilities_have_names() {
    for (name, durability) in
        [("power", Durability::Power), ("process", Durability::Process), ("eventual", Durability::Eventual)]
    {
        assert_eq!(name.parse::<Durability>().unwrap(), durability);
        assert_eq!(durability.to_string(), name);
        assert_eq!(serde_json::to_string(&durability).unwrap(), format!("\"{name}\""));
    }
    assert_eq!(
        "strong".parse::<Durability>().unwrap_err().to_string(),
        "no durability is called `strong`; there are power, process, eventual"
    );
}

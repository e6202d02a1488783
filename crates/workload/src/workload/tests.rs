//! The list is whole, and names lead back to it.

use std::collections::BTreeSet;

use super::Workload;

#[test]
fn names_are_literal_and_lead_back() {
    let names = [
        "load",
        "bulk",
        "fillseq",
        "fillrandom",
        "overwrite",
        "fillsync",
        "get",
        "getmiss",
        "multiget",
        "scan100",
        "fullscan",
        "reverse",
        "ycsb-a",
        "ycsb-b",
        "ycsb-c",
        "ycsb-d",
        "ycsb-e",
        "ycsb-f",
        "update-field",
        "rmw",
        "rmw-zipf",
        "rmw-hot",
        "get-while-writing",
        "snapshot-while-writing",
        "tpcc-kv",
        "reopen",
    ];
    assert_eq!(Workload::ALL.map(|workload| workload.to_string()), names);
    for (name, workload) in names.into_iter().zip(Workload::ALL) {
        assert_eq!(name.parse::<Workload>().unwrap(), workload);
        assert_eq!(serde_json::to_string(&workload).unwrap(), format!("\"{name}\""));
        assert_eq!(serde_json::from_str::<Workload>(&format!("\"{name}\"")).unwrap(), workload);
    }
}

#[test]
fn an_unknown_name_is_answered_with_all_names() {
    let message = "ycsb".parse::<Workload>().unwrap_err().to_string();
    assert_eq!(
        message,
        "no workload is called `ycsb`; there are load, bulk, fillseq, fillrandom, overwrite, fillsync, get, getmiss, \
         multiget, scan100, fullscan, reverse, ycsb-a, ycsb-b, ycsb-c, ycsb-d, ycsb-e, ycsb-f, update-field, rmw, rmw-zipf, rmw-hot, \
         get-while-writing, snapshot-while-writing, tpcc-kv, reopen"
    );
    assert!(serde_json::from_str::<Workload>("\"ycsb\"").is_err());
}

#[test]
fn every_workload_has_its_own_description() {
    let all: BTreeSet<&str> = Workload::ALL.into_iter().map(Workload::description).collect();
    assert_eq!(all.len(), Workload::ALL.len());
}

//! The check tells right from wrong.

use crate::operations::tests::{Fault, Faulty};
use crate::{MapStore, conformance, is_empty};

#[test]
fn a_right_store_passes_and_is_left_empty() {
    let store = MapStore::new();
    conformance::check(&store).unwrap();
    assert!(is_empty(&store).unwrap());
}

#[test]
fn every_fault_is_found() {
    for (fault, message) in [
        (Fault::LosesPuts, "a get of what was put: None came and Some("),
        (Fault::Misses, "a get of what was put"),
        (Fault::MixesUp, "a get of what was put"),
        (Fault::CutsOff, "a get of what was put"),
        (Fault::Invents, "a get from an empty store"),
        (Fault::EndsScanEarly, "a scan of all"),
        (Fault::SkipsInScan, "a scan of all"),
        (Fault::RepeatsInScan, "a scan of all"),
        (Fault::StartsScanLate, "a scan of all"),
        (Fault::Miscounts, "a scan's count against its visits: 11 came and 10 was due"),
        (Fault::ForgetsKey, "a multiget of a key, an absent key, a key"),
        (Fault::LosesFields, "an update inside a value: false came and true was due"),
        (Fault::LosesUpdates, "a get of what a transaction wrote first"),
        (Fault::RenewsSnapshots, "a get from a snapshot that has become old"),
        (Fault::Fails, "failed: out of order"),
    ] {
        let store = Faulty { map: MapStore::new(), fault };
        let found = conformance::check(&store).expect_err("the store is wrong").to_string();
        assert!(found.contains(message), "{fault:?}: {found}");
    }
}

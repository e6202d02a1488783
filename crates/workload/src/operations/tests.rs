//! Stores that answer wrongly are found out, whatever the workload.

use crate::map_store::{MapSession, MapStore};
use crate::records;
use crate::store::Change;
use crate::{
    BoxError, Counters, Description, Durability, Isolation, Session, Spec, Store, Workload, load, run,
};

const RECORDS: u64 = 1000;

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Says that a put is done, and has done nothing.
    LosesPuts,
    /// Finds every other key.
    Misses,
    /// Gives the value of another key.
    MixesUp,
    /// Gives a value that lost its end.
    CutsOff,
    /// Finds what was never written.
    Invents,
    /// Leaves out a record in the middle of a scan.
    SkipsInScan,
    /// Ends a scan one record early.
    EndsScanEarly,
    /// Gives a record of a scan twice, and another not at all.
    RepeatsInScan,
    /// Starts a scan at the record after the first.
    StartsScanLate,
    /// Miscounts a scan.
    Miscounts,
    /// Forgets one key of a multiget.
    ForgetsKey,
    /// Says that a field is updated, of a key that it does not find.
    LosesFields,
    /// Says that every other transaction is done, and has done nothing.
    LosesUpdates,
    /// Reads from a snapshot what is there now.
    RenewsSnapshots,
    /// Fails.
    Fails,
    /// Panics.
    Panics,
}

pub(crate) struct Faulty {
    pub(crate) map: MapStore,
    pub(crate) fault: Fault,
}

pub(crate) struct FaultySession<'s> {
    map: MapSession<'s>,
    fault: Fault,
    calls: u64,
}

impl Store for Faulty {
    type Session<'s> = FaultySession<'s>;

    fn session(&self, durability: Durability) -> FaultySession<'_> {
        FaultySession { map: self.map.session(durability), fault: self.fault, calls: 0 }
    }

    fn description(&self) -> Description {
        self.map.description()
    }

    fn counters(&self) -> Counters {
        self.map.counters()
    }

    fn sync(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl FaultySession<'_> {
    fn call(&mut self) -> Result<bool, BoxError> {
        self.calls += 1;
        match self.fault {
            Fault::Fails if self.calls > 3 => Err("out of order".into()),
            Fault::Panics if self.calls > 3 => panic!("told to"),
            _ => Ok(self.calls.is_multiple_of(2)),
        }
    }
}

impl Session for FaultySession<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let even = self.call()?;
        let found = self.map.get(key, out)?;
        match self.fault {
            Fault::Misses => return Ok(found && even),
            Fault::MixesUp if found => return self.map.get(&records::key(self.calls % RECORDS), out),
            Fault::CutsOff => out.truncate(out.len().saturating_sub(1)),
            Fault::Invents => return Ok(true),
            _ => {}
        }
        Ok(found)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), BoxError> {
        self.call()?;
        if self.fault == Fault::LosesPuts { Ok(()) } else { self.map.put(key, value) }
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), BoxError> {
        self.map.delete(key)
    }

    fn write_batch(&mut self, records: &[(&[u8], &[u8])]) -> Result<(), BoxError> {
        self.call()?;
        if self.fault == Fault::LosesPuts { Ok(()) } else { self.map.write_batch(records) }
    }

    fn scan(
        &mut self,
        from: Option<&[u8]>,
        limit: u64,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, BoxError> {
        self.call()?;
        let mut records = Vec::new();
        let ask = limit.saturating_add(1);
        self.map.scan(from, ask, reverse, &mut |key, value| records.push((key.to_vec(), value.to_vec())))?;
        let middle = records.len() / 2;
        match self.fault {
            // One more was asked for, so the count is right: only a gap, which a bounded scan cannot see.
            Fault::SkipsInScan if limit == u64::MAX => drop(records.remove(middle)),
            Fault::EndsScanEarly => records.truncate((limit.min(records.len() as u64) - 1) as usize),
            Fault::RepeatsInScan if middle > 0 => records[middle] = records[middle - 1].clone(),
            Fault::StartsScanLate => drop(records.remove(0)),
            Fault::MixesUp if middle > 0 => records[middle].1 = records[middle - 1].1.clone(),
            Fault::CutsOff => drop(records[0].1.pop()),
            _ => {}
        }
        records.truncate(limit.min(1 << 40) as usize);
        records.iter().for_each(|(key, value)| visit(key, value));
        let count = records.len() as u64;
        Ok(if self.fault == Fault::Miscounts { count + 1 } else { count })
    }

    fn multi_get(
        &mut self,
        keys: &[&[u8]],
        visit: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BoxError> {
        let mut out = Vec::new();
        let forgotten = usize::from(self.fault == Fault::ForgetsKey);
        for (place, key) in keys.iter().enumerate().skip(forgotten) {
            let found = self.get(key, &mut out)?;
            visit(place, found.then_some(&out[..]));
        }
        Ok(())
    }

    fn update_field(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<bool, BoxError> {
        self.call()?;
        if self.fault == Fault::LosesFields { Ok(false) } else { self.map.update_field(key, offset, bytes) }
    }

    fn read_modify_write(
        &mut self,
        isolation: Isolation,
        keys: &[&[u8]],
        change: &mut Change<'_>,
    ) -> Result<u64, BoxError> {
        let even = self.call()?;
        match self.fault {
            Fault::LosesUpdates if even => {
                for (place, key) in keys.iter().enumerate() {
                    let mut value = Vec::new();
                    self.map.get(key, &mut value)?;
                    change(place, &mut value);
                }
                Ok(0)
            }
            Fault::Misses => {
                self.map.read_modify_write(isolation, keys, &mut |place, _| change(place, &mut Vec::new()))
            }
            Fault::MixesUp => self.map.read_modify_write(isolation, keys, &mut |place, value| {
                change((place + 1) % keys.len(), value)
            }),
            _ => self.map.read_modify_write(isolation, keys, change),
        }
    }

    fn hold_snapshot(&mut self) -> Result<(), BoxError> {
        self.call()?;
        self.map.hold_snapshot()
    }

    fn get_held(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, BoxError> {
        let even = self.call()?;
        let found = if self.fault == Fault::RenewsSnapshots {
            self.map.get(key, out)
        } else {
            self.map.get_held(key, out)
        }?;
        match self.fault {
            Fault::Misses => return Ok(found && even),
            Fault::MixesUp if found => return self.map.get_held(&records::key(self.calls % RECORDS), out),
            Fault::CutsOff => out.truncate(out.len().saturating_sub(1)),
            _ => {}
        }
        Ok(found)
    }
}

fn spec(workload: Workload) -> Spec {
    Spec { records: RECORDS, ops: Some(RECORDS), threads: 2, ..Spec::new(workload) }
}

/// Runs a workload on a well-loaded store with a fault, and gives the message.
#[track_caller]
fn found_out(workload: Workload, fault: Fault) -> String {
    let map = MapStore::new();
    if workload.needs_records() {
        load(&map, &spec(workload), &|_, _| {}).unwrap();
    }
    match run(&Faulty { map, fault }, &spec(workload), &|_, _| {}) {
        Ok(_) => panic!("{workload} did not notice {fault:?}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn each(fault: Fault, workloads: &[Workload], message: &str) {
    for &workload in workloads {
        let found = found_out(workload, fault);
        assert!(found.contains(message), "{workload}, {fault:?}: {found}");
    }
}

use Workload::*;

const WRITE_NEW: [Workload; 4] = [Load, FillSeq, FillRandom, FillSync];
const READ: [Workload; 9] =
    [Get, MultiGet, YcsbA, YcsbB, YcsbC, YcsbD, YcsbF, GetWhileWriting, SnapshotWhileWriting];
const CHANGE: [Workload; 3] = [Rmw, RmwZipf, RmwHot];
const SCAN: [Workload; 4] = [Scan100, YcsbE, FullScan, Reverse];

#[test]
fn lost_writes_are_found_out() {
    each(Fault::LosesPuts, &WRITE_NEW, "is not there");
    each(Fault::LosesPuts, &[YcsbD, YcsbE], "is not there");
    each(Fault::LosesFields, &[UpdateField], "is not there");
    each(Fault::LosesUpdates, &CHANGE, "1000 transactions made 4000 updates, and the records count 2000");
}

#[test]
fn wrong_reads_are_found_out() {
    each(Fault::Misses, &READ, "is not there");
    each(Fault::MixesUp, &READ, "belongs to another key");
    each(Fault::Misses, &CHANGE, "is not there");
    each(Fault::MixesUp, &CHANGE, "belongs to another key");
    each(Fault::CutsOff, &READ, "has 99 bytes, and all have 100");
    each(Fault::Invents, &[GetMiss], "was never written");
    each(Fault::ForgetsKey, &[MultiGet], "visited 31 of them");
}

#[test]
fn wrong_scans_are_found_out() {
    each(Fault::EndsScanEarly, &[Scan100, YcsbE], "at least");
    each(Fault::EndsScanEarly, &[FullScan, Reverse], "records that are not the first 1000");
    each(Fault::SkipsInScan, &[FullScan, Reverse], "records that are not the first 1000");
    each(Fault::RepeatsInScan, &SCAN, "out of order");
    each(Fault::StartsScanLate, &[Scan100, YcsbE], "out of order");
    each(Fault::StartsScanLate, &[FullScan, Reverse], "records that are not the first 1000");
    each(Fault::MixesUp, &SCAN, "belongs to another key");
    each(Fault::CutsOff, &SCAN, "has 99 bytes, and all have 100");
    each(Fault::Miscounts, &SCAN, "and visited");
}

#[test]
fn failures_and_panics_end_the_run() {
    let all: Vec<Workload> =
        Workload::ALL.into_iter().filter(|workload| workload.runs_on_a_store()).collect();
    let calls_often: Vec<Workload> =
        all.into_iter().filter(|workload| !matches!(workload, Load | FullScan | Reverse)).collect();
    each(Fault::Fails, &calls_often, "failed: out of order");
    each(Fault::Panics, &[Get, FillRandom, Scan100], "panicked");
}

#[test]
fn an_empty_store_is_not_mistaken_for_a_loaded_one() {
    for workload in Workload::ALL.into_iter().filter(|workload| workload.needs_records()) {
        // Writers beside it would fill it.
        let result = run(&MapStore::new(), &Spec { writers: 0, ..spec(workload) }, &|_, _| {});
        match workload {
            // It can write where nothing was, and misses are what it looks for.
            Overwrite | GetMiss => assert!(result.is_ok(), "{workload}"),
            _ => assert!(result.unwrap_err().to_string().contains("wrong answer"), "{workload}"),
        }
    }
}

#[test]
fn another_value_size_is_named() {
    let map = MapStore::new();
    load(&map, &spec(Get), &|_, _| {}).unwrap();
    let message = run(&map, &Spec { value_bytes: 50, ..spec(Get) }, &|_, _| {}).unwrap_err().to_string();
    assert!(message.contains("has 100 bytes, and all have 50"), "{message}");
    assert!(message.ends_with("was it loaded with the same --records and --value?"), "{message}");
}

//! A check of an engine's [`Session`]: that it does what the trait says, before anything is measured.
//!
//! 1. It uses an empty store and leaves an empty one.

use crate::operations::{store, wrong};
use crate::{Durability, Error, Isolation, Session, Store};
use std::thread;

/// Checks an empty store against what [`Session`] says, at every durability.
///
/// For the tests of whoever implements [`Store`].
///
/// # Errors
/// [`Error::Wrong`] with what was asked and what came; [`Error::Store`] when the store fails.
pub fn check<S: Store>(target: &S) -> Result<(), Error> {
    for durability in [Durability::Eventual, Durability::Process, Durability::Power] {
        let mut session = target.session(durability);
        writes(&mut session)?;
        scans(&mut session)?;
        fields(&mut session)?;
        for isolation in [Isolation::Snapshot, Isolation::Serializable] {
            transactions(&mut session, isolation)?;
        }
        snapshots(target, &mut session, durability)?;
        for number in 0..10u8 {
            session.delete(&[number]).map_err(store("a delete"))?;
        }
        expect(
            "what is left after all deletes",
            &visited(&mut session, None, u64::MAX, false)?,
            &Vec::new(),
        )?;
        target.sync().map_err(store("a sync"))?;
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, due: &T) -> Result<(), Error> {
    if found == due { Ok(()) } else { Err(wrong(format!("{what}: {found:?} came and {due:?} was due"))) }
}

fn read(session: &mut impl Session, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    // Whatever is in the buffer must go.
    let mut out = b"old".to_vec();
    let found = session.get(key, &mut out).map_err(store("a get"))?;
    Ok(found.then_some(out))
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn visited(
    session: &mut impl Session,
    from: Option<&[u8]>,
    limit: u64,
    reverse: bool,
) -> Result<Pairs, Error> {
    let mut pairs = Pairs::new();
    let count = session
        .scan(from, limit, reverse, &mut |key, value| pairs.push((key.to_vec(), value.to_vec())))
        .map_err(store("a scan"))?;
    expect("a scan's count against its visits", &count, &(pairs.len() as u64))?;
    Ok(pairs)
}

/// Leaves keys 0 to 9, each with a value of as many bytes more than one.
fn writes(session: &mut impl Session) -> Result<(), Error> {
    expect("a get from an empty store", &read(session, &[1])?, &None)?;
    session.put(&[1], b"first").map_err(store("a put"))?;
    expect("a get of what was put", &read(session, &[1])?, &Some(b"first".to_vec()))?;
    session.put(&[1], b"again").map_err(store("a put"))?;
    expect("a get of what was put twice", &read(session, &[1])?, &Some(b"again".to_vec()))?;
    session.delete(&[1]).map_err(store("a delete"))?;
    expect("a get of what was deleted", &read(session, &[1])?, &None)?;
    session.delete(&[1]).map_err(store("a delete of an absent key"))?;

    let pairs: Pairs = (0..10).map(ten).collect();
    // In any order.
    let batch: Vec<(&[u8], &[u8])> = pairs.iter().rev().map(|(key, value)| (&key[..], &value[..])).collect();
    session.write_batch(&batch).map_err(store("a batch of writes"))?;
    for (key, value) in &pairs {
        expect("a get of what a batch wrote", &read(session, key)?, &Some(value.clone()))?;
    }
    let mut found: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
    session
        .multi_get(&[&[3], &[77], &[0]], &mut |place, value| found.push((place, value.map(<[u8]>::to_vec))))
        .map_err(store("a multiget"))?;
    found.sort();
    let due = vec![(0, Some(ten(3).1)), (1, None), (2, Some(ten(0).1))];
    expect("a multiget of a key, an absent key, a key", &found, &due)
}

fn ten(number: u8) -> (Vec<u8>, Vec<u8>) {
    (vec![number], vec![number; 1 + usize::from(number)])
}

fn scans(session: &mut impl Session) -> Result<(), Error> {
    let forward: Pairs = (0..10).map(ten).collect();
    let backward: Pairs = (0..10).rev().map(ten).collect();
    expect("a scan of all", &visited(session, None, u64::MAX, false)?, &forward)?;
    expect("a scan of all backwards", &visited(session, None, u64::MAX, true)?, &backward)?;
    expect("a scan of 3 from 4", &visited(session, Some(&[4]), 3, false)?, &forward[4..7].to_vec())?;
    expect("a scan of 3 back from 4", &visited(session, Some(&[4]), 3, true)?, &backward[5..8].to_vec())?;
    expect("a scan from between", &visited(session, Some(&[4, 0]), 2, false)?, &forward[5..7].to_vec())?;
    expect("a scan back from between", &visited(session, Some(&[4, 0]), 2, true)?, &backward[5..7].to_vec())?;
    expect("a scan from beyond", &visited(session, Some(&[10]), 2, false)?, &Vec::new())?;
    expect("a scan back from beyond", &visited(session, Some(&[10]), 1, true)?, &backward[..1].to_vec())?;
    expect("a scan of none", &visited(session, None, 0, false)?, &Vec::new())
}

fn fields(session: &mut impl Session) -> Result<(), Error> {
    let mut update = |key: u8, offset: usize, field: &[u8]| {
        session.update_field(&[key], offset, field).map_err(store("an update of a field"))
    };
    expect("an update inside a value", &update(9, 4, b"abc")?, &true)?;
    expect("an update at a value's end", &update(8, 8, b"z")?, &true)?;
    expect("an update beyond a value's end", &update(7, 7, b"zz")?, &false)?;
    expect("an update of an absent key", &update(77, 0, b"z")?, &false)?;
    let nine = b"\x09\x09\x09\x09abc\x09\x09\x09".to_vec();
    expect("a get of an updated value", &read(session, &[9])?, &Some(nine))?;
    let eight = b"\x08\x08\x08\x08\x08\x08\x08\x08z".to_vec();
    expect("a get of a value updated at its end", &read(session, &[8])?, &Some(eight))?;
    expect("a get of a value not updated", &read(session, &[7])?, &Some(ten(7).1))
}

/// A transaction reads what was there and leaves what it made of it.
fn transactions(session: &mut impl Session, isolation: Isolation) -> Result<(), Error> {
    let mut seen: Vec<(usize, Vec<u8>)> = Vec::new();
    let first = if isolation == Isolation::Serializable { 20 } else { 10 };
    let mut change = |place: usize, value: &mut Vec<u8>| {
        seen.push((place, value.clone()));
        value.clear();
        value.push(first + place as u8);
    };
    let before = [read(session, &[6])?.unwrap_or_default(), read(session, &[2])?.unwrap_or_default()];
    let retries =
        session.read_modify_write(isolation, &[&[6], &[2]], &mut change).map_err(store("a transaction"))?;
    expect("retries of a transaction beside none", &retries, &0)?;
    let [six, two] = before;
    expect("what a transaction read", &seen, &vec![(0, six), (1, two)])?;
    expect("a get of what a transaction wrote first", &read(session, &[6])?, &Some(vec![first]))?;
    expect("a get of what a transaction wrote last", &read(session, &[2])?, &Some(vec![first + 1]))
}

/// A snapshot stays as it is while another thread writes.
fn snapshots<S: Store>(
    target: &S,
    session: &mut S::Session<'_>,
    durability: Durability,
) -> Result<(), Error> {
    let before = read(session, &[3])?;
    let mut held = |key: u8, renew: bool| {
        if renew {
            session.hold_snapshot().map_err(store("a snapshot"))?;
        }
        let mut out = b"old".to_vec();
        let found = session.get_held(&[key], &mut out).map_err(store("a get from a snapshot"))?;
        Ok::<_, Error>(found.then_some(out))
    };
    expect("a get from a snapshot", &held(3, true)?, &before)?;
    let put = || target.session(durability).put(&[3], b"changed");
    let written = thread::scope(|scope| scope.spawn(put).join());
    written.unwrap_or_else(|_| Err("it panicked".into())).map_err(store("a put beside a snapshot"))?;
    expect("a get from a snapshot that has become old", &held(3, false)?, &before)?;
    expect("a get of an absent key from a snapshot", &held(77, false)?, &None)?;
    expect("a get from a new snapshot", &held(3, true)?, &Some(b"changed".to_vec()))?;
    session.release_snapshot();
    Ok(())
}

#[cfg(test)]
mod tests;

//! Tests of `ring`.

use super::Ring;
use aquifer_codec::varint;
use proptest::prelude::*;

/// A record as it lies in the log.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::put(&mut bytes, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

fn append(ring: &Ring, payload: &[u8]) -> Option<u64> {
    let bytes = framed(payload);
    let start = ring.reserve(bytes.len() as u64)?;
    ring.write(start, &bytes);
    ring.publish(start);
    Some(start)
}

fn take(ring: &Ring, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = vec![0xEE; (to - from) as usize];
    ring.take(from, &mut bytes);
    bytes
}

fn is_clear(ring: &Ring) -> bool {
    use aquifer_sync::atomic::Ordering::Relaxed;
    ring.words.iter().chain(&ring.marks).all(|word| word.load(Relaxed) == 0)
}

#[test]
fn a_gap_hides_what_is_behind_it() {
    let ring = Ring::new(64, 1000);
    let first = ring.reserve(3).unwrap();
    append(&ring, &[7; 4]).unwrap();
    assert_eq!(ring.scan(1000), 1000);
    ring.write(first, &framed(&[1, 2]));
    ring.publish(first);
    assert_eq!(ring.scan(1000), 1008);
    assert_eq!(take(&ring, 1000, 1008), [2, 1, 2, 4, 7, 7, 7, 7]);
    assert!(is_clear(&ring), "RI3");
}

#[test]
fn a_full_ring_refuses_and_goes_round() {
    let ring = Ring::new(64, 0);
    for _ in 0..4 {
        append(&ring, &[9; 15]).unwrap();
    }
    assert_eq!(append(&ring, &[1]), None);
    // The mark of the first record must not be taken for one of the next lap.
    assert_eq!(ring.scan(0), 64);
    assert_eq!(ring.scan(64), 64);
    take(&ring, 0, 16);
    assert!(ring.has_room(16) && !ring.is_large(16));
    assert_eq!(append(&ring, &[8; 15]), Some(64));
    assert_eq!(ring.scan(64), 80);
}

#[test]
fn a_large_record_is_admitted_where_any_room_is() {
    let ring = Ring::new(64, 0);
    assert!(ring.is_large(17));
    append(&ring, &[1; 10]).unwrap();
    assert_eq!(ring.reserve(1000), Some(11));
    assert_eq!(ring.reserve(1), None);
    assert_eq!(ring.reserve(1000), None, "one at a time");
}

#[test]
fn a_sealed_ring_refuses_everything() {
    let ring = Ring::new(64, 5);
    append(&ring, &[1]).unwrap();
    ring.seal();
    assert_eq!((ring.reserve(1), ring.reserve(1000)), (None, None));
    assert!(ring.is_sealed() && !ring.has_room(1));
    assert_eq!(ring.next(), 7);
    assert_eq!(ring.scan(5), 7);
}

proptest! {
    /// Appending, publishing out of order and taking any number of bytes gives the bytes in order.
    #[test]
    fn bytes_come_out_as_they_went_in(
        start in 0u64..200,
        steps in prop::collection::vec((0usize..30, any::<bool>(), 0usize..80), 1..200),
    ) {
        let ring = Ring::new(128, start);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let mut held: Vec<u64> = Vec::new();
        let (mut collected, mut frontier) = (start, start);
        for (index, (len, publish_now, taken)) in steps.into_iter().enumerate() {
            let bytes = framed(&vec![index as u8; len]);
            if let Some(place) = (bytes.len() <= 32).then(|| ring.reserve(bytes.len() as u64)).flatten() {
                ring.write(place, &bytes);
                expected.extend_from_slice(&bytes);
                held.push(place);
            }
            if publish_now {
                held.reverse();
                held.drain(..).for_each(|place| ring.publish(place));
            }
            frontier = ring.scan(frontier);
            let end = frontier.min(collected + taken as u64);
            found.extend(take(&ring, collected, end));
            collected = end;
        }
        held.into_iter().for_each(|place| ring.publish(place));
        frontier = ring.scan(frontier);
        prop_assert_eq!(frontier, ring.next());
        found.extend(take(&ring, collected, frontier));
        prop_assert_eq!(found, expected);
        prop_assert!(is_clear(&ring));
    }
}

//! Keys of every type.
//!
//! ```text
//! input:  type u8 | length of the first half u16 | first half | second half
//! ```

use super::samples::{self, Sample, TYPES, with_type};
use super::{Seeds, Target};
use crate::source::Source;
use aquifer_codec::Key;
use std::cmp::Ordering;

/// Bytes that decode are exactly what encoding writes (rule 3 of the codec); a value that is encoded decodes to itself;
/// encodings compare as values do (rule 1); no inner encoding is a proper prefix of another, and what follows it is
/// left alone (rule 2).
pub const TARGET: Target = Target { name: "key_codec", run, input_bytes_max: 512, seeds };

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let number = source.below(TYPES);
    with_type!(number, check, source)
}

fn check<K: Key<Owned = K> + Sample>(mut source: Source<'_>) {
    let first = source.piece();
    let second = source.rest();
    let decoded = [decode::<K>(first), decode::<K>(second)];
    if let [Some(a), Some(b)] = &decoded {
        assert_eq!(a.order(b), first.cmp(second), "rule 1: {first:02x?} and {second:02x?}");
    }
    let mut rest = first;
    if let Ok(value) = K::decode_inner(&mut rest) {
        assert_eq!([&inner(&value), rest].concat(), first, "rule 3, inner");
    }
    let (a, b) = (K::sample(&mut Source::new(first)), K::sample(&mut Source::new(second)));
    for value in [&a, &b] {
        let back = decode::<K>(&encode(value)).expect("what was encoded");
        assert!(back.same(value), "{:02x?}", encode(value));
        let followed = [&inner(value), second].concat();
        let mut rest = &followed[..];
        assert!(K::decode_inner(&mut rest).expect("what was encoded").same(value));
        assert_eq!(rest, second, "rule 2");
    }
    assert_eq!(a.order(&b), encode(&a).cmp(&encode(&b)), "rule 1");
    let (a_inner, b_inner) = (inner(&a), inner(&b));
    assert_eq!(a.order(&b), a_inner.cmp(&b_inner), "rule 1, inner");
    let prefix = a_inner.starts_with(&b_inner) || b_inner.starts_with(&a_inner);
    assert!(!prefix || a.order(&b) == Ordering::Equal, "rule 2");
}

fn decode<K: Key<Owned = K>>(bytes: &[u8]) -> Option<K> {
    let value = K::decode(bytes).ok()?;
    assert_eq!(encode(&value), bytes, "rule 3");
    Some(value)
}

fn encode<K: Key>(value: &K) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn inner<K: Key>(value: &K) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode_inner(&mut out);
    out
}

fn seeds() -> Seeds {
    samples::seeds(0)
}

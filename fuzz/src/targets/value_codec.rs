//! Values of every type, and of two that serde writes.
//!
//! ```text
//! input:  type u8 | length of the first half u16 | first half | second half
//! ```

use super::samples::{self, Sample, TYPES, with_type};
use super::{Seeds, Target};
use crate::source::Source;
use aquifer_codec::{Serde, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes that decode are exactly what encoding writes; a value that is encoded decodes to itself, and an inner one leaves
/// alone what follows it. Types of serde's: what is encoded decodes to itself, and arbitrary bytes give a value
/// that does so too, or an error.
pub const TARGET: Target = Target { name: "value_codec", run, input_bytes_max: 512, seeds };

/// Types beyond those of `with_type`.
const SERDE_TYPES: usize = 2;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
    age: u32,
    nicknames: Vec<String>,
    parent: Option<Box<Person>>,
    marks: BTreeMap<u8, (i64, char)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle(u16),
    Box { width: i32, height: i32, label: Option<String> },
    Several(Vec<Shape>),
}

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    match source.below(TYPES + SERDE_TYPES) {
        TYPES => check_serde::<Person>(source),
        number if number > TYPES => check_serde::<Shape>(source),
        number => with_type!(number, check, source),
    }
}

fn check<V: Value<Owned = V> + Sample>(mut source: Source<'_>) {
    let first = source.piece();
    let second = source.rest();
    if let Ok(value) = V::decode(first) {
        assert_eq!(encode(&value), first, "rule 1");
    }
    let mut rest = first;
    if let Ok(value) = V::decode_inner(&mut rest) {
        assert_eq!([&inner(&value), rest].concat(), first, "rule 1, inner");
    }
    let value = V::sample(&mut Source::new(first));
    assert!(V::decode(&encode(&value)).expect("what was encoded").same(&value));
    let followed = [&inner(&value), second].concat();
    let mut rest = &followed[..];
    assert!(V::decode_inner(&mut rest).expect("what was encoded").same(&value));
    assert_eq!(rest, second, "rule 2");
}

fn check_serde<T>(mut source: Source<'_>)
where
    T: std::fmt::Debug + PartialEq + Serialize + for<'de> Deserialize<'de>,
{
    let bytes = source.rest();
    let Ok(value) = Serde::<T>::decode(bytes) else { return };
    let value = Serde(value);
    let encoded = encode(&value);
    assert!(encoded.len() <= bytes.len(), "the shortest form");
    assert_eq!(Serde::<T>::decode(&encoded).as_ref(), Ok(&value.0));
    let mut followed = inner(&value);
    followed.extend_from_slice(b"behind");
    let mut rest = &followed[..];
    assert_eq!(Serde::<T>::decode_inner(&mut rest).as_ref(), Ok(&value.0));
    assert_eq!(rest, b"behind");
}

fn encode<V: Value>(value: &V) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out).expect("basic types never refuse");
    out
}

fn inner<V: Value>(value: &V) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode_inner(&mut out).expect("basic types never refuse");
    out
}

fn seeds() -> Seeds {
    let mut seeds = samples::seeds(0);
    let parent = Person {
        name: "Ada".into(),
        age: 36,
        nicknames: vec![String::new(), "A".into()],
        parent: None,
        marks: BTreeMap::from([(3, (-5, 'x'))]),
    };
    let child = Person {
        name: "Bo".into(),
        age: 1,
        nicknames: Vec::new(),
        parent: Some(Box::new(parent)),
        marks: BTreeMap::new(),
    };
    let boxed = Shape::Box { width: -1, height: 70_000, label: Some("box".into()) };
    let several = Shape::Several(vec![Shape::Nothing, Shape::Circle(9), boxed, Shape::Several(Vec::new())]);
    for (name, number, bytes) in
        [("person", TYPES, encode(&Serde(child))), ("shape", TYPES + 1, encode(&Serde(several)))]
    {
        seeds.push((name.into(), [&[number as u8][..], &bytes].concat()));
    }
    seeds
}

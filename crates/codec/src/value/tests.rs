//! Golden bytes of every type, round trips, refusals.

use std::fmt::Debug;

use proptest::prelude::*;

use super::Value;
use crate::{DecodeError, EncodeError};

fn encoded<V: Value + ?Sized>(value: &V) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out).expect("the basic types never refuse");
    out
}

/// Literal bytes, and the way back.
#[track_caller]
fn golden<V: Value + ?Sized>(value: &V, bytes: &[u8])
where
    V::Owned: Value + Debug,
{
    assert_eq!(encoded(value), bytes);
    let back = V::decode(bytes).expect("golden bytes decode");
    assert_eq!(encoded(&back), bytes, "{back:?}");
}

#[test]
fn golden_fixed() {
    golden(&0x12u8, &[0x12]);
    golden(&0x1234u16, &[0x34, 0x12]);
    golden(&0x1234_5678u32, &[0x78, 0x56, 0x34, 0x12]);
    golden(&1u64, &[1, 0, 0, 0, 0, 0, 0, 0]);
    golden(&1u128, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    golden(&-1i8, &[0xFF]);
    golden(&-2i16, &[0xFE, 0xFF]);
    golden(&i32::MIN, &[0, 0, 0, 0x80]);
    golden(&-1i64, &[0xFF; 8]);
    golden(&-1i128, &[0xFF; 16]);
    golden(&1.0f32, &[0, 0, 0x80, 0x3F]);
    golden(&-1.0f64, &[0, 0, 0, 0, 0, 0, 0xF0, 0xBF]);
    golden(&true, &[1]);
    golden(&false, &[0]);
    golden(&'é', &[0xE9, 0, 0, 0]);
    golden(&(), &[]);
}

#[test]
fn golden_text_and_compound() {
    golden("a\0b", b"a\0b");
    golden(&"ab".to_string(), b"ab");
    golden(&b"\0\xFF"[..], b"\0\xFF");
    golden(&vec![1u8, 2], &[1, 2]);
    golden(&None::<u16>, &[0]);
    golden(&Some(258u16), &[1, 2, 1]);
    golden(&Some("ab"), b"\x01\x02ab");
    golden(&[1u16, 2], &[1, 0, 2, 0]);
    golden(&[7u8, 8], &[7, 8]);
    golden(&["a", ""], b"\x01a\x00");
    golden(&("ab", "cd"), b"\x02abcd");
    golden(&("a", ("b", "c")), b"\x01a\x01bc");
    golden(&(("a", "b"), "c"), b"\x01a\x01bc");
    golden(&("ab",), b"ab");
    golden(&(1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, "8"), &[1, 2, 3, 4, 5, 6, 7, b'8']);
    let long = [&[0xC8, 0x01][..], &[b'x'; 200], &[9]].concat();
    golden(&("x".repeat(200), 9u8), &long);
}

#[test]
fn names_are_those_of_the_keys() {
    use crate::Key;
    assert_eq!(<(u32, [Option<&str>; 2]) as Value>::type_name(), "(u32, [option<str>; 2])");
    assert_eq!(<(f64,) as Value>::type_name(), <(f64,) as Key>::type_name());
    assert_eq!(<Vec<u8> as Value>::type_name(), <[u8] as Key>::type_name());
    assert_eq!(<((), bool, char) as Value>::type_name(), <((), bool, char) as Key>::type_name());
}

#[track_caller]
fn refused<V: Value + ?Sized>(bytes: &[u8], message: &str)
where
    V::Owned: Debug,
{
    let error = V::decode(bytes).expect_err("these bytes are no value");
    let what = "; open the table with the type it was written with";
    assert_eq!(error.to_string(), format!("{message}{what}"));
}

#[test]
fn what_encoding_never_writes_is_refused() {
    refused::<u32>(&[1, 2, 3], "a `u32` needs 4 bytes but 3 are there");
    refused::<u32>(&[1, 2, 3, 4, 5], "1 bytes follow a complete `u32`");
    refused::<bool>(&[2], "these bytes are no `bool`: byte 0x02 is neither 0 nor 1");
    refused::<char>(&[0, 0xD8, 0, 0], "these bytes are no `char`: 0xd800 is no Unicode scalar value");
    refused::<str>(b"\xFF", "these bytes are no `str`: invalid utf-8 sequence of 1 bytes from index 0");
    refused::<Option<u8>>(
        &[7, 0],
        "these bytes are no `option<u8>`: its first byte is 0x07, neither 0 nor 1",
    );
    refused::<(String, u8)>(&[], "a `str` needs 1 bytes but 0 are there");
    refused::<(String, u8)>(&[0x80], "a `str` needs 2 bytes but 1 are there");
    refused::<(String, u8)>(&[3, b'a'], "a `str` needs 3 bytes but 1 are there");
    refused::<(String, u8)>(&[0x80, 0, 1], "these bytes are no `str`: its length is not a valid varint");
    // A length of nearly 2^64 takes no memory.
    refused::<(Vec<u8>, u8)>(
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0],
        &format!("a `bytes` needs {} bytes but 1 are there", u64::MAX),
    );
}

type Everything = (
    (u8, i16, u32, i64, u128, bool, char, ()),
    Option<String>,
    [Vec<u8>; 2],
    (Option<Option<i8>>, Vec<u8>),
    [u8; 3],
    (String,),
    Plain,
    String,
);

/// A program's own type that overrides nothing, and can be told to refuse.
#[derive(Debug, Clone, PartialEq)]
struct Plain(Option<Vec<u8>>);

impl Value for Plain {
    type Owned = Plain;

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match &self.0 {
            Some(bytes) => bytes.encode(out),
            None => Err(EncodeError { type_name: Plain::type_name(), reason: "told to".into() }),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Plain, DecodeError> {
        Ok(Plain(Some(bytes.to_vec())))
    }

    fn type_name() -> String {
        "plain".into()
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #[test]
    fn round_trip(
        fixed in any::<(u8, i16, u32, i64, u128, bool, char, ())>(),
        maybe in any::<Option<String>>(),
        arrays in prop::array::uniform2(bytes()),
        nested in (any::<Option<Option<i8>>>(), bytes()),
        array in any::<[u8; 3]>(),
        one in any::<String>(),
        plain in bytes(),
        last in any::<String>(),
    ) {
        let value: Everything = (fixed, maybe, arrays, nested, array, (one,), Plain(Some(plain)), last);
        prop_assert_eq!(Everything::decode(&encoded(&value)), Ok(value.clone()));

        let mut inner = Vec::new();
        value.encode_inner(&mut inner).expect("nothing refuses");
        inner.extend_from_slice(b"tail");
        let mut rest = &inner[..];
        prop_assert_eq!(Everything::decode_inner(&mut rest), Ok(value));
        prop_assert_eq!(rest, b"tail");
    }

    #[test]
    fn floats_keep_their_bits(single: u32, double: u64) {
        let (single, double) = (f32::from_bits(single), f64::from_bits(double));
        let (a, b) = <(f32, f64)>::decode(&encoded(&(single, double))).expect("all bits are floats");
        prop_assert_eq!((a.to_bits(), b.to_bits()), (single.to_bits(), double.to_bits()));
    }

    #[test]
    fn any_bytes_decode_to_what_encodes_to_them_or_to_an_error(
        bytes in prop::collection::vec(0u8..4, 0..12)
    ) {
        if let Ok(value) = <(Option<bool>, [Vec<u8>; 2], Plain, Option<String>)>::decode(&bytes) {
            prop_assert_eq!(encoded(&value), bytes);
        }
    }
}

#[test]
fn a_refusal_leaves_the_output_as_it_was() {
    #[track_caller]
    fn check(value: impl Value) {
        let mut out = b"before".to_vec();
        assert!(value.encode(&mut out).is_err());
        assert!(value.encode_inner(&mut out).is_err());
        assert_eq!(out, b"before");
    }
    check((1u8, "x", Plain(None)));
    check((1u8, Plain(None), "x"));
    check(Some(Plain(None)));
    check([Plain(Some(vec![1])), Plain(None)]);
}

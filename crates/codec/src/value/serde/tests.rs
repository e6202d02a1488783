//! Golden bytes, names, refusals of serde values.

use std::collections::BTreeMap;

use ::serde::{Deserialize, Serialize, Serializer};

use super::Serde;
use crate::Value;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Person {
    name: String,
    age: Option<u32>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
#[serde(rename = "shape.v1")]
enum Shape {
    Dot,
    Circle { radius: f32 },
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Metres(f64);

fn encoded<V: Value>(value: V) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out).expect("postcard writes these");
    out
}

#[test]
fn golden() {
    let ada = || Person { name: "Ada".into(), age: Some(300) };
    assert_eq!(encoded(Serde(ada())), [3, b'A', b'd', b'a', 1, 0xAC, 0x02]);
    assert_eq!(encoded((Serde(ada()), 9u8)), [7, 3, b'A', b'd', b'a', 1, 0xAC, 0x02, 9]);
    assert_eq!(Serde::<Person>::decode(&[3, b'A', b'd', b'a', 1, 0xAC, 0x02]), Ok(ada()));
    assert_eq!(encoded(Serde(Shape::Circle { radius: 1.0 })), [1, 0, 0, 0x80, 0x3F]);
    assert_eq!(Serde::<Shape>::decode(&[0]), Ok(Shape::Dot));
    let map = BTreeMap::from([("a".to_string(), -1i64)]);
    assert_eq!(encoded(Serde(map.clone())), [1, 1, b'a', 1]);
    assert_eq!(Serde::<BTreeMap<String, i64>>::decode(&[1, 1, b'a', 1]), Ok(map));
}

#[test]
fn names_are_what_the_type_tells_serde() {
    assert_eq!(Serde::<Person>::type_name(), "postcard<Person>");
    assert_eq!(Serde::<Shape>::type_name(), "postcard<shape.v1>");
    assert_eq!(Serde::<Metres>::type_name(), "postcard<Metres>");
    assert_eq!(Serde::<Vec<Person>>::type_name(), "postcard<seq>");
    assert_eq!(Serde::<BTreeMap<u8, u8>>::type_name(), "postcard<map>");
    assert_eq!(Serde::<(u8, u8)>::type_name(), "postcard<tuple>");
    assert_eq!(Serde::<Option<u8>>::type_name(), "postcard<option>");
    assert_eq!(Serde::<u64>::type_name(), "postcard<value>");
}

#[test]
fn wrong_bytes_are_errors_that_name_the_type() {
    for bytes in [&[][..], &[3, b'A'], &[1, 0xFF, 0], &[0, 2], &[0xFF; 12]] {
        let error = Serde::<Person>::decode(bytes).expect_err("no person");
        assert!(error.to_string().contains("`postcard<Person>`"), "{error}");
    }
    let error = Serde::<Person>::decode(&[0, 0, 0]).expect_err("a byte too many");
    assert!(error.to_string().starts_with("1 bytes follow a complete `postcard<Person>`"), "{error}");
    // A sequence that claims 2^32 - 1 items is refused without room for them.
    assert!(Serde::<Vec<u64>>::decode(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]).is_err());
}

#[test]
fn a_type_that_refuses_is_an_error() {
    #[derive(Deserialize, Debug)]
    struct Refuses;

    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // The length is not known beforehand, and Postcard needs it.
            serializer.serialize_seq(None).map(|_| unreachable!())
        }
    }

    let mut out = b"before".to_vec();
    let error = (1u8, Serde(Refuses)).encode(&mut out).expect_err("refused");
    assert_eq!(error.type_name, "postcard<Refuses>");
    assert_eq!(out, b"before");
}

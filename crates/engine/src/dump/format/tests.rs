//! Golden bytes of the format, and readers that take any bytes.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_header_is_frozen() {
    let bytes = Header { page_bytes: 8192, records_estimate: 5 }.encode();
    assert_eq!(bytes[..28], *b"AQUIDUMP\x01\0\0\0\0\x20\0\0\x05\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[28..], crc32c(0, &bytes[..28]).to_le_bytes());
    assert_eq!(Header::decode(&bytes), Ok(Header { page_bytes: 8192, records_estimate: 5 }));
    let mut newer = bytes;
    newer[8] = 2;
    let crc = crc32c(0, &newer[..28]);
    newer[28..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&newer), Err(NotAHeader::Version(2)));
    assert_eq!(Header::decode(&[0; HEADER_BYTES]), Err(NotAHeader::Foreign));
}

#[test]
fn the_chunk_header_is_frozen() {
    let header = ChunkHeader { kind: Kind::Records, len: 300, number: 9, payload_crc: 0x0403_0201 };
    let bytes = header.encode([1, 2, 3, 4]);
    assert_eq!(bytes[..20], *b"\x02\0\0\0\x2c\x01\0\0\x09\0\0\0\0\0\0\0\x01\x02\x03\x04");
    assert_eq!(bytes[20..], crc32c(crc32c(0, &[1, 2, 3, 4]), &bytes[..20]).to_le_bytes());
    assert_eq!(ChunkHeader::decode(&bytes, [1, 2, 3, 4], 9), Ok(header));
    assert!(ChunkHeader::decode(&bytes, [1, 2, 3, 5], 9).is_err());
    assert!(ChunkHeader::decode(&bytes, [1, 2, 3, 4], 10).is_err());
    let long = ChunkHeader { len: PAYLOAD_BYTES_MAX + 1, ..header }.encode([0; 4]);
    assert!(ChunkHeader::decode(&long, [0; 4], 9).is_err());
}

#[test]
fn a_table_is_frozen() {
    let table = Description {
        name: "t".into(),
        kind: IndexKind::Sorted,
        logged: true,
        key_type: "str".into(),
        value_type: "u8".into(),
        lifetime: None,
    };
    let bytes = encode_table(&table);
    assert_eq!(bytes, b"\x01\x01t\x03stru8");
    assert_eq!(decode_table(&bytes), Ok(table.clone()));
    let expiring = Description { lifetime: Some(crate::expiry::Lifetime { ms: 300 }), ..table };
    let bytes = encode_table(&expiring);
    assert_eq!(bytes, b"\x05\x01t\x03str\xac\x02u8");
    assert_eq!(decode_table(&bytes), Ok(expiring));
}

#[test]
fn records_are_frozen() {
    let mut out = Vec::new();
    push_record(&mut out, b"", b"key 1", b"v");
    push_record(&mut out, b"key 1", b"key 22", b"");
    assert_eq!(out, b"\x00\x05key 1\x01v\x04\x0222\x00");
    let (mut rest, mut key) = (&out[..], Vec::new());
    assert_eq!(take_record(&mut rest, &mut key), Ok(&b"v"[..]));
    assert_eq!(take_record(&mut rest, &mut key), Ok(&b""[..]));
    assert_eq!((key.as_slice(), rest), (&b"key 22"[..], &b""[..]));
}

proptest! {
    #[test]
    fn any_bytes_give_records_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
        let (mut rest, mut key) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let before = rest.len();
            if take_record(&mut rest, &mut key).is_err() {
                break;
            }
            prop_assert!(rest.len() < before && key.len() <= bytes.len() * bytes.len());
        }
        let _ = decode_table(&bytes);
        let _ = decode_numbers::<3>(&bytes);
    }
}

//! A log record of the engine. The input is the record.

use super::{Seeds, Target};
use aquifer::fuzzing::{Change, read_record, write_create, write_record};

/// Reading ends with every entry or an error, having allocated no more than the longest key; a record of puts and deletes
/// that was read and is written again reads the same; a patch changes what its parts say and nothing else, or
/// says that it does not fit.
pub const TARGET: Target = Target { name: "log_record", run, input_bytes_max: 8 << 10, seeds };

type Plain = Vec<(u32, Vec<u8>, Option<Vec<u8>>)>;

fn run(input: &[u8]) {
    let mut plain: Option<Plain> = Some(Plain::new());
    let (mut entries, mut last) = (0, 0);
    let read = read_record(input, |table, key, change| {
        entries += 1;
        assert!(entries <= input.len(), "R1: more entries than bytes");
        assert!(table >= last && key.len() <= 64 << 10);
        last = table;
        let value = match change {
            Change::Put(value) => Some(Some(value.to_vec())),
            Change::Delete => Some(None),
            Change::Patch(parts) => {
                check_patch(&parts, input.len());
                None
            }
            Change::RangeDelete(high) => {
                assert!(high.is_none_or(|high| high.len() <= 64 << 10));
                None
            }
            Change::Create(_) | Change::Drop | Change::Attach(..) | Change::Adopt(_) => None,
        };
        match (value, &mut plain) {
            (Some(value), Some(plain)) => plain.push((table, key.to_vec(), value)),
            _ => plain = None,
        }
    });
    let (Ok(()), Some(plain)) = (read, plain) else { return };
    if plain.is_empty() {
        return; // a record of another kind
    }
    let borrowed: Vec<_> =
        plain.iter().map(|(t, key, value)| (*t, key.as_slice(), value.as_deref())).collect();
    let written = write_record(&borrowed);
    assert!(written.len() <= input.len(), "the writer shares all that can be shared");
    let mut again = Plain::new();
    read_record(&written, |table, key, change| match change {
        Change::Put(value) => again.push((table, key.to_vec(), Some(value.to_vec()))),
        Change::Delete => again.push((table, key.to_vec(), None)),
        other => panic!("{other:?}"),
    })
    .expect("written just now");
    assert_eq!(again, plain);
}

fn check_patch(parts: &aquifer::fuzzing::Parts<'_>, input_len: usize) {
    let ranges: Vec<(usize, &[u8])> = parts.ranges().collect();
    assert!(ranges.len() <= input_len);
    let before: Vec<u8> = (0..300u32).map(|n| n as u8 ^ 0x5A).collect();
    let mut value = before.clone();
    if !parts.apply(&mut value) {
        return;
    }
    let mut expected = before;
    for (start, bytes) in ranges {
        expected[start..start + bytes.len()].copy_from_slice(bytes);
    }
    assert_eq!(value, expected, "R3");
}

fn seeds() -> Seeds {
    vec![
        ("put".into(), write_record(&[(1, b"key", Some(b"value"))])),
        ("empty-put".into(), write_record(&[(0, b"", Some(b""))])),
        ("delete".into(), write_record(&[(3, b"key", None)])),
        (
            "batch".into(),
            write_record(&[
                (1, b"apple", Some(b"1")),
                (1, b"apply", None),
                (2, b"", Some(b"nothing")),
                (900, b"zebra", Some(&[7; 200])),
            ]),
        ),
        ("create".into(), write_create(4, "a table")),
        ("patch".into(), b"\x01\x01\x09\x03key\x02\x08\x02ab\x04\x03cde".to_vec()),
        ("two-patches".into(), b"\x01\x02\x09\x03key\x01\x00\x01a\x01\x02\x02xy\x01\x7f\x01b".to_vec()),
        ("drop".into(), b"\x01\x01\x0c\x00".to_vec()),
        ("checkpoint".into(), b"\x02\x81\x01".to_vec()),
        ("aborted".into(), b"\x03\0\0\0".to_vec()),
    ]
}

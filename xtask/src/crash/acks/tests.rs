//! What is told is what is heard.

use super::{Ack, Told};
use crate::crash::script::Level;

#[test]
fn records_come_back() {
    let told = [
        Told::Opened,
        Told::Acknowledged(Ack { writer: 513, level: Level::Power, number: u64::MAX, lsn: 77 }),
        Told::Acknowledged(Ack { writer: 1, level: Level::Eventual, number: 1, lsn: 2 }),
        Told::Acknowledged(Ack { writer: 1, level: Level::Process, number: 2, lsn: 3 }),
        Told::Closed,
    ];
    let bytes: Vec<u8> = told.iter().flat_map(|t| t.encode()).collect();
    let mut from = &bytes[..bytes.len() - 1];
    for expected in &told[..4] {
        assert_eq!(Told::read(&mut from).unwrap(), Some(*expected));
    }
    assert_eq!(Told::read(&mut from).unwrap(), None, "a part of a record is none");
}

#[test]
fn other_bytes_are_refused() {
    assert!(Told::read(&mut [9u8; 24].as_slice()).is_err());
}

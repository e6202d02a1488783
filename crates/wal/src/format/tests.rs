//! Tests of `format`.

use super::*;

const DATABASE_ID: [u8; 16] = *b"0123456789abcdef";

fn segment_header() -> SegmentHeader {
    SegmentHeader {
        database_id: DATABASE_ID,
        incarnation: 0x1122,
        number: 7,
        first_lsn: 0x0102_0304_0506_0708,
        capacity: 1 << 20,
    }
}

fn batch() -> (BatchHeader, BatchPlace, Vec<u8>) {
    let header = BatchHeader {
        len: 3,
        flags: FLAG_CLOSED,
        first_lsn: 1000,
        incarnation: 0x1122,
        durable: 990,
        time_us: 0x00AA_BBCC_DDEE_FF11,
        previous_crc: 0xDEAD_BEEF,
    };
    let place = BatchPlace { database_id: DATABASE_ID, segment: 7, offset: 4096 };
    let mut bytes = vec![0; BLOCK_BYTES];
    bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + 3].copy_from_slice(&[2, b'h', b'i']);
    header.encode(&place, &mut bytes);
    (header, place, bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_a_segment_header_are_frozen() {
    let mut block = vec![0; BLOCK_BYTES];
    segment_header().encode(&mut block);
    let golden = [
        "41515549464c4f47".to_owned(), // magic
        "01000000".to_owned(),         // version
        "00000000".to_owned(),
        hex(&DATABASE_ID),
        "2211000000000000".to_owned(), // incarnation
        "0700000000000000".to_owned(), // number
        "0807060504030201".to_owned(), // first LSN
        "0000100000000000".to_owned(), // capacity
    ]
    .concat();
    assert_eq!(hex(&block[..64]), golden);
    assert_eq!(hex(&block[64..68]), "d2f4b13f");
    assert!(block[68..].iter().all(|&byte| byte == 0));
    assert_eq!(SegmentHeader::decode(&block), FirstBlock::Header(segment_header()));
}

#[test]
fn the_bytes_of_a_batch_are_frozen() {
    let (header, place, bytes) = batch();
    let golden = [
        "41514254",         // magic
        "03000000",         // length
        "01000000",         // flags
        "e803000000000000", // first LSN
        "2211000000000000", // incarnation
        "de03000000000000", // durable
        "11ffeeddccbbaa00", // time
        "efbeadde",         // CRC of the previous batch
        "026869",           // a record
    ]
    .concat();
    assert_eq!(hex(&bytes[4..55]), golden);
    assert_eq!(hex(&bytes[..4]), "d55f3a14");
    assert_eq!(BatchHeader::decode(&bytes, 0x1122), Some(header));
    assert_eq!(header.check(&place, &bytes), Some(u32_at(&bytes, 0)));
    assert_eq!((header.file_bytes(), header.end_lsn()), (4096, 1003));
}

#[test]
fn a_batch_is_valid_in_one_place_only() {
    let (header, place, bytes) = batch();
    for other in [
        BatchPlace { database_id: [0; 16], ..place },
        BatchPlace { segment: 8, ..place },
        BatchPlace { offset: 8192, ..place },
    ] {
        assert_eq!(header.check(&other, &bytes), None, "FO3");
    }
    assert_eq!(BatchHeader::decode(&bytes, 0x1123), None);
}

#[test]
fn impossible_headers_are_refused() {
    let refused = |change: fn(&mut BatchHeader)| {
        let (mut header, _, mut bytes) = batch();
        change(&mut header);
        // Not `encode`: it asserts what is violated here.
        bytes[8..12].copy_from_slice(&header.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&header.flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&header.first_lsn.to_le_bytes());
        bytes[32..40].copy_from_slice(&header.durable.to_le_bytes());
        BatchHeader::decode(&bytes, 0x1122).is_none()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|header| header.len = u32::MAX));
    assert!(refused(|header| header.len = (BATCH_FILE_BYTES_MAX - BATCH_HEADER_BYTES + 1) as u32));
    assert!(refused(|header| header.flags = 2));
    assert!(refused(|header| header.first_lsn = u64::MAX));
    assert!(refused(|header| header.durable = 1001));
    let (_, _, bytes) = batch();
    assert_eq!(BatchHeader::decode(&bytes[..BATCH_HEADER_BYTES - 1], 0x1122), None);
    assert_eq!(SegmentHeader::decode(&[0; 10]), FirstBlock::Nothing);
}

#[test]
fn impossible_segment_headers_are_refused() {
    let refused = |header: SegmentHeader| {
        let mut block = vec![0; BLOCK_BYTES];
        header.encode(&mut block);
        SegmentHeader::decode(&block) == FirstBlock::Nothing
    };
    assert!(!refused(SegmentHeader { first_lsn: 1 << 62, incarnation: 1 << 62, ..segment_header() }));
    assert!(refused(SegmentHeader { first_lsn: (1 << 62) + 1, ..segment_header() }));
    assert!(refused(SegmentHeader { incarnation: (1 << 62) + 1, ..segment_header() }));
    assert!(refused(SegmentHeader { capacity: 4095, ..segment_header() }));
}

#[test]
fn every_byte_of_a_header_counts() {
    let mut block = vec![0; BLOCK_BYTES];
    segment_header().encode(&mut block);
    for offset in 0..SEGMENT_HEADER_BYTES {
        block[offset] ^= 0x10;
        let version = 1 | u32::from(offset == 8) << 4;
        match SegmentHeader::decode(&block) {
            FirstBlock::Newer(_) => assert!((8..12).contains(&offset), "byte {offset}, version {version}"),
            other => assert_eq!(other, FirstBlock::Nothing, "byte {offset}"),
        }
        block[offset] ^= 0x10;
    }
}

#[test]
fn names_are_numbers() {
    assert_eq!(segment_name(12), "0000000012");
    assert_eq!(segment_name(12_345_678_901), "12345678901");
    for number in [0, 12, 9_999_999_999, 10_000_000_000, SEGMENT_NUMBER_MAX] {
        assert_eq!(segment_number(&segment_name(number)), Some(number));
    }
    for name in ["", "new", "12", "00000000012", "+000000012", "000000001x", "99999999999999999999"] {
        assert_eq!(segment_number(name), None, "{name}");
    }
}

//! Tests of `scanner`.

use super::RecordScanner;
use aquifer_codec::varint;
use proptest::prelude::*;

fn stream(lengths: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &len in lengths {
        varint::put(&mut bytes, len as u64);
        bytes.resize(bytes.len() + len, 0xFF);
    }
    bytes
}

#[test]
fn a_cut_record_does_not_count() {
    let bytes = stream(&[3, 300, 0]);
    for (cut, expected) in [(0, 0), (3, 0), (4, 4), (5, 4), (6, 4), (305, 4), (306, 306), (307, 307)] {
        let mut scanner = RecordScanner::new(0);
        scanner.feed(0, &bytes[..cut]).unwrap();
        assert_eq!(scanner.whole_end(), expected, "cut at {cut}");
    }
}

#[test]
fn an_impossible_length_is_an_error_with_its_place() {
    for bad in [&[0x80, 0x00][..], &[0xFF; 10], &[0x81, 0x80, 0x80, 0x80, 0x04]] {
        let mut bytes = stream(&[3]);
        bytes.extend_from_slice(bad);
        let (lsn, what) = RecordScanner::new(100).feed(100, &bytes).unwrap_err();
        assert_eq!(lsn, 104, "{what}");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        lengths in prop::collection::vec(0usize..400, 0..20),
        mut cuts in prop::collection::vec(0usize..4000, 0..20),
        before in 0u64..50,
    ) {
        let mut bytes = vec![0x80; before as usize];
        bytes.extend(stream(&lengths));
        cuts.retain(|&cut| cut <= bytes.len());
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut scanner = RecordScanner::new(1000 + before);
        let mut start = 0;
        for cut in cuts {
            scanner.feed(1000 + start as u64, &bytes[start..cut]).unwrap();
            start = cut;
        }
        prop_assert_eq!(scanner.whole_end(), 1000 + bytes.len() as u64);
    }
}

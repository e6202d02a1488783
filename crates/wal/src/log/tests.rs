//! Tests of `log`.

use super::{framed_bytes, length_field};
use aquifer_codec::varint;

#[test]
fn the_length_field_is_the_codecs_varint() {
    let lengths = (0..40).flat_map(|shift| [1usize << shift, (1 << shift) - 1, (1 << shift) + 1]);
    for len in lengths {
        let mut expected = Vec::new();
        varint::put(&mut expected, len as u64);
        let (field, count) = length_field(len);
        assert_eq!(field[..count], expected, "{len}");
        assert_eq!(framed_bytes(len), (expected.len() + len) as u64);
    }
}

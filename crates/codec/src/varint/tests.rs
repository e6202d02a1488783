//! Golden bytes, refusal of everything but the shortest encoding, round trips.

use proptest::prelude::*;

use super::{LEN_MAX, get, len, put};

fn written(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, value);
    out
}

#[test]
fn golden() {
    for (value, bytes) in [
        (0, &[0x00][..]),
        (1, &[0x01]),
        (127, &[0x7F]),
        (128, &[0x80, 0x01]),
        (300, &[0xAC, 0x02]),
        (16_383, &[0xFF, 0x7F]),
        (16_384, &[0x80, 0x80, 0x01]),
        (u64::from(u32::MAX), &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        (u64::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
    ] {
        assert_eq!(written(value), bytes);
        assert_eq!(get(bytes), Some((value, bytes.len())));
        assert_eq!(len(value), bytes.len());
    }
}

#[test]
fn refuses_what_put_never_writes() {
    for bytes in [
        &[][..],
        &[0x80],                                                             // cut short
        &[0xFF; 9],                                                          // cut short
        &[0x80, 0x00],                                                       // zero, overlong
        &[0xFF, 0x00],                                                       // 127, overlong
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],       // overlong in all ten
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],       // 65 bits
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0x00], // eleven bytes
        &[0xFF; 64],
    ] {
        assert_eq!(get(bytes), None, "{bytes:02x?}");
    }
}

#[test]
fn length_is_right_on_both_sides_of_every_power_of_two() {
    for bit in 0..64 {
        for value in [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1] {
            assert_eq!(len(value), written(value).len(), "{value}");
        }
    }
    assert_eq!(len(u64::MAX), LEN_MAX);
}

proptest! {
    #[test]
    fn round_trip(value: u64, shift in 0u32..64, tail in prop::collection::vec(any::<u8>(), 0..4)) {
        let value = value >> shift;
        let mut bytes = written(value);
        let len = bytes.len();
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(get(&bytes), Some((value, len)));
    }

    #[test]
    fn what_is_read_is_what_would_be_written(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Some((value, len)) = get(&bytes) {
            prop_assert_eq!(&written(value)[..], &bytes[..len]);
        }
    }
}

//! Known answers, and agreement with the `crc32c` crate at every length and split.

use proptest::prelude::*;

use super::crc32c;

#[test]
fn known_answers() {
    // RFC 3720, appendix B.4.
    assert_eq!(crc32c(0, &[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c(0, &[0xFF; 32]), 0x62A8_AB43);
    let rising: Vec<u8> = (0..32).collect();
    assert_eq!(crc32c(0, &rising), 0x46DD_794E);
    assert_eq!(crc32c(0, b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(0, b""), 0);
    assert_eq!(crc32c(0xDEAD_BEEF, b""), 0xDEAD_BEEF);
}

#[test]
fn agrees_with_the_oracle_at_every_short_length_and_at_page_sizes() {
    let bytes: Vec<u8> = (0..65_537u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for len in (0..1025).chain([4092, 4096, 8192, 65_536, 65_537]) {
        for seed in [0, 1, 0x8000_0000, u32::MAX] {
            let expected = crc32c::crc32c_append(seed, &bytes[..len]);
            assert_eq!(crc32c(seed, &bytes[..len]), expected, "length {len}, seed {seed:#x}");
        }
    }
}

proptest! {
    #[test]
    fn continues(bytes in prop::collection::vec(any::<u8>(), 0..6000), cut in any::<prop::sample::Index>()) {
        let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(crc32c(crc32c(0, left), right), crc32c(0, &bytes));
        prop_assert_eq!(crc32c(0, &bytes), crc32c::crc32c(&bytes));
    }
}

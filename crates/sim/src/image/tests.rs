//! Blocks, holes, lengths and space of an image.

use super::*;

fn filled(byte: u8) -> Block {
    block_of(&[byte; BLOCK_BYTES])
}

#[test]
fn bytes_go_in_and_come_out() {
    for len in [0, 1, 4095, 4096, 4097, 12_288] {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        let image = Image::from_bytes(&bytes);
        assert_eq!(image.len(), len as u64);
        assert_eq!(image.to_bytes(), bytes);
    }
}

#[test]
fn growth_shows_zeros_where_a_block_held_more_than_the_length() {
    let mut image = Image::from_bytes(&[7; 8192]);
    image.set_len(5000);
    image.set_len(8192);
    let bytes = image.to_bytes();
    assert!(bytes[..5000].iter().all(|&byte| byte == 7));
    assert!(bytes[5000..].iter().all(|&byte| byte == 0));
}

#[test]
fn cutting_forgets_what_was_there() {
    let mut image = Image::from_bytes(&[7; 12_288]);
    image.set_len(4096);
    image.set_len(12_288);
    assert!(image.to_bytes()[4096..].iter().all(|&byte| byte == 0));
    assert_eq!(image.charged_bytes(), 4096);
}

#[test]
fn space_is_charged_by_blocks_that_are_no_holes() {
    let mut image = Image::default();
    image.set_len(10 * BLOCK);
    assert_eq!(image.charged_bytes(), 0);
    image.put(3, filled(1));
    image.put(3, filled(2));
    image.edit(4, 0..512).fill(1);
    assert_eq!(image.charged_bytes(), 8192);
    image.reserve(2..12);
    assert_eq!((image.charged_bytes(), image.len()), (40_960, 49_152));
    assert_eq!(image.block(3), Some(&filled(2)));
    image.punch(0..4);
    image.punch(100..200);
    assert_eq!(image.charged_bytes(), 32_768);
    image.set_len(0);
    assert_eq!(image.charged_bytes(), 0);
    image.put(0, filled(1));
    assert_eq!(image.charged_bytes(), 0, "beyond the end is nothing");
}

#[test]
fn spoiled_sectors_are_mended_by_what_covers_them() {
    let mut image = Image::from_bytes(&[7; 16_384]);
    image.spoil(1000..1600);
    image.spoil(9000..9001);
    image.spoil(16_000..1 << 40);
    assert_eq!(image.unreadable_in(0..16_384), Some(512));
    assert_eq!(image.unreadable_in(0..512), None);
    assert_eq!(image.unreadable_in(2048..16_384), Some(8704));
    assert_eq!(image.unreadable_in(12_288..16_384), Some(15_872));
    assert_eq!(image.unreadable_in(1024..1024), None);
    image.edit(0, 512..1024).fill(0);
    assert_eq!(image.unreadable_in(0..4096), Some(1024));
    image.put(0, filled(1));
    assert_eq!(image.unreadable_in(0..4096), None);
    image.punch(2..3);
    image.set_len(12_288);
    image.set_len(16_384);
    assert_eq!(image.unreadable_in(0..16_384), None);
}

#[test]
fn images_share_blocks_until_one_changes() {
    let mut one = Image::from_bytes(&[7; 8192]);
    let two = one.clone();
    one.edit(0, 0..512).fill(9);
    assert!(Arc::ptr_eq(one.block(1).unwrap(), two.block(1).unwrap()));
    assert_eq!(two.to_bytes(), [7; 8192]);
    assert_eq!(one.to_bytes()[..513], [[9; 512].as_slice(), &[7]].concat());
}

//! Durability of one file: syncs, failed syncs, and writes that are durable by themselves.

use super::*;
use crate::image::{BLOCK, block_of};
use aquifer_io::BLOCK_BYTES;

fn filled(byte: u8) -> Block {
    block_of(&[byte; BLOCK_BYTES])
}

/// First byte of each block.
fn shown(image: &Image) -> Vec<u8> {
    image.to_bytes().chunks(BLOCK_BYTES).map(|block| block[0]).collect()
}

/// A durable file whose blocks begin with these.
fn stable(blocks: &[u8]) -> Content {
    let mut content = Content::default();
    let blocks: Vec<Block> = blocks.iter().map(|&byte| filled(byte)).collect();
    content.write(0, &blocks);
    content.sync();
    content
}

#[test]
fn a_sync_makes_both_images_the_same() {
    let mut content = stable(&[1, 2, 3]);
    content.write(2, &[filled(4), filled(5)]);
    content.change(Change::Punch(0..1));
    content.change(Change::Length(3 * BLOCK));
    content.change(Change::Allocate(4..6));
    assert_eq!(shown(&content.current), [0, 2, 4, 0, 0, 0]);
    assert_eq!(shown(&content.durable), [1, 2, 3]);
    content.sync();
    assert_eq!(shown(&content.durable), [0, 2, 4, 0, 0, 0]);
    assert_eq!(content.durable.charged_bytes(), content.current.charged_bytes());
    assert!(content.pending.is_empty());
}

#[test]
fn a_durable_write_needs_no_change_before_it() {
    let mut content = stable(&[1, 2, 3]);
    content.write(1, &[filled(4)]);
    content.write(2, &[filled(5)]);
    content.write_durable(1, &[filled(6)]);
    assert_eq!(shown(&content.durable), [1, 6, 3]);
    assert_eq!(content.pending.len(), 1, "the older write of the same block can never come back");
    content.sync();
    assert_eq!(shown(&content.durable), [1, 6, 5]);
}

#[test]
fn a_durable_write_beyond_the_end_makes_the_length_durable_but_no_other_data() {
    let mut content = stable(&[1]);
    content.write(1, &[filled(2)]);
    content.write_durable(3, &[filled(4)]);
    assert_eq!(shown(&content.durable), [1, 0, 0, 4]);
    assert_eq!(content.pending.len(), 1);
}

#[test]
fn a_durable_write_outlives_a_cut_or_a_hole_before_it() {
    let mut content = stable(&[1, 2, 3]);
    content.write(1, &[filled(8)]);
    content.change(Change::Length(0));
    content.write_durable(1, &[filled(4)]);
    assert_eq!(shown(&content.durable), [0, 4]);
    assert!(content.pending.is_empty(), "the cut took what was written before");

    let mut content = stable(&[1, 2, 3]);
    content.change(Change::Punch(0..3));
    content.write(2, &[filled(9)]);
    content.write_durable(1, &[filled(4)]);
    assert_eq!(shown(&content.durable), [0, 4, 0]);
    assert_eq!(content.pending.len(), 1, "the write after the hole is still to come");

    let mut content = stable(&[1, 2, 3]);
    content.change(Change::Punch(0..1));
    content.write_durable(1, &[filled(4)]);
    assert_eq!(shown(&content.durable), [1, 4, 3], "a hole elsewhere is not its business");
}

#[test]
fn a_failed_sync_forgets_data_and_keeps_metadata() {
    let mut outcomes = [0; 3];
    for seed in 0..100 {
        let mut content = stable(&[1, 2]);
        content.write(0, &[filled(3), filled(4), filled(5)]);
        content.fail_sync(&mut Random(seed));
        assert_eq!(shown(&content.current), [3, 4, 5], "readable until the next boot");
        assert_eq!(shown(&content.durable), [1, 2]);
        let kept = content.pending.iter().filter(|change| !change.is_metadata()).count();
        outcomes[usize::from(kept > 0) + usize::from(kept == 3)] += 1;
        content.sync();
        assert_eq!(content.durable.len(), 3 * BLOCK);
        if kept == 0 {
            assert_eq!(shown(&content.durable), [1, 2, 0], "a later sync succeeds and writes nothing");
        }
    }
    assert!(outcomes.iter().all(|&count| count > 2), "all, some and none are forgotten: {outcomes:?}");
}

#[test]
fn the_version_before_the_last_is_remembered() {
    let mut content = stable(&[1]);
    assert_eq!(content.older(0), Some(None), "a hole");
    content.write(0, &[filled(2)]);
    content.write_durable(0, &[filled(3)]);
    assert_eq!(content.older(0), Some(Some(&filled(2))));
    assert_eq!(content.older(1), None);
}

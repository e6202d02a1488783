//! The two superblocks of a data file, with or without right checksums.
//!
//! ```text
//! input:  flags u8: bit 0 seal the first, bit 1 seal the second | blocks behind them u8 | first | second (pieces)
//! ```

use super::{Seeds, Target, pages};
use crate::image::{BLOCK, seal_superblock};
use crate::recipe;
use crate::source::{Source, put_piece};
use aquifer_buffer::{Error, Superblock};
use aquifer_codec::checksum::crc32c;

/// Opening gives the newest superblock that is whole, exactly as its bytes say, or an error: of the format, of a damaged
/// map, or of a map beyond the budget.
pub const TARGET: Target = Target { name: "superblock", run, input_bytes_max: 2 * BLOCK + 16, seeds };

const SECOND: usize = 64 << 10;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let flags = source.u8();
    let mut data = vec![0; (128 << 10) + source.below(64) * BLOCK];
    for (index, start) in [0, SECOND].into_iter().enumerate() {
        let piece = source.piece();
        let block = &mut data[start..start + BLOCK];
        let len = piece.len().min(BLOCK);
        block[..len].copy_from_slice(&piece[..len]);
        if flags >> index & 1 == 1 {
            seal_superblock(block);
        }
    }
    let whole: Vec<&[u8]> =
        [0, SECOND].iter().map(|&at| &data[at..at + BLOCK]).filter(|block| is_whole(block)).collect();
    match pages::open(data.clone()) {
        Ok((pager, found)) => {
            let newest = whole.iter().map(|block| u64_at(block, 40)).max();
            assert_eq!(newest, Some(found.generation), "the newest");
            assert!(whole.iter().any(|block| says(block, &found)), "{found:?} is in no superblock");
            for page in pager.pages() {
                let _ = pages::read(&pager, page);
            }
        }
        Err(Error::Format { .. } | Error::Corrupt { .. } | Error::Budget(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// It has the right checksum, and says nothing that cannot be.
fn is_whole(block: &[u8]) -> bool {
    let crc = u32_at(block, BLOCK - 4);
    let (page_bytes, slot, height) = (u32_at(block, 12), u32_at(block, 56), u32_at(block, 64));
    let flags = u32_at(block, 72);
    block.starts_with(b"AQUIFER\0")
        && crc == crc32c(0, &block[..BLOCK - 4])
        && page_bytes.is_power_of_two()
        && (4096..=65536).contains(&page_bytes)
        && height <= 4
        && (slot == 0) == (height == 0)
        && flags <= 1
        && [32, 40, 48].iter().all(|&at| u64_at(block, at) <= 1 << 62)
}

fn says(block: &[u8], found: &Superblock) -> bool {
    found.page_bytes == u32_at(block, 12)
        && found.database_id == block[16..32]
        && found.incarnation == u64_at(block, 32)
        && found.generation == u64_at(block, 40)
        && found.flip_lsn == u64_at(block, 48)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    Source::new(&bytes[at..]).u32()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    Source::new(&bytes[at..]).u64()
}

fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    for base in recipe::bases() {
        let name = if base.closed { "closed" } else { "killed" };
        let data = &base.files["data"];
        let block = |start: usize| &data[start..start + 72];
        for (what, flags, first, second) in [
            ("both", 3, block(0), block(SECOND)),
            ("first", 1, block(0), &[][..]),
            ("second", 2, &[][..], block(SECOND)),
            ("torn", 0, block(0), block(SECOND)),
        ] {
            let mut input = vec![flags, 40];
            put_piece(&mut input, first);
            put_piece(&mut input, second);
            seeds.push((format!("{name}-{what}"), input));
        }
    }
    let mut empty = recipe::bases()[0].files["data"][..72].to_vec();
    empty[56..72].fill(0);
    let mut input = vec![1, 0];
    put_piece(&mut input, &empty);
    seeds.push(("empty-map".into(), input));
    seeds
}

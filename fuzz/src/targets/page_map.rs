//! A page map of a few nodes, whose checksums are right wherever a node refers to one before it.
//!
//! ```text
//! input:  height u8 | pages u32 | nodes u8 | node* | changes u8
//! node:   entries u8 | entry*
//! entry:  index u16 | kind u8: 0 a node before it, 1 a page of zeros, 2 anything | number u8, or slot u32 and CRC u32
//! ```
//!
//! Nodes lie in slots 32 and up, the last is the root; then come pages of zeros.

use super::{Seeds, Target, pages};
use crate::disk::{Files, MemoryDisk};
use crate::image::{BLOCK, seal_superblock};
use crate::source::Source;
use aquifer_buffer::{Error, PageId, Pager, Result};
use aquifer_codec::checksum::crc32c;

/// Opening gives a map or an error that says what is wrong with it; a page that can be read is what its checksum vouches
/// for, here zeros, and verification says the same of it. After a checkpoint on top of such a map, the same
/// pages are there again.
pub const TARGET: Target = Target { name: "page_map", run, input_bytes_max: 2048, seeds };

const FIRST_SLOT: usize = 32;
const NODES_MAX: usize = 8;
const ZEROS: usize = 16;
const ENTRIES: usize = BLOCK / 8;

fn run(input: &[u8]) {
    let mut source = Source::new(input);
    let data = data(&mut source);
    let disk = MemoryDisk::new(&Files::from([("data".to_owned(), data)]));
    let opened = pages::open_on(&disk);
    let (pager, _) = match opened {
        Ok(opened) => opened,
        Err(Error::Format { .. } | Error::Corrupt { .. } | Error::Budget(_)) => return,
        Err(other) => panic!("{other:?}"),
    };
    let readable = check_pages(&pager);
    let changes = source.below(4);
    if changes > 0 {
        let mut added = Vec::new();
        for n in 0..changes {
            let Ok(page) = pages::add(&pager, &[n as u8 + 1; BLOCK]) else { return };
            added.push(page);
        }
        if checkpoint(&pager).is_err() {
            return; // a node of the map that is damaged
        }
        drop(pager);
        let (pager, _) = pages::open_on(&disk).expect("what a checkpoint has written");
        for (n, &page) in added.iter().enumerate() {
            assert_eq!(pages::read(&pager, page).expect("written above"), [n as u8 + 1; BLOCK]);
        }
        let again: Vec<PageId> = pager
            .pages()
            .into_iter()
            .filter(|page| !added.contains(page) && is_zeros(&pager, *page))
            .collect();
        assert_eq!(again, readable);
    }
}

fn check_pages(pager: &Pager) -> Vec<PageId> {
    let all = pager.pages();
    assert!(all.len() <= FIRST_SLOT + NODES_MAX + ZEROS, "MP4: more pages than slots");
    let readable: Vec<PageId> = all.iter().copied().filter(|&page| is_zeros(pager, page)).collect();
    let mut verified = Vec::new();
    pager.verify(|page, result| verified.extend(result.is_ok().then_some(page)));
    assert_eq!(verified, readable);
    readable
}

/// Whether it can be read; it is then zeros, or a node that an entry calls a page.
fn is_zeros(pager: &Pager, page: PageId) -> bool {
    match pages::read(pager, page) {
        Ok(_) => true,
        Err(Error::Corrupt { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

fn checkpoint(pager: &Pager) -> Result<()> {
    let mut flip = pager.flip(|| 0);
    if let Err(error) = pager.write_checkpoint(&mut flip) {
        pager.abandon(flip);
        return Err(error);
    }
    pager.install(&mut flip, 2)?;
    pager.release(flip)
}

fn data(source: &mut Source<'_>) -> Vec<u8> {
    let (height, pages) = (source.u8() % 6, source.u32());
    let count = source.below(NODES_MAX + 1);
    let mut data = vec![0; (FIRST_SLOT + NODES_MAX + ZEROS) * BLOCK];
    let crc = |data: &[u8], slot: usize| crc32c(0, &data[slot * BLOCK..(slot + 1) * BLOCK]);
    for node in 0..count {
        for _ in 0..source.u8() {
            let (index, kind) = (usize::from(source.u16()) % ENTRIES, source.below(3));
            let (slot, checksum) = match kind {
                0 if node > 0 => {
                    let slot = FIRST_SLOT + source.below(node);
                    (slot as u32, crc(&data, slot))
                }
                2 => (source.u32(), source.u32()),
                _ => {
                    let slot = FIRST_SLOT + NODES_MAX + source.below(ZEROS);
                    (slot as u32, crc(&data, slot))
                }
            };
            let at = (FIRST_SLOT + node) * BLOCK + index * 8;
            data[at..at + 4].copy_from_slice(&slot.to_le_bytes());
            data[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    let root = if count > 0 && height > 0 { FIRST_SLOT + count - 1 } else { 0 };
    let root_crc = if root > 0 { crc(&data, root) } else { 0 };
    let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"AQUIFER\0");
    put(8, &1u32.to_le_bytes());
    put(12, &(BLOCK as u32).to_le_bytes());
    put(32, &1u64.to_le_bytes());
    put(40, &2u64.to_le_bytes());
    put(56, &(root as u32).to_le_bytes());
    put(60, &root_crc.to_le_bytes());
    put(64, &u32::from(if root > 0 { height } else { 0 }).to_le_bytes());
    put(68, &pages.to_le_bytes());
    seal_superblock(&mut data[..BLOCK]);
    data
}

/// One entry of an input.
enum Entry {
    Node(u16, u8),
    Page(u16, u8),
    Raw(u16, u32, u32),
}

fn seeds() -> Seeds {
    use Entry::{Node, Page, Raw};
    let build = |height: u8, pages: u32, nodes: &[&[Entry]], changes: u8| {
        let mut input = vec![height];
        input.extend_from_slice(&pages.to_le_bytes());
        input.push(nodes.len() as u8);
        for node in nodes {
            input.push(node.len() as u8);
            for entry in *node {
                match *entry {
                    Node(index, number) => input.extend([index as u8, (index >> 8) as u8, 0, number]),
                    Page(index, number) => input.extend([index as u8, (index >> 8) as u8, 1, number]),
                    Raw(index, slot, crc) => {
                        input.extend([index as u8, (index >> 8) as u8, 2]);
                        input.extend_from_slice(&slot.to_le_bytes());
                        input.extend_from_slice(&crc.to_le_bytes());
                    }
                }
            }
        }
        input.push(changes);
        input
    };
    let leaf: &[Entry] = &[Page(1, 0), Page(2, 1), Page(9, 2)];
    vec![
        ("empty".into(), build(0, 0, &[], 1)),
        ("leaf".into(), build(1, 10, &[leaf], 1)),
        ("two-levels".into(), build(2, 520, &[leaf, &[Page(3, 4)], &[Node(0, 0), Node(1, 1)]], 2)),
        ("three-levels".into(), build(3, 600, &[leaf, &[Node(0, 0)], &[Node(0, 1)]], 3)),
        ("damaged-page".into(), build(1, 10, &[&[Page(1, 0), Raw(2, 42, 7)]], 1)),
        ("twice".into(), build(1, 10, &[&[Page(1, 0), Page(2, 0)]], 0)),
        ("beyond".into(), build(1, 10, &[&[Raw(1, 1000, 7)]], 0)),
        ("cycle".into(), build(2, 600, &[leaf, &[Node(0, 0), Raw(1, 33, 0)]], 0)),
        ("all-pages".into(), build(1, u32::MAX, &[leaf], 1)),
    ]
}

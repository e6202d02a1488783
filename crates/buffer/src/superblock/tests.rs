//! The superblock's bytes, and what is said of blocks that are none.

use super::*;
use aquifer_io::{Backend, Disk, OpenMode, Operation, Request, open_disk};
use aquifer_sync::Arc;

fn sample(generation: u64) -> Superblock {
    Superblock {
        database_id: *b"0123456789abcdef",
        incarnation: 7,
        generation,
        page_bytes: 4096,
        flip_lsn: 0x1122_3344_5566_7788,
        is_backup: generation.is_multiple_of(3),
        map: MapRoot { root: Location { slot: 40, checksum: 0xdead_beef }, height: 2, pages: 700 },
    }
}

fn write(disk: &Arc<dyn Disk>, blocks: &[(u64, Buffer)]) -> DataFile {
    let file = disk.open(DATA, OpenMode::CreateNew).unwrap();
    file.allocate(0, 128 << 10).unwrap();
    for (offset, block) in blocks {
        let mut buffer = Buffer::zeroed(BLOCK_BYTES);
        buffer.copy_from_slice(block);
        let request = Request { operation: Operation::Write, offset: *offset, buffer };
        file.transfer(vec![request]).remove(0).result.unwrap();
    }
    DataFile::open(disk.clone()).unwrap()
}

fn check(blocks: &[(u64, Buffer)], expected: std::result::Result<u64, &str>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    let found = Superblock::read(&write(&disk, blocks));
    match (found, expected) {
        (Ok(found), Ok(generation)) => assert_eq!(found, sample(generation)),
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
}

#[test]
fn bytes_are_frozen() {
    let block = sample(3).encode();
    assert_eq!(&block[..8], b"AQUIFER\0");
    assert_eq!(&block[8..16], [1, 0, 0, 0, 0, 16, 0, 0]);
    assert_eq!(&block[16..32], b"0123456789abcdef");
    assert_eq!(&block[32..48], [7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&block[48..56], [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    assert_eq!(&block[56..64], [40, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde]);
    assert_eq!(&block[64..72], [2, 0, 0, 0, 0xbc, 2, 0, 0]);
    assert_eq!(&block[72..76], [1, 0, 0, 0]);
    assert!(block[76..4092].iter().all(|&byte| byte == 0));
    assert_eq!(&sample(4).encode()[72..76], [0; 4]);
}

#[test]
fn the_newest_valid_one_counts() {
    check(&[(0, sample(4).encode()), (SECOND, sample(5).encode())], Ok(5));
    check(&[(0, sample(6).encode()), (SECOND, sample(5).encode())], Ok(6));
    check(&[(SECOND, sample(1).encode())], Ok(1));
}

#[test]
fn a_torn_one_is_passed_over() {
    let mut torn = sample(6).encode();
    torn[2000] = 1;
    check(&[(0, torn), (SECOND, sample(5).encode())], Ok(5));
}

#[test]
fn what_is_wrong_is_said() {
    check(&[], Err("not an Aquifer data file"));
    let mut torn = sample(6).encode();
    torn[33] ^= 1;
    check(&[(0, torn)], Err("both superblocks are damaged"));
    let mut newer = sample(6).encode();
    newer[8] = 2;
    let crc = crc32c(0, &newer[..CRC_AT]);
    newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    check(&[(0, newer), (SECOND, sample(5).encode())], Err("format version 2"));
    let other = Superblock { database_id: [9; 16], ..sample(5) };
    check(&[(0, sample(4).encode()), (SECOND, other.encode())], Err("different databases"));
}

#[test]
fn counts_that_have_no_next_are_impossible() {
    for beyond in [COUNT_MAX + 1, u64::MAX] {
        let wrong = [
            Superblock { incarnation: beyond, ..sample(6) },
            Superblock { flip_lsn: beyond, ..sample(6) },
            sample(beyond),
        ];
        for superblock in wrong {
            let block = superblock.encode();
            assert!(
                matches!(Superblock::decode(&block), Err(Invalid::Damaged(what)) if what.contains("not possible"))
            );
        }
    }
    let last = Superblock { incarnation: COUNT_MAX, flip_lsn: COUNT_MAX, ..sample(COUNT_MAX) };
    assert_eq!(Superblock::decode(&last.encode()).unwrap(), last);
}

#[test]
fn a_map_of_every_page_is_beyond_the_budget_and_no_overflow() {
    for pages in [u32::MAX, u32::MAX - 1, u32::MAX / 8 * 7] {
        let directory = tempfile::tempdir().unwrap();
        let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
        let map = MapRoot { pages, ..MapRoot::default() };
        write(&disk, &[(0, Superblock { map, ..sample(2) }.encode())]);
        let options = crate::PagerOptions { page_bytes: 4096, budget: aquifer_pools::Budget::new(2 << 20) };
        let error = crate::Pager::open(disk, options).unwrap_err();
        assert!(matches!(error, Error::Budget(_)), "{pages}: {error:?}");
    }
}

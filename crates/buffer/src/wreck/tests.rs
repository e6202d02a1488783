//! What is left of a data file: each part damaged in turn, the rest is found.

use super::*;
use crate::{Pager, PagerOptions};
use aquifer_io::{Backend, open_disk};
use aquifer_pools::Budget;
use std::fs;
use std::path::Path;

const ID: [u8; 16] = *b"a test database!";

/// A file with pages 1 to `pages`, each full of its number, and two checkpoints.
fn file(dir: &Path, pages: u32) {
    let disk = open_disk(dir, Backend::Posix, true).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(8 << 20) };
    let pager = Pager::create(disk, options, ID).unwrap();
    let mut made = 0;
    for share in [pages / 2, pages] {
        while made < share {
            let page = {
                let mutation = pager.enter();
                mutation.allocate().map(|mut page| {
                    let number = page.id().0 as u8;
                    page.bytes_mut().fill(number);
                })
            };
            match page {
                Ok(()) => made += 1,
                Err(retry) => pager.resolve(retry).unwrap(),
            }
        }
        let mut flip = pager.flip(|| 7);
        pager.write_checkpoint(&mut flip).unwrap();
        pager.install(&mut flip, 1).unwrap();
        pager.release(flip).unwrap();
    }
}

fn open(dir: &Path) -> Wreck {
    Wreck::open(open_disk(dir, Backend::Posix, false).unwrap()).unwrap()
}

fn newest(wreck: &Wreck) -> Superblock {
    *wreck.superblocks().iter().flatten().max_by_key(|superblock| superblock.generation).unwrap()
}

fn damage(dir: &Path, offset: u64, len: usize) {
    let mut bytes = fs::read(dir.join("data")).unwrap();
    bytes[offset as usize..][..len].iter_mut().for_each(|byte| *byte ^= 0x5A);
    fs::write(dir.join("data"), bytes).unwrap();
}

#[test]
fn a_sound_file_is_all_there() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 1000);
    let wreck = open(dir.path());
    assert!(wreck.superblocks().iter().all(|superblock| superblock.is_ok()));
    let superblock = newest(&wreck);
    assert_eq!((superblock.generation, superblock.flip_lsn, wreck.page_bytes()), (2, 7, 4096));
    let map = wreck.map(&superblock).unwrap();
    assert_eq!((map.pages.len(), map.lost.len()), (1000, 0));
    let slots: Vec<u32> = map.pages.iter().map(|placed| placed.slot).collect();
    let mut read = 0;
    wreck.read(&slots, |index, bytes| {
        let (placed, bytes) = (map.pages[index], bytes.unwrap());
        assert!(Wreck::vouches_for(&placed, bytes));
        assert_eq!(bytes[99], placed.page.0 as u8);
        read += 1;
    });
    assert_eq!(read, 1000);
}

#[test]
fn a_damaged_superblock_leaves_the_other() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 1000);
    damage(dir.path(), 100, 1); // generation 2 lies at byte 0
    let wreck = open(dir.path());
    assert!(wreck.superblocks()[0].as_ref().unwrap_err().contains("checksum"));
    assert_eq!(newest(&wreck).generation, 1);
    assert_eq!(wreck.map(&newest(&wreck)).unwrap().pages.len(), 500);
    damage(dir.path(), 65536, 4096);
    let wreck = open(dir.path());
    assert!(wreck.superblocks().iter().all(|superblock| superblock.is_err()));
    assert_eq!(wreck.slots().unwrap().start, 32);
}

#[test]
fn a_damaged_node_loses_its_own_pages() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 1000);
    let superblock = newest(&open(dir.path()));
    assert_eq!(superblock.map.height, 2);
    let whole = fs::read(dir.path().join("data")).unwrap();
    let root = superblock.map.root.slot;
    let first_leaf = u32::from_le_bytes(whole[root as usize * 4096..][..4].try_into().unwrap());
    damage(dir.path(), u64::from(first_leaf) * 4096 + 17, 1);
    let wreck = open(dir.path());
    let map = wreck.map(&newest(&wreck)).unwrap();
    assert_eq!((map.lost.len(), map.lost[0].slot, map.lost[0].pages.clone()), (1, first_leaf, 1..512));
    assert_eq!(map.pages.first().unwrap().page, PageId(512));
    damage(dir.path(), u64::from(root) * 4096, 1);
    let map = open(dir.path()).map(&superblock).unwrap();
    assert_eq!((map.pages.len(), map.lost[0].pages.clone()), (0, 1..1001));
}

#[test]
fn what_lies_behind_the_end_of_a_cut_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 1000);
    let superblock = newest(&open(dir.path()));
    let whole = fs::read(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data"), &whole[..200 * 4096]).unwrap();
    let wreck = open(dir.path());
    assert_eq!(wreck.slots().unwrap(), 32..200);
    let mut told = 0;
    wreck.read(&[199, 200, 5000], |index, bytes| {
        assert_eq!(bytes.is_err(), index > 0, "{bytes:?}");
        told += usize::from(bytes.is_err_and(|what| what.contains("ends before")));
    });
    assert_eq!(told, 2);
    assert!(!wreck.map(&superblock).unwrap().lost.is_empty());
}

#[test]
fn a_map_that_refers_to_one_place_again_and_again_ends() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 10);
    let wreck = open(dir.path());
    let mut superblock = newest(&wreck);
    let leaf = superblock.map.root;
    let placed = wreck.map(&superblock).unwrap().pages[3];
    // The place of page 4 gets a node all of whose children are the same leaf.
    let node = leaf.to_bits().to_le_bytes().repeat(512);
    let mut bytes = fs::read(dir.path().join("data")).unwrap();
    bytes[placed.slot as usize * 4096..][..4096].copy_from_slice(&node);
    fs::write(dir.path().join("data"), bytes).unwrap();
    superblock.map.root = Location { slot: placed.slot, checksum: checksum(&node) };
    superblock.map.height = 2;
    superblock.map.pages = u32::MAX;
    let map = wreck.map(&superblock).unwrap();
    assert_eq!((map.pages.len(), map.lost.len()), (10, 511));
    assert!(map.lost[0].what.contains("twice"));
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), 10);
    let mut bytes = fs::read(dir.path().join("data")).unwrap();
    bytes[8] = 9;
    let crc = aquifer_codec::checksum::crc32c(0, &bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    fs::write(dir.path().join("data"), bytes).unwrap();
    let disk = open_disk(dir.path(), Backend::Posix, false).unwrap();
    let error = Wreck::open(disk).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Format { .. }) && error.to_string().contains('9'), "{error}");
}

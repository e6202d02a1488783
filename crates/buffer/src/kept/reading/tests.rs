//! A pager over a kept checkpoint reads what was there, whatever the other pager does, and leaves nothing behind.

use crate::test_pager::*;
use crate::{Error, PageId, Pager, PagerOptions};
use aquifer_pools::Budget;
use aquifer_sync::atomic::{AtomicBool, Ordering};
use aquifer_sync::{Arc, thread};
use std::os::unix::fs::FileExt;

fn read(pager: &Pager, pages: &[PageId]) -> Vec<u64> {
    pages.iter().map(|&page| content(pager, page).unwrap()).collect()
}

fn kept(pager: &Arc<Pager>, cache_bytes: usize) -> Arc<Pager> {
    Pager::keep_checkpoint(pager).unwrap().into_pager(cache_bytes).unwrap()
}

#[test]
fn several_read_what_was_there_then_in_fewer_frames_than_pages_and_go_in_any_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let directory = tempfile::tempdir().unwrap();
        let pager = Pager::create(disk(&directory), options(4 << 20), ID).unwrap();
        let pages: Vec<PageId> = (0..600).map(|n| allocate(&pager, n).unwrap()).collect();
        checkpoint(&pager).unwrap();
        let mut readers = Vec::new();
        for round in 1..4 {
            pages.iter().skip(round).for_each(|&page| set(&pager, page, round as u64 * 1000).unwrap());
            checkpoint(&pager).unwrap();
            readers.push(Some((kept(&pager, 128 << 10), read(&pager, &pages))));
        }
        let used = pager.stats().used_bytes;
        for gone in order {
            for n in 0..3 {
                pages.iter().for_each(|&page| set(&pager, page, n).unwrap());
                checkpoint(&pager).unwrap();
                for (reader, then) in readers.iter().flatten() {
                    assert_eq!(read(reader, &pages), *then, "KR3");
                }
            }
            assert!(pager.stats().kept_bytes > 0);
            readers[gone] = None; // KR2
        }
        checkpoint(&pager).unwrap();
        let stats = pager.stats();
        assert!(stats.used_bytes < used && stats.kept_bytes == 0, "{} of {used}", stats.used_bytes);
        pager.verify(|page, result| result.unwrap_or_else(|error| panic!("{page}: {error}")));
    }
}

#[test]
fn pages_that_came_later_are_not_there_and_those_that_went_are() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..50).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let reader = kept(&pager, 0);
    pages.iter().for_each(|&page| free(&pager, page).unwrap());
    checkpoint(&pager).unwrap();
    checkpoint(&pager).unwrap();
    let later: Vec<PageId> = (0..3000).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    assert_eq!(read(&reader, &pages), (0..50).collect::<Vec<_>>());
    for page in later.into_iter().filter(|page| !pages.contains(page)) {
        assert!(matches!(content(&reader, page), Err(Error::Corrupt { .. })), "{page}");
    }
}

/// KR4.
#[test]
fn its_memory_is_the_budgets_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let budget = Budget::new(2 << 20);
    let options = PagerOptions { page_bytes: 4096, budget: Arc::clone(&budget) };
    let pager = Pager::create(disk(&directory), options, ID).unwrap();
    let pages: Vec<PageId> = (0..2000).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let used = |name| budget.accounts().iter().find(|(of, ..)| *of == name).map_or(0, |(_, live, _)| *live);
    let mut readers = Vec::new();
    let refused = loop {
        let kept = Pager::keep_checkpoint(&pager).unwrap();
        let bytes = kept.reading_bytes(200 << 10);
        match kept.into_pager(200 << 10) {
            Ok(reader) => readers.push(reader),
            Err(error) => break error,
        }
        assert_eq!(used(super::READING_ACCOUNT), bytes * readers.len());
    };
    assert!(matches!(refused, Error::Budget(_)), "{refused}");
    assert!(readers.len() >= 3, "{}", readers.len());
    for reader in &readers {
        assert_eq!(read(reader, &pages), (0..2000).collect::<Vec<_>>());
    }
    readers.clear();
    assert_eq!(used(super::READING_ACCOUNT) + used("kept checkpoints"), 0);
    pages.iter().for_each(|&page| set(&pager, page, 7).unwrap());
    assert_eq!(read(&pager, &pages), vec![7; 2000]);
}

/// KR1.
#[test]
fn threads_read_while_others_write_and_take_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(4 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..300).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let (reader, stop) = (kept(&pager, 0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) || rounds == 0 {
                        assert_eq!(read(&reader, &pages), (0..300).collect::<Vec<_>>());
                        rounds += 1;
                    }
                })
            })
            .collect();
        for round in 0..20 {
            pages.iter().for_each(|&page| set(&pager, page, 1000 + round).unwrap());
            checkpoint(&pager).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_damaged_page_or_map_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..20).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let reader = kept(&pager, 0);
    let file = std::fs::OpenOptions::new().write(true).open(directory.path().join("data")).unwrap();
    let slot = u64::from(reader.table.location(pages[3]).slot);
    file.write_all_at(&[0xEE; 64], slot * 4096 + 100).unwrap();
    assert!(matches!(content(&reader, pages[3]), Err(Error::Corrupt { .. })));
    assert_eq!(content(&reader, pages[4]).unwrap(), 4);
    let root = u64::from(reader.superblock.lock().map.root.slot);
    file.write_all_at(&[0xEE; 64], root * 4096 + 100).unwrap();
    let again = Pager::keep_checkpoint(&pager).unwrap().into_pager(0);
    assert!(matches!(again, Err(Error::Corrupt { .. })));
    assert_eq!(pager.kept.lock().superseded_count(), 0);
}

//! The whole buffer manager on a real file: pages outlive crashes as of the last checkpoint, and only so.

use super::*;
use crate::test_pager::*;
use crate::{ExclusivePage, PageId};
use aquifer_io::OpenMode;
use aquifer_sync::atomic::AtomicBool;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn data_many_times_the_budget_works_and_survives() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..4000).map(|n| allocate(&pager, n).unwrap()).collect();
    assert_eq!(pages[0], PageId::FIRST);
    for (n, &page) in pages.iter().enumerate() {
        assert_eq!(content(&pager, page).unwrap(), n as u64);
    }
    let stats = pager.stats();
    assert!(stats.eviction_writes > 3000 && stats.loads > 3000, "{stats:?}");
    assert_eq!(checkpoint(&pager).unwrap(), 1);
    drop(pager);
    let (pager, superblock) = Pager::open(disk(&directory), options(2 << 20)).unwrap();
    assert_eq!((superblock.generation, superblock.flip_lsn, superblock.database_id), (1, 1, ID));
    for (n, &page) in pages.iter().enumerate() {
        assert_eq!(content(&pager, page).unwrap(), n as u64);
    }
    assert_eq!(pager.pages(), pages);
    pager.verify(|page, result| result.unwrap_or_else(|error| panic!("{page}: {error}")));
}

#[test]
fn without_a_checkpoint_a_new_database_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    allocate(&pager, 1).unwrap();
    drop(pager);
    assert!(matches!(Pager::open(disk(&directory), options(2 << 20)), Err(Error::Io(_))));
    // And creating again works.
    Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
}

#[test]
fn memory_is_bounded_and_its_end_loses_nothing() {
    let pager = Pager::in_memory(options(2 << 20)).unwrap();
    let mut pages = Vec::new();
    let error = loop {
        match allocate(&pager, pages.len() as u64) {
            Ok(page) => pages.push(page),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Budget(_)), "{error}");
    assert!(pages.len() > 400, "{}", pages.len());
    for (n, &page) in pages.iter().enumerate() {
        assert_eq!(content(&pager, page).unwrap(), n as u64);
    }
    // A page given back can be had again.
    change(&pager, |m| m.free_id(pages[7])).unwrap();
    assert_eq!(allocate(&pager, 99).unwrap(), pages[7]);
}

#[test]
fn freed_space_is_used_again_and_the_file_shrinks() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(4 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..3000).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let before = pager.stats();
    for round in 0..20 {
        for &page in &pages {
            set(&pager, page, round).unwrap();
        }
        checkpoint(&pager).unwrap();
    }
    let after = pager.stats();
    assert!(after.file_bytes < before.file_bytes * 3, "{before:?} {after:?}");
    for &page in &pages[1..] {
        change(&pager, |m| m.free_id(page)).unwrap();
    }
    for _ in 0..3 {
        set(&pager, pages[0], 5).unwrap();
        checkpoint(&pager).unwrap();
    }
    let end = pager.stats();
    assert_eq!(end.pages, 1);
    assert_eq!(
        end.used_bytes,
        (32 + 1 + 2) * 4096,
        "superblocks, one page, the map's root and leaf: {end:?}"
    );
    drop(pager);
    let (pager, _) = Pager::open(disk(&directory), options(4 << 20)).unwrap();
    assert_eq!(pager.stats().used_bytes, (32 + 1 + 2) * 4096);
    assert_eq!(content(&pager, pages[0]).unwrap(), 5);
}

#[test]
fn a_damaged_page_is_named_and_never_returned() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..50).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let slot = pager.table.location(pages[20]).slot;
    drop(pager);
    let path = directory.path().join("data");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[slot as usize * 4096 + 77] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let (pager, _) = Pager::open(disk(&directory), options(2 << 20)).unwrap();
    match content(&pager, pages[20]) {
        Err(Error::Corrupt { page, slot: at, offset, .. }) => {
            assert_eq!((page, at, offset), (pages[20], slot, u64::from(slot) * 4096));
        }
        other => panic!("{other:?}"),
    }
    // Again: the failed load left nothing behind (W3).
    assert!(content(&pager, pages[20]).is_err());
    assert_eq!(content(&pager, pages[21]).unwrap(), 21);
    let mut bad = Vec::new();
    pager.verify(|page, result| bad.extend(result.is_err().then_some(page)));
    assert_eq!(bad, [pages[20]]);
}

#[test]
fn a_cut_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    for n in 0..2000 {
        allocate(&pager, n).unwrap();
    }
    checkpoint(&pager).unwrap();
    drop(pager);
    let file = disk(&directory).open("data", OpenMode::Existing).unwrap();
    let len = file.len().unwrap();
    for (cut, words) in [(len / 2 / 4096 * 4096, "cut"), (4096, "too short"), (0, "too short")] {
        file.truncate(cut).unwrap();
        let error = Pager::open(disk(&directory), options(2 << 20)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn loading_many_takes_one_batch() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(8 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..300).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    drop(pager);
    let (pager, _) = Pager::open(disk(&directory), options(8 << 20)).unwrap();
    pager.load_many(&pages).unwrap();
    assert_eq!(pager.stats().loads, 300);
    for (n, &page) in pages.iter().enumerate() {
        assert_eq!(content(&pager, page).unwrap(), n as u64);
    }
    assert_eq!(pager.stats().loads, 300);
}

/// Threads move amounts between pages, two pages a passage, while checkpoints go on and pages come and go. Every
/// checkpoint holds whole passages only: the sum is constant.
#[test]
fn a_checkpoint_is_one_instant_under_concurrent_change() {
    const PAGES: u64 = 1200;
    const START: u64 = 1000;
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..PAGES).map(|_| allocate(&pager, START).unwrap()).collect();
    checkpoint(&pager).unwrap();
    let stop = AtomicBool::new(false);
    aquifer_sync::thread::scope(|scope| {
        for thread in 0..3u64 {
            let (pager, pages, stop) = (&pager, &pages, &stop);
            scope.spawn(move || {
                let mut state = thread + 1;
                let mut next = || {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) % PAGES
                };
                while !stop.load(Ordering::Relaxed) {
                    let (a, b) = (next(), next());
                    if a == b {
                        continue;
                    }
                    let (low, high) = (pages[a.min(b) as usize], pages[a.max(b) as usize]);
                    change(pager, |m| {
                        let mut from = m.exclusive(low)?;
                        let mut to = m.exclusive(high)?;
                        from.make_dirty()?;
                        to.make_dirty()?;
                        let read = |page: &ExclusivePage<'_>| {
                            u64::from_le_bytes(page.bytes()[..8].try_into().unwrap()) >> 32
                        };
                        let (f, t) = (read(&from), read(&to));
                        if f > 0 {
                            fill(&mut from, f - 1);
                            fill(&mut to, t + 1);
                        }
                        Ok(())
                    })
                    .unwrap();
                }
            });
        }
        let reader = &pager;
        let (pages_of_reader, stop_reader) = (&pages, &stop);
        scope.spawn(move || {
            let mut n = 0;
            while !stop_reader.load(Ordering::Relaxed) {
                n = (n + 7) % PAGES as usize;
                let page = pages_of_reader[n];
                match reader.read(page) {
                    Ok(seen) => {
                        let words = seen.words();
                        let (first, last) = (words.word(0), words.word(words.page_bytes() / 8 - 1));
                        if seen.validate().is_ok() {
                            assert_eq!(first, last, "L4: torn");
                            assert_eq!(first as u32, page.0, "L2: another page");
                        }
                    }
                    Err(retry) => reader.resolve(retry).unwrap(),
                }
            }
        });
        for _ in 0..25 {
            checkpoint(&pager).unwrap();
            // A crash now would find exactly this.
            let (copy, _) = Pager::open(disk(&directory), options(8 << 20)).unwrap();
            let sum: u64 = pages.iter().map(|&page| content(&copy, page).unwrap()).sum();
            assert_eq!(sum, PAGES * START, "half a passage is in the checkpoint");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let stats = pager.stats();
    assert!(stats.page_copies > 0, "no writer ever came before the checkpoint: {stats:?}");
    assert!(stats.evictions > 0, "{stats:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Allocate(u64),
    Set(usize, u64),
    Free(usize),
    Checkpoint,
    FailedCheckpoint,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u64..1 << 20).prop_map(Step::Allocate),
        8 => (any::<usize>(), 0u64..1 << 20).prop_map(|(at, to)| Step::Set(at, to)),
        2 => any::<usize>().prop_map(Step::Free),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::FailedCheckpoint),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_crash_brings_back_the_last_checkpoint(steps in prop::collection::vec(step(), 1..300)) {
        let directory = tempfile::tempdir().unwrap();
        // So small that nearly everything is evicted.
        let budget = || PagerOptions { page_bytes: 65536, budget: Budget::new(3 << 20) };
        let mut pager = Pager::create(disk(&directory), budget(), ID).unwrap();
        checkpoint(&pager).unwrap();
        let mut model: BTreeMap<PageId, u64> = BTreeMap::new();
        let mut durable = model.clone();
        for step in steps {
            let pick = |at: usize| model.keys().nth(at % model.len().max(1)).copied();
            match step {
                Step::Allocate(with) => {
                    let page = allocate(&pager, with).unwrap();
                    prop_assert!(model.insert(page, with).is_none(), "{page} given out twice");
                }
                Step::Set(at, to) => {
                    if let Some(page) = pick(at) {
                        set(&pager, page, to).unwrap();
                        model.insert(page, to);
                    }
                }
                Step::Free(at) => {
                    if let Some(page) = pick(at) {
                        change(&pager, |m| m.free_id(page)).unwrap();
                        model.remove(&page);
                    }
                }
                Step::Checkpoint => {
                    checkpoint(&pager).unwrap();
                    durable = model.clone();
                }
                Step::FailedCheckpoint => {
                    // Written, and never installed: as if the disk had been full at the end.
                    let mut flip = pager.flip(|| 1);
                    pager.write_checkpoint(&mut flip).unwrap();
                    pager.abandon(flip);
                }
                Step::Crash => {
                    drop(pager);
                    pager = Pager::open(disk(&directory), budget()).unwrap().0;
                    model = durable.clone();
                }
            }
            for (&page, &with) in model.iter().take(3) {
                prop_assert_eq!(content(&pager, page).unwrap(), with);
            }
        }
        for (&page, &with) in &model {
            prop_assert_eq!(content(&pager, page).unwrap(), with);
        }
        prop_assert_eq!(pager.pages(), model.keys().copied().collect::<Vec<_>>());
    }
}

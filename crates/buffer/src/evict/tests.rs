//! Memory at its end: what is freed, written, moved elsewhere or refused, and that each call comes back.

use super::*;
use crate::pager::PagerOptions;
use crate::{ExclusivePage, Mutation, Retry};
use aquifer_io::{Backend, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::thread;

fn pager(directory: &tempfile::TempDir, budget_bytes: usize) -> Arc<Pager> {
    pager_within(directory, Budget::new(budget_bytes))
}

fn pager_within(directory: &tempfile::TempDir, budget: Arc<Budget>) -> Arc<Pager> {
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    Pager::create(disk, PagerOptions { page_bytes: 4096, budget }, *b"a test database!").unwrap()
}

fn change<R>(pager: &Pager, attempt: impl Fn(&Mutation<'_>) -> std::result::Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

fn fill(page: &mut ExclusivePage<'_>, content: u8) {
    page.bytes_mut().fill(content);
}

fn allocate(pager: &Pager, content: u8) -> PageId {
    change(pager, |m| {
        let mut page = m.allocate()?;
        fill(&mut page, content);
        Ok(page.id())
    })
}

fn set(pager: &Pager, page: PageId, content: u8) {
    change(pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        fill(&mut page, content);
        Ok(())
    });
}

/// Dirty pages in all memory that there is.
fn fill_memory(pager: &Pager) {
    while pager.may_grow_frames() || pager.frames.free_frames() > 0 {
        allocate(pager, 1);
    }
}

#[test]
fn evicting_ahead_comes_back_when_everything_is_dirty() {
    let directory = tempfile::tempdir().unwrap();
    let pager = pager(&directory, 48 << 20);
    fill_memory(&pager);
    assert!(pager.free_ahead as usize > pager.evict_batch, "else there is nothing to try");
    while pager.evict_ahead().unwrap() {}
    assert!(pager.frames.free_frames() >= pager.free_ahead / 2);
}

#[test]
fn a_page_table_beyond_the_budget_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let budget = Budget::new(2 << 20);
    let pager = pager_within(&directory, Arc::clone(&budget));
    fill_memory(&pager);
    let begun = Instant::now();
    let table = budget.account("page table");
    assert!(matches!(pager.surrender_frames(3 << 20, &table), Err(Error::Budget(_))));
    assert!(begun.elapsed() < Duration::from_millis(500));
    // What fits is moved, to the byte.
    let (frames, before) = (budget.account("frames").used(), table.used());
    pager.surrender_frames(10_000, &table).unwrap();
    assert_eq!(table.used(), before + 10_000);
    assert_eq!(budget.account("frames").used(), frames - 3 * 4096);
    table.give_back(10_000);
    allocate(&pager, 2);
}

#[test]
fn a_page_freed_while_it_is_written_leaves_its_frame_to_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let pager = pager(&directory, 2 << 20);
    let page = allocate(&pager, 1);
    let frame = (0..pager.frames.committed())
        .map(FrameId)
        .find(|&frame| pager.frames.header(frame).page() == page.0)
        .unwrap();
    let mut buffer = Buffer::zeroed(4096);
    let claim = pager.begin_write(frame, &mut buffer).unwrap();
    let free = pager.frames.free_frames();
    change(&pager, |m| m.free_id(page));
    assert_eq!(pager.frames.free_frames(), free, "nobody may load into it yet");
    assert!(pager.finish_write(&claim, false), "the writer has it now");
    pager.frames.put(&[frame]);
    assert!(!pager.frames.header(frame).has(WRITING));
}

#[test]
fn no_change_is_forgotten_at_a_flip() {
    let directory = tempfile::tempdir().unwrap();
    let pager = pager(&directory, 8 << 20);
    let page = allocate(&pager, 1);
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                set(&pager, page, 2);
                rounds.fetch_add(1, Ordering::Release);
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let flip = pager.flip(|| 1);
            pager.set_checkpoint_epoch(0);
            pager.abandon(flip);
            let now = rounds.load(Ordering::Acquire);
            while rounds.load(Ordering::Acquire) < now + 2 {
                thread::yield_now();
            }
            // The page is dirty in this epoch.
            if pager.pages_dirtied() == 0 {
                stop.store(true, Ordering::Relaxed);
                panic!("a page is dirty and no change counted");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn verification_knows_pages_that_changed_while_a_checkpoint_wrote_them() {
    let directory = tempfile::tempdir().unwrap();
    let pager = pager(&directory, 8 << 20);
    let pages: Vec<_> = (0..64).map(|n| allocate(&pager, n)).collect();
    let checkpoint = |during: &dyn Fn()| {
        let mut flip = pager.flip(|| 1);
        during();
        pager.write_checkpoint(&mut flip).unwrap();
        pager.install(&mut flip, 1).unwrap();
        pager.release(flip).unwrap();
    };
    checkpoint(&|| ());
    pages.iter().for_each(|&page| set(&pager, page, 100));
    checkpoint(&|| pages.iter().for_each(|&page| set(&pager, page, 101)));
    // Their first slots are used again.
    for _ in 0..200 {
        allocate(&pager, 7);
    }
    checkpoint(&|| pages.iter().for_each(|&page| set(&pager, page, 102)));
    let mut faults = Vec::new();
    pager.verify(|page, result| faults.extend(result.err().map(|error| (page, error))));
    assert!(faults.is_empty(), "{faults:?}");
}

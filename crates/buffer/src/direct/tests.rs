//! Direct pages on a real file and in memory: nothing is lost, nothing leaks, nothing that is read is given away.

use super::*;
use crate::{Error, Flip, PageId, PageRun, Pager, PagerOptions, Result, Retry};
use aquifer_io::{Backend, Buffer, Disk, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PAGE: usize = 4096;

fn options() -> PagerOptions {
    PagerOptions { page_bytes: PAGE, budget: Budget::new(4 << 20) }
}

fn disk(directory: &tempfile::TempDir) -> Arc<dyn Disk> {
    open_disk(directory.path(), Backend::Posix, true).unwrap()
}

fn checkpoint(pager: &Pager) -> Result<()> {
    let mut flip: Flip = pager.flip(|| 1);
    pager.write_checkpoint(&mut flip)?;
    pager.install(&mut flip, 1)?;
    pager.release(flip)
}

/// Pages whose words say which value, and which page of it, they are.
fn write(new: &mut NewPages, value: u64, pages: std::ops::Range<u64>) -> Result<()> {
    let mut buffers: Vec<Buffer> = pages
        .map(|page| {
            let mut buffer = Buffer::zeroed(PAGE);
            let word = (value << 32 | page).to_le_bytes();
            buffer.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&word));
            buffer
        })
        .collect();
    let count = buffers.len();
    let done = new.append(&mut buffers);
    assert!(done.is_err() || buffers.len() == count);
    done
}

fn check(pager: &Pager, value: u64, runs: &[PageRun]) {
    let pages: Vec<PageId> = runs.iter().flat_map(|run| run.ids()).collect();
    let mut buffers: Vec<Buffer> = pages.iter().map(|_| Buffer::zeroed(PAGE)).collect();
    pager.read_direct(&pages, &mut buffers).unwrap();
    for (index, buffer) in buffers.iter().enumerate() {
        let word = (value << 32 | index as u64).to_le_bytes();
        assert!(buffer.chunks_exact(8).all(|chunk| chunk == word), "page {index} of value {value}");
    }
}

fn attached(pager: &Arc<Pager>, value: u64, pages: u64) -> Vec<PageRun> {
    let mut new = NewPages::new(pager);
    write(&mut new, value, 0..pages).unwrap();
    new.trim();
    let runs = new.runs().to_vec();
    pager.sync_direct().unwrap();
    pager.enter().attach(new);
    runs
}

#[test]
fn attached_pages_are_in_the_next_checkpoint_and_detached_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(), [1; 16]).unwrap();
    checkpoint(&pager).unwrap();
    let runs = attached(&pager, 7, 1500);
    assert!(runs.len() <= 15, "few extents: {runs:?}");
    check(&pager, 7, &runs);
    checkpoint(&pager).unwrap();
    let used = pager.stats().used_bytes;
    drop(pager);

    let pager = Pager::open(disk(&directory), options()).unwrap().0;
    check(&pager, 7, &runs);
    assert_eq!(pager.stats().used_bytes, used);
    assert_eq!(pager.pages().len(), 1500);
    pager.enter().detach(&runs);
    assert_eq!(pager.stats().pages_waiting, 1500);
    assert_eq!(pager.pages(), []);
    assert_eq!(pager.stats().used_bytes, used, "E3");
    checkpoint(&pager).unwrap();
    assert!(pager.stats().used_bytes < 300 << 10, "{:?}", pager.stats());
    let again = attached(&pager, 8, 1500);
    assert_eq!(PageRun { first: PageId(1), pages: 1500 }, again[0], "the ids are used again");
    drop(pager);

    // A crash: what was attached after the checkpoint is gone.
    let pager = Pager::open(disk(&directory), options()).unwrap().0;
    assert_eq!(pager.pages(), []);
    assert!(pager.stats().used_bytes < 300 << 10);
}

#[test]
fn dropped_pages_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(), [1; 16]).unwrap();
    let before = (pager.stats().used_bytes, pager.stats().pages);
    let mut new = NewPages::new(&pager);
    write(&mut new, 1, 0..700).unwrap();
    assert!(new.manifest(1).unwrap().len() < 64, "spilled");
    assert!(pager.stats().used_bytes > before.0 + 700 * PAGE as u64);
    assert_eq!(pager.pages(), [], "it belongs to nobody yet");
    drop(new);
    assert_eq!((pager.stats().used_bytes, pager.stats().pages), before);
}

#[test]
fn a_pinned_value_outlives_its_end() {
    let directory = tempfile::tempdir().unwrap();
    for pager in
        [Pager::create(disk(&directory), options(), [1; 16]).unwrap(), Pager::in_memory(options()).unwrap()]
    {
        let on_disk = pager.file.is_some();
        let settle = || {
            if on_disk {
                checkpoint(&pager).unwrap()
            }
        };
        let runs = attached(&pager, 3, 20);
        let other = attached(&pager, 4, 20);
        settle();
        let pages = pager.stats().pages;
        let (early, narrow, late) =
            (Pin::everything(&pager), Pin::everything(&pager), Pin::everything(&pager));
        narrow.narrow(&runs);
        pager.enter().detach(&runs);
        pager.enter().detach(&other);
        settle();
        check(&pager, 3, &runs);
        check(&pager, 4, &other);
        drop(early);
        check(&pager, 3, &runs);
        check(&pager, 4, &other);
        late.narrow(&runs);
        assert_eq!(pager.stats().pages, pages - 20, "the other value is free");
        drop(late);
        check(&pager, 3, &runs);
        for round in 0..3 {
            attached(&pager, 9, 20 + round);
            settle();
        }
        check(&pager, 3, &runs);
        drop(narrow);
        assert_eq!(pager.stats().pages, 63);
    }
}

#[test]
fn many_pinned_pages_are_freed_a_few_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(), [1; 16]).unwrap();
    checkpoint(&pager).unwrap();
    let empty = (pager.stats().pages, pager.stats().used_bytes);
    let mut new = NewPages::new(&pager);
    for from in (0..10_000).step_by(1000) {
        write(&mut new, 6, from..from + 1000).unwrap();
    }
    new.trim();
    let runs = new.runs().to_vec();
    pager.sync_direct().unwrap();
    pager.enter().attach(new);
    checkpoint(&pager).unwrap();
    let (all, part) = (Pin::everything(&pager), Pin::everything(&pager));
    part.narrow(&[PageRun { first: PageId(runs[0].first.0 + 5000), pages: 7 }]);
    pager.enter().detach(&runs);
    checkpoint(&pager).unwrap();
    check(&pager, 6, &runs);
    drop(all);
    assert_eq!(pager.stats().pages, empty.0 + 7);
    drop(part);
    checkpoint(&pager).unwrap();
    assert_eq!(pager.stats().pages, empty.0);
    assert!(pager.stats().used_bytes <= empty.1 + 8 * PAGE as u64, "slots leak");
}

#[test]
fn what_a_manifest_names_is_reserved_before_anything_else() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(), [1; 16]).unwrap();
    checkpoint(&pager).unwrap();
    let mut manifests = Vec::new();
    for (value, pages) in [(1, 3), (2, 600), (3, 3000)] {
        let mut new = NewPages::new(&pager);
        write(&mut new, value, 0..pages).unwrap();
        let manifest = new.manifest(2).unwrap();
        manifests.push((value, new.runs().to_vec(), manifest));
        pager.sync_direct().unwrap();
        let runs = new.runs().to_vec();
        pager.enter().attach(new);
        pager.enter().detach(&runs); // the log would say so next
    }
    drop(pager);

    let pager = Pager::open(disk(&directory), options()).unwrap().0;
    let mut logged = LoggedPages::new(&pager);
    assert!(matches!(logged.take(&manifests[0].2), Err(Error::Format { .. })), "they are not reserved");
    manifests.iter().for_each(|(_, _, manifest)| logged.reserve(manifest).unwrap());
    assert!(matches!(logged.reserve(&manifests[0].2), Err(Error::Format { .. })), "they are in use");
    let others = attached(&pager, 5, 500);
    for (value, runs, manifest) in &manifests {
        let new = logged.take(manifest).unwrap();
        assert!(matches!(logged.take(manifest), Err(Error::Format { .. })), "once");
        assert_eq!(new.runs(), runs);
        check(&pager, *value, runs);
        pager.enter().attach(new);
        pager.enter().detach(runs);
    }
    drop(logged);
    check(&pager, 5, &others);
    checkpoint(&pager).unwrap();
    let used = pager.stats().used_bytes;
    drop(pager);
    let pager = Pager::open(disk(&directory), options()).unwrap().0;
    check(&pager, 5, &others);
    assert_eq!((pager.pages().len(), pager.stats().used_bytes), (500, used), "nothing else is left");
}

#[test]
fn what_the_log_names_and_replay_does_not_take_is_free_again() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(), [1; 16]).unwrap();
    checkpoint(&pager).unwrap();
    let mut new = NewPages::new(&pager);
    write(&mut new, 2, 0..600).unwrap();
    let manifest = new.manifest(4).unwrap();
    pager.sync_direct().unwrap();
    pager.enter().attach(new);
    drop(pager);

    let pager = Pager::open(disk(&directory), options()).unwrap().0;
    let before = (pager.stats().used_bytes, pager.stats().pages);
    let mut logged = LoggedPages::new(&pager);
    logged.reserve(&manifest).unwrap();
    assert_eq!(pager.stats().pages, before.1 + 600);
    drop(logged);
    assert_eq!((pager.stats().used_bytes, pager.stats().pages), before);
}

#[test]
fn a_damaged_manifest_is_refused() {
    let read = |_| Err("no slot is read".to_owned());
    let mut good = vec![0u8];
    good.extend([5u32, 9, 2, 77, 78].iter().flat_map(|word| word.to_le_bytes()));
    let mut seen = Vec::new();
    decode_manifest(&good, read, |page, slot, crc| seen.push((page.0, slot, crc))).unwrap();
    assert_eq!(seen, [(5, 9, 77), (6, 10, 78)]);
    for len in 0..good.len() {
        let cut_between = len == 1; // no segments at all
        assert_eq!(decode_manifest(&good[..len], read, |_, _, _| ()).is_ok(), cut_between, "{len}");
    }
    let spilled = [&[1u8, 8][..], &[0; 4], &[9, 200, 1]].concat();
    assert!(decode_manifest(&spilled, |_| Ok(Buffer::zeroed(PAGE)), |_, _, _| ()).is_err(), "too many slots");
}

#[test]
fn in_memory_pages_that_do_not_fit_are_an_error_and_leave_nothing() {
    let pager = Pager::in_memory(options()).unwrap();
    let mut new = NewPages::new(&pager);
    let failed = (0..200).find_map(|n| write(&mut new, 1, n * 16..n * 16 + 16).err());
    assert!(matches!(failed, Some(Error::Budget(_) | Error::Full { .. })), "{failed:?}");
    drop(new);
    assert_eq!(pager.stats().pages, 0);
    let runs = attached(&pager, 2, 300);
    check(&pager, 2, &runs);
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64),
    Attach(usize),
    Drop(usize),
    Detach(usize),
    DetachPart(usize, usize),
    Pin(usize),
    Unpin(usize),
    Ordinary,
    FreeOrdinary(usize),
    Checkpoint,
    FailedCheckpoint,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<usize>;
    prop_oneof![
        6 => (1u64..90).prop_map(Step::Write),
        5 => at().prop_map(Step::Attach),
        1 => at().prop_map(Step::Drop),
        3 => at().prop_map(Step::Detach),
        2 => (at(), at()).prop_map(|(value, page)| Step::DetachPart(value, page)),
        2 => at().prop_map(Step::Pin),
        2 => at().prop_map(Step::Unpin),
        3 => Just(Step::Ordinary),
        3 => at().prop_map(Step::FreeOrdinary),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::FailedCheckpoint),
        1 => Just(Step::Crash),
    ]
}

/// A value, and which of its pages are there.
#[derive(Debug, Clone)]
struct Value {
    number: u64,
    pages: Vec<(u64, PageId)>,
}

impl Value {
    fn check(&self, pager: &Pager) {
        let ids: Vec<PageId> = self.pages.iter().map(|&(_, id)| id).collect();
        let mut buffers: Vec<Buffer> = ids.iter().map(|_| Buffer::zeroed(PAGE)).collect();
        pager.read_direct(&ids, &mut buffers).unwrap();
        for ((index, _), buffer) in self.pages.iter().zip(&buffers) {
            let word = (self.number << 32 | index).to_le_bytes();
            assert!(buffer.chunks_exact(8).all(|chunk| chunk == word), "page {index} of {}", self.number);
        }
    }

    fn runs(&self) -> Vec<PageRun> {
        let mut runs = Vec::new();
        self.pages.iter().for_each(|&(_, first)| PageRun::push(&mut runs, PageRun { first, pages: 1 }));
        runs
    }
}

fn change<R>(pager: &Pager, attempt: impl Fn(&crate::Mutation<'_>) -> std::result::Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_attached_or_pinned_is_there_and_nothing_else(
        steps in prop::collection::vec(step(), 1..150),
        in_memory in prop::bool::weighted(0.2),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut pager = match in_memory {
            true => Pager::in_memory(PagerOptions { budget: Budget::new(64 << 20), ..options() }).unwrap(),
            false => Pager::create(disk(&directory), options(), [1; 16]).unwrap(),
        };
        if !in_memory {
            checkpoint(&pager).unwrap();
        }
        let mut numbers = 0..;
        let mut new: Vec<(u64, NewPages)> = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        let mut pinned: Vec<(Pin, Value)> = Vec::new();
        let mut ordinary: Vec<PageId> = Vec::new();
        let mut durable = (values.clone(), ordinary.clone());
        for step in steps {
            match step {
                Step::Write(pages) => {
                    let (number, mut pages_new) = (numbers.next().unwrap(), NewPages::new(&pager));
                    write(&mut pages_new, number, 0..pages / 2).unwrap();
                    write(&mut pages_new, number, pages / 2..pages).unwrap();
                    if number % 2 == 0 {
                        pages_new.manifest(4).unwrap();
                    }
                    new.push((number, pages_new));
                }
                Step::Attach(at) if !new.is_empty() => {
                    let (number, pages_new) = new.swap_remove(at % new.len());
                    let ids = pages_new.runs().iter().flat_map(|run| run.ids());
                    values.push(Value { number, pages: (0..).zip(ids).collect() });
                    pager.sync_direct().unwrap();
                    pager.enter().attach(pages_new);
                }
                Step::Drop(at) if !new.is_empty() => drop(new.swap_remove(at % new.len())),
                Step::Detach(at) if !values.is_empty() => {
                    let value = values.swap_remove(at % values.len());
                    pager.enter().detach(&value.runs());
                }
                Step::DetachPart(at, page) if !values.is_empty() => {
                    let index = at % values.len();
                    let page = page % values[index].pages.len();
                    let gone = values[index].pages.split_off(page);
                    pager.enter().detach(&Value { number: 0, pages: gone }.runs());
                    values.retain(|value| !value.pages.is_empty());
                }
                Step::Pin(at) if !values.is_empty() => {
                    let pin = Pin::everything(&pager);
                    let value = values[at % values.len()].clone();
                    if at % 3 > 0 {
                        pin.narrow(&value.runs());
                    }
                    pinned.push((pin, value));
                }
                Step::Unpin(at) if !pinned.is_empty() => drop(pinned.swap_remove(at % pinned.len())),
                Step::Ordinary => ordinary.push(change(&pager, |m| Ok(m.allocate()?.id()))),
                Step::FreeOrdinary(at) if !ordinary.is_empty() => {
                    let page = ordinary.swap_remove(at % ordinary.len());
                    change(&pager, |m| m.free_id(page));
                }
                Step::Checkpoint if !in_memory => {
                    checkpoint(&pager).unwrap();
                    durable = (values.clone(), ordinary.clone());
                }
                Step::FailedCheckpoint if !in_memory => {
                    let mut flip = pager.flip(|| 1);
                    pager.write_checkpoint(&mut flip).unwrap();
                    pager.abandon(flip);
                }
                Step::Crash if !in_memory => {
                    new.clear();
                    pinned.clear();
                    drop(pager);
                    pager = Pager::open(disk(&directory), options()).unwrap().0;
                    (values, ordinary) = durable.clone();
                }
                _ => {}
            }
            values.iter().chain(pinned.iter().map(|(_, value)| value)).for_each(|value| value.check(&pager));
            let ids: BTreeSet<PageId> =
                values.iter().flat_map(|value| value.pages.iter().map(|&(_, id)| id)).chain(ordinary.clone()).collect();
            prop_assert_eq!(pager.pages(), ids.into_iter().collect::<Vec<_>>());
        }
        new.clear();
        pinned.clear();
        let pages = values.iter().map(|value| value.pages.len()).sum::<usize>() + ordinary.len();
        if in_memory {
            prop_assert_eq!(pager.stats().pages, pages as u64);
            return Ok(());
        }
        checkpoint(&pager).unwrap();
        checkpoint(&pager).unwrap(); // ids of ordinary pages are free in the next epoch
        let stats = pager.stats();
        prop_assert_eq!(stats.pages, pages as u64);
        drop(pager);
        let pager = Pager::open(disk(&directory), options()).unwrap().0;
        prop_assert_eq!(pager.stats().used_bytes, stats.used_bytes, "slots leak");
        values.iter().for_each(|value| value.check(&pager));
    }
}

//! A file that is mostly idle becomes short, and nothing in it is lost.

use super::*;
use crate::NewPages;
use crate::pager::PagerOptions;
use aquifer_io::{Backend, open_disk};
use aquifer_pools::Budget;
use aquifer_sync::Arc;

const ID: [u8; 16] = *b"a test database!";

fn change<R>(pager: &Pager, attempt: impl Fn(&crate::Mutation<'_>) -> std::result::Result<R, Retry>) -> R {
    loop {
        let result = attempt(&pager.enter());
        match result {
            Ok(done) => return done,
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

fn checkpoint(pager: &Pager) {
    let mut flip = pager.flip(|| 1);
    pager.write_checkpoint(&mut flip).unwrap();
    pager.install(&mut flip, 1).unwrap();
    pager.release(flip).unwrap();
}

fn first_word(pager: &Pager, page: PageId) -> u64 {
    loop {
        match pager.shared(page) {
            Ok(shared) => return u64::from_le_bytes(shared.bytes()[..8].try_into().unwrap()),
            Err(retry) => pager.resolve(retry).unwrap(),
        }
    }
}

/// A file of so many pages of which every so many-th is kept.
fn thinned(directory: &tempfile::TempDir, pages: usize, every: usize) -> (Arc<Pager>, Vec<PageId>) {
    let disk = open_disk(directory.path(), Backend::Posix, true).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) };
    let pager = Pager::create(disk, options, ID).unwrap();
    let all: Vec<PageId> = (0..pages)
        .map(|_| {
            change(&pager, |m| {
                let mut page = m.allocate()?;
                let id = page.id();
                page.bytes_mut()[..8].copy_from_slice(&u64::from(id.0).to_le_bytes());
                Ok(id)
            })
        })
        .collect();
    checkpoint(&pager);
    let (kept, gone): (Vec<_>, Vec<_>) =
        all.into_iter().enumerate().partition(|(at, _)| at % every == every - 1);
    gone.into_iter().for_each(|(_, page)| change(&pager, |m| m.free_id(page)));
    checkpoint(&pager);
    (pager, kept.into_iter().map(|(_, page)| page).collect())
}

fn shrink(pager: &Pager) -> u32 {
    shrink_as(pager, true)
}

fn shrink_as(pager: &Pager, may_load: bool) -> u32 {
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 1000, "it ends");
        match pager.shrink_some(false, || Ok::<_, Error>(may_load)).unwrap() {
            Shrink::Nothing => return steps - 1,
            Shrink::Moving => {}
            Shrink::Moved => {
                checkpoint(pager);
                pager.end_shrinking();
            }
        }
    }
}

#[test]
fn a_file_of_which_little_is_in_use_becomes_short() {
    let directory = tempfile::tempdir().unwrap();
    let (pager, kept) = thinned(&directory, 6000, 7);
    let before = pager.stats();
    assert!(before.file_bytes > 4 * before.used_bytes);
    assert!(shrink(&pager) > 0);
    let after = pager.stats();
    assert!(after.file_bytes * 4 <= after.used_bytes * 5, "{} for {}", after.file_bytes, after.used_bytes);
    kept.iter().for_each(|&page| assert_eq!(first_word(&pager, page), u64::from(page.0)));
    drop(pager);
    let disk = open_disk(directory.path(), Backend::Posix, false).unwrap();
    let options = PagerOptions { page_bytes: 4096, budget: Budget::new(2 << 20) };
    let (pager, _) = Pager::open(disk, options).unwrap();
    kept.iter().for_each(|&page| assert_eq!(first_word(&pager, page), u64::from(page.0)));
}

#[test]
fn a_file_that_is_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (pager, _) = thinned(&directory, 3000, 1);
    assert_eq!(shrink(&pager), 0);
}

#[test]
fn what_did_not_help_is_not_tried_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let (pager, _) = thinned(&directory, 6000, 7);
    shrink(&pager);
    let written = pager.stats().written_bytes;
    assert_eq!(shrink(&pager), 0);
    assert_eq!(pager.stats().written_bytes, written);
}

/// Writes direct pages and attaches them.
fn direct(pager: &Arc<Pager>, pages: usize) -> crate::NewPages {
    let mut new = NewPages::new(pager);
    let mut buffers: Vec<_> = (0..pages).map(|_| aquifer_io::Buffer::zeroed(4096)).collect();
    buffers.iter_mut().enumerate().for_each(|(at, buffer)| buffer.fill(at as u8));
    new.append(&mut buffers).unwrap();
    new.trim();
    new
}

fn check_direct(pager: &Pager, runs: &[crate::PageRun]) {
    for (at, page) in runs.iter().flat_map(|run| run.ids()).enumerate() {
        let mut buffers = vec![aquifer_io::Buffer::zeroed(4096)];
        pager.read_direct(&[page], &mut buffers).unwrap();
        assert!(buffers[0].iter().all(|&byte| byte == at as u8), "page {page}");
    }
}

#[test]
fn direct_pages_stay_where_they_are_and_never_enter_a_frame() {
    for (at_rest, attach) in [(true, true), (false, true), (false, false)] {
        let directory = tempfile::tempdir().unwrap();
        let (pager, kept) = thinned(&directory, 6000, 7);
        let new = direct(&pager, 300);
        let runs = new.runs().to_vec();
        let waiting = if attach {
            pager.sync_direct().unwrap();
            pager.enter().attach(new);
            None
        } else {
            Some(new)
        };
        if at_rest {
            checkpoint(&pager);
            // Some are in memory then.
            kept.iter().for_each(|&page| assert_eq!(first_word(&pager, page), u64::from(page.0)));
        }
        let places: Vec<_> =
            runs.iter().flat_map(|run| run.ids()).map(|page| pager.table.location(page)).collect();
        // Before they are at rest, whoever shrinks does not hear of them from any tree.
        assert!(shrink_as(&pager, !at_rest) > 0, "SH4");
        for (page, place) in runs.iter().flat_map(|run| run.ids()).zip(places) {
            assert_eq!(pager.table.location(page), place);
            assert_eq!(pager.table.entry(page).unwrap().get(), crate::translation::Residence::Absent);
        }
        check_direct(&pager, &runs);
        kept.iter().for_each(|&page| assert_eq!(first_word(&pager, page), u64::from(page.0)));
        let before = pager.stats().file_bytes;
        assert_eq!(shrink_as(&pager, !at_rest), 0, "it is not tried for ever");
        drop(waiting);
        if attach {
            pager.enter().detach(&runs);
        }
        checkpoint(&pager);
        checkpoint(&pager);
        assert_eq!(pager.pages().len(), kept.len());
        assert!(pager.stats().file_bytes <= before);
    }
}

//! Kept checkpoints stay as they were under everything that comes after, and cost nothing once they are gone.

use crate::test_pager::*;
use crate::{BackupImage, PageId, Pager};
use aquifer_sync::Arc;

/// What a kept checkpoint holds: page and content, by a backup of it.
fn held(kept: &crate::KeptCheckpoint) -> Vec<(PageId, u64)> {
    let (backup, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    kept.back_up(disk(&backup), |_| {}).unwrap();
    let image = BackupImage::open(disk(&backup)).unwrap();
    let pager = image.restore(disk(&restored), options(2 << 20), [7; 16], |_| {}).unwrap();
    all(&pager)
}

fn all(pager: &Pager) -> Vec<(PageId, u64)> {
    pager.pages().into_iter().map(|page| (page, content(pager, page).unwrap())).collect()
}

fn rewrite(pager: &Pager, pages: &[PageId], to: u64) {
    pages.iter().for_each(|&page| set(pager, page, to).unwrap());
    checkpoint(pager).unwrap();
}

#[test]
fn what_is_kept_stays_under_many_checkpoints_and_then_its_space_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let pages: Vec<PageId> = (0..1000).map(|n| allocate(&pager, n).unwrap()).collect();
    checkpoint(&pager).unwrap();
    rewrite(&pager, &pages, 1 << 20);
    let used = pager.stats().used_bytes;
    let kept = Pager::keep_checkpoint(&pager).unwrap();
    let then = all(&pager);
    for round in 0..8 {
        rewrite(&pager, &pages, round);
    }
    for &page in &pages[..500] {
        free(&pager, page).unwrap();
    }
    checkpoint(&pager).unwrap();
    assert_eq!(held(&kept), then, "KC3");
    let most = pager.stats().used_bytes;
    assert!(most > used, "the kept pages take space: {most} of {used}");
    // What came and went in between did not stay.
    assert!(most < 2 * used, "{most} of {used}");
    drop(kept);
    assert!(pager.stats().used_bytes < used, "KC2");
    assert_eq!(all(&pager).len(), 500);
}

#[test]
fn several_are_kept_and_go_in_any_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        let directory = tempfile::tempdir().unwrap();
        let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
        let pages: Vec<PageId> = (0..300).map(|n| allocate(&pager, n).unwrap()).collect();
        checkpoint(&pager).unwrap();
        let mut kept = Vec::new();
        for round in 0..3 {
            rewrite(&pager, &pages[round * 50..200 + round * 50], 100 + round as u64);
            kept.push(Some((Arc::new(Pager::keep_checkpoint(&pager).unwrap()), all(&pager))));
        }
        rewrite(&pager, &pages, 1000);
        let used = pager.stats().used_bytes;
        for gone in order {
            kept[gone] = None;
            rewrite(&pager, &pages, gone as u64);
            for (kept, then) in kept.iter().flatten() {
                assert_eq!(held(kept), *then, "KC2, after {gone} of {order:?}");
            }
        }
        rewrite(&pager, &pages, 5);
        assert!(pager.stats().used_bytes < used);
        pager.verify(|page, result| result.unwrap_or_else(|error| panic!("{page}: {error}")));
    }
}

#[test]
fn it_fits_into_the_smallest_budget_when_frames_have_taken_it_all() {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    for n in 0..4000 {
        allocate(&pager, n).unwrap();
    }
    checkpoint(&pager).unwrap();
    let kept: Vec<_> = (0..4).map(|_| Pager::keep_checkpoint(&pager).unwrap()).collect();
    assert_eq!(held(&kept[3]).len(), 4000);
}

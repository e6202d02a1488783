//! Backups against what was in the checkpoint, over random changes; what is copied again; and everything that may be in the way.

use super::*;
use crate::test_pager::*;
use aquifer_io::{OpenMode, Operation, Request};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn back_up(pager: &Arc<Pager>, to: &tempfile::TempDir) -> Result<BackupReport> {
    Pager::keep_checkpoint(pager)?.back_up(disk(to), |_| {})
}

/// What a backup holds, once verified and restored.
fn restored(backup: &tempfile::TempDir) -> BTreeMap<PageId, u64> {
    let image = BackupImage::open(disk(backup)).unwrap();
    let mut pages = 0;
    image
        .verify(|page, result| {
            result.unwrap_or_else(|error| panic!("{page}: {error}"));
            pages += 1;
        })
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let pager = image.restore(disk(&directory), options(2 << 20), [7; 16], |_| {}).unwrap();
    checkpoint(&pager).unwrap();
    drop(pager);
    let (pager, superblock) = Pager::open(disk(&directory), options(2 << 20)).unwrap();
    assert_eq!((superblock.database_id, superblock.is_backup), ([7; 16], false));
    let all: BTreeMap<_, _> =
        pager.pages().into_iter().map(|page| (page, content(&pager, page).unwrap())).collect();
    assert_eq!(all.len(), pages);
    all
}

fn database(pages: u64) -> (tempfile::TempDir, Arc<Pager>, BTreeMap<PageId, u64>) {
    let directory = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&directory), options(2 << 20), ID).unwrap();
    let model = (0..pages).map(|n| (allocate(&pager, n).unwrap(), n)).collect();
    checkpoint(&pager).unwrap();
    (directory, pager, model)
}

/// Flips a bit of a file.
fn damage(directory: &tempfile::TempDir, name: &str, offset: u64) {
    let file = disk(directory).open(name, OpenMode::Existing).unwrap();
    let block = offset / 4096 * 4096;
    let request =
        |operation, buffer| file.transfer(vec![Request { operation, offset: block, buffer }]).remove(0);
    let mut read = request(Operation::Read, Buffer::zeroed(4096));
    read.buffer[(offset - block) as usize] ^= 4;
    request(Operation::Write, read.buffer).result.unwrap();
}

#[test]
fn only_what_has_moved_is_copied_again() {
    let (_directory, pager, mut model) = database(2000);
    let backup = tempfile::tempdir().unwrap();
    let report = back_up(&pager, &backup).unwrap();
    assert_eq!((report.pages, report.pages_copied, report.incremental), (2000, 2000, false));
    assert_eq!(restored(&backup), model);
    let pages: Vec<PageId> = model.keys().copied().collect();
    for &page in &pages[100..120] {
        set(&pager, page, 77).unwrap();
        model.insert(page, 77);
    }
    for &page in &pages[1000..1500] {
        free(&pager, page).unwrap();
        model.remove(&page);
    }
    checkpoint(&pager).unwrap();
    let report = back_up(&pager, &backup).unwrap();
    assert_eq!((report.pages, report.pages_copied, report.incremental), (1500, 20, true));
    assert_eq!(restored(&backup), model);
    let report = back_up(&pager, &backup).unwrap();
    assert_eq!((report.pages, report.pages_copied), (1500, 0));
    assert_eq!(restored(&backup), model);
}

#[test]
fn without_its_origins_everything_is_copied_again() {
    let (_directory, pager, model) = database(1500);
    for what in ["removed", "header", "entries", "cut"] {
        let backup = tempfile::tempdir().unwrap();
        back_up(&pager, &backup).unwrap();
        let path = backup.path().join("origins");
        match what {
            "removed" => std::fs::remove_file(path).unwrap(),
            "cut" => std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4096).unwrap(),
            "header" => damage(&backup, "origins", 17),
            _ => damage(&backup, "origins", 9000),
        }
        let report = back_up(&pager, &backup).unwrap();
        assert_eq!((report.pages_copied, report.incremental), (1500, false), "OR2: {what}");
        assert_eq!(restored(&backup), model);
        let length = std::fs::metadata(backup.path().join("data")).unwrap().len();
        assert!(length < 2 * 1500 * 4096 + (2 << 20), "{length} bytes");
        assert_eq!(back_up(&pager, &backup).unwrap().pages_copied, 0);
    }
}

#[test]
fn origins_of_the_backup_before_are_not_believed() {
    let (_directory, pager, _) = database(100);
    let backup = tempfile::tempdir().unwrap();
    back_up(&pager, &backup).unwrap();
    let old = std::fs::read(backup.path().join("origins")).unwrap();
    back_up(&pager, &backup).unwrap();
    std::fs::write(backup.path().join("origins"), old).unwrap();
    assert!(!back_up(&pager, &backup).unwrap().incremental, "OR1");
}

#[test]
fn what_is_no_backup_of_this_database_is_not_touched() {
    let (directory, pager, _) = database(100);
    let (other, other_pager, _) = database(10);
    let before = std::fs::read(other.path().join("data")).unwrap();
    let error = back_up(&pager, &other).unwrap_err().to_string();
    assert!(error.contains("not a backup"), "{error}");
    assert_eq!(std::fs::read(other.path().join("data")).unwrap(), before, "BA3");
    drop(other_pager);
    let backup = tempfile::tempdir().unwrap();
    back_up(&pager, &backup).unwrap();
    drop(pager);
    let error = Pager::open(disk(&backup), options(2 << 20)).unwrap_err().to_string();
    assert!(error.contains("it is a backup"), "{error}");
    let error = BackupImage::open(disk(&directory)).unwrap_err().to_string();
    assert!(error.contains("it is a database"), "{error}");
    let stranger = tempfile::tempdir().unwrap();
    let pager = Pager::create(disk(&stranger), options(2 << 20), [1; 16]).unwrap();
    allocate(&pager, 1).unwrap();
    checkpoint(&pager).unwrap();
    let error = back_up(&pager, &backup).unwrap_err().to_string();
    assert!(error.contains("another database"), "{error}");
}

#[test]
fn a_damaged_page_ends_a_backup_and_leaves_the_one_before() {
    let (directory, pager, model) = database(500);
    let backup = tempfile::tempdir().unwrap();
    back_up(&pager, &backup).unwrap();
    let pages: Vec<PageId> = model.keys().copied().collect();
    pages.iter().for_each(|&page| set(&pager, page, 9).unwrap());
    checkpoint(&pager).unwrap();
    let slot = pager.table.location(pages[250]).slot;
    damage(&directory, "data", u64::from(slot) * 4096 + 100);
    let error = back_up(&pager, &backup).unwrap_err();
    assert!(matches!(error, Error::Corrupt { page, .. } if page == pages[250]), "BA2: {error}");
    assert_eq!(restored(&backup), model, "BA1");
    set(&pager, pages[250], 10).unwrap();
    checkpoint(&pager).unwrap();
    back_up(&pager, &backup).unwrap();
    assert_eq!(restored(&backup).values().filter(|&&value| value == 9).count(), 499);
    // And damage in the backup itself is found.
    let mut found = 0;
    let length = std::fs::metadata(backup.path().join("data")).unwrap().len();
    for offset in (128 << 10..length).step_by(4096) {
        damage(&backup, "data", offset);
    }
    let image = BackupImage::open(disk(&backup)).unwrap();
    match image.verify(|_, result| found += usize::from(result.is_err())) {
        Ok(()) => assert_eq!(found, 500),
        Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Random changes, a checkpoint, a backup into the same directory, again and again.
    #[test]
    fn backups_are_what_was_there(
        rounds in prop::collection::vec(prop::collection::vec((0u8..4, any::<prop::sample::Index>(), 0u64..1000), 0..400), 1..5)
    ) {
        let (_directory, pager, mut model) = database(300);
        let backup = tempfile::tempdir().unwrap();
        for round in rounds {
            for (what, which, value) in round {
                let pages: Vec<PageId> = model.keys().copied().collect();
                match what {
                    0 => drop(model.insert(allocate(&pager, value).unwrap(), value)),
                    1 if pages.len() > 1 => {
                        let page = *which.get(&pages);
                        free(&pager, page).unwrap();
                        model.remove(&page);
                    }
                    _ => {
                        let page = *which.get(&pages);
                        set(&pager, page, value).unwrap();
                        model.insert(page, value);
                    }
                }
            }
            checkpoint(&pager).unwrap();
            let report = back_up(&pager, &backup).unwrap();
            prop_assert_eq!(report.pages as usize, model.len());
            prop_assert_eq!(&restored(&backup), &model);
        }
    }
}

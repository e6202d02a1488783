//! Pages with the right checksum and the wrong bytes: errors and faults, never a panic or an endless loop.

use super::super::test_index::TestIndex;
use crate::PointReads;
use crate::btree::test_tree::{Scramble, change};
use aquifer_buffer::{Error, PageId, Pager, Retry};

fn index(mask: u64) -> TestIndex {
    let index = TestIndex::with_mask(4096, mask);
    (0..2000u64).for_each(|n| index.put(&(n * 5).to_be_bytes(), &[n as u8; 40]));
    index
}

fn overwrite(index: &TestIndex, page: PageId, change_bytes: impl Fn(&mut [u8])) {
    change(&index.pager, |m| {
        let mut page = m.exclusive(page)?;
        page.make_dirty()?;
        change_bytes(page.bytes_mut());
        Ok(())
    });
}

/// Resolves as a commit does, a few times. A damaged index that is of two minds would otherwise go on for ever.
fn attempt<R>(pager: &Pager, mut what: impl FnMut() -> Result<R, Retry>) {
    for _ in 0..50 {
        match what() {
            Ok(_) => return,
            Err(retry) => {
                if pager.resolve(retry).is_err() {
                    return;
                }
            }
        }
    }
    panic!("neither done nor an error");
}

/// Does everything once; whatever comes of it, it must come.
fn use_it(index: &TestIndex, seed: u64) {
    let mut scramble = Scramble(seed);
    let mut out = Vec::new();
    let pager = &index.pager;
    for _ in 0..40 {
        let key = scramble.below(10_500).to_be_bytes();
        let _ = index.index.get_into(pager, &key, &mut out);
        for len in [0, 40, 900] {
            attempt(pager, || {
                let m = pager.enter();
                let place = index.index.place(&m, pager, &key, len)?;
                let _ = place.old();
                place.put(&vec![1; len], 1);
                Ok(())
            });
        }
        attempt(pager, || {
            let m = pager.enter();
            let place = index.index.place_existing(&m, pager, &key)?;
            place.into_iter().for_each(|place| place.remove(1));
            Ok(())
        });
    }
    let mut cursor = index.index.cursor(pager);
    let mut steps = 0;
    while let Ok(Some(_)) = cursor.next() {
        steps += 1;
        assert!(steps < 1_000_000, "CS3");
    }
    let _ = index.index.len_estimate(pager);
    let _ = index.index.load_buckets(pager, &[&[1; 8][..], &[0; 8][..]]);
}

fn check(mask: u64, rounds: usize) {
    let mut scramble = Scramble(77);
    let mut faulty = 0;
    for round in 0..rounds {
        let index = index(mask);
        let pages = index.check().pages;
        let page = pages[scramble.below(pages.len() as u64) as usize];
        let page = if round % 4 == 0 { index.index.root() } else { page };
        let seed = scramble.below(u64::MAX);
        overwrite(&index, page, |bytes| {
            let mut scramble = Scramble(seed);
            // Mostly the header, the runs or entries, or the whole page.
            let end = [56, 400, 4096][round % 3];
            for _ in 0..1 + scramble.below(20) {
                bytes[scramble.below(end) as usize] = scramble.below(256) as u8;
            }
        });
        let report = index.index.check(&index.pager, &mut |_| ()).unwrap();
        faulty += usize::from(!report.faults.is_empty());
        use_it(&index, seed);
        let _ = index.index.check(&index.pager, &mut |_| ()).unwrap();
        for _ in 0..1000 {
            let m = index.pager.enter();
            match index.index.dismantle(&m, &index.pager) {
                Ok(false) => {}
                Ok(true) | Err(_) => break,
            }
        }
    }
    assert!(faulty * 2 > rounds, "the check found {faulty} of {rounds}");
}

#[test]
fn bytes_changed_at_random_do_no_worse_than_errors() {
    check(u64::MAX, 150);
}

#[test]
fn bytes_changed_at_random_in_chains_do_no_worse_than_errors() {
    check(!0 << 62, 60);
}

#[test]
fn bytes_changed_at_random_in_a_deep_directory_do_no_worse_than_errors() {
    check(0xFF, 60);
}

#[test]
fn a_page_of_zeros_is_an_error_that_names_it() {
    let index = index(u64::MAX);
    let bucket = *index.check().pages.last().unwrap();
    overwrite(&index, bucket, |bytes| bytes.fill(0));
    let key = (0..2000u64).map(|n| (n * 5).to_be_bytes()).find(|key| {
        matches!(index.index.contains(&index.pager, key), Err(Error::Corrupt { page, .. }) if page == bucket)
    });
    let key = key.expect("some key is in that bucket");
    let retry = index.index.place(&index.pager.enter(), &index.pager, &key, 1).unwrap_err();
    assert!(matches!(retry, Retry::Damaged(page, _) if page == bucket), "{retry:?}");
    let report = index.index.check(&index.pager, &mut |_| ()).unwrap();
    assert_eq!(report.faults.iter().map(|(page, _)| *page).collect::<Vec<_>>(), [bucket]);
    let mut cursor = index.index.cursor(&index.pager);
    let error = loop {
        match cursor.next() {
            Ok(record) => assert!(record.is_some(), "the cursor passed over it"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Corrupt { page, .. } if page == bucket));
}

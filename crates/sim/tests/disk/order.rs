//! Requests under way: when they happen, who sees them, and what a crash makes of them.

use crate::{buffer, full_of, read, read_request, shown, stable, write_request};
use aquifer_sim::{Call, Fault, SimDisk};
use std::collections::BTreeSet;
use std::mem;

#[test]
fn a_read_may_or_may_not_see_a_write_under_way() {
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1]);
        let pending = file.submit(vec![write_request(0, &[2])]);
        seen.insert(read(&*file, 0, 1).unwrap()[0]);
        assert!(pending.wait().remove(0).result.is_ok());
        assert_eq!(read(&*file, 0, 1).unwrap()[0], 2, "after the wait it is there");
    }
    assert_eq!(seen, BTreeSet::from([1, 2]));
}

#[test]
fn a_read_under_way_may_or_may_not_see_a_later_write() {
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1]);
        let pending = file.submit(vec![read_request(0, 1)]);
        crate::write(&*file, 0, &[2]).unwrap();
        seen.insert(pending.wait().remove(0).buffer[0]);
    }
    assert_eq!(seen, BTreeSet::from([1, 2]));
}

#[test]
fn overlapping_writes_of_a_batch_happen_in_any_order() {
    let mut last = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[0]);
        file.transfer((1..=3).map(|byte| write_request(0, &[byte])).collect());
        last.insert(shown(&disk, "a")[0].unwrap());
    }
    assert_eq!(last, BTreeSet::from([1, 2, 3]));
}

#[test]
fn a_write_may_land_before_it_is_waited_for() {
    let mut early = 0;
    for seed in 0..100 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1, 1]);
        let pending = file.submit(vec![write_request(0, &[2])]);
        if read(&*file, 0, 1).unwrap()[0] == 1 {
            // It was under way; now other calls go by.
            for _ in 0..20 {
                crate::write(&*file, 1, &[3]).unwrap();
            }
            early += usize::from(read(&*file, 0, 1).unwrap()[0] == 2);
        }
        drop(pending);
        assert_eq!(read(&*file, 0, 1).unwrap()[0], 2, "dropping waits");
    }
    assert!(early > 20, "{early}");
}

#[test]
fn in_order_means_at_once_and_in_the_order_of_the_requests() {
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        disk.set_in_order(true);
        let file = stable(&disk, "a", &[0]);
        disk.inject(Fault::error().nth(3));
        let pending = file.submit((1..=4).map(|byte| write_request(u64::from(byte), &[byte])).collect());
        assert_eq!(shown(&disk, "a")[1..3], [Some(1), Some(2)]);
        let failed: Vec<bool> = pending.wait().iter().map(|completion| completion.result.is_err()).collect();
        assert_eq!(failed, [false, false, true, false]);
    }
}

#[test]
fn a_write_under_way_is_unsynced_to_a_loss_of_power() {
    let (mut under_way, mut finished) = (0, 0);
    for seed in 0..40 {
        let disk = SimDisk::with_seed(seed);
        disk.set_sector_bytes(4096);
        let file = stable(&disk, "a", &[1]);
        let pending = file.submit(vec![write_request(1, &[2])]);
        let flying = shown(&disk, "a").len() == 1;
        file.sync_data().unwrap();
        let states: BTreeSet<Vec<Option<u8>>> =
            disk.crash_states(10).unwrap().map(|state| shown(&state, "a")).collect();
        if flying && states.len() > 1 {
            let expected =
                [vec![Some(1)], vec![Some(1), Some(0)], vec![Some(1), Some(2)], vec![Some(1), None]];
            assert_eq!(states, BTreeSet::from(expected));
            under_way += 1;
        } else {
            assert_eq!(states, BTreeSet::from([vec![Some(1), Some(2)]]), "it was carried out, and synced");
            finished += 1;
        }
        drop(pending);
    }
    assert!(under_way > 5 && finished > 5, "{under_way}, {finished}");
}

#[test]
fn a_kill_leaves_any_blocks_of_a_write_under_way() {
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1, 1]);
        let pending = file.submit(vec![write_request(0, &[2, 2])]);
        found.insert(shown(&disk.after_kill(), "a"));
        assert_eq!(shown(&disk.after_kill(), "a"), shown(&disk.after_kill(), "a"), "the same each time");
        drop(pending);
    }
    let all = [[1, 1], [1, 2], [2, 1], [2, 2]].map(|bytes| bytes.map(Some).to_vec());
    assert_eq!(found, BTreeSet::from(all));
}

#[test]
fn power_lost_in_a_batch_leaves_each_request_to_itself() {
    let mut kept = BTreeSet::new();
    for seed in 0..300 {
        let disk = SimDisk::with_seed(seed);
        disk.set_sector_bytes(4096);
        let file = stable(&disk, "a", &[1, 1, 1]);
        disk.inject(Fault::power_loss().nth(2));
        let requests = (0..3).map(|block| write_request(block, &[2]));
        let results: Vec<bool> = file
            .submit(requests.collect())
            .wait()
            .iter()
            .map(|completion| completion.result.is_ok())
            .collect();
        assert_eq!(results.iter().filter(|ok| **ok).count(), 1, "the second and the third fail");
        kept.insert(
            shown(&disk.after_power_loss(seed), "a").iter().map(|b| *b == Some(2)).collect::<Vec<_>>(),
        );
    }
    assert_eq!(kept.len(), 8, "{kept:?}");
}

#[test]
fn a_forgotten_batch_harms_nobody() {
    for seed in 0..20 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1, 1]);
        mem::forget(file.submit(vec![write_request(0, &[2])]));
        for _ in 0..50 {
            crate::write(&*file, 1, &[3]).unwrap();
        }
        file.sync_data().unwrap();
        let byte = full_of(&read(&*file, 0, 1).unwrap());
        assert!(matches!(byte, Some(1 | 2)));
        drop(disk.after_power_loss(seed));
    }
}

#[test]
fn batches_wait_in_any_order_and_keep_their_own_results() {
    for seed in 0..50 {
        let disk = SimDisk::with_seed(seed);
        let file = stable(&disk, "a", &[1, 2, 3]);
        let writes = file.submit(vec![write_request(3, &[4]), write_request(4, &[5])]);
        disk.inject(Fault::error().on(Call::Read).for_good());
        let reads = file.submit(vec![read_request(0, 1), read_request(100, 1)]);
        assert!(reads.wait().iter().all(|completion| completion.result.is_err()));
        disk.heal();
        for (completion, byte) in writes.wait().into_iter().zip([4, 5]) {
            completion.result.unwrap();
            assert_eq!(completion.buffer[..], buffer(&[byte])[..]);
        }
        assert_eq!(shown(&disk, "a"), [1, 2, 3, 4, 5].map(Some));
    }
}

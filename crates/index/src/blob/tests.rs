//! Descriptors and extents.

use super::*;
use proptest::prelude::*;

fn run(first: u32, pages: u32) -> PageRun {
    PageRun { first: PageId(first), pages }
}

#[test]
fn bytes_are_frozen() {
    let inline = Descriptor { len: 10_000, extents: Extents::Inline(vec![run(7, 2), run(300, 1)]) };
    assert_eq!(inline.encode(), [1, 0x90, 0x4e, 7, 2, 0xac, 2, 1]);
    assert_eq!(Descriptor::decode(&inline.encode(), 4096), Ok(inline));
    let listed = Descriptor { len: 10_000, extents: Extents::Listed { bytes: 5000, pages: vec![run(9, 2)] } };
    assert_eq!(listed.encode(), [2, 0x90, 0x4e, 0x88, 0x27, 9, 2]);
    assert_eq!(Descriptor::decode(&listed.encode(), 4096), Ok(listed));
}

#[test]
fn extents_have_exactly_the_pages_that_the_length_takes() {
    let with = |len, pages| {
        let descriptor = Descriptor { len, extents: Extents::Inline(vec![run(7, pages)]) };
        Descriptor::decode(&descriptor.encode(), 4096).is_ok()
    };
    assert!(with(1, 1) && with(4096, 1) && with(4097, 2));
    assert!(!with(0, 0) && !with(0, 1) && !with(4097, 1) && !with(4096, 2));
    assert!(with(LARGE_BYTES_MAX, 1 << 20) && !with(LARGE_BYTES_MAX + 1, (1 << 20) + 1));
    let zero = Descriptor { len: 1, extents: Extents::Inline(vec![run(0, 1)]) };
    assert!(Descriptor::decode(&zero.encode(), 4096).is_err());
}

#[test]
fn the_smallest_neighbours_are_written_anew() {
    let mut extents: Vec<PageRun> = (0..=EXTENTS_MAX as u32).map(|n| run(1 + n * 20, 10)).collect();
    extents[500..500 + CROWD].iter_mut().for_each(|run| run.pages = 1);
    let pages: u64 = extents.iter().map(|run| u64::from(run.pages)).sum();
    let value = LargeValue::new(pages * 4096, extents.clone(), Vec::new());
    assert_eq!(value.crowd(), Some(5000..5000 + CROWD as u64));
    let after = value.spliced(5000, 5000 + CROWD as u64, &[run(4_000_000, CROWD as u32)]);
    assert_eq!(after.len(), EXTENTS_MAX + 1 - CROWD + 1);
    extents.pop();
    assert_eq!(LargeValue::new(1, extents, Vec::new()).crowd(), None);
}

proptest! {
    #[test]
    fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(descriptor) = Descriptor::decode(&bytes, 4096) {
            prop_assert_eq!(Descriptor::decode(&descriptor.encode(), 4096), Ok(descriptor));
        }
    }

    #[test]
    fn splicing_is_what_it_is_for_lists_of_pages(
        sizes in prop::collection::vec(1u32..6, 1..8),
        new in prop::collection::vec(1u32..6, 0..4),
        at in (0u64..40, 0u64..40),
    ) {
        let runs = |base: u32, sizes: &[u32]| -> Vec<PageRun> {
            sizes.iter().enumerate().map(|(n, &pages)| run(base + 10 * n as u32, pages)).collect()
        };
        let ids = |runs: &[PageRun]| -> Vec<u32> { runs.iter().flat_map(|run| run.ids()).map(|id| id.0).collect() };
        let (old, new) = (runs(100, &sizes), runs(1000, &new));
        let count: u64 = sizes.iter().map(|&pages| u64::from(pages)).sum();
        let value = LargeValue::new(count * 4096, old.clone(), vec![run(5000, 2)]);
        let (from, to) = (at.0.min(at.1).min(count), at.0.max(at.1).min(count));
        let mut expected = ids(&old);
        let removed: Vec<u32> = expected.splice(from as usize..to as usize, ids(&new)).collect();
        let spliced = value.spliced(from, to, &new);
        prop_assert_eq!(ids(&spliced), expected);
        let mut gone = removed;
        gone.extend([5000, 5001]);
        prop_assert_eq!(ids(&value.pages_not_in(&spliced)), gone);
        for most in [1, 3, 100] {
            let some: Vec<u32> = value.ids(from, most).into_iter().map(|id| id.0).collect();
            let all = ids(&old);
            prop_assert_eq!(&some[..], &all[from as usize..all.len().min(from as usize + most)]);
        }
    }
}

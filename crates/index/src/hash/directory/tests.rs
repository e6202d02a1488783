//! Searching and changing directory pages.

use super::*;
use proptest::collection::btree_set;
use proptest::prelude::*;

fn plan(prefix: u64, prefix_bits: u32) -> Plan {
    Plan { level: 1, flags: 0, owner: 7, id: PageId(9), changed_at: 3, prefix, prefix_bits, seed: 1 }
}

fn page(prefix: u64, prefix_bits: u32, firsts: &[u64]) -> Vec<u8> {
    let entries: Vec<_> = firsts.iter().zip(10..).map(|(&first, page)| (first, PageId(page))).collect();
    build(4096, &plan(prefix, prefix_bits), &entries)
}

proptest! {
    #[test]
    fn a_search_finds_the_entry_that_covers_the_hash(
        bounds in btree_set(prop_oneof![any::<u32>(), 0u32..600, (!0u32 - 600)..], 0..500),
        prefix_bits in 0u32..=63,
        hash in any::<u64>(),
        near in any::<prop::sample::Index>(),
    ) {
        // The page covers the hashes with the bits of `hash` as prefix.
        let prefix = hash & !(u64::MAX >> prefix_bits);
        let low_bits = 32u32.saturating_sub(64 - prefix_bits);
        let mut firsts: Vec<u64> = bounds
            .iter()
            .map(|&bound| prefix | u64::from(bound >> low_bits << low_bits) << 32 >> prefix_bits)
            .collect();
        firsts.push(prefix);
        firsts.sort_unstable();
        firsts.dedup();
        let bytes = page(prefix, prefix_bits, &firsts);
        let directory = Directory::new(&bytes[..]);
        prop_assert!(directory.is_sane());
        let at = firsts[near.index(firsts.len())];
        for hash in [hash, at, at.wrapping_add(1), at.wrapping_sub(1)] {
            if hash < prefix || hash > directory.last() {
                continue;
            }
            let index = directory.find(hash);
            prop_assert_eq!(index, firsts.partition_point(|&first| first <= hash) - 1);
            let child = directory.child(index);
            prop_assert!(child.first <= hash && hash <= child.last);
            prop_assert_eq!(child.page, PageId(10 + index as u32));
        }
    }

    #[test]
    fn any_bytes_can_be_searched(words in prop::collection::vec(any::<u64>(), 512), hash in any::<u64>()) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let directory = Directory::new(&bytes[..]);
        let index = directory.find(hash);
        prop_assert!(index < 512);
        let _ = (directory.child(index), directory.is_sane(), directory.middle());
    }
}

#[test]
fn entries_are_replaced() {
    let mut bytes = page(0, 0, &[0, 1 << 62, 1 << 63]);
    DirectoryMut::new(&mut bytes).replace(1, 1, &[(1 << 62, PageId(50)), (3 << 61, PageId(51))]);
    let firsts = |bytes: &[u8]| -> Vec<(u64, u32)> {
        let directory = Directory::new(bytes);
        (0..directory.count()).map(|index| (directory.first_of(index), directory.page(index).0)).collect()
    };
    assert_eq!(firsts(&bytes), [(0, 10), (1 << 62, 50), (3 << 61, 51), (1 << 63, 12)]);
    DirectoryMut::new(&mut bytes).replace(2, 2, &[(3 << 61, PageId(60))]);
    assert_eq!(firsts(&bytes), [(0, 10), (1 << 62, 50), (3 << 61, 60)]);
    assert_eq!(Directory::new(&bytes[..]).last_of(2), u64::MAX);
    assert_eq!(Directory::new(&bytes[..]).last_of(0), (1 << 62) - 1);
}

#[test]
fn a_long_prefix_tells_every_hash_apart() {
    assert!(can_begin(32, 0x1234_5678_0000_0001));
    assert!(!can_begin(31, 0x1234_5678_0000_0001));
    assert!(can_begin(0, 0x1234_5678_0000_0000));
    assert_eq!(middle(0, 0), 1 << 63);
    assert_eq!(middle(1 << 63, 1), 3 << 62);
    assert_eq!(middle(0xFFFF_FFFF_FFFF_FFFE, 63), u64::MAX);
}

//! Pages of a hashed index, any bytes each, read and changed. Inputs are those of `index_pages`.

use super::index_pages::{self, IndexPages, Records, STEPS_MAX, TABLE, some};
use super::{Seeds, Target, pages};
use aquifer_buffer::{Mutation, PageId, Pager, Result, Retry};
use aquifer_index::hash::HashIndex;

/// Reading, walking, checking, changing and dismantling end, with an answer or an error. Where the check finds nothing wrong,
/// the index is a map: a walk gives each key once, agrees with the count of the check and with every get, and it stays so
/// under changes.
pub const TARGET: Target =
    Target { name: "hash_page", run: index_pages::run::<HashIndex>, input_bytes_max: 16 << 10, seeds };

const SEED: u64 = 0x5EED;
/// The flag of a root some of whose entries may name no page.
const DISMANTLED: u8 = 2;

impl IndexPages for HashIndex {
    const KINDS: usize = 3;

    fn at_first() -> HashIndex {
        HashIndex::at(PageId::FIRST, TABLE, SEED)
    }

    fn limits(page_bytes: usize) -> (usize, usize) {
        HashIndex::limits(page_bytes)
    }

    /// Nothing also if somebody has begun to take the index apart.
    fn check(&self, pager: &Pager) -> Option<Records> {
        let report = self.check(pager, &mut |_| ()).expect("nothing but damage goes wrong in memory");
        let flags = pages::read(pager, PageId::FIRST).expect("there is a page")[1];
        if !report.faults.is_empty() || flags & DISMANTLED != 0 {
            return None;
        }
        let (records, once) = walk(self, pager).expect("a whole index");
        assert!(once, "a key came twice");
        assert_eq!(records.len() as u64, report.records);
        Some(records)
    }

    fn read_all(&self, pager: &Pager) -> Option<Records> {
        walk(self, pager).map(|(records, _)| records)
    }

    fn put(
        &self,
        m: &Mutation<'_>,
        pager: &Pager,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<(), Retry> {
        let place = self.place(m, pager, key, value.len())?;
        let _ = (place.old(), place.changed_at());
        place.put(value, 1);
        Ok(())
    }

    fn remove(&self, m: &Mutation<'_>, pager: &Pager, key: &[u8]) -> std::result::Result<(), Retry> {
        self.place_existing(m, pager, key)?.into_iter().for_each(|place| place.remove(1));
        Ok(())
    }

    fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        self.len_estimate(pager)
    }

    fn load(&self, pager: &Pager, keys: &[&[u8]]) -> Result<()> {
        self.load_buckets(pager, keys)
    }

    fn dismantle(&self, m: &Mutation<'_>, pager: &Pager) -> std::result::Result<bool, Retry> {
        self.dismantle(m, pager)
    }
}

/// All records, if none of them is an error, and whether each key came once.
fn walk(index: &HashIndex, pager: &Pager) -> Option<(Records, bool)> {
    let mut cursor = index.cursor(pager);
    let mut records = Records::new();
    let mut once = true;
    for _ in 0..STEPS_MAX {
        match cursor.next() {
            Err(_) => return None,
            Ok(None) => return Some((records, once)),
            Ok(Some((key, value))) => once &= records.insert(key.to_vec(), value.to_vec()).is_none(),
        }
    }
    panic!("CS3: {STEPS_MAX} records, and no end");
}

/// The pages of an index as an input has them.
fn input(page_bytes: usize, records: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let operations: [(u8, &[u8], u16); 5] =
        [(0, b"key 3", 0), (2, b"key 35", 40), (1, b"key 5", 0), (2, b"k", 0), (2, b"", 900)];
    index_pages::input(page_bytes, |m| HashIndex::create(m, TABLE, SEED), records, &operations)
}

fn seeds() -> Seeds {
    vec![
        ("empty".into(), input(4096, &[])),
        ("one".into(), input(4096, &some(1, 5))),
        ("bucket".into(), input(4096, &some(60, 8))),
        ("two-buckets".into(), input(4096, &some(14, 400))),
        ("shared-buckets".into(), input(4096, &some(18, 500))),
        ("large-page".into(), input(65536, &some(30, 8))),
        ("empty-values".into(), input(4096, &some(25, 0))),
    ]
}

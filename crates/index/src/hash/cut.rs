//! Where the records of adjacent buckets are divided.
//!
//! The *weights* of a cut are the bytes that each record takes, by hash, with the incoming one among them. A cut between two
//! hashes is made at the hash with the most zeros at its end that lies between them: what both have in common, and one bit more.
//!
//! # Invariants
//!
//! - **CU1** A part begins at a hash that the directory page can say (DR2), above all hashes before it.
//! - **CU2** If any cut between two hashes can be said, the one with the most zeros can, so none is overlooked.

use super::bucket_edit::Item;
use super::directory::can_begin;
use super::layout::record_bytes;

/// A record that is to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'k> {
    pub(crate) hash: u64,
    pub(crate) key: &'k [u8],
    pub(crate) value_len: usize,
}

/// The bytes of records by their hashes, in order.
#[derive(Debug)]
pub(crate) struct Weights {
    /// Hash, and bytes of all records before this one.
    records: Vec<(u64, usize)>,
    total: usize,
}

impl Weights {
    /// Those of sorted items, the incoming one in its place.
    pub(crate) fn of(items: &[Item<'_>], incoming: Option<&Incoming<'_>>) -> Weights {
        let mut weights = Weights { records: Vec::with_capacity(items.len() + 1), total: 0 };
        let mut waiting = incoming;
        for item in items {
            if let Some(first) = waiting.filter(|it| it.hash < item.hash) {
                weights.push(first.hash, record_bytes(first.key.len(), first.value_len));
                waiting = None;
            }
            match waiting.filter(|it| it.hash == item.hash && it.key == item.key) {
                Some(it) => {
                    weights.push(it.hash, record_bytes(it.key.len(), it.value_len));
                    waiting = None;
                }
                None => weights.push(item.hash, item.bytes()),
            }
        }
        if let Some(last) = waiting {
            weights.push(last.hash, record_bytes(last.key.len(), last.value_len));
        }
        weights
    }

    fn push(&mut self, hash: u64, bytes: usize) {
        self.records.push((hash, self.total));
        self.total += bytes;
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// The least and the greatest hash.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        Some((self.records.first()?.0, self.records.last()?.0))
    }

    /// Divides into as many parts as equal as can be, each of at most `bytes_max`: the first hashes of all but the first
    /// part. O(records) for each.
    pub(crate) fn divide(&self, parts: usize, prefix_bits: u32, bytes_max: usize) -> Option<Vec<u64>> {
        let mut cuts = Vec::with_capacity(parts - 1);
        let mut before = 0;
        for part in 1..parts {
            let (hash, sum) = self.cut_near(self.total * part / parts, before, prefix_bits)?;
            if sum - before > bytes_max {
                return None;
            }
            cuts.push(hash);
            before = sum;
        }
        (self.total - before <= bytes_max).then_some(cuts)
    }

    /// The cut with nearly `goal` bytes before it, of those with more than `above`; and how many it has.
    fn cut_near(&self, goal: usize, above: usize, prefix_bits: u32) -> Option<(u64, usize)> {
        let cuts = self.records.windows(2).filter_map(|pair| {
            let ((low, _), (high, sum)) = (pair[0], pair[1]);
            let cut = between(low, high)?;
            (sum > above && can_begin(prefix_bits, cut)).then_some((cut, sum))
        });
        cuts.min_by_key(|(_, sum)| sum.abs_diff(goal))
    }
}

/// The hash above `low`, and at or below `high`, with the most zeros at its end.
fn between(low: u64, high: u64) -> Option<u64> {
    let bit = (low ^ high).checked_ilog2()?;
    Some(high >> bit << bit)
}

#[cfg(all(test, not(loom)))]
mod tests;

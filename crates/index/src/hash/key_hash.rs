//! The hash function of a table.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// XXH3-64 with the table's seed. FROZEN: records lie where it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHash {
    pub(crate) seed: u64,
    /// Bits that tests leave of a hash, to have keys that cannot be told apart.
    #[cfg(test)]
    pub(crate) mask: u64,
}

impl KeyHash {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            #[cfg(test)]
            mask: u64::MAX,
        }
    }

    #[inline(always)]
    pub(crate) fn of(self, key: &[u8]) -> u64 {
        let hash = xxh3_64_with_seed(key, self.seed);
        #[cfg(test)]
        let hash = hash & self.mask;
        hash
    }
}

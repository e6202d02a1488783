//! Checking one page.

use super::bucket::Bucket;
use super::directory::Directory;
use super::key_hash::KeyHash;
use super::layout::*;
use crate::findings::Findings;
use aquifer_buffer::PageId;
use std::collections::HashSet;

/// Checks the records of a bucket, or overflow page, whose header is sane.
pub(crate) fn check_bucket(bucket: Bucket<&[u8]>, hasher: KeyHash) -> Findings {
    let mut found = Findings::default();
    let page_bytes = bucket.page_bytes();
    let mut entries = Vec::with_capacity(bucket.count());
    let mut keys = HashSet::with_capacity(bucket.count());
    for record in bucket.records() {
        let Some((sub, run, record)) = record else {
            found.fault("a record lies beyond the page".into());
            continue;
        };
        let key = bucket.key(record);
        let hash = hasher.of(key);
        let index = record.index;
        if !bucket.covers(hash) {
            found.fault(format!("the hash of record {index} lies outside its range (HB1)"));
        }
        if sub != sub_bucket(hash, page_bytes) {
            found.fault(format!("record {index} is in another sub-bucket than its own (HB2)"));
        }
        if bucket.fingerprint(run, index) != fingerprint(hash) {
            found.fault(format!("the fingerprint of record {index} is another key's (HB2)"));
        }
        if !keys.insert(key) {
            found.fault(format!("the key of record {index} is there twice"));
        }
        if key.len() > key_bytes_max(page_bytes) || record.value_len > value_bytes_max(page_bytes) {
            found.fault(format!("record {index} is longer than any may be"));
        }
        found.record_bytes += (record.key_len + record.value_len) as u64;
        entries.push((record.entry, record.entry + record.entry_len()));
    }
    let live_bytes: usize = entries.iter().map(|(start, end)| end - start).sum();
    found.require(live_bytes == bucket.live_bytes(), "its live bytes are miscounted");
    entries.sort_unstable();
    found.require(
        entries.first().is_none_or(|&(start, _)| start >= bucket.heap_start()),
        "a record lies outside the heap",
    );
    found.require(entries.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two records overlap");
    found
}

/// Checks the entries of a directory page whose header is sane. In an index that is being dismantled some name no page.
pub(crate) fn check_directory(directory: Directory<&[u8]>, dismantled: bool) -> Findings {
    let mut found = Findings::default();
    let count = directory.count();
    let begins_well = directory.first_of(0) == directory.prefix();
    found.require(begins_well, "its first entry does not begin where it does (HB4)");
    for index in 1..count {
        if directory.first_of(index) <= directory.first_of(index - 1) {
            found.fault(format!("entry {index} does not begin behind the one before (HB4)"));
        }
    }
    for index in 0..count {
        if directory.page(index) == PageId::NONE && !dismantled {
            found.fault(format!("entry {index} names no page"));
        }
    }
    found
}

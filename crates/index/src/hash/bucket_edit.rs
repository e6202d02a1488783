//! Changing a bucket in place, and making one.
//!
//! # Invariants
//!
//! - **BE1** A change is made only on a page whose header is sane and with room for it; both were found out under the same
//!   latch. Sizes are then exact, and nothing here can fail.
//! - **BE2** Compaction finds nonsense before it changes anything: it builds the page aside.

use super::bucket::{Bucket, Found, Run};
use super::key_hash::KeyHash;
use super::layout::*;
use crate::LeafValue;
use crate::fault::Nonsense;
use aquifer_buffer::PageId;

/// A bucket to be changed.
#[derive(Debug)]
pub(crate) struct BucketMut<'b> {
    bytes: &'b mut [u8],
}

impl<'b> BucketMut<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    fn bucket(&self) -> Bucket<&[u8]> {
        Bucket::new(&*self.bytes)
    }

    pub(crate) fn set_next(&mut self, next: PageId) {
        set_u32(self.bytes, NEXT, next.0);
    }

    pub(crate) fn set_own_id(&mut self, id: PageId) {
        set_u32(self.bytes, OWN_ID, id.0);
    }

    /// Raises `changed_at` to `lsn`; never lowers it.
    pub(crate) fn raise_changed_at(&mut self, lsn: u64) {
        let changed_at = self.bucket().changed_at().max(lsn);
        set_u64(self.bytes, CHANGED_AT, changed_at);
    }

    /// Copies a key aside into the gap, behind where one more record's slot would end.
    pub(crate) fn stash(&mut self, key: &[u8]) {
        let start = self.stash_start();
        self.bytes[start..start + key.len()].copy_from_slice(key);
    }

    /// Inserts a record whose key was stashed.
    pub(crate) fn insert_stashed(&mut self, hash: u64, key_len: usize, value: LeafValue<'_>) {
        let stash = self.stash_start();
        let entry = self.open_entry(LENGTHS_BYTES + key_len + value.bytes.len());
        self.bytes.copy_within(stash..stash + key_len, entry + LENGTHS_BYTES);
        self.write_value(entry, key_len, value);
        self.insert_slot(hash, entry);
    }

    /// Inserts a record.
    pub(crate) fn insert(&mut self, hash: u64, key: &[u8], value: LeafValue<'_>) {
        let entry = self.open_entry(LENGTHS_BYTES + key.len() + value.bytes.len());
        self.bytes[entry + LENGTHS_BYTES..][..key.len()].copy_from_slice(key);
        self.write_value(entry, key.len(), value);
        self.insert_slot(hash, entry);
    }

    /// Replaces the value of a record.
    pub(crate) fn replace(&mut self, hash: u64, found: Found, value: LeafValue<'_>) {
        let entry_len = LENGTHS_BYTES + found.key_len + value.bytes.len();
        if value.bytes.len() <= found.value_len {
            self.write_value(found.entry, found.key_len, value);
            let given_back = found.value_len - value.bytes.len();
            let live_bytes = self.bucket().live_bytes().saturating_sub(given_back);
            set_u16(self.bytes, LIVE_BYTES, live_bytes);
            return;
        }
        self.close_entry(found);
        let entry = self.open_entry(entry_len);
        let key_at = found.entry + LENGTHS_BYTES;
        self.bytes.copy_within(key_at..key_at + found.key_len, entry + LENGTHS_BYTES);
        self.write_value(entry, found.key_len, value);
        let run = self.run_of(hash);
        let offset_at = run.offset_at(self.bytes.len(), found.index);
        set_u16(self.bytes, offset_at, entry);
    }

    /// Overwrites bytes of the value that starts at `start`.
    pub(crate) fn patch(&mut self, start: usize, bytes: &[u8]) {
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, hash: u64, found: Found) {
        let (page_bytes, count) = (self.bytes.len(), self.bucket().count());
        let run = self.run_of(hash);
        let (fingerprint, offset) =
            (run.fingerprint_at(page_bytes, found.index), run.offset_at(page_bytes, found.index));
        self.close_entry(found);
        let end = runs_at(page_bytes) + SLOT_BYTES * count;
        self.bytes.copy_within(offset + 2..end, offset);
        self.bytes.copy_within(fingerprint + 1..end - 2, fingerprint);
        self.move_bounds(hash, count - 1, |bound| bound - 1);
        if count == 1 {
            set_u16(self.bytes, HEAP_BYTES, 0);
            set_u16(self.bytes, LIVE_BYTES, 0);
        }
    }

    /// Brings all free bytes together between runs and heap. The entry of record `last` becomes the first of the heap, so
    /// that its bytes can be had as well.
    pub(crate) fn compact(&mut self, last: Option<usize>) -> Result<(), Nonsense> {
        let bucket = self.bucket();
        let page_bytes = bucket.page_bytes();
        let runs_end = runs_at(page_bytes) + SLOT_BYTES * bucket.count();
        let mut page = vec![0; page_bytes];
        page[..runs_end].copy_from_slice(&self.bytes[..runs_end]);
        let mut start = page_bytes;
        let mut kept = None;
        let mut place = |run: Run, found: Found| {
            let len = found.entry_len();
            start = start.checked_sub(len).filter(|&start| start >= runs_end).ok_or(OVERLAP)?;
            page[start..start + len].copy_from_slice(&self.bytes[found.entry..found.entry + len]);
            set_u16(&mut page, run.offset_at(page_bytes, found.index), start);
            Ok(())
        };
        for record in bucket.records() {
            let (_, run, found) = record.ok_or(BEYOND)?;
            if Some(found.index) == last {
                kept = Some((run, found));
            } else {
                place(run, found)?;
            }
        }
        if let Some((run, found)) = kept {
            place(run, found)?;
        }
        self.bytes.copy_from_slice(&page);
        set_u16(self.bytes, HEAP_BYTES, page_bytes - start);
        set_u16(self.bytes, LIVE_BYTES, page_bytes - start);
        Ok(())
    }

    fn stash_start(&self) -> usize {
        runs_at(self.bytes.len()) + SLOT_BYTES * (self.bucket().count() + 1)
    }

    fn run_of(&self, hash: u64) -> Run {
        self.bucket().run(sub_bucket(hash, self.bytes.len())).expect("BE1: the page is sane")
    }

    /// Takes bytes from the gap for an entry; returns its offset.
    fn open_entry(&mut self, len: usize) -> usize {
        let (heap_bytes, live_bytes) = (self.bucket().heap_bytes() + len, self.bucket().live_bytes() + len);
        set_u16(self.bytes, HEAP_BYTES, heap_bytes);
        set_u16(self.bytes, LIVE_BYTES, live_bytes);
        self.bytes.len() - heap_bytes
    }

    /// Gives an entry's bytes back: to the gap if it is the heap's first, else to compaction.
    fn close_entry(&mut self, found: Found) {
        let (heap_bytes, live_bytes) = (self.bucket().heap_bytes(), self.bucket().live_bytes());
        if found.entry == self.bytes.len() - heap_bytes {
            set_u16(self.bytes, HEAP_BYTES, heap_bytes.saturating_sub(found.entry_len()));
        }
        set_u16(self.bytes, LIVE_BYTES, live_bytes.saturating_sub(found.entry_len()));
    }

    fn write_value(&mut self, entry: usize, key_len: usize, value: LeafValue<'_>) {
        set_u16(self.bytes, entry, value.stored_len());
        set_u16(self.bytes, entry + 2, key_len);
        self.bytes[entry + LENGTHS_BYTES + key_len..][..value.bytes.len()].copy_from_slice(value.bytes);
    }

    /// Appends fingerprint and offset to the run of the hash; what lies behind makes way.
    fn insert_slot(&mut self, hash: u64, entry: usize) {
        let (page_bytes, count) = (self.bytes.len(), self.bucket().count());
        let run = self.run_of(hash);
        let (offsets, run_end) =
            (run.offset_at(page_bytes, run.start), runs_at(page_bytes) + SLOT_BYTES * run.end);
        let end = runs_at(page_bytes) + SLOT_BYTES * count;
        self.bytes.copy_within(run_end..end, run_end + SLOT_BYTES);
        self.bytes.copy_within(offsets..run_end, offsets + 1);
        self.bytes[offsets] = fingerprint(hash);
        set_u16(self.bytes, run_end + 1, entry);
        self.move_bounds(hash, count + 1, |bound| bound + 1);
    }

    /// Moves the bounds behind the hash's sub-bucket.
    fn move_bounds(&mut self, hash: u64, count: usize, moved: impl Fn(u16) -> u16) {
        let page_bytes = self.bytes.len();
        let from = BOUNDS + 2 * (sub_bucket(hash, page_bytes) + 1);
        let (bounds, _) = self.bytes[from..runs_at(page_bytes)].as_chunks_mut::<2>();
        for bound in bounds {
            *bound = moved(u16::from_le_bytes(*bound)).to_le_bytes();
        }
        set_u16(self.bytes, COUNT, count);
    }
}

/// What a new bucket's header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kind: u8,
    pub(crate) owner: u32,
    pub(crate) id: PageId,
    pub(crate) next: PageId,
    pub(crate) changed_at: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) seed: u64,
}

/// A record on its way to a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'p> {
    pub(crate) hash: u64,
    pub(crate) key: &'p [u8],
    pub(crate) value: LeafValue<'p>,
}

impl Item<'_> {
    pub(crate) fn bytes(&self) -> usize {
        record_bytes(self.key.len(), self.value.bytes.len())
    }
}

/// Appends the records of a page to `items`; refuses those that would not be found in the pages made of them, and sizes by
/// which a page would seem full for ever.
pub(crate) fn gather<'p>(page: &'p [u8], hasher: KeyHash, items: &mut Vec<Item<'p>>) -> Result<(), Nonsense> {
    let bucket = Bucket::new(page);
    let mut used_bytes = 0;
    for sub in 0..sub_buckets(page.len()) {
        let run = bucket.run(sub).ok_or(BEYOND)?;
        for index in run.start..run.end {
            let found = bucket.record(run, index).ok_or(BEYOND)?;
            let (key, value) = (bucket.key(found), bucket.value(found));
            let item = Item { hash: hasher.of(key), key, value };
            if !bucket.covers(item.hash) {
                return Err(Nonsense("the hash of a record lies outside its range (HB1)"));
            }
            used_bytes += item.bytes();
            items.push(item);
        }
    }
    if used_bytes == bucket.used_bytes() { Ok(()) } else { Err(Nonsense("its live bytes are miscounted")) }
}

/// A page with these records, in the order given within a sub-bucket.
pub(crate) fn build(page_bytes: usize, plan: &Plan, items: &[Item<'_>]) -> Result<Vec<u8>, Nonsense> {
    let room: usize = items.iter().map(Item::bytes).sum();
    if room > record_room(page_bytes) {
        return Err(OVERLAP);
    }
    let mut page = vec![0; page_bytes];
    page[KIND] = plan.kind;
    set_u32(&mut page, OWNER, plan.owner);
    set_u64(&mut page, CHANGED_AT, plan.changed_at);
    set_u32(&mut page, OWN_ID, plan.id.0);
    set_u32(&mut page, NEXT, plan.next.0);
    set_u64(&mut page, FIRST, plan.first);
    set_u64(&mut page, LAST, plan.last);
    set_u64(&mut page, SEED, plan.seed);
    let mut ends = vec![0; sub_buckets(page_bytes) + 1];
    items.iter().for_each(|item| ends[sub_bucket(item.hash, page_bytes) + 1] += 1);
    for sub in 1..ends.len() {
        ends[sub] += ends[sub - 1];
        set_u16(&mut page, BOUNDS + 2 * sub, ends[sub]);
    }
    let (mut next, mut start) = (ends.clone(), page_bytes);
    for item in items {
        let sub = sub_bucket(item.hash, page_bytes);
        let run = Run { start: ends[sub], end: ends[sub + 1] };
        start -= LENGTHS_BYTES + item.key.len() + item.value.bytes.len();
        page[run.fingerprint_at(page_bytes, next[sub])] = fingerprint(item.hash);
        set_u16(&mut page, run.offset_at(page_bytes, next[sub]), start);
        next[sub] += 1;
        page[start + LENGTHS_BYTES..][..item.key.len()].copy_from_slice(item.key);
        BucketMut::new(&mut page).write_value(start, item.key.len(), item.value);
    }
    set_u16(&mut page, COUNT, items.len());
    set_u16(&mut page, HEAP_BYTES, page_bytes - start);
    set_u16(&mut page, LIVE_BYTES, page_bytes - start);
    Ok(page)
}

pub(crate) const OVERLAP: Nonsense = Nonsense("its records need more room than there is");
pub(crate) const BEYOND: Nonsense = Nonsense("a record lies beyond the page");

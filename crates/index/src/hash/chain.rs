//! Buckets whose keys cannot be told apart by their hashes: overflow pages behind the bucket.
//!
//! The seed makes such keys so rare that nothing here needs to be fast.
//!
//! # Invariants
//!
//! - **CN1** Only a bucket whose range is a single hash has a chain (HB3), so a chain never has to be divided.
//! - **CN2** A chain changes only under its bucket's exclusive latch, and every change raises the bucket's version, and its
//!   `changed_at`: a reader validates the bucket and the page that it is on.
//! - **CN3** A record that has no room where it lies is moved, as it is, to a page of the chain that has; then it is changed.
//! - **CN4** An overflow page that is found empty on the way is freed, unless it is the first with room for the record.
//! - **CN5** A chain that is longer than [`CHAIN_PAGES_MAX`] is damage: it may be a circle.

use super::bucket::{Bucket, Find, Found};
use super::bucket_edit::{BucketMut, Plan, build};
use super::cut::Incoming;
use super::descent::missing;
use super::layout::*;
use super::place::{Fit, INSANE, Place, fit};
use super::{HashIndex, seen};
use crate::LeafValue;
use crate::fault::Attempt;
use crate::point_read::Seen;
use crate::words::Words;
use aquifer_buffer::{ExclusivePage, Mutation, Optimistic, PageId, Pager, Retry};

/// Most overflow pages of a bucket.
pub(crate) const CHAIN_PAGES_MAX: usize = 1 << 16;

const TOO_LONG: &str = "its chain of overflow pages is too long, or a circle";
const NO_LINK: &str = "it is not the overflow page that it should be";

impl HashIndex {
    /// Goes on looking for a key behind its bucket.
    #[cold]
    pub(super) fn read_chain(
        &self,
        pager: &Pager,
        head: Optimistic<'_>,
        hash: u64,
        key: &[u8],
        take: &mut impl FnMut(Option<Seen<'_>>),
    ) -> Attempt<()> {
        let mut next = Bucket::new(head.words()).next();
        for _ in 0..CHAIN_PAGES_MAX {
            if next == PageId::NONE {
                take(None);
                return head.validate();
            }
            let page = match pager.read(next) {
                Ok(page) => page,
                Err(retry) => return Err(missing(pager, next, retry, || head.validate())),
            };
            head.validate()?; // CN2
            let bucket = Bucket::new(page.words());
            if !self.is_overflow(page.words(), next, hash) {
                page.validate()?;
                return Err(Retry::Damaged(next, NO_LINK));
            }
            let find = bucket.find(hash, key);
            if let Find::Found(found) = find {
                take(Some(seen(page, found)));
            }
            next = bucket.next();
            page.validate()?;
            match find {
                Find::Found(_) => return head.validate(),
                Find::Absent => {}
                Find::Nonsense => return Err(Retry::Damaged(page.id(), INSANE)),
            }
        }
        Err(Retry::Damaged(head.id(), TOO_LONG))
    }

    /// Is it an overflow page of this index, for this hash?
    pub(super) fn is_overflow(&self, words: impl Words, id: PageId, hash: u64) -> bool {
        let bucket = Bucket::new(words);
        bucket.summary().kind() == KIND_OVERFLOW
            && owner(words) == self.table
            && seed(words) == self.hasher.seed
            && bucket.own_id() == id
            && bucket.first() == hash
            && bucket.last() == hash
    }

    /// Adds an overflow page right behind a bucket.
    pub(super) fn extend_chain(&self, m: &Mutation<'_>, mut head: ExclusivePage<'_>) -> Attempt<()> {
        head.make_dirty()?;
        let mut page = m.allocate()?;
        let bucket = Bucket::new(head.bytes());
        let plan = Plan {
            kind: KIND_OVERFLOW,
            owner: self.table,
            id: page.id(),
            next: bucket.next(),
            changed_at: bucket.changed_at(),
            first: bucket.first(),
            last: bucket.last(),
            seed: self.hasher.seed,
        };
        let empty = build(head.bytes().len(), &plan, &[]).expect("no records fit");
        page.bytes_mut().copy_from_slice(&empty);
        BucketMut::new(head.bytes_mut()).set_next(page.id());
        Ok(())
    }

    /// A place in a bucket with a chain; `None` if the chain has become longer, or the record was moved.
    #[cold]
    pub(super) fn place_in_chain<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        mut head: ExclusivePage<'m>,
        incoming: &Incoming<'_>,
    ) -> Attempt<Option<Place<'m>>> {
        head.make_dirty()?;
        let Walked { existing, with_room } = self.walk(m, pager, &mut head, incoming)?;
        if let Some((page, found)) = existing {
            let has_room = {
                let page = self.latch_link(m, pager, &head, page)?;
                let bucket = Bucket::new(page.as_ref().unwrap_or(&head).bytes());
                fit(bucket, incoming.key.len(), incoming.value_len, existing.map(|it| it.1)) != Fit::Full
            };
            if has_room {
                return self.place_at(m, pager, head, page, incoming, Some(found)).map(Some);
            }
            match with_room {
                Some(room) => self.move_record(m, pager, head, (page, found), room, incoming.hash)?,
                None => self.extend_chain(m, head)?,
            }
            return Ok(None);
        }
        match with_room {
            Some(page) => self.place_at(m, pager, head, page, incoming, None).map(Some),
            None => self.extend_chain(m, head).map(|()| None),
        }
    }

    /// The record of `key` behind a bucket that does not hold it itself.
    #[cold]
    pub(super) fn place_existing_in_chain<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        mut head: ExclusivePage<'m>,
        hash: u64,
        key: &[u8],
    ) -> Attempt<Option<Place<'m>>> {
        head.make_dirty()?;
        let incoming = Incoming { hash, key, value_len: 0 };
        let Some((page, found)) = self.walk(m, pager, &mut head, &incoming)?.existing else {
            return Ok(None);
        };
        Ok(Some(match self.latch_link(m, pager, &head, page)? {
            None => Place::of_existing(None, head, hash, found),
            Some(mut page) => {
                page.make_dirty()?;
                Place::of_existing(Some(head), page, hash, found)
            }
        }))
    }

    fn place_at<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        head: ExclusivePage<'m>,
        page: PageId,
        incoming: &Incoming<'_>,
        existing: Option<Found>,
    ) -> Attempt<Place<'m>> {
        match self.latch_link(m, pager, &head, page)? {
            None => Place::with_room(None, head, incoming, existing),
            Some(page) => Place::with_room(Some(head), page, incoming, existing),
        }
    }

    /// CN3.
    fn move_record<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        mut head: ExclusivePage<'m>,
        (from, found): (PageId, Found),
        to: PageId,
        hash: u64,
    ) -> Attempt<()> {
        let (mut key, mut bytes) = (Vec::new(), Vec::new());
        {
            let from = self.latch_link(m, pager, &head, from)?;
            let bucket = Bucket::new(from.as_ref().unwrap_or(&head).bytes());
            key.extend_from_slice(bucket.key(found));
            bytes.extend_from_slice(bucket.value(found).bytes);
        }
        let value = LeafValue { kind: found.kind, bytes: &bytes };
        // Both are latched and dirty before either is changed; nobody else is on the chain, so their order is free.
        let mut from = self.latch_link(m, pager, &head, from)?;
        let mut to = self.latch_link(m, pager, &head, to)?;
        for page in [&mut from, &mut to].into_iter().flatten() {
            page.make_dirty()?;
        }
        let target = to.as_mut().unwrap_or(&mut head);
        let id = target.id();
        let mut bucket = BucketMut::new(target.bytes_mut());
        bucket.compact(None).map_err(|nonsense| nonsense.on(id))?;
        if fit(Bucket::new(target.bytes()), key.len(), bytes.len(), None) != Fit::Fits {
            return Err(Retry::Damaged(id, INSANE));
        }
        BucketMut::new(target.bytes_mut()).insert(hash, &key, value);
        BucketMut::new(from.as_mut().unwrap_or(&mut head).bytes_mut()).remove(hash, found);
        let changed_at = Bucket::new(head.bytes()).changed_at();
        BucketMut::new(head.bytes_mut()).raise_changed_at(changed_at); // CN2
        Ok(())
    }

    /// Latches a page of a chain whose bucket is latched; `None` is the bucket itself.
    fn latch_link<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        head: &ExclusivePage<'_>,
        id: PageId,
    ) -> Attempt<Option<ExclusivePage<'m>>> {
        if id == head.id() {
            return Ok(None);
        }
        let page = m.exclusive(id).map_err(|retry| missing(pager, id, retry, || Ok(())))?;
        let hash = Bucket::new(head.bytes()).first();
        if !self.is_overflow(page.bytes(), id, hash) || !Bucket::new(page.bytes()).is_sane() {
            return Err(Retry::Damaged(id, NO_LINK));
        }
        Ok(Some(page))
    }

    /// Goes along a chain, freeing pages that are empty (CN4).
    fn walk<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        head: &mut ExclusivePage<'m>,
        incoming: &Incoming<'_>,
    ) -> Attempt<Walked> {
        let mut walked = Walked { existing: None, with_room: None };
        let (mut before, mut id) = (head.id(), head.id());
        for _ in 0..CHAIN_PAGES_MAX {
            let page = self.latch_link(m, pager, head, id)?;
            let bucket = Bucket::new(page.as_ref().unwrap_or(head).bytes());
            let next = bucket.next();
            if id != head.id() && bucket.count() == 0 && walked.with_room.is_some() {
                drop(page);
                self.unlink(m, pager, head, before, id)?;
            } else {
                walked.look(id, bucket, incoming)?;
                before = id;
            }
            if next == PageId::NONE || (walked.existing.is_some() && walked.with_room.is_some()) {
                return Ok(walked);
            }
            if next == head.id() {
                break;
            }
            id = next;
        }
        Err(Retry::Damaged(head.id(), TOO_LONG))
    }

    /// Frees an empty page of a chain.
    fn unlink<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        head: &mut ExclusivePage<'m>,
        before: PageId,
        id: PageId,
    ) -> Attempt<()> {
        if before == id {
            return Err(Retry::Damaged(head.id(), TOO_LONG));
        }
        let mut before = self.latch_link(m, pager, head, before)?;
        if let Some(before) = &mut before {
            before.make_dirty()?;
        }
        let Some(page) = self.latch_link(m, pager, head, id)? else { return Ok(()) };
        let next = Bucket::new(page.bytes()).next();
        m.free(page)?;
        BucketMut::new(before.as_mut().unwrap_or(head).bytes_mut()).set_next(next);
        let changed_at = Bucket::new(head.bytes()).changed_at();
        BucketMut::new(head.bytes_mut()).raise_changed_at(changed_at); // CN2
        Ok(())
    }
}

/// What was found along a chain.
struct Walked {
    existing: Option<(PageId, Found)>,
    /// A page with room for the whole record, another than where it lies.
    with_room: Option<PageId>,
}

impl Walked {
    /// Notes what a page has.
    fn look(&mut self, id: PageId, bucket: Bucket<&[u8]>, incoming: &Incoming<'_>) -> Attempt<()> {
        let Incoming { hash, key, value_len } = *incoming;
        if self.existing.is_none() {
            match bucket.find(hash, key) {
                Find::Found(found) => {
                    self.existing = Some((id, found));
                    return Ok(());
                }
                Find::Absent => {}
                Find::Nonsense => return Err(Retry::Damaged(id, INSANE)),
            }
        }
        if self.with_room.is_none() && fit(bucket, key.len(), value_len, None) != Fit::Full {
            self.with_room = Some(id);
        }
        Ok(())
    }
}

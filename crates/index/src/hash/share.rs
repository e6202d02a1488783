//! Making room: a full bucket shares with a neighbour, or is divided with its help, or alone.
//!
//! Splitting a full bucket in two leaves both half full, and buckets ln 2 = 69 % full on average. Here a full bucket first
//! gives records to a neighbour, as long as that has an eighth of a page free; when both are full, two become three, each two
//! thirds full. A lookup still reads one bucket: ranges move, records never lie outside of theirs.
//! docs/decisions/0005-hashed-buckets-share.md has the figures.
//!
//! # Invariants
//!
//! - **SH1** Latch order: directory page, buckets from left to right, new bucket (HE5).
//! - **SH2** Everything that can fail is done before the first change (E2): images are built aside, pages are dirty, the new
//!   one is allocated.
//! - **SH3** Progress: the bucket that covers the incoming record has room afterwards, or fewer records, or a smaller range;
//!   or the directory page has a longer prefix, which is bounded.
//! - **SH4** A directory page keeps room for one entry, which the cut at its middle may need before it is split.

use super::HashIndex;
use super::bucket::Bucket;
use super::bucket_edit::{BucketMut, Item, Plan, build, gather};
use super::cut::{Incoming, Weights};
use super::descent::missing;
use super::directory::{Child, Directory, DirectoryMut};
use super::grow::Need;
use super::layout::*;
use crate::fault::Attempt;
use aquifer_buffer::{ExclusivePage, Mutation, PageId, Pager, Retry};
use std::ops::Range;

/// A neighbour helps if the two have more than this part of a page free.
const SHARE_PART: usize = 8;

/// Buckets that lie side by side, latched, and the directory page above them.
pub(crate) struct Adjacent<'m> {
    directory: ExclusivePage<'m>,
    /// The entry of the first bucket.
    index: usize,
    children: Vec<Child>,
    pub(crate) pages: Vec<ExclusivePage<'m>>,
}

impl HashIndex {
    /// Makes room for a record, or comes nearer to it (SH3).
    pub(crate) fn make_room(&self, m: &Mutation<'_>, pager: &Pager, incoming: &Incoming<'_>) -> Attempt<()> {
        let directory = self.directory_at(pager, incoming.hash, 1)?;
        let directory = m.upgrade(directory)?;
        let above = Directory::new(directory.bytes());
        if !above.is_sane() {
            return Err(Retry::Damaged(directory.id(), super::place::INSANE));
        }
        if !above.has_room(2) {
            drop(directory);
            return self.split_directory(m, pager, incoming.hash, 1, Need::Room); // SH4
        }
        let index = above.find(incoming.hash);
        let (first, last) = match self.neighbour(pager, above, index)? {
            Some(neighbour) => (index.min(neighbour), index.max(neighbour)),
            None => (index, index),
        };
        let adjacent = self.latch_adjacent(m, pager, directory, first, last)?;
        let own = adjacent.children.iter().position(|child| child.last >= incoming.hash).unwrap_or(0);
        let mut items = Vec::new();
        self.gather_sorted(&adjacent.pages, &mut items)?;
        let division = match self.divide(&adjacent, own, &items, incoming, record_room(pager.page_bytes())) {
            Some(division) => division,
            None => return Ok(()), // somebody else was faster
        };
        let (cut, alone) = match division {
            Division::Together(cuts) => (cuts, false),
            Division::Alone(cut) => (vec![cut], true),
            Division::Deepen(bits) => {
                drop(items);
                drop(adjacent);
                return self.split_directory(m, pager, incoming.hash, 1, Need::Bits(bits));
            }
        };
        let which = if alone { own..own + 1 } else { 0..adjacent.pages.len() };
        let images = self.images(&adjacent, which, &items, &cut)?;
        drop(items);
        let mut changing = if alone { adjacent.only(own) } else { adjacent };
        install(m, &mut changing, &cut, images)
    }

    /// How adjacent buckets are to be divided, so that the one at `own` gets room; `None` if it has.
    fn divide(
        &self,
        adjacent: &Adjacent<'_>,
        own: usize,
        items: &[Item<'_>],
        incoming: &Incoming<'_>,
        room: usize,
    ) -> Option<Division> {
        let child = adjacent.children[own];
        let own_items = within(items, child.first, child.last);
        let weights = Weights::of(own_items, Some(incoming));
        if weights.total() <= room || child.first == child.last {
            return None;
        }
        let bits = Directory::new(adjacent.directory.bytes()).prefix_bits();
        if adjacent.pages.len() > 1 {
            let weights = Weights::of(items, Some(incoming));
            let shared = weights.total() + room / SHARE_PART <= 2 * room;
            let cuts = if shared { weights.divide(2, bits, room) } else { None };
            if let Some(cuts) = cuts.or_else(|| weights.divide(3, bits, room)) {
                return Some(Division::Together(cuts));
            }
        }
        Some(match weights.divide(2, bits, usize::MAX) {
            Some(cuts) => Division::Alone(cuts[0]),
            None if bits < 32 => Division::Deepen(bits + 1),
            None => {
                // All hashes are equal: the range becomes that hash alone, and the bucket may have a chain (CN1).
                let hash = weights.ends().map_or(incoming.hash, |(first, _)| first);
                Division::Alone(if child.first < hash { hash } else { hash + 1 })
            }
        })
    }

    /// Cuts the bucket that covers `hash` there, if none begins there.
    pub(crate) fn cut_bucket_at(&self, m: &Mutation<'_>, pager: &Pager, hash: u64) -> Attempt<()> {
        let directory = m.upgrade(self.directory_at(pager, hash, 1)?)?;
        let above = Directory::new(directory.bytes());
        let index = above.find(hash);
        if above.first_of(index) == hash {
            return Ok(());
        }
        if !above.is_sane() || !above.has_room(1) || !above.can_begin(hash) {
            return Err(Retry::Damaged(directory.id(), "it has no room for one more entry"));
        }
        let mut alone = self.latch_adjacent(m, pager, directory, index, index)?;
        let mut items = Vec::new();
        self.gather_sorted(&alone.pages, &mut items)?;
        let images = self.images(&alone, 0..1, &items, &[hash])?;
        drop(items);
        install(m, &mut alone, &[hash], images)
    }

    /// The neighbour of an entry that has more free bytes. One that is not in memory is not waited for, unless both are
    /// not. `None` if there is none that could help.
    fn neighbour(&self, pager: &Pager, above: Directory<&[u8]>, index: usize) -> Attempt<Option<usize>> {
        let candidates = [index.checked_sub(1), (index + 1 < above.count()).then_some(index + 1)];
        let (mut best, mut absent) = (None, None);
        for candidate in candidates.into_iter().flatten() {
            let child = above.child(candidate);
            match pager.read(child.page) {
                Ok(page) => {
                    // A guess, checked under the latch.
                    let bucket = Bucket::new(page.words());
                    let free = bucket.free_bytes();
                    let better = best.is_none_or(|(_, other)| free > other);
                    if better && child.first < child.last {
                        best = Some((candidate, free));
                    }
                }
                Err(retry @ Retry::Missing(_)) => {
                    absent = Some(missing(pager, child.page, retry, || Ok(())));
                }
                Err(_) => {}
            }
        }
        match (best, absent) {
            (Some((candidate, _)), _) => Ok(Some(candidate)),
            (None, Some(retry)) => Err(retry),
            (None, None) => Ok(None),
        }
    }

    /// Latches the buckets of entries `first` to `last`.
    pub(crate) fn latch_adjacent<'m>(
        &self,
        m: &'m Mutation<'_>,
        pager: &Pager,
        directory: ExclusivePage<'m>,
        first: usize,
        last: usize,
    ) -> Attempt<Adjacent<'m>> {
        let above = Directory::new(directory.bytes());
        let children: Vec<Child> = (first..=last).map(|index| above.child(index)).collect();
        if children.windows(2).any(|pair| pair[0].page == pair[1].page) || self.has(&directory, &children) {
            return Err(Retry::Damaged(directory.id(), "it names a page twice"));
        }
        let mut pages = Vec::with_capacity(children.len());
        // All their records will be looked at, in the order of sub-buckets, which no processor foresees.
        children.iter().for_each(|child| pager.prefetch(child.page, pager.page_bytes()));
        for &child in &children {
            pages.push(self.latch_child(m, pager, child, 0)?); // SH1
        }
        Ok(Adjacent { directory, index: first, children, pages })
    }

    /// A damaged page may name itself, whose latch this thread holds.
    fn has(&self, directory: &ExclusivePage<'_>, children: &[Child]) -> bool {
        children.iter().any(|child| child.page == directory.id())
    }

    pub(crate) fn gather_sorted<'p>(
        &self,
        pages: &'p [ExclusivePage<'_>],
        items: &mut Vec<Item<'p>>,
    ) -> Attempt<()> {
        for page in pages {
            gather(page.bytes(), self.hasher, items).map_err(|nonsense| nonsense.on(page.id()))?;
        }
        items.sort_unstable_by_key(|item| item.hash);
        Ok(())
    }

    /// The pages that some of the adjacent buckets become, if their records are divided at these hashes; own ids are not known yet.
    pub(crate) fn images(
        &self,
        adjacent: &Adjacent<'_>,
        which: Range<usize>,
        items: &[Item<'_>],
        cuts: &[u64],
    ) -> Attempt<Vec<Vec<u8>>> {
        let (children, pages) = (&adjacent.children[which.clone()], &adjacent.pages[which]);
        let changed_at = pages.iter().map(|page| Bucket::new(page.bytes()).changed_at()).max().unwrap_or(0);
        let last = children[children.len() - 1].last;
        let firsts = firsts(children, cuts);
        let ends = firsts[1..].iter().map(|next| next - 1).chain([last]);
        let images = firsts.iter().zip(ends).map(|(&first, end)| {
            let plan = self.bucket_plan(PageId::NONE, changed_at, first, end);
            build(adjacent.directory.bytes().len(), &plan, within(items, first, end))
        });
        images.map(|image| image.map_err(|nonsense| nonsense.on(pages[0].id()))).collect()
    }

    /// The header of a bucket without overflow pages.
    pub(crate) fn bucket_plan(&self, id: PageId, changed_at: u64, first: u64, last: u64) -> Plan {
        Plan {
            kind: KIND_BUCKET,
            owner: self.table,
            id,
            next: PageId::NONE,
            changed_at,
            first,
            last,
            seed: self.hasher.seed,
        }
    }
}

/// What is to be done about a full bucket.
enum Division {
    /// It and its neighbour are divided at these hashes.
    Together(Vec<u64>),
    /// It is divided there by itself.
    Alone(u64),
    /// Its directory page needs so long a prefix first.
    Deepen(u32),
}

/// The first hashes of the buckets that there will be.
fn firsts(children: &[Child], cuts: &[u64]) -> Vec<u64> {
    std::iter::once(children[0].first).chain(cuts.iter().copied()).collect()
}

/// Those of sorted items whose hashes lie in a range.
fn within<'i, 'p>(items: &'i [Item<'p>], first: u64, last: u64) -> &'i [Item<'p>] {
    let from = items.partition_point(|item| item.hash < first);
    let to = items.partition_point(|item| item.hash <= last);
    &items[from..to]
}

/// Gives adjacent buckets the images that they become. One bucket more comes to be, or the last one goes, if there are so many images (SH2).
pub(crate) fn install<'m>(
    m: &'m Mutation<'_>,
    adjacent: &mut Adjacent<'m>,
    cuts: &[u64],
    images: Vec<Vec<u8>>,
) -> Attempt<()> {
    let firsts = firsts(&adjacent.children, cuts);
    let Adjacent { directory, index, children, pages } = adjacent;
    directory.make_dirty()?;
    for page in pages.iter_mut() {
        page.make_dirty()?;
    }
    if images.len() > pages.len() {
        pages.push(m.allocate()?);
    } else if images.len() < pages.len() {
        m.free(pages.pop().expect("more than there are images"))?;
    }
    let mut changed_at = 0;
    for (page, mut image) in pages.iter_mut().zip(images) {
        changed_at = changed_at.max(Bucket::new(image.as_slice()).changed_at());
        BucketMut::new(&mut image).set_own_id(page.id());
        page.bytes_mut().copy_from_slice(&image);
    }
    let entries: Vec<(u64, PageId)> = firsts.into_iter().zip(pages.iter().map(ExclusivePage::id)).collect();
    let mut above = DirectoryMut::new(directory.bytes_mut());
    above.replace(*index, children.len(), &entries);
    above.raise_changed_at(changed_at);
    Ok(())
}

impl<'m> Adjacent<'m> {
    pub(crate) fn buckets(&self) -> impl Iterator<Item = Bucket<&[u8]>> {
        self.pages.iter().map(|page| Bucket::new(page.bytes()))
    }

    /// Lets the other buckets go.
    fn only(mut self, own: usize) -> Adjacent<'m> {
        let (page, child) = (self.pages.swap_remove(own), self.children[own]);
        Adjacent {
            directory: self.directory,
            index: self.index + own,
            children: vec![child],
            pages: vec![page],
        }
    }
}

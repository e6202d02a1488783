//! Making room: a full bucket shares with a neighbour, or is divided with its help, or alone.
//!
//! Splitting a full bucket in two leaves both half full, and buckets ln 2 = 69 % full on average. Here a full bucket first
//! gives records to a neighbour, as long as that has an eighth of a page free; when both are full, two become three, each two
//! thirds full. A lookup still reads one bucket: ranges move, records never lie outside of theirs.
//! docs/decisions/0004-hashed-buckets-share.md has the figures.
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

/// A neighbour helps if the two have more than this part of a page free.
const SHARE_PART: usize = 8;

/// Buckets that lie side by side, latched, and the directory page above them.
struct Adjacent<'m> {
    directory: ExclusivePage<'m>,
    /// The entry of the first bucket.
    index: usize,
    children: Vec<Child>,
    pages: Vec<ExclusivePage<'m>>,
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
        let mut adjacent = self.latch_adjacent(m, pager, directory, first, last)?;
        let own = adjacent.children.iter().position(|child| child.last >= incoming.hash).unwrap_or(0);
        let mut items = Vec::new();
        let bits = Directory::new(adjacent.directory.bytes()).prefix_bits();
        let room = record_room(pager.page_bytes());
        self.gather_sorted(&adjacent.pages[own..=own], &mut items)?;
        let weights = Weights::of(&items, Some(incoming));
        if weights.total() <= room || Bucket::new(adjacent.pages[own].bytes()).is_single() {
            return Ok(()); // somebody else was faster
        }
        if let Some(cuts) = self.divide_together(&adjacent, incoming, bits, room)? {
            return self.rearrange(m, &mut adjacent, &cuts);
        }
        let cut = match weights.divide(2, bits, usize::MAX) {
            Some(cuts) => cuts[0],
            None if bits < 32 => {
                drop(items);
                drop(adjacent);
                return self.split_directory(m, pager, incoming.hash, 1, Need::Bits(bits + 1));
            }
            None => {
                // All hashes are equal: the range becomes that hash alone, and the bucket may have a chain (CN1).
                let hash = weights.ends().map_or(incoming.hash, |(first, _)| first);
                if adjacent.children[own].first < hash { hash } else { hash + 1 }
            }
        };
        drop(items);
        let mut alone = adjacent.only(own);
        self.rearrange(m, &mut alone, &[cut])
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
        self.rearrange(m, &mut alone, &[hash])
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

    fn latch_adjacent<'m>(
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
        let mut pages = Vec::with_capacity(2);
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
        items.sort_by_key(|item| item.hash);
        Ok(())
    }

    /// Where two neighbours are divided into two, or three; `None` if there is one bucket only, or they cannot be.
    fn divide_together(
        &self,
        adjacent: &Adjacent<'_>,
        incoming: &Incoming<'_>,
        bits: u32,
        room: usize,
    ) -> Attempt<Option<Vec<u64>>> {
        if adjacent.pages.len() < 2 {
            return Ok(None);
        }
        let mut items = Vec::new();
        self.gather_sorted(&adjacent.pages, &mut items)?;
        let weights = Weights::of(&items, Some(incoming));
        if weights.total() + room / SHARE_PART <= 2 * room
            && let Some(cuts) = weights.divide(2, bits, room)
        {
            return Ok(Some(cuts));
        }
        Ok(weights.divide(3, bits, room))
    }

    /// Divides the records of adjacent buckets anew, at these hashes. One bucket more comes to be, if there is one cut more.
    fn rearrange<'m>(&self, m: &'m Mutation<'_>, adjacent: &mut Adjacent<'m>, cuts: &[u64]) -> Attempt<()> {
        let Adjacent { directory, index, children, pages } = adjacent;
        let mut items = Vec::new();
        self.gather_sorted(pages, &mut items)?;
        let changed_at = pages.iter().map(|page| Bucket::new(page.bytes()).changed_at()).max().unwrap_or(0);
        let (first, last) = (children[0].first, children[children.len() - 1].last);
        let firsts: Vec<u64> = std::iter::once(first).chain(cuts.iter().copied()).collect();
        let mut images = Vec::with_capacity(firsts.len());
        for (part, &begin) in firsts.iter().enumerate() {
            let end = firsts.get(part + 1).map_or(last, |next| next - 1);
            let from = items.partition_point(|item| item.hash < begin);
            let to = items.partition_point(|item| item.hash <= end);
            let id = pages.get(part).map_or(PageId::NONE, ExclusivePage::id);
            let plan = self.bucket_plan(id, changed_at, begin, end);
            let image = build(directory.bytes().len(), &plan, &items[from..to]);
            images.push(image.map_err(|nonsense| nonsense.on(pages[0].id()))?);
        }
        drop(items);
        directory.make_dirty()?;
        for page in pages.iter_mut() {
            page.make_dirty()?;
        }
        if images.len() > pages.len() {
            pages.push(m.allocate()?);
        }
        let entries: Vec<(u64, PageId)> =
            firsts.iter().zip(&*pages).map(|(&first, page)| (first, page.id())).collect();
        for (page, mut image) in pages.iter_mut().zip(images) {
            BucketMut::new(&mut image).set_own_id(page.id());
            page.bytes_mut().copy_from_slice(&image);
        }
        let mut above = DirectoryMut::new(directory.bytes_mut());
        above.replace(*index, children.len(), &entries);
        above.raise_changed_at(changed_at);
        Ok(())
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

impl<'m> Adjacent<'m> {
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

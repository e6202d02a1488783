//! Which pages survive: those that the page map places and vouches for, and where it cannot be read, those that are found in
//! the slots and say themselves which page of which table they are.
//!
//! # Invariants
//!
//! - **SU1** A page that the map places and whose bytes it does not vouch for is lost: an older version of it is not taken in its
//!   stead, because it would bring back what was changed or deleted since.
//! - **SU2** Of several versions of a page that no map places, one counts: the newest that the checkpoint can hold, whose newest
//!   change lies before the flip; where no checkpoint is known, the newest of all.
//! - **SU3** Memory: for each surviving page its place, and for a leaf its fences.
//! - **SU4** A page that the map vouches for and that is no tree page is taken for one of a large value; if no descriptor names it,
//!   it is lost. One that a descriptor names is no tree page, whatever it looks like: a value may hold anything, also a
//!   database. Without a map nothing is known of the pages of large values.

use super::coverage::{Leaf, order_of_ends};
use super::page::LoosePage;
use super::report::KeyGap;
use super::values;
use crate::catalog::CATALOG_ID;
use crate::error::Result;
use aquifer_buffer::{MapRemains, PageId, PlacedPage, RunSet, Superblock, Wreck};
use aquifer_codec::checksum::crc32c;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// What survives.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    /// By table.
    pub(super) leaves: BTreeMap<u32, Vec<Leaf>>,
    /// Slots of inner pages, with the checksum of what was judged.
    inner: Vec<(u32, u32)>,
    /// Tables of which an inner page survives, or another sign of more than one level.
    pub(super) with_inner: BTreeSet<u32>,
    /// Tables whose root says that it is being dismantled.
    pub(super) dismantled: BTreeSet<u32>,
    /// Pages that are placed, vouched for, and no tree pages (SU4).
    pub(super) data: BTreeMap<PageId, PlacedPage>,
    /// Pages that large values name.
    pub(super) claimed: RunSet,
    /// Pages that are placed and not what was written: slot and what is wrong.
    pub(super) lost: BTreeMap<PageId, (u32, String)>,
    /// Descriptors in the leaves.
    named: Vec<Vec<u8>>,
    /// Several versions were equally new, and differed.
    pub(super) ambiguous: u64,
    /// Pages that no map vouches for.
    pub(super) unchecked: u64,
}

/// What an intact inner page says of a lost one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parentage {
    pub(super) table: u32,
    pub(super) level: u8,
    pub(super) keys: KeyGap,
}

/// The best version of a page so far.
#[derive(Debug)]
struct Version {
    table: u32,
    level: u8,
    dismantled: bool,
    /// SU2.
    rank: (bool, u64),
    leaf: Leaf,
}

/// How pages are looked for in all slots.
struct Search<'w> {
    wreck: &'w Wreck,
    /// The page ids that are looked for; nothing: all.
    wanted: Option<Vec<Range<u32>>>,
    flip_lsn: Option<u64>,
    placed: HashMap<u32, PlacedPage>,
    best: HashMap<PageId, Version>,
    ambiguous: HashSet<PageId>,
}

impl Survivors {
    /// What a checkpoint's map places, and behind its damaged nodes what is found in the other slots.
    pub(super) fn of_checkpoint(
        wreck: &Wreck,
        superblock: &Superblock,
        map: &MapRemains,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Survivors> {
        let mut survivors = Survivors::default();
        let total = map.pages.len() as u64;
        let slots: Vec<u32> = map.pages.iter().map(|placed| placed.slot).collect();
        wreck.read(&slots, |index, bytes| {
            let placed = map.pages[index];
            let judged = bytes.and_then(|bytes| {
                if !Wreck::vouches_for(&placed, bytes) {
                    return Err("its checksum is not the one in the page map".into());
                }
                let page = LoosePage::new(bytes).ok().filter(|page| page.id() == placed.page);
                if let Some(page) = &page {
                    values::claim(page, wreck.page_bytes(), &mut survivors.named);
                }
                Ok(page.map(|page| version(&page, placed.slot, crc32c(0, bytes), true)))
            });
            match judged {
                Ok(Some(version)) => survivors.add(version),
                Ok(None) => {
                    survivors.data.insert(placed.page, placed); // SU4
                }
                Err(what) => {
                    survivors.lost.insert(placed.page, (placed.slot, what)); // SU1
                }
            }
            progress(index as u64 + 1, total);
        });
        survivors.resolve_claims(wreck, map);
        if !map.lost.is_empty() {
            let claimed: HashSet<u32> = slots.into_iter().collect();
            let search = Search {
                wreck,
                wanted: Some(map.lost.iter().map(|node| node.pages.clone()).collect()),
                flip_lsn: Some(superblock.flip_lsn),
                placed: HashMap::new(),
                best: HashMap::new(),
                ambiguous: HashSet::new(),
            };
            search.run(&claimed, &mut survivors, progress)?;
        }
        Ok(survivors)
    }

    /// What is found in all slots. An older map may still vouch for some of it.
    pub(super) fn of_slots(
        wreck: &Wreck,
        older: Option<&MapRemains>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Survivors> {
        let placed =
            older.into_iter().flat_map(|map| &map.pages).map(|&placed| (placed.slot, placed)).collect();
        let search = Search {
            wreck,
            wanted: None,
            flip_lsn: None,
            placed,
            best: HashMap::new(),
            ambiguous: HashSet::new(),
        };
        let mut survivors = Survivors::default();
        search.run(&HashSet::new(), &mut survivors, progress)?;
        Ok(survivors)
    }

    /// SU4.
    fn resolve_claims(&mut self, wreck: &Wreck, map: &MapRemains) {
        for descriptor in std::mem::take(&mut self.named) {
            values::claim_pages(wreck, map, &descriptor, &mut self.claimed);
        }
        let claimed = &self.claimed;
        for leaves in self.leaves.values_mut() {
            for leaf in leaves.extract_if(.., |leaf| claimed.contains(leaf.page.0)) {
                let placed = PlacedPage { page: leaf.page, slot: leaf.slot, checksum: leaf.checksum };
                self.data.insert(leaf.page, placed);
            }
        }
        self.leaves.retain(|_, leaves| !leaves.is_empty());
    }

    fn add(&mut self, version: Version) {
        let Version { table, level, dismantled, leaf, .. } = version;
        self.unchecked += u64::from(!leaf.checked);
        if dismantled {
            self.dismantled.insert(table);
        }
        if level == 0 {
            self.leaves.entry(table).or_default().push(leaf);
        } else {
            self.with_inner.insert(table);
            self.inner.push((leaf.slot, leaf.checksum));
        }
    }

    /// What the inner pages that survive say of the lost pages.
    pub(super) fn parentage(&self, wreck: &Wreck) -> BTreeMap<PageId, Parentage> {
        let mut found = BTreeMap::new();
        if self.lost.is_empty() {
            return found;
        }
        let slots: Vec<u32> = self.inner.iter().map(|&(slot, _)| slot).collect();
        wreck.read(&slots, |index, bytes| {
            let Ok(bytes) = bytes else { return };
            let Some(page) = LoosePage::new(bytes).ok().filter(|_| crc32c(0, bytes) == self.inner[index].1)
            else {
                return;
            };
            page.children(|child, from, to| {
                if self.lost.contains_key(&child) {
                    let keys = KeyGap { from: from.to_vec(), to: to.map(<[u8]>::to_vec) };
                    found.insert(child, Parentage { table: page.table(), level: page.level() - 1, keys });
                }
            });
        });
        found
    }

    /// Does anything of the table survive?
    pub(super) fn tables(&self) -> BTreeSet<u32> {
        let with_pages = self.leaves.keys().chain(&self.with_inner).copied();
        with_pages.filter(|&table| table != CATALOG_ID && !self.dismantled.contains(&table)).collect()
    }
}

impl Search<'_> {
    fn run(
        mut self,
        claimed: &HashSet<u32>,
        survivors: &mut Survivors,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<()> {
        let wreck = self.wreck;
        let slots: Vec<u32> = wreck.slots()?.filter(|slot| !claimed.contains(slot)).collect();
        let total = slots.len() as u64;
        wreck.read(&slots, |index, bytes| {
            progress(index as u64 + 1, total);
            let Ok(bytes) = bytes else { return };
            let Ok(page) = LoosePage::new(bytes) else { return };
            self.consider(&page, slots[index], bytes);
        });
        survivors.ambiguous += self.ambiguous.len() as u64;
        let mut found: Vec<Version> = self.best.into_values().collect();
        found.sort_by_key(|version| version.leaf.page);
        found.into_iter().for_each(|version| survivors.add(version));
        Ok(())
    }

    /// SU2.
    fn consider(&mut self, page: &LoosePage<'_>, slot: u32, bytes: &[u8]) {
        let id = page.id();
        let wanted = self.wanted.as_ref();
        if wanted.is_some_and(|wanted| !wanted.iter().any(|range| range.contains(&id.0))) {
            return;
        }
        let checked = self
            .placed
            .get(&slot)
            .is_some_and(|placed| placed.page == id && Wreck::vouches_for(placed, bytes));
        let mut new = version(page, slot, crc32c(0, bytes), checked);
        new.leaf.preferred = false;
        new.rank.0 = self.flip_lsn.is_none_or(|flip_lsn| page.changed_at() <= flip_lsn);
        let Some(best) = self.best.get(&id) else {
            self.best.insert(id, new);
            return;
        };
        if new.leaf.checksum == best.leaf.checksum && (best.leaf.checked || !checked) {
            return;
        }
        // Beyond the flip the oldest is the nearest to the checkpoint.
        let age = |version: &Version| if version.rank.0 { version.rank.1 } else { u64::MAX - version.rank.1 };
        let order = (new.rank.0, age(&new)).cmp(&(best.rank.0, age(best)));
        let order = order.then_with(|| order_of_ends(&best.leaf.upper, &new.leaf.upper));
        if order.is_eq() && new.leaf.checksum != best.leaf.checksum {
            self.ambiguous.insert(id);
        } else if order.is_gt() {
            self.ambiguous.remove(&id);
        }
        if order.is_gt() || (order.is_eq() && checked && !best.leaf.checked) {
            self.best.insert(id, new);
        }
    }
}

fn version(page: &LoosePage<'_>, slot: u32, checksum: u32, checked: bool) -> Version {
    Version {
        table: page.table(),
        level: page.level(),
        dismantled: page.is_dismantled(),
        rank: (true, page.changed_at()),
        leaf: Leaf {
            page: page.id(),
            slot,
            checksum,
            checked,
            preferred: checked,
            changed_at: page.changed_at(),
            seed: page.seed(),
            is_overflow: page.is_overflow(),
            lower: page.lower(),
            upper: page.upper(),
        },
    }
}

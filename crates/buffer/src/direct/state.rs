//! Which direct pages are reserved, attached or detached, by epoch, and what waits for readers.
//!
//! # Invariants
//!
//! - **DS1** Whoever holds this lock takes no other.
//! - **DS2** A page is in `reserved` before its location is set, and until it is attached or its location is gone.
//! - **DS3** A detached page is in `new`, `old`, `releasing` or `held` until its location is gone; its id is free after that.
//! - **DS4** Slots of held pages that are freed meanwhile are caught, and freed when their page is not held any more.
//! - **DS5** Only what passes [`Pager::check_attached`] is detached: what a damaged leaf names instead would be freed twice.
//! - **DS6** Commits take this lock inside the gate: whoever frees many pages lets it go after every [`PAGES_AT_ONCE`].

use crate::map::{MapRoot, MapWriter};
use crate::pager::Pager;
use crate::runs::{PageRun, RunSet};
use crate::translation::{Entry, Location, Residence};
use crate::{Error, Mutation, NewPages, PageId, Result};
use aquifer_sync::{Arc, Condvar, Mutex, MutexGuard, Rank};
use std::collections::BTreeMap;

/// The states of all direct pages of a pager.
#[derive(Debug)]
pub(crate) struct DirectPages {
    state: Mutex<State>,
    written: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Owned by [`NewPages`].
    pub(super) reserved: RunSet,
    /// Of the present epoch.
    new: Changes,
    /// Of earlier epochs that no durable checkpoint has.
    old: Changes,
    /// Of a checkpoint that is durable and has not been released.
    releasing: Changes,
    /// What each reader reads (DP5).
    pub(super) pins: BTreeMap<u64, Pinned>,
    pub(super) next_pin: u64,
    /// Detached and released, and pinned.
    held: RunSet,
    /// Their slots (DS4).
    held_slots: RunSet,
    caught: RunSet,
    /// Transfers to the file under way.
    writing: u32,
    stopped: bool,
}

/// What a reader keeps alive.
#[derive(Debug, Clone)]
pub(super) enum Pinned {
    All,
    Pages(Arc<Vec<PageRun>>),
}

/// What happened in some epochs. Ids are not used twice in them (DP4), so the order does not matter.
#[derive(Debug, Clone, Default)]
struct Changes {
    attached: RunSet,
    detached: RunSet,
    /// Slots of manifests.
    manifests: Vec<u32>,
}

impl Changes {
    fn merge(&mut self, mut later: Changes) {
        self.attached.extend(&later.attached);
        self.detached.extend(&later.detached);
        self.manifests.append(&mut later.manifests);
    }
}

impl State {
    /// The pages of a set that readers have pinned.
    fn pinned(&self, pages: &RunSet) -> RunSet {
        let mut free = pages.pages();
        for reads in self.pins.values() {
            let Pinned::Pages(runs) = reads else { return pages.clone() };
            let met = runs.iter().filter(|run| pages.intersects(run.first.0, run.end()));
            free = PageRun::difference(free, met.copied().collect());
        }
        RunSet::of(&PageRun::difference(pages.pages(), free))
    }

    /// The held pages among those that a reader pinned. O(runs of the reader) where there is none.
    fn held_for(&self, pinned: &Pinned) -> RunSet {
        match pinned {
            Pinned::All => self.held.clone(),
            Pinned::Pages(runs) => {
                let met = runs.iter().filter(|run| self.held.intersects(run.first.0, run.end()));
                RunSet::of(&met.copied().collect::<Vec<_>>())
            }
        }
    }
}

impl DirectPages {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(Rank::Leaf, State::default()), written: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A transfer to the file begins; not after [`stop`](Self::stop).
    pub(super) fn begin_write(&self) -> Result<()> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Error::Stopped);
        }
        state.writing += 1;
        Ok(())
    }

    pub(super) fn end_write(&self) {
        self.lock().writing -= 1;
        self.written.notify_all();
    }

    /// Nothing is written after this.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        while state.writing > 0 {
            state = self.written.wait(state);
        }
    }

    /// A new epoch begins: what happened so far belongs to the checkpoint. While the gate is closed.
    pub(crate) fn flip(&self) {
        let mut state = self.lock();
        let new = std::mem::take(&mut state.new);
        state.old.merge(new);
    }

    /// The checkpoint is durable.
    pub(crate) fn installed(&self) {
        let mut state = self.lock();
        let old = std::mem::take(&mut state.old);
        state.releasing.merge(old);
    }

    /// Pages that are detached, and whose space comes back after the next checkpoint.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.lock();
        state.new.detached.count() + state.old.detached.count()
    }

    /// Of `returned` slots those that no held page has (DS4).
    pub(crate) fn withhold(&self, mut returned: Vec<u32>) -> Vec<u32> {
        if returned.is_empty() {
            return returned;
        }
        let mut state = self.lock();
        if !state.held_slots.is_empty() {
            let State { held_slots, caught, .. } = &mut *state;
            returned.retain(|&slot| {
                let held = held_slots.contains(slot);
                if held {
                    caught.insert(slot, slot + 1);
                }
                !held
            });
        }
        returned
    }

    /// Is it a direct page that is reserved, or that was attached or detached since the last checkpoint was released, or that waits
    /// for readers? Others are at rest.
    pub(crate) fn knows(&self, page: PageId) -> bool {
        let state = self.lock();
        let changes = [&state.new, &state.old, &state.releasing];
        let mut sets = changes.iter().flat_map(|changes| [&changes.attached, &changes.detached]);
        sets.any(|set| set.contains(page.0)) || state.reserved.contains(page.0) || state.held.contains(page.0)
    }

    /// Of the pages from `first` below `end` those that `exists` says exist and that somebody must refer to: not those that
    /// are reserved, nor those that wait to be free.
    pub(crate) fn referred_to(&self, end: u32, exists: impl Fn(PageId) -> bool) -> Vec<PageId> {
        let state = self.lock(); // DS2: nothing comes to be reserved, or free, while this is held
        let mut apart = state.reserved.clone();
        for gone in [&state.new.detached, &state.old.detached, &state.releasing.detached, &state.held] {
            apart.extend(gone);
        }
        (1..end).filter(|&page| !apart.contains(page)).map(PageId).filter(|&page| exists(page)).collect()
    }
}

impl Mutation<'_> {
    /// Makes pages part of the database, in this epoch (DP3). What refers to them is changed in the same passage. They are synced,
    /// if a log record names them.
    pub fn attach(&self, new: NewPages) {
        let (written, manifest, rest) = new.take_written();
        self.give_back(&rest);
        let mut state = self.pager().direct.lock();
        for run in &written {
            state.reserved.remove(run.first.0, run.end());
            state.new.attached.insert(run.first.0, run.end());
        }
        state.new.manifests.extend(manifest);
    }

    /// Takes pages out of the database, in this epoch (DP3). Nothing refers to them after this passage but readers that have
    /// pinned them.
    pub fn detach(&self, pages: &[PageRun]) {
        let pager = self.pager();
        let mut state = pager.direct.lock();
        let mut gone = RunSet::of(pages);
        if pager.file.is_some() {
            state.new.detached.extend(&gone);
            return;
        }
        // In memory all is one epoch, and nothing is ever replayed.
        let pinned = state.pinned(&gone);
        state.held.extend(&pinned);
        gone.subtract(&pinned);
        state.reserved.extend(&gone); // until their frames are free
        drop(state);
        self.free_direct_frames(&gone.pages());
    }
}

impl Pager {
    /// Are these pages direct ones that are attached, each named once (DS5)? Pages of a tree are known as such only while they
    /// are dirty in memory. O(pages).
    ///
    /// # Errors
    ///
    /// The run that is not, and what is wrong with it.
    pub fn check_attached(&self, runs: &[PageRun]) -> std::result::Result<(), (PageRun, &'static str)> {
        let end = self.ids.lock().next();
        let state = self.direct.lock();
        let elsewhere = [
            &state.reserved,
            &state.new.detached,
            &state.old.detached,
            &state.releasing.detached,
            &state.held,
        ];
        let mut seen = RunSet::new();
        for &run in runs {
            if run.first == PageId::NONE || run.end() > end {
                return Err((run, "do not exist"));
            }
            if elsewhere.iter().any(|set| set.intersects(run.first.0, run.end())) {
                return Err((run, "do not belong to a value any more, or not yet"));
            }
            if seen.intersects(run.first.0, run.end()) {
                return Err((run, "are named twice"));
            }
            seen.insert(run.first.0, run.end());
            if let Some(what) = run.ids().find_map(|page| self.not_direct(page)) {
                return Err((run, what));
            }
        }
        Ok(())
    }

    /// Why it is no page of a large value, as far as memory tells.
    fn not_direct(&self, page: PageId) -> Option<&'static str> {
        let residence = self.table.entry(page).map_or(Residence::Absent, Entry::get);
        match residence {
            Residence::Present(frame)
                if self.file.is_some() && self.frames.header(frame).dirty_epoch() != 0 =>
            {
                Some("are in a table's index")
            }
            Residence::Absent if self.file.is_none() => Some("do not exist"),
            _ if self.file.is_some() && self.table.location(page).slot == 0 => Some("do not exist"),
            _ => None,
        }
    }
}

/// Pages given to the page map at a time.
const RECORDS_AT_ONCE: usize = 4096;
/// Pages freed under one lock (DS6).
const PAGES_AT_ONCE: u32 = 4096;

impl Pager {
    /// Brings attachments and detachments of epochs before the flip into the page map (DP3).
    pub(crate) fn apply_direct(&self, writer: &mut MapWriter<'_>, mut map: MapRoot) -> Result<MapRoot> {
        let (mut attached, mut detached) = {
            let state = self.direct.lock();
            (state.old.attached.clone(), state.old.detached.clone())
        };
        let both = attached.intersection(&detached);
        attached.subtract(&both);
        detached.subtract(&both);
        for (set, there) in [(attached, true), (detached, false)] {
            let mut pages = set.pages().into_iter().flat_map(|run| run.ids());
            loop {
                let records: Vec<(PageId, Location)> = pages
                    .by_ref()
                    .take(RECORDS_AT_ONCE)
                    .map(|page| (page, if there { self.table.location(page) } else { Location::NONE }))
                    .collect();
                if records.is_empty() {
                    break;
                }
                map = writer.apply(map, &records)?;
            }
        }
        Ok(map)
    }

    /// Frees what only older checkpoints and the log before them needed (DP4), as far as no reader needs it (DP5). Slots that
    /// were in an older map are freed by the caller, after this.
    pub(crate) fn release_direct(&self) {
        let (manifests, never_mapped) = {
            let mut state = self.direct.lock();
            let Changes { attached, detached, manifests } = &mut state.releasing;
            let never_mapped = attached.intersection(detached);
            *attached = RunSet::new();
            (std::mem::take(manifests), never_mapped)
        };
        self.free_slots(&manifests);
        loop {
            let mut state = self.direct.lock();
            let Some(run) = state.releasing.detached.first() else { return };
            let run = PageRun { pages: run.pages.min(PAGES_AT_ONCE), ..run };
            state.releasing.detached.remove(run.first.0, run.end());
            let slot = |page| self.table.location(page).slot;
            let unmapped: Vec<u32> =
                run.ids().filter(|page| never_mapped.contains(page.0)).map(slot).collect();
            let mut free = RunSet::of(&[run]);
            let pinned = state.pinned(&free);
            state.held.extend(&pinned);
            free.subtract(&pinned);
            for page in pinned.pages().iter().flat_map(PageRun::ids) {
                let slot = slot(page);
                state.held_slots.insert(slot, slot + 1);
            }
            let free = free.pages();
            for page in free.iter().flat_map(PageRun::ids) {
                self.table.set_location(page, Location::NONE);
            }
            drop(state);
            self.free_slots(&unmapped); // those of held pages are caught (DS4)
            let mut ids = self.ids.lock();
            free.into_iter().for_each(|run| ids.free_run(run));
        }
    }

    /// A reader is gone, or reads only these pages from now on: frees what was held for it alone.
    pub(super) fn change_pin(&self, pin: u64, pages: Option<Arc<Vec<PageRun>>>) {
        let mut left = {
            let mut state = self.direct.lock();
            let before = match pages {
                Some(pages) => state.pins.insert(pin, Pinned::Pages(pages)),
                None => state.pins.remove(&pin),
            };
            // What comes to be held from here on is held for others.
            before.map_or(RunSet::new(), |before| state.held_for(&before))
        };
        while let Some(run) = left.first() {
            let some = PageRun { pages: run.pages.min(PAGES_AT_ONCE), ..run };
            left.remove(some.first.0, some.end());
            self.free_unpinned(some);
        }
    }

    /// Frees those pages of a run that are held, and that nobody pins any more.
    fn free_unpinned(&self, run: PageRun) {
        let mut state = self.direct.lock();
        let mut free = RunSet::of(&[run]).intersection(&state.held);
        free.subtract(&state.pinned(&free));
        let free = free.pages();
        if free.is_empty() {
            return;
        }
        let mut slots = Vec::new();
        for run in &free {
            state.held.remove(run.first.0, run.end());
            if self.file.is_none() {
                state.reserved.insert(run.first.0, run.end()); // until their frames are free
                continue;
            }
            for page in run.ids() {
                let slot = self.table.location(page).slot;
                state.held_slots.remove(slot, slot + 1);
                if state.caught.contains(slot) {
                    state.caught.remove(slot, slot + 1);
                    slots.push(slot);
                }
                self.table.set_location(page, Location::NONE);
            }
        }
        drop(state);
        self.free_slots(&slots);
        if self.file.is_none() {
            self.enter().free_direct_frames(&free);
        } else {
            let mut ids = self.ids.lock();
            free.into_iter().for_each(|run| ids.free_run(run));
        }
    }
}

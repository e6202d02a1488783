//! Everything that a simulated disk knows, under its one lock; and the way that every call takes.
//!
//! ```text
//! call ─► count, trace ─► powered? ─► does a fault strike? ─► act ─► trace what came of it
//! ```
//!
//! - **S1** A file's number is never used again; its content goes, at the next change of names, when no name, no
//!   possible name after a crash and no handle is left.
//! - **S2** `powered` goes from true to false once. After that nothing changes but counts and trace.
//! - **S3** Same seed and same calls, same outcome: every choice is drawn from `random`, or from the seed of a crash.

use crate::content::{Change, Content};
use crate::fault::{Effect, Fault};
use crate::flight::Flight;
use crate::image::{BLOCK, SECTOR_BYTES};
use crate::names::{Entry, Names, Tree, is_directory, parent};
use crate::trace::{Event, Trace};
use crate::{Call, Counts, Random, failure};
use aquifer_io::{IoError, Result};
use aquifer_sync::Arc;
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// A file, and who holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) content: Content,
    /// Its name, as long as it has one.
    name: Option<Arc<str>>,
    handles: Holders,
}

/// Those who hold something. They let go by dropping what they got, without a lock: closing a file takes none from those
/// who close it. A copy is held by nobody.
#[derive(Debug, Default)]
pub(crate) struct Holders(Arc<()>);

impl Holders {
    fn add(&self) -> Holder {
        Holder { _held: self.0.clone() }
    }

    fn any(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Clone for Holders {
    fn clone(&self) -> Holders {
        Holders::default()
    }
}

/// See [`Holders`].
#[derive(Debug)]
pub(crate) struct Holder {
    _held: Arc<()>,
}

/// What the disk is like; a boot changes none of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// What a device writes whole.
    pub(crate) sector_bytes: usize,
    /// Bytes of all files together.
    pub(crate) capacity: Option<u64>,
    /// Requests are carried out when they are submitted, in their order.
    pub(crate) in_order: bool,
}

/// See the module's head.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) names: Names,
    pub(crate) files: Vec<Stored>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) tickets: u64,
    /// Also those that nobody holds any more.
    locks: BTreeMap<Arc<str>, Holders>,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) faults: Vec<Fault>,
    pub(crate) strikes: u64,
    pub(crate) powered: bool,
    pub(crate) counts: Counts,
    pub(crate) trace: Trace,
    calls: u64,
}

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) call: Call,
    pub(crate) name: &'a Arc<str>,
    /// The file whose bytes are concerned.
    pub(crate) file: Option<usize>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl<'a> Target<'a> {
    /// A whole file or directory.
    pub(crate) fn named(call: Call, name: &'a Arc<str>) -> Target<'a> {
        Target { call, name, file: None, offset: 0, len: 0 }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: &str) -> IoError {
        failure(self.call.name(), self.name, (self.offset, self.len), kind, message)
    }

    pub(crate) fn injected(&self) -> IoError {
        self.error(ErrorKind::Other, "injected input/output error")
    }

    pub(crate) fn full(&self) -> IoError {
        self.error(ErrorKind::StorageFull, "no space left on the simulated disk")
    }

    pub(crate) fn off(&self) -> IoError {
        self.error(ErrorKind::Other, "injected loss of power: the simulated disk is off")
    }
}

impl State {
    pub(crate) fn new(seed: u64) -> State {
        let settings = Settings { sector_bytes: SECTOR_BYTES, capacity: None, in_order: false };
        State::booted(settings, Trace::default(), seed, Names::default(), Vec::new())
    }

    /// A disk in good order with these files, each of them with a name.
    pub(crate) fn booted(
        settings: Settings,
        trace: Trace,
        seed: u64,
        names: Names,
        contents: Vec<Content>,
    ) -> State {
        let mut files: Vec<Stored> =
            contents.into_iter().map(|content| Stored { content, ..Stored::default() }).collect();
        for (name, entry) in names.current() {
            if let Entry::File(id) = entry {
                files[*id].name = Some(name.clone());
            }
        }
        State {
            names,
            files,
            flights: Vec::new(),
            tickets: 0,
            locks: BTreeMap::new(),
            settings,
            random: Random(seed),
            faults: Vec::new(),
            strikes: 0,
            powered: true,
            counts: Counts::default(),
            trace,
            calls: 0,
        }
    }

    /// What the next process finds after this one died: the kernel still has everything, and nobody's handles or locks.
    pub(crate) fn after_kill(&self) -> State {
        let mut state = self.clone();
        state.land_some();
        state.faults.clear();
        (state.strikes, state.calls, state.counts, state.powered) = (0, 0, Counts::default(), true);
        state.trace.push(Event::Kill);
        for id in 0..state.files.len() {
            state.collect(id);
        }
        state
    }

    /// The way of every call. `act` gets the effect of the fault that strikes it.
    pub(crate) fn operate<T>(
        &mut self,
        target: Target<'_>,
        act: impl FnOnce(&mut State, Option<Effect>) -> Result<T>,
    ) -> Result<T> {
        self.calls += 1;
        self.counts.count(target.call, target.len);
        self.trace.push(Event::Call {
            number: self.calls,
            call: target.call,
            file: target.name.clone(),
            offset: target.offset,
            len: target.len,
            fault: None,
            error: None,
        });
        let effect = if self.powered { self.strike(&target) } else { None };
        let result = if self.powered { act(self, effect) } else { Err(target.off()) };
        self.trace.ended(effect, result.as_ref().err().map(|error| error.kind));
        result
    }

    /// A call that happens at once or not at all: what faults do to it.
    pub(crate) fn change<T>(
        &mut self,
        target: Target<'_>,
        act: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        self.operate(target, |state, effect| match effect {
            None => act(state),
            Some(Effect::PowerLoss) => {
                if state.random.chance(50) {
                    drop(act(state));
                }
                state.powered = false;
                Err(target.off())
            }
            Some(Effect::Full) => Err(target.full()),
            Some(_) => Err(target.injected()),
        })
    }

    /// The first fault that strikes.
    fn strike(&mut self, target: &Target<'_>) -> Option<Effect> {
        let mut faults = std::mem::take(&mut self.faults);
        let struck = faults.iter_mut().find_map(|fault| {
            let effect = fault.effect();
            let now = target.file.and_then(|id| self.files[id].name.as_ref());
            let names = [target.name, now.unwrap_or(target.name)];
            let strikes = self.can(effect, target) && fault.strikes(target.call, names, &mut self.random);
            strikes.then_some(effect)
        });
        self.faults = faults;
        self.strikes += u64::from(struck.is_some());
        struck
    }

    /// Whether the effect would be one, here.
    fn can(&self, effect: Effect, target: &Target<'_>) -> bool {
        let Some(id) = target.file else {
            return matches!(effect, Effect::Error | Effect::Full | Effect::PowerLoss);
        };
        let content = &self.files[id].content;
        let (first, count) = (target.offset / BLOCK, target.len / BLOCK);
        match effect {
            Effect::MisdirectedWrite | Effect::MisdirectedRead => {
                other_places(content.current.blocks(), first, count) > 0
            }
            Effect::StaleRead => (first..first + count).any(|index| content.older(index).is_some()),
            _ => true,
        }
    }

    /// Where else so many blocks could be, drawn.
    pub(crate) fn elsewhere(&mut self, id: usize, first: u64, count: u64) -> u64 {
        let places = other_places(self.files[id].content.current.blocks(), first, count);
        let place = self.random.below(places);
        if place < first { place } else { place + 1 }
    }

    /// Bytes that all files take that have a name or are open.
    pub(crate) fn used(&self) -> u64 {
        let held = self.files.iter().filter(|file| file.name.is_some() || file.handles.any());
        held.map(|file| file.content.current.charged_bytes()).sum()
    }

    /// Blocks that are free.
    pub(crate) fn room_blocks(&self) -> u64 {
        self.settings.capacity.map_or(u64::MAX, |bytes| bytes.saturating_sub(self.used()) / BLOCK)
    }

    pub(crate) fn open(&mut self, name: &Arc<str>) -> Result<(usize, Holder)> {
        let target = Target::named(Call::Open, name);
        let id = self.change(target, |state| state.names.file("open", name))?;
        Ok((id, self.files[id].handles.add()))
    }

    pub(crate) fn create(&mut self, name: &Arc<str>) -> Result<(usize, Holder)> {
        let target = Target::named(Call::Create, name);
        let id = self.change(target, |state| {
            if state.names.entry(name).is_some() {
                return Err(target.error(ErrorKind::AlreadyExists, "it is there already"));
            }
            state.names.require_directory("create", name, parent(name))?;
            Ok(state.enter_file(name))
        })?;
        Ok((id, self.files[id].handles.add()))
    }

    fn enter_file(&mut self, name: &Arc<str>) -> usize {
        self.files.push(Stored { name: Some(name.clone()), ..Stored::default() });
        let id = self.files.len() - 1;
        self.names.enter(name, Entry::File(id));
        id
    }

    pub(crate) fn remove(&mut self, name: &Arc<str>) -> Result<()> {
        self.change(Target::named(Call::Remove, name), |state| {
            let id = state.names.file("remove", name)?;
            state.names.remove(name);
            state.files[id].name = None;
            state.collect(id);
            Ok(())
        })
    }

    pub(crate) fn rename(&mut self, from: &Arc<str>, to: &Arc<str>) -> Result<()> {
        self.change(Target::named(Call::Rename, from), |state| {
            let id = state.names.file("rename", from)?;
            state.names.require_directory("rename", to, parent(to))?;
            match state.names.entry(to) {
                Some(Entry::Directory) => return Err(is_directory("rename", to)),
                Some(Entry::File(replaced)) => state.files[replaced].name = None,
                None => {}
            }
            state.files[id].name = Some(to.clone());
            state.names.rename(from, to);
            Ok(())
        })
    }

    pub(crate) fn list(&mut self, directory: &Arc<str>) -> Result<Vec<String>> {
        self.change(Target::named(Call::List, directory), |state| {
            state.names.require_directory("list", directory, directory)?;
            Ok(state.names.list(directory))
        })
    }

    pub(crate) fn create_directory(&mut self, directory: &Arc<str>) -> Result<()> {
        let target = Target::named(Call::CreateDirectory, directory);
        self.change(target, |state| match state.names.entry(directory) {
            _ if directory.is_empty() => Ok(()),
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => Err(target.error(ErrorKind::AlreadyExists, "it is a file")),
            None => {
                state.names.require_directory("create directory", directory, parent(directory))?;
                state.names.enter(directory, Entry::Directory);
                Ok(())
            }
        })
    }

    pub(crate) fn sync_directory(&mut self, directory: &Arc<str>) -> Result<()> {
        self.change(Target::named(Call::SyncDirectory, directory), |state| {
            state.names.require_directory("sync directory", directory, directory)?;
            state.names.sync(directory);
            (0..state.files.len()).for_each(|id| state.collect(id));
            Ok(())
        })
    }

    pub(crate) fn lock(&mut self, name: &Arc<str>) -> Result<Holder> {
        let target = Target::named(Call::Lock, name);
        self.change(target, |state| {
            if state.locks.get(name).is_some_and(Holders::any) {
                let message =
                    format!("held by this process (pid {}), which opened it before", std::process::id());
                return Err(target.error(ErrorKind::WouldBlock, &message));
            }
            match state.names.entry(name) {
                Some(Entry::Directory) => return Err(is_directory("lock", name)),
                Some(Entry::File(_)) => {}
                None => {
                    state.names.require_directory("lock", name, parent(name))?;
                    state.enter_file(name);
                }
            }
            Ok(state.locks.entry(name.clone()).or_default().add())
        })
    }

    /// Names and bytes as a reader sees them.
    pub(crate) fn tree(&self) -> &Tree {
        self.names.current()
    }

    /// Lets the content go if nobody can come back to it (S1).
    fn collect(&mut self, id: usize) {
        let file = &self.files[id];
        let held = file.name.is_some() || file.handles.any() || self.names.files().any(|named| named == id);
        if !held {
            self.files[id] = Stored::default();
        }
    }

    /// What was written to a file and not made durable, with what is under way.
    pub(crate) fn undurable(&self, id: usize) -> impl Iterator<Item = &Change> + Clone {
        let content = &self.files[id].content;
        let flying = self.flights.iter().filter(move |flight| flight.is_under_way_to(id));
        content.pending.iter().chain(flying.flat_map(Flight::changes))
    }
}

/// How many places there are for so many blocks in a file, other than this one.
fn other_places(blocks: u64, first: u64, count: u64) -> u64 {
    let places = (blocks + 1).saturating_sub(count);
    places - u64::from(first < places)
}

//! A disk in memory that loses power: every write since the last sync is kept, lost or turned into garbage, sector by
//! sector; names since the last directory sync are kept up to some point. It also fails and fills up on demand, at
//! changes or at reads.

use aquifer_io::{
    Buffer, Completion, Disk, DiskLock, File, IoError, OpenMode, Operation, Pending, Request, Result,
};
use aquifer_sync::{Arc, Mutex, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

const SECTOR_BYTES: usize = 512;

/// Deterministic random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Power is lost: this and every later operation fails; the operation may have begun.
    PowerLoss,
    /// An I/O error, once.
    ErrorOnce,
    /// An I/O error, now and ever after.
    ErrorForGood,
}

#[derive(Debug, Clone)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

#[derive(Debug, Clone, Default)]
struct Content {
    /// What a reader sees.
    current: Vec<u8>,
    /// What certainly survives.
    durable: Vec<u8>,
    /// Writes that may survive, oldest first.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    directories: BTreeSet<String>,
    locked: BTreeSet<String>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    /// Reads of this file fail.
    unreadable: Option<String>,
    space: Option<u64>,
    random: u64,
}

/// See the module's head. Clones share the disk.
#[derive(Debug, Clone)]
pub struct TornDisk {
    state: Arc<Mutex<State>>,
}

impl TornDisk {
    pub fn new() -> TornDisk {
        TornDisk { state: Arc::new(Mutex::new(Rank::Leaf, State::default())) }
    }

    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Changing operations so far.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// From the `at`-th changing operation on (counted from 1).
    pub fn fault_at(&self, at: u64, fault: Fault) {
        self.state.lock().fault = Some((at, fault));
    }

    /// Ends faults that have not struck, and those for good.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.fault = None;
        state.unreadable = None;
    }

    /// Reads of this file fail from now on.
    pub fn fail_reads_of(&self, name: &str) {
        self.state.lock().unreadable = Some(name.to_owned());
    }

    /// Whether the fault has happened.
    pub fn has_struck(&self) -> bool {
        let state = self.state.lock();
        state.fault.is_some_and(|(at, _)| state.operations >= at)
    }

    /// Limits the bytes of all files together.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state.lock().space = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        let state = self.state.lock();
        state.names.values().map(|&id| state.files[id].current.len() as u64).sum()
    }

    /// The disk as a reader finds it after power was lost now.
    pub fn after_power_loss(&self, seed: u64) -> TornDisk {
        let state = self.state.lock();
        let mut random = Random(seed);
        let mut names = state.durable_names.clone();
        let kept = random.below(state.name_changes.len() as u64 + 1) as usize;
        for change in &state.name_changes[..kept] {
            apply(&mut names, change);
        }
        let files: Vec<Content> = state.files.iter().map(|content| content.torn(&mut random)).collect();
        let state = State {
            files,
            durable_names: names.clone(),
            names,
            directories: state.directories.clone(),
            random: random.next(),
            ..State::default()
        };
        TornDisk { state: Arc::new(Mutex::new(Rank::Leaf, state)) }
    }

    /// The disk after the process died: everything handed over is there.
    pub fn after_kill(&self) -> TornDisk {
        let state = self.state.lock();
        let files = state.files.iter().map(|content| Content::stable(content.current.clone())).collect();
        let state = State {
            files,
            durable_names: state.names.clone(),
            names: state.names.clone(),
            directories: state.directories.clone(),
            ..State::default()
        };
        TornDisk { state: Arc::new(Mutex::new(Rank::Leaf, state)) }
    }

    /// Names and contents.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        state.names.iter().map(|(name, &id)| (name.clone(), state.files[id].current.clone())).collect()
    }

    /// A disk with these files.
    pub fn with_contents(contents: &BTreeMap<String, Vec<u8>>) -> TornDisk {
        let mut state = State::default();
        for (name, bytes) in contents {
            state.names.insert(name.clone(), state.files.len());
            state.files.push(Content::stable(bytes.clone()));
            if let Some((directory, _)) = name.rsplit_once('/') {
                state.directories.insert(directory.to_owned());
            }
        }
        state.durable_names = state.names.clone();
        TornDisk { state: Arc::new(Mutex::new(Rank::Leaf, state)) }
    }
}

impl Content {
    fn stable(bytes: Vec<u8>) -> Content {
        Content { current: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    fn torn(&self, random: &mut Random) -> Content {
        let mut bytes = self.durable.clone();
        if random.chance(50) {
            bytes.resize(self.current.len(), 0);
        }
        for (offset, written) in &self.pending {
            let (kept, lost) = (random.below(101), random.below(101));
            for (index, sector) in written.chunks(SECTOR_BYTES).enumerate() {
                let start = offset + index * SECTOR_BYTES;
                if start + sector.len() > bytes.len() {
                    continue;
                }
                let place = &mut bytes[start..start + sector.len()];
                if random.chance(kept) {
                    place.copy_from_slice(sector);
                } else if !random.chance(lost) {
                    place.fill_with(|| random.next() as u8);
                }
            }
        }
        Content::stable(bytes)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if self.current.len() < offset + bytes.len() {
            self.current.resize(offset + bytes.len(), 0);
        }
        self.current[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// One write becomes durable, by itself.
    fn persist(&mut self, offset: usize, bytes: &[u8]) {
        if self.durable.len() < offset + bytes.len() {
            self.durable.resize(offset + bytes.len(), 0);
        }
        self.durable[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            self.persist(offset, &bytes);
        }
    }

    /// The kernel forgets what it could not write.
    fn fail_sync(&mut self, random: &mut Random) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            if random.chance(50) {
                self.persist(offset, &bytes);
            }
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Link(name, id) => {
            names.insert(name.clone(), *id);
        }
        NameChange::Unlink(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

impl State {
    /// Counts an operation; an error if it is to fail.
    fn operate(&mut self, operation: &'static str, name: &str) -> Result<()> {
        self.operations += 1;
        let Some((at, fault)) = self.fault else { return Ok(()) };
        let strikes = match fault {
            Fault::ErrorOnce => self.operations == at,
            Fault::PowerLoss | Fault::ErrorForGood => self.operations >= at,
        };
        if strikes { Err(error(operation, name, ErrorKind::Other, "injected")) } else { Ok(()) }
    }

    /// Whether the power was lost before this operation began.
    fn is_dark(&self) -> bool {
        self.fault.is_some_and(|(at, fault)| fault == Fault::PowerLoss && self.operations > at)
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&id| self.files[id].current.len() as u64).sum()
    }
}

fn error(operation: &'static str, file: &str, kind: ErrorKind, message: &str) -> IoError {
    IoError { operation, file: file.to_owned(), offset: 0, len: 0, kind, message: message.to_owned() }
}

#[derive(Debug)]
struct TornFile {
    state: Arc<Mutex<State>>,
    name: String,
    id: usize,
}

struct Finished(Vec<Completion>);

impl Pending for Finished {
    fn wait(self: Box<Self>) -> Vec<Completion> {
        self.0
    }
}

impl TornFile {
    fn run(&self, request: Request) -> Completion {
        let Request { operation, offset, mut buffer } = request;
        assert!(offset.is_multiple_of(4096) && buffer.len().is_multiple_of(4096), "whole blocks");
        let result = match operation {
            _ if buffer.is_empty() => Ok(()),
            Operation::Read => self.read(offset as usize, &mut buffer),
            Operation::Write => self.write(offset as usize, &buffer, false),
        };
        Completion { buffer, result }
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let state = self.state.lock();
        if state.unreadable.as_ref() == Some(&self.name) {
            return Err(error("read", &self.name, ErrorKind::Other, "injected"));
        }
        let content = &state.files[self.id].current;
        let Some(bytes) = content.get(offset..offset + buffer.len()) else {
            return Err(error("read", &self.name, ErrorKind::UnexpectedEof, "the file ends before"));
        };
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&self, offset: usize, bytes: &[u8], durable: bool) -> Result<()> {
        let mut state = self.state.lock();
        let result = state.operate("write", &self.name);
        if state.is_dark() {
            return result;
        }
        let more = (offset + bytes.len()).saturating_sub(state.files[self.id].current.len()) as u64;
        if more > 0 && state.space.is_some_and(|space| state.used() + more > space) {
            return Err(error("write", &self.name, ErrorKind::StorageFull, "no space left"));
        }
        let content = &mut state.files[self.id];
        content.write(offset, bytes);
        if durable && result.is_ok() {
            content.persist(offset, bytes);
        } else {
            content.pending.push((offset, bytes.to_vec()));
        }
        result
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.state.lock();
        let result = state.operate("sync", &self.name);
        if state.is_dark() {
            return result;
        }
        let mut random = Random(state.random);
        state.random = random.next();
        let content = &mut state.files[self.id];
        if result.is_ok() {
            content.sync();
        } else if state.fault.is_some_and(|(_, fault)| fault != Fault::PowerLoss) {
            state.files[self.id].fail_sync(&mut random);
        }
        result
    }
}

impl File for TornFile {
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_> {
        Box::new(Finished(requests.into_iter().map(|request| self.run(request)).collect()))
    }

    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion {
        if buffer.is_empty() {
            return Completion { buffer, result: Ok(()) };
        }
        let result = self.write(offset as usize, &buffer, true);
        Completion { buffer, result }
    }

    fn sync_data(&self) -> Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> Result<()> {
        self.sync()
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("allocate", &self.name)?;
        let end = (offset + len) as usize;
        let more = end.saturating_sub(state.files[self.id].current.len()) as u64;
        if state.space.is_some_and(|space| state.used() + more > space) {
            return Err(error("allocate", &self.name, ErrorKind::StorageFull, "no space left"));
        }
        let content = &mut state.files[self.id].current;
        let longer = content.len().max(end);
        content.resize(longer, 0);
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("truncate", &self.name)?;
        state.files[self.id].current.resize(len as usize, 0);
        Ok(())
    }

    fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("punch hole", &self.name)?;
        let content = &mut state.files[self.id].current;
        let end = content.len().min((offset + len) as usize);
        if (offset as usize) < end {
            content[offset as usize..end].fill(0);
        }
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.state.lock().files[self.id].current.len() as u64)
    }
}

#[derive(Debug)]
struct TornLock {
    state: Arc<Mutex<State>>,
    name: String,
}

impl DiskLock for TornLock {}

impl Drop for TornLock {
    fn drop(&mut self) {
        self.state.lock().locked.remove(&self.name);
    }
}

impl Disk for TornDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let known = state.names.get(name).copied();
        let id = match (mode, known) {
            (OpenMode::Existing, Some(id)) => id,
            (OpenMode::Existing, None) => {
                return Err(error("open", name, ErrorKind::NotFound, "no such file"));
            }
            (OpenMode::CreateNew, Some(_)) => {
                return Err(error("create", name, ErrorKind::AlreadyExists, "it is there"));
            }
            (OpenMode::CreateNew, None) => {
                state.operate("create", name)?;
                state.files.push(Content::default());
                let id = state.files.len() - 1;
                state.names.insert(name.to_owned(), id);
                state.name_changes.push(NameChange::Link(name.to_owned(), id));
                id
            }
        };
        Ok(Arc::new(TornFile { state: self.state.clone(), name: name.to_owned(), id }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("remove", name)?;
        if state.names.remove(name).is_none() {
            return Err(error("remove", name, ErrorKind::NotFound, "no such file"));
        }
        state.name_changes.push(NameChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("rename", from)?;
        let Some(id) = state.names.remove(from) else {
            return Err(error("rename", from, ErrorKind::NotFound, "no such file"));
        };
        state.names.insert(to.to_owned(), id);
        state.name_changes.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn list(&self, directory: &str) -> Result<Vec<String>> {
        let state = self.state.lock();
        if !directory.is_empty() && !state.directories.contains(directory) {
            return Err(error("list", directory, ErrorKind::NotFound, "no such directory"));
        }
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let inside = |name: &String| {
            let rest = name.strip_prefix(&prefix)?;
            rest.split('/').next().map(str::to_owned)
        };
        let entries =
            state.names.keys().chain(&state.directories).filter_map(inside).collect::<BTreeSet<_>>();
        Ok(entries.into_iter().filter(|entry| !entry.is_empty()).collect())
    }

    fn create_directory(&self, directory: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("create directory", directory)?;
        if state.names.contains_key(directory) {
            return Err(error("create directory", directory, ErrorKind::AlreadyExists, "it is a file"));
        }
        state.directories.insert(directory.to_owned());
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.operate("sync directory", directory)?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        let mut state = self.state.lock();
        if !state.locked.insert(name.to_owned()) {
            return Err(error("lock", name, ErrorKind::WouldBlock, "held by process 1"));
        }
        Ok(Box::new(TornLock { state: self.state.clone(), name: name.to_owned() }))
    }

    fn backend(&self) -> String {
        "torn".to_owned()
    }
}

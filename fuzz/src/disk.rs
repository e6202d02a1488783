//! A disk in memory that holds what a target puts there, and bounds what the engine may do with it.
//!
//! # Invariants
//!
//! - **FD1** After so many operations it panics: whoever reads a few files for ever is caught.
//! - **FD2** Its files never grow beyond a bound: what does not fit is a full disk.

use aquifer_io::{
    Buffer, Completion, Disk, DiskLock, File, IoError, OpenMode, Operation, Pending, Request, Result,
};
use aquifer_sync::{Arc, Mutex, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

/// Names and bytes of files.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Operations of one disk (FD1). A target opens, reads and writes some dozens of blocks.
const OPERATIONS_MAX: u64 = 200_000;
/// Bytes of all files (FD2).
const BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Default)]
struct State {
    files: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    directories: BTreeSet<String>,
    locked: BTreeSet<String>,
    operations: u64,
}

/// See the module's head. Clones share the files.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// A disk with these files, and the directories in their names.
    pub fn new(files: &Files) -> MemoryDisk {
        let mut state = State::default();
        for (name, bytes) in files {
            state.names.insert(name.clone(), state.files.len());
            state.files.push(bytes.clone());
            if let Some((directory, _)) = name.rsplit_once('/') {
                state.directories.insert(directory.to_owned());
            }
        }
        MemoryDisk { state: Arc::new(Mutex::new(Rank::Leaf, state)) }
    }

    /// As what the engine wants.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// What is on it now.
    pub fn files(&self) -> Files {
        let state = self.state.lock();
        state.names.iter().map(|(name, &id)| (name.clone(), state.files[id].clone())).collect()
    }
}

impl State {
    fn count(&mut self) {
        self.operations += 1;
        assert!(self.operations <= OPERATIONS_MAX, "FD1: {OPERATIONS_MAX} operations, and no end");
    }

    fn resize(&mut self, id: usize, len: u64, operation: &'static str) -> Result<()> {
        let others: u64 = self.names.values().filter(|&&other| other != id).map(|&o| self.len(o)).sum();
        if others.saturating_add(len) > BYTES_MAX {
            return Err(error(operation, "", ErrorKind::StorageFull)); // FD2
        }
        self.files[id].resize(len as usize, 0);
        Ok(())
    }

    fn len(&self, id: usize) -> u64 {
        self.files[id].len() as u64
    }
}

fn error(operation: &'static str, file: &str, kind: ErrorKind) -> IoError {
    IoError { operation, file: file.to_owned(), offset: 0, len: 0, kind, message: kind.to_string() }
}

#[derive(Debug)]
struct MemoryFile {
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

impl MemoryFile {
    fn run(&self, request: Request) -> Completion {
        let Request { operation, offset, mut buffer } = request;
        let mut state = self.state.lock();
        state.count();
        let end = offset.saturating_add(buffer.len() as u64);
        let result = match operation {
            _ if !offset.is_multiple_of(4096) => Err(error("transfer", &self.name, ErrorKind::InvalidInput)),
            _ if buffer.is_empty() => Ok(()),
            Operation::Read if end > state.len(self.id) => {
                Err(error("read", &self.name, ErrorKind::UnexpectedEof))
            }
            Operation::Read => {
                buffer.copy_from_slice(&state.files[self.id][offset as usize..end as usize]);
                Ok(())
            }
            Operation::Write => {
                let len = state.len(self.id).max(end);
                state.resize(self.id, len, "write").map(|()| {
                    state.files[self.id][offset as usize..end as usize].copy_from_slice(&buffer);
                })
            }
        };
        Completion { buffer, result }
    }
}

impl File for MemoryFile {
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_> {
        Box::new(Finished(requests.into_iter().map(|request| self.run(request)).collect()))
    }

    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion {
        self.run(Request { operation: Operation::Write, offset, buffer })
    }

    fn sync_data(&self) -> Result<()> {
        self.state.lock().count();
        Ok(())
    }

    fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        let longer = state.len(self.id).max(offset.saturating_add(len));
        state.resize(self.id, longer, "allocate")
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        state.resize(self.id, len, "truncate")
    }

    fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        let file = &mut state.files[self.id];
        let end = (file.len() as u64).min(offset.saturating_add(len));
        if offset < end {
            file[offset as usize..end as usize].fill(0);
        }
        Ok(())
    }

    fn forget_cached(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        let mut state = self.state.lock();
        state.count();
        Ok(state.len(self.id))
    }
}

#[derive(Debug)]
struct MemoryLock {
    state: Arc<Mutex<State>>,
    name: String,
}

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.state.lock().locked.remove(&self.name);
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        state.count();
        let id = match (mode, state.names.get(name).copied()) {
            (OpenMode::Existing, Some(id)) => id,
            (OpenMode::Existing, None) => return Err(error("open", name, ErrorKind::NotFound)),
            (OpenMode::CreateNew, Some(_)) => return Err(error("create", name, ErrorKind::AlreadyExists)),
            (OpenMode::CreateNew, None) => {
                let id = state.files.len();
                state.files.push(Vec::new());
                state.names.insert(name.to_owned(), id);
                id
            }
        };
        Ok(Arc::new(MemoryFile { state: Arc::clone(&self.state), name: name.to_owned(), id }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        state.names.remove(name).map(|_| ()).ok_or_else(|| error("remove", name, ErrorKind::NotFound))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        let id = state.names.remove(from).ok_or_else(|| error("rename", from, ErrorKind::NotFound))?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn list(&self, directory: &str) -> Result<Vec<String>> {
        let mut state = self.state.lock();
        state.count();
        if !directory.is_empty() && !state.directories.contains(directory) {
            return Err(error("list", directory, ErrorKind::NotFound));
        }
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let inside = |name: &String| name.strip_prefix(&prefix)?.split('/').next().map(str::to_owned);
        let entries = state.names.keys().chain(&state.directories).filter_map(inside);
        Ok(entries.filter(|entry| !entry.is_empty()).collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn create_directory(&self, directory: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.count();
        state.directories.insert(directory.to_owned());
        Ok(())
    }

    fn sync_directory(&self, _directory: &str) -> Result<()> {
        self.state.lock().count();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        let mut state = self.state.lock();
        state.count();
        if !state.locked.insert(name.to_owned()) {
            return Err(error("lock", name, ErrorKind::WouldBlock));
        }
        Ok(Box::new(MemoryLock { state: Arc::clone(&self.state), name: name.to_owned() }))
    }

    fn backend(&self) -> String {
        "memory".to_owned()
    }
}

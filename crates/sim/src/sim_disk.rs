//! The disk itself: how it is made, set up, looked at and crashed, and what it does as a [`Disk`].

use crate::content::Content;
use crate::fault::Fault;
use crate::image::{Image, SECTOR_BYTES};
use crate::names::{Entry, Names, Tree, check_entry_name, check_name};
use crate::sim_file::SimFile;
use crate::state::{Holder, State};
use crate::trace::Trace;
use crate::{Call, Counts, CrashStates};
use aquifer_io::{BLOCK_BYTES, Disk, DiskLock, File, OpenMode, Result};
use aquifer_sync::{Arc, Mutex, Rank};
use std::collections::BTreeMap;

/// The largest file, in bytes: 64 GiB, so that an offset by mistake does not take all memory.
pub const FILE_BYTES_MAX: u64 = 64 << 30;

/// A disk in memory. Clones are handles of the same disk; what comes after a crash is a disk of its own.
///
/// The README of the crate says what it does, and which states are legal after a crash.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk of seed 0.
    pub fn new() -> SimDisk {
        SimDisk::with_seed(0)
    }

    /// An empty disk that draws from `seed` what it may choose: the order of requests, what is left of calls that fail, the
    /// calls that faults of some probability strike.
    pub fn with_seed(seed: u64) -> SimDisk {
        SimDisk::from_state(State::new(seed))
    }

    /// A disk with these files, durably, and the directories that their names need.
    pub fn with_contents(contents: &BTreeMap<String, Vec<u8>>) -> SimDisk {
        let mut tree = Tree::new();
        let mut files = Vec::new();
        for (name, bytes) in contents {
            for (slash, _) in name.match_indices('/') {
                tree.insert(name[..slash].into(), Entry::Directory);
            }
            tree.insert(name.as_str().into(), Entry::File(files.len()));
            files.push(Content::stable(Image::from_bytes(bytes)));
        }
        let empty = State::new(0);
        SimDisk::from_state(State::booted(empty.settings, Trace::default(), 0, Names::stable(tree), files))
    }

    pub(crate) fn from_state(state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(Rank::Leaf, state)) }
    }

    pub(crate) fn state(&self) -> &Mutex<State> {
        &self.state
    }

    /// This disk, for those who take any.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Files, with their bytes as a reader sees them now.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock();
        let files = state.tree().iter().filter_map(|(name, entry)| match entry {
            Entry::File(id) => Some((name.to_string(), state.files[*id].content.current.to_bytes())),
            Entry::Directory => None,
        });
        files.collect()
    }

    /// The disk as the next boot finds it if power is lost now: a legal state, drawn from `seed`. This disk goes on.
    ///
    /// Nobody holds its locks, no fault is left, and counts begin anew. Settings, rotten bits and spoiled sectors stay.
    pub fn after_power_loss(&self, seed: u64) -> SimDisk {
        let state = self.state.lock();
        SimDisk::from_state(state.after_power_loss(seed))
    }

    /// As [`after_power_loss`](SimDisk::after_power_loss), with the legal state in which everything is lost that may be.
    pub fn after_worst_power_loss(&self) -> SimDisk {
        let state = self.state.lock();
        SimDisk::from_state(state.after_worst_power_loss())
    }

    /// All legal states after a loss of power, or `None` if there are more than `bound`.
    ///
    /// A 4096-byte write alone has 3⁸ of them: [`set_sector_bytes`](SimDisk::set_sector_bytes) makes it 3. Garbage is one
    /// value of each sector. Memory and time to begin grow with the number of unsynced changes.
    pub fn crash_states(&self, bound: u64) -> Option<CrashStates> {
        let state = self.state.lock().clone();
        CrashStates::of(state, bound)
    }

    /// The disk as the next process finds it if this one is killed now: everything written is there, and what was not
    /// durable still is not. Of each write that is under way, any blocks. This disk goes on.
    ///
    /// Nobody holds its locks, no fault is left, and counts begin anew.
    pub fn after_kill(&self) -> SimDisk {
        let state = self.state.lock();
        SimDisk::from_state(state.after_kill())
    }

    /// Adds a fault. Those injected before it strike before it.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Ends all faults. What they did stays, and power that was lost does not come back.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.strikes = 0;
    }

    /// How often faults struck since the last [`heal`](SimDisk::heal).
    pub fn strikes(&self) -> u64 {
        self.state.lock().strikes
    }

    /// Whether a fault struck since the last [`heal`](SimDisk::heal).
    pub fn has_struck(&self) -> bool {
        self.strikes() > 0
    }

    /// Leaves this many bytes free, from now on; `None` is no limit. Writing, allocating and extending by writes take space by
    /// blocks; cutting, punching, and removing files that nobody has open give it back. Holes take none.
    pub fn set_free(&self, bytes: Option<u64>) {
        let mut state = self.state.lock();
        state.settings.capacity = bytes.map(|bytes| state.used() + bytes);
    }

    /// Bytes that are taken by files that have names or are open.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// What the device writes whole: 512 bytes, which is what it has without this call, to 4096.
    ///
    /// # Panics
    ///
    /// If it is not a power of two in these bounds.
    pub fn set_sector_bytes(&self, bytes: usize) {
        assert!(bytes.is_power_of_two() && (SECTOR_BYTES..=BLOCK_BYTES).contains(&bytes), "{bytes} bytes");
        self.state.lock().settings.sector_bytes = bytes;
    }

    /// Whether requests are carried out when they are submitted, and in their order. They are not without this call: the
    /// order is drawn, and requests happen at some time between submission and the end of the wait for them.
    pub fn set_in_order(&self, in_order: bool) {
        self.state.lock().settings.in_order = in_order;
    }

    /// How often it was called, since it was made or booted.
    pub fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// The last calls, for reports of failures.
    pub fn trace(&self) -> Trace {
        self.state.lock().trace.clone()
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let call = match mode {
            OpenMode::Existing => Call::Open,
            OpenMode::CreateNew => Call::Create,
        };
        check_entry_name(call.name(), name)?;
        let name: Arc<str> = name.into();
        let mut state = self.state.lock();
        let (id, holder) = match mode {
            OpenMode::Existing => state.open(&name)?,
            OpenMode::CreateNew => state.create(&name)?,
        };
        drop(state);
        Ok(Arc::new(SimFile::new(self.state.clone(), name, id, holder)))
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_entry_name(Call::Remove.name(), name)?;
        self.state.lock().remove(&name.into())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        for name in [from, to] {
            check_entry_name(Call::Rename.name(), name)?;
        }
        self.state.lock().rename(&from.into(), &to.into())
    }

    fn list(&self, directory: &str) -> Result<Vec<String>> {
        check_name(Call::List.name(), directory)?;
        self.state.lock().list(&directory.into())
    }

    fn create_directory(&self, directory: &str) -> Result<()> {
        check_name(Call::CreateDirectory.name(), directory)?;
        self.state.lock().create_directory(&directory.into())
    }

    fn sync_directory(&self, directory: &str) -> Result<()> {
        check_name(Call::SyncDirectory.name(), directory)?;
        self.state.lock().sync_directory(&directory.into())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>> {
        check_entry_name(Call::Lock.name(), name)?;
        let holder = self.state.lock().lock(&name.into())?;
        Ok(Box::new(SimLock { _holder: holder }))
    }

    fn backend(&self) -> String {
        "sim".to_owned()
    }
}

/// A held lock.
#[derive(Debug)]
struct SimLock {
    _holder: Holder,
}

impl DiskLock for SimLock {}

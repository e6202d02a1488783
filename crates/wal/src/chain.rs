//! The chain of segment files: making them ahead of need, using them in order, recycling them.
//!
//! ```text
//!              make                    begin                  end                   retire
//!  (nothing) -------> prepared file ----------> active file -------> used file ---------------> removed
//!                          ^                                                         |
//!                          '------------------- rename to the next number -----------'
//! ```
//!
//! A prepared file bears its future number already, so that nothing but a write is needed to begin it: its header
//! goes out with its first batch.
//!
//! # Invariants
//!
//! - **CH1** Before a file is prepared, its blocks were written, it was synced, and so was the directory with its name.
//!   So disk full can happen only when a file is made, and a sync of a batch has nothing but the batch to do.
//! - **CH2** Prepared files are begun in the order of their numbers, which leave no hole after the active one.
//! - **CH3** A number is above those of all files that are there when it is given. With FO3, no batch of a file's
//!   earlier life can be taken for one of its present life.
//! - **CH4** One thread at a time makes or recycles files (`making`); no lock is held meanwhile.
//! - **CH5** A used file is retired only when all of it is durable and below the position that the caller names; then
//!   no write to it is under way. And only when something behind it is durable, and so the header of the file after it: at
//!   every moment a file of the incarnation would survive a loss of power, and tell that it was there.
//! - **CH7** With an archive, a used file is copied there before it is retired: durably, and whole, for nothing is written to it any
//!   more. Nobody takes it away meanwhile. What a process that was killed wrote and did not sync is made durable before a
//!   checkpoint covers it: a loss of power then takes nothing from the file, and a second copy equals the first.
//! - **CH6** The next file is prepared before the active one is filled to its capacity: if a full segment has no
//!   successor, somebody has removed it.

use crate::archive::Archive;
use crate::format::{segment_name, segment_number};
use aquifer_io::sabotage::{self, Sabotage};
use aquifer_io::{BLOCK_BYTES, Buffer, Disk, File, IoError, OpenMode, Operation, Request};
use aquifer_sync::{Arc, Condvar, Mutex, MutexGuard, Rank};
use std::collections::VecDeque;
use std::io::ErrorKind;

/// The smallest segment: a header and some batches. FROZEN: a shorter file is damage.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Size of a log's first segment, unless the largest is to be smaller.
const SEGMENT_BYTES_FIRST: u64 = 1 << 20;
/// How much is zeroed by one write.
const ZERO_BYTES: u64 = 256 << 10;
/// Files kept prepared at most, not counting what large records asked for.
const PREPARED_MAX: usize = 4;
/// The file that is being made has this name.
const NAME_OF_NEW: &str = "new";

/// Why a file operation failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: IoError,
    /// Whether the log must stop: a failed sync, or anything unexpected while a segment was made.
    pub(crate) fatal: bool,
}

fn fatal(error: IoError) -> Failure {
    Failure { error, fatal: true }
}

/// For who comes after the log has stopped.
fn stopped() -> Failure {
    fatal(IoError {
        operation: "make",
        file: NAME_OF_NEW.to_owned(),
        offset: 0,
        len: 0,
        kind: ErrorKind::Other,
        message: "the log has stopped".to_owned(),
    })
}

/// A full disk is worked around; anything else is not understood.
fn while_making(error: IoError) -> Failure {
    let full = matches!(error.kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    Failure { error, fatal: !full }
}

/// A segment file that is ready to be begun, or begun.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn File>,
    pub(crate) capacity: u64,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Segment) -> bool {
        self.number == other.number
    }
}

/// A file whose records may be retired.
#[derive(Debug, Clone, Copy)]
struct Used {
    number: u64,
    bytes: u64,
    /// LSN after its last record byte; `None` for one of an earlier incarnation.
    end_lsn: Option<u64>,
    archived: bool,
}

#[derive(Debug)]
struct State {
    prepared: VecDeque<Segment>,
    active: Option<(u64, u64)>,
    /// Oldest first.
    used: VecDeque<Used>,
    /// Files begun since the last retirement: as many are worth keeping.
    begun: usize,
    next_number: u64,
    /// Size of the file that was made last.
    last_bytes: u64,
    zeroed_bytes: u64,
    archived: u64,
    has_archive: bool,
    making: bool,
    stopped: bool,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Chain {
    disk: Arc<dyn Disk>,
    directory: String,
    bytes_max: u64,
    state: Mutex<State>,
    made: Condvar,
    /// Held while a file is copied to the archive (CH7).
    archive: Mutex<Option<Archive>>,
}

impl Chain {
    /// Lists what is there and prepares the first segment, numbered above all of it.
    pub(crate) fn start(disk: Arc<dyn Disk>, directory: &str, bytes_max: u64) -> Result<Chain, IoError> {
        disk.create_directory(directory)?;
        disk.sync_directory("")?;
        let mut used = Vec::new();
        for name in disk.list(directory)? {
            if name == NAME_OF_NEW {
                disk.remove(&format!("{directory}/{name}"))?;
            } else if let Some(number) = segment_number(&name) {
                let bytes = disk.open(&format!("{directory}/{name}"), OpenMode::Existing)?.len()?;
                used.push(Used { number, bytes, end_lsn: None, archived: false });
            }
        }
        used.sort_by_key(|used| used.number);
        let next_number = used.last().map_or(1, |last| last.number + 1);
        let bytes_max = bytes_max.max(SEGMENT_BYTES_MIN) / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        let state = State {
            prepared: VecDeque::new(),
            active: None,
            used: used.into(),
            begun: 0,
            next_number,
            last_bytes: SEGMENT_BYTES_FIRST.min(bytes_max) / 2,
            zeroed_bytes: 0,
            archived: 0,
            has_archive: false,
            making: false,
            stopped: false,
        };
        let chain = Chain {
            disk,
            directory: directory.to_owned(),
            bytes_max,
            state: Mutex::new(Rank::Leaf, state),
            made: Condvar::new(),
            archive: Mutex::new(Rank::Log, None),
        };
        chain.prepare_one(chain.state.lock()).map_err(|failure| failure.error)?;
        Ok(chain)
    }

    /// Ends the active segment, if there is one, and begins the next; makes it if none is prepared.
    /// Records from `lsn` on go there.
    pub(crate) fn begin(&self, lsn: u64) -> Result<Segment, Failure> {
        loop {
            let mut state = self.state.lock();
            if let Some(segment) = state.prepared.pop_front() {
                if let Some((number, bytes)) = state.active.replace((segment.number, segment.capacity)) {
                    assert_eq!(number + 1, segment.number, "CH2");
                    state.used.push_back(Used { number, bytes, end_lsn: Some(lsn), archived: false });
                }
                state.begun += 1;
                return Ok(segment);
            }
            self.prepare_one(state)?;
        }
    }

    /// Sees to it that a segment is prepared (CH6).
    pub(crate) fn ensure_next(&self) -> Result<(), Failure> {
        loop {
            let state = self.state.lock();
            if !state.prepared.is_empty() {
                return Ok(());
            }
            self.prepare_one(state)?;
        }
    }

    /// Nothing is made, renamed or removed after this.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        while state.making {
            state = self.made.wait(state);
        }
    }

    /// Prepares a segment if none is, and nobody is about it. Returns whether it did.
    pub(crate) fn prepare(&self) -> Result<bool, Failure> {
        let state = self.state.lock();
        if state.stopped || state.making || !state.prepared.is_empty() {
            return Ok(false);
        }
        self.prepare_one(state).map(|()| true)
    }

    /// Whether prepared segments have room for `bytes` record bytes of one large record.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.room(&self.state.lock()) >= bytes
    }

    /// Prepares segments until they have room for so many bytes.
    pub(crate) fn make_room(&self, bytes: u64) -> Result<(), Failure> {
        loop {
            let state = self.state.lock();
            if self.room(&state) >= bytes {
                return Ok(());
            }
            self.prepare_one(state)?;
        }
    }

    /// Record bytes that prepared segments certainly hold: fifteen sixteenths, the rest being headers and padding.
    fn room(&self, state: &State) -> u64 {
        state.prepared.iter().map(|segment| (segment.capacity - BLOCK_BYTES as u64) / 16 * 15).sum()
    }

    /// Recycles or removes used files that hold only records before `lsn`, and all of earlier incarnations, where the log
    /// is durable up to `durable` (CH5).
    pub(crate) fn retire(&self, lsn: u64, durable: u64) -> Result<(), Failure> {
        let archive = self.archive.lock(); // CH7
        let may_go = |used: &Used| used.end_lsn.is_none_or(|end| end <= lsn && end < durable);
        if let Some(archive) = &*archive {
            while self.copy_one(archive, may_go)? {}
        }
        let mut state = self.state.lock();
        while state.making {
            state = self.made.wait(state);
        }
        if state.stopped {
            return Err(stopped());
        }
        state.making = true;
        let _making = Making { chain: self };
        let retired: Vec<Used> = state.used.iter().copied().take_while(may_go).collect();
        let worth = state.begun.clamp(1, PREPARED_MAX).saturating_sub(state.prepared.len());
        state.begun = 0;
        let first_number = state.next_number;
        let bytes_min = (self.bytes_next(&state) / 2).max(SEGMENT_BYTES_MIN);
        drop(state);

        let (done, mut recycled, result) = self.take_down_all(&retired, worth, first_number, bytes_min);
        if !recycled.is_empty() {
            // CH1.
            self.disk.sync_directory(&self.directory).map_err(fatal)?;
        }
        let mut state = self.state.lock();
        state.used.drain(..done);
        state.next_number += recycled.len() as u64;
        state.prepared.append(&mut recycled);
        drop(state);
        result.map_err(|error| Failure { error, fatal: false })
    }

    /// From now on files are copied there before they are retired. Those of earlier incarnations are made durable first (CH7).
    pub(crate) fn archive_to(&self, archive: Archive) -> Result<(), IoError> {
        let used: Vec<u64> = self.state.lock().used.iter().map(|used| used.number).collect();
        for number in used {
            match self.disk.open(&self.segment_path(number), OpenMode::Existing) {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                file => file?.sync_data()?,
            }
        }
        *self.archive.lock() = Some(archive);
        self.state.lock().has_archive = true;
        Ok(())
    }

    /// Copies a used file that is durable to the archive. Whether there was one.
    pub(crate) fn archive_one(&self, durable: u64) -> Result<bool, Failure> {
        match &*self.archive.lock() {
            Some(archive) => self.copy_one(archive, |used| used.end_lsn.is_none_or(|end| end < durable)),
            None => Ok(false),
        }
    }

    /// Copies everything to the archive, the active file too: the log is closed, and nothing is written to it any more.
    pub(crate) fn archive_all(&self) -> Result<(), Failure> {
        let archive = self.archive.lock();
        let Some(archive) = &*archive else { return Ok(()) };
        while self.copy_one(archive, |_| true)? {}
        let active = self.state.lock().active;
        match active {
            Some((number, bytes)) => self.copy(archive, number, bytes),
            None => Ok(()),
        }
    }

    /// Copies the first used file that is not archived, if it may be. Whether there was one.
    fn copy_one(&self, archive: &Archive, may: impl Fn(&Used) -> bool) -> Result<bool, Failure> {
        let first = self.state.lock().used.iter().find(|used| !used.archived).copied();
        let Some(Used { number, bytes, .. }) = first.filter(may) else { return Ok(false) };
        self.copy(archive, number, bytes)?;
        let mut state = self.state.lock();
        if let Some(used) = state.used.iter_mut().find(|used| used.number == number) {
            used.archived = true;
        }
        state.archived += 1;
        Ok(true)
    }

    fn copy(&self, archive: &Archive, number: u64, bytes: u64) -> Result<(), Failure> {
        let copied = match self.disk.open(&self.segment_path(number), OpenMode::Existing) {
            // An earlier attempt to retire it removed it, or the user did.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Ok(file) => archive.keep(&file, number, bytes),
            Err(error) => Err(error),
        };
        copied.map_err(|error| Failure { error, fatal: false })
    }

    /// Renames up to `worth` of the files to `first_number` and up, and removes the others. Returns how many it has
    /// done, those that were renamed, and the error that stopped it.
    fn take_down_all(
        &self,
        retired: &[Used],
        worth: usize,
        first_number: u64,
        bytes_min: u64,
    ) -> (usize, VecDeque<Segment>, Result<(), IoError>) {
        let mut recycled = VecDeque::new();
        for (done, used) in retired.iter().enumerate() {
            let fits = (bytes_min..=self.bytes_max).contains(&used.bytes)
                && used.bytes.is_multiple_of(BLOCK_BYTES as u64);
            let recycle = fits && recycled.len() < worth;
            let number = recycle.then_some(first_number + recycled.len() as u64);
            match self.take_down(used, number) {
                Ok(segment) => recycled.extend(segment),
                // An earlier attempt removed it, or the user did.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return (done, recycled, Err(error)),
            }
        }
        (retired.len(), recycled, Ok(()))
    }

    /// Removes a used file, or renames it to `number`.
    fn take_down(&self, used: &Used, number: Option<u64>) -> Result<Option<Segment>, IoError> {
        let name = self.segment_path(used.number);
        let Some(number) = number else {
            return self.disk.remove(&name).map(|()| None);
        };
        let file = self.disk.open(&name, OpenMode::Existing)?;
        self.disk.rename(&name, &self.segment_path(number))?;
        Ok(Some(Segment { number, file, capacity: used.bytes }))
    }

    /// Makes the next file, or waits for the thread that is making one.
    fn prepare_one(&self, mut state: MutexGuard<'_, State>) -> Result<(), Failure> {
        if state.making {
            drop(self.made.wait(state));
            return Ok(());
        }
        if state.stopped {
            return Err(stopped());
        }
        state.making = true;
        let _making = Making { chain: self };
        let (number, bytes) = (state.next_number, self.bytes_next(&state));
        drop(state);
        let file = self.make(number, bytes).inspect_err(|_| {
            // Whatever is left is removed at the next opening.
            let _ = self.disk.remove(&self.path(NAME_OF_NEW));
        })?;
        let mut state = self.state.lock();
        state.next_number += 1;
        state.last_bytes = bytes;
        state.zeroed_bytes += bytes;
        state.prepared.push_back(Segment { number, file, capacity: bytes });
        Ok(())
    }

    /// CH1.
    fn make(&self, number: u64, bytes: u64) -> Result<Arc<dyn File>, Failure> {
        let name = self.path(NAME_OF_NEW);
        let file = match self.disk.open(&name, OpenMode::CreateNew) {
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                self.disk.remove(&name).map_err(while_making)?;
                self.disk.open(&name, OpenMode::CreateNew)
            }
            other => other,
        }
        .map_err(while_making)?;
        file.allocate(0, bytes).map_err(while_making)?;
        let mut offset = 0;
        let mut buffer = None;
        while offset < bytes {
            let len = ZERO_BYTES.min(bytes - offset) as usize;
            let zeros =
                buffer.take().filter(|b: &Buffer| b.len() == len).unwrap_or_else(|| Buffer::zeroed(len));
            let request = Request { operation: Operation::Write, offset, buffer: zeros };
            let completion = file.transfer(vec![request]).pop().expect("one completion for one request");
            completion.result.map_err(while_making)?;
            buffer = Some(completion.buffer);
            offset += len as u64;
        }
        file.sync_all().map_err(fatal)?;
        self.disk.rename(&name, &self.segment_path(number)).map_err(while_making)?;
        if !sabotage::is(Sabotage::SkipDirectorySync) {
            self.disk.sync_directory(&self.directory).map_err(fatal)?;
        }
        Ok(file)
    }

    fn bytes_next(&self, state: &State) -> u64 {
        let last = state.active.map_or(0, |(_, bytes)| bytes).max(state.last_bytes);
        (2 * last).clamp(SEGMENT_BYTES_MIN, self.bytes_max) / BLOCK_BYTES as u64 * BLOCK_BYTES as u64
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The path of a segment, for messages.
    pub(crate) fn segment_path(&self, number: u64) -> String {
        self.path(&segment_name(number))
    }

    /// Puts number and bytes of the files into `stats`.
    pub(crate) fn read_into(&self, stats: &mut crate::LogStats) {
        let state = self.state.lock();
        let used = state.used.iter().map(|used| used.bytes);
        let prepared = state.prepared.iter().map(|segment| segment.capacity);
        let active = state.active.iter().map(|&(_, bytes)| bytes);
        for bytes in used.chain(prepared).chain(active) {
            stats.segments += 1;
            stats.file_bytes += bytes;
        }
        stats.zeroed_bytes = state.zeroed_bytes;
        stats.archived = state.archived;
        if state.has_archive {
            stats.unarchived = state.used.iter().filter(|used| !used.archived).count() as u64;
        }
    }
}

/// The role of CH4, until dropped.
struct Making<'c> {
    chain: &'c Chain,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.chain.state.lock().making = false;
        self.chain.made.notify_all();
    }
}

//! The calls that a disk gets: their kinds, sets of kinds, and how often each came.

use std::ops::BitOr;

/// A kind of call. Each request of a batch is a call of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Call {
    /// A request to read.
    Read,
    /// A request to write.
    Write,
    /// `File::write_durable`.
    WriteDurable,
    /// `File::sync_data` and `File::sync_all`.
    Sync,
    /// `File::allocate`.
    Allocate,
    /// `File::truncate`.
    Truncate,
    /// `File::punch_hole`.
    PunchHole,
    /// `File::len`.
    Length,
    /// `Disk::open` of an existing file.
    Open,
    /// `Disk::open` of a new file.
    Create,
    /// `Disk::remove`.
    Remove,
    /// `Disk::rename`.
    Rename,
    /// `Disk::list`.
    List,
    /// `Disk::create_directory`.
    CreateDirectory,
    /// `Disk::sync_directory`.
    SyncDirectory,
    /// `Disk::lock`.
    Lock,
}

impl Call {
    /// All of them, in the order of their declaration.
    pub const ALL: [Call; 16] = [
        Call::Read,
        Call::Write,
        Call::WriteDurable,
        Call::Sync,
        Call::Allocate,
        Call::Truncate,
        Call::PunchHole,
        Call::Length,
        Call::Open,
        Call::Create,
        Call::Remove,
        Call::Rename,
        Call::List,
        Call::CreateDirectory,
        Call::SyncDirectory,
        Call::Lock,
    ];

    /// What errors call it.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Write | Call::WriteDurable => "write",
            Call::Sync => "sync",
            Call::Allocate => "allocate",
            Call::Truncate => "truncate",
            Call::PunchHole => "punch hole",
            Call::Length => "length",
            Call::Open => "open",
            Call::Create => "create",
            Call::Remove => "remove",
            Call::Rename => "rename",
            Call::List => "list",
            Call::CreateDirectory => "create directory",
            Call::SyncDirectory => "sync directory",
            Call::Lock => "lock",
        }
    }
}

/// A set of kinds of calls.
///
/// ```
/// use aquifer_sim::{Call, Calls};
///
/// let calls = Call::Write | Call::Sync;
/// assert!(calls.contains(Call::Sync) && !calls.contains(Call::Read));
/// assert!(Calls::CHANGES.contains(Call::Rename) && !Calls::CHANGES.contains(Call::List));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls(u32);

impl Calls {
    /// Every kind.
    pub const ALL: Calls = Calls((1 << Call::ALL.len()) - 1);
    /// Requests to write, durably or not.
    pub const WRITES: Calls = Calls(1 << Call::Write as u8 | 1 << Call::WriteDurable as u8);
    /// Every kind that changes something, or makes it durable.
    pub const CHANGES: Calls = Calls(
        Calls::ALL.0
            & !(1 << Call::Read as u8
                | 1 << Call::Length as u8
                | 1 << Call::Open as u8
                | 1 << Call::List as u8),
    );
    /// Every kind that may need space.
    pub const GROWTH: Calls = Calls(
        Calls::WRITES.0
            | 1 << Call::Allocate as u8
            | 1 << Call::Create as u8
            | 1 << Call::Rename as u8
            | 1 << Call::CreateDirectory as u8
            | 1 << Call::Lock as u8,
    );

    /// Whether `call` is one of them.
    pub const fn contains(self, call: Call) -> bool {
        self.0 & 1 << call as u8 != 0
    }

    pub(crate) const fn is_subset_of(self, other: Calls) -> bool {
        self.0 & !other.0 == 0
    }
}

impl From<Call> for Calls {
    fn from(call: Call) -> Calls {
        Calls(1 << call as u8)
    }
}

impl<T: Into<Calls>> BitOr<T> for Calls {
    type Output = Calls;
    fn bitor(self, other: T) -> Calls {
        Calls(self.0 | other.into().0)
    }
}

impl<T: Into<Calls>> BitOr<T> for Call {
    type Output = Calls;
    fn bitor(self, other: T) -> Calls {
        Calls::from(self) | other
    }
}

/// How many calls came, successful or not, since the disk was made or booted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    calls: [u64; Call::ALL.len()],
    /// Bytes that requests to read asked for.
    pub read_bytes: u64,
    /// Bytes that requests to write brought, durably or not.
    pub written_bytes: u64,
}

impl Counts {
    /// Calls of the kinds `calls`.
    pub fn of(&self, calls: impl Into<Calls>) -> u64 {
        let calls = calls.into();
        Call::ALL.iter().filter(|call| calls.contains(**call)).map(|call| self.calls[*call as usize]).sum()
    }

    /// Calls that change something, or make it durable.
    pub fn changes(&self) -> u64 {
        self.of(Calls::CHANGES)
    }

    pub(crate) fn count(&mut self, call: Call, len: u64) {
        self.calls[call as usize] += 1;
        match call {
            Call::Read => self.read_bytes += len,
            Call::Write | Call::WriteDurable => self.written_bytes += len,
            _ => {}
        }
    }
}

//! The interface of a disk: a directory with files in it.
//!
//! The README of this crate has the rules that every implementation keeps and every caller may rely on;
//! the module `conformance` checks them. Every error names operation, file, offset and length.

use crate::{Buffer, Result};
use aquifer_sync::Arc;
use std::fmt::Debug;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It must not exist; it is made, empty.
    CreateNew,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Fill the buffer from the file.
    Read,
    /// Put the buffer into the file.
    Write,
}

/// One transfer: a buffer and where it goes or comes from.
#[derive(Debug)]
pub struct Request {
    /// Direction.
    pub operation: Operation,
    /// Byte offset, a multiple of `BLOCK_BYTES`.
    pub offset: u64,
    /// Bytes; length a multiple of `BLOCK_BYTES`.
    pub buffer: Buffer,
}

/// A finished transfer.
#[derive(Debug)]
pub struct Completion {
    /// The request's buffer.
    pub buffer: Buffer,
    /// Whole, or not at all as far as the caller may assume. A read past the end is `UnexpectedEof`.
    pub result: Result<()>,
}

/// Transfers under way. Not `Send`: the thread that submitted waits. Dropping it waits as well.
pub trait Pending {
    /// Waits for all of them; completions are in the order of the requests.
    fn wait(self: Box<Self>) -> Vec<Completion>;
}

/// An open file.
#[expect(clippy::len_without_is_empty, reason = "the length is asked of the kernel, and may fail")]
pub trait File: Send + Sync + Debug {
    /// Starts transfers; they may complete in any order. Those that overlap others under way have no defined order.
    ///
    /// Requests that follow each other here and in the file may become one larger transfer: sort them by offset.
    /// Costs at most one system call for up to 256 such transfers.
    ///
    /// # Errors
    ///
    /// In each completion: `InvalidInput` for an offset that is not a multiple of `BLOCK_BYTES`, `UnexpectedEof`,
    /// `StorageFull`, and what else the system says.
    fn submit(&self, requests: Vec<Request>) -> Box<dyn Pending + '_>;
    /// Starts and waits; the fastest way for a single request.
    fn transfer(&self, requests: Vec<Request>) -> Vec<Completion> {
        self.submit(requests).wait()
    }
    /// Writes one buffer and makes it durable, with the file's length if it grew, in whatever way is fastest here.
    ///
    /// Earlier writes do not become durable by it: that is what `sync_data` is for. An error means that it is not known
    /// whether the bytes are there, nor whether they are durable.
    fn write_durable(&self, offset: u64, buffer: Buffer) -> Completion;
    /// Makes all completed writes durable, with what is needed to read them back.
    ///
    /// # Errors
    ///
    /// After an error it is not known what is durable, and trying again proves nothing: the kernel may have dropped
    /// what it could not write.
    fn sync_data(&self) -> Result<()>;
    /// As `sync_data`, and all metadata. The file's name needs `Disk::sync_directory` besides.
    fn sync_all(&self) -> Result<()>;
    /// Ensures that writes to this range cannot run out of space; extends the length if needed.
    ///
    /// Where the file system cannot reserve space, only the length is extended.
    ///
    /// # Errors
    ///
    /// `StorageFull`; `InvalidInput` for a range that is not whole blocks.
    fn allocate(&self, offset: u64, len: u64) -> Result<()>;
    /// Sets the length, a multiple of `BLOCK_BYTES`; what is added reads as zeros.
    fn truncate(&self, len: u64) -> Result<()>;
    /// Gives the range, of whole blocks, back to the file system; it reads as zeros. The length stays.
    /// A no-op where unsupported.
    fn punch_hole(&self, offset: u64, len: u64) -> Result<()>;
    /// What the system remembers of the file's bytes is forgotten, unless it is yet to be written: reads that follow see the
    /// device.
    ///
    /// After a write or sync that failed the system may go on showing bytes that it will never write. A no-op where
    /// unsupported, and where reads see the device anyway.
    fn forget_cached(&self) -> Result<()>;
    /// Length in bytes.
    fn len(&self) -> Result<u64>;
}

/// Held while this process has the disk; dropping it lets go.
pub trait DiskLock: Send + Sync + Debug {}

/// A directory and what can be done in it. Names are relative, with `/` between parts.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file for reading and writing. A new one is durable after `sync_directory`.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, `InvalidInput` for a name that could lead out of the disk.
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>>;
    /// Removes a file; whoever has it open may go on using it. Durable after `sync_directory`.
    fn remove(&self, name: &str) -> Result<()>;
    /// Renames a file, replacing an existing one: after a crash there is one or the other. Durable after
    /// `sync_directory` of both directories.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Names of the entries of a directory (`""` is the root), sorted.
    fn list(&self, directory: &str) -> Result<Vec<String>>;
    /// Makes a directory if it does not exist; its parent must. Durable after `sync_directory` of its parent.
    fn create_directory(&self, directory: &str) -> Result<()>;
    /// Makes the directory's entries durable.
    fn sync_directory(&self, directory: &str) -> Result<()>;
    /// Locks the disk against other processes through the file `name`, which then holds this process's id.
    /// Error of kind `WouldBlock`, whose message names the holder's process id, if it is held.
    fn lock(&self, name: &str) -> Result<Box<dyn DiskLock>>;
    /// "uring", "posix", "sim"; with what it found, e.g. "uring, direct".
    fn backend(&self) -> String;
}

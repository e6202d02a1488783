//! What every [`Disk`] must do, as tests that any implementation can run on itself.
//!
//! The caller passes a function that opens a disk by name: a name that was not used before gives an empty disk,
//! the same name again another handle to the same one. Each check uses names of its own.
//!
//! | module | what it checks |
//! |---|---|
//! | `transfers` | requests, batches, completions |
//! | `files` | lengths, space, durability |
//! | `names` | opening, renaming, listing, directories, the lock |

mod files;
mod names;
mod transfers;

use crate::{BLOCK_BYTES, Buffer, Completion, Disk, File, OpenMode, Operation, Request};
use aquifer_sync::Arc;

/// Opens the disk of that name.
pub type Opener<'a> = &'a dyn Fn(&str) -> Arc<dyn Disk>;

/// A check; it panics if the disk does not conform.
pub type Check = fn(Opener<'_>);

/// All checks, with their names.
pub const CHECKS: &[&[(&str, Check)]] = &[transfers::CHECKS, files::CHECKS, names::CHECKS];

/// Runs all checks, and prints the name of each before it runs.
///
/// # Panics
///
/// If the disk does not conform.
pub fn check_all(open: Opener<'_>) {
    for (name, check) in CHECKS.iter().copied().flatten() {
        println!("checking: {name}");
        check(open);
    }
}

/// A new file on a new disk; both are called `name`.
fn new_file(open: Opener<'_>, name: &str) -> Arc<dyn File> {
    open(name).open(name, OpenMode::CreateNew).expect("a new file can be made")
}

/// Bytes that differ from block to block, and from version to version.
fn pattern(block: u64, version: u64) -> Buffer {
    let mut buffer = Buffer::zeroed(BLOCK_BYTES);
    fill(&mut buffer, block, version);
    buffer
}

fn fill(bytes: &mut [u8], block: u64, version: u64) {
    for (index, word) in bytes.chunks_exact_mut(8).enumerate() {
        let value = (block << 32 | version << 16 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        word.copy_from_slice(&value.to_le_bytes());
    }
}

/// Bytes from the start of the file to a block.
fn at(block: u64) -> u64 {
    block * BLOCK_BYTES as u64
}

fn write(block: u64, buffer: Buffer) -> Request {
    Request { operation: Operation::Write, offset: at(block), buffer }
}

fn read(block: u64, blocks: usize) -> Request {
    Request { operation: Operation::Read, offset: at(block), buffer: Buffer::zeroed(blocks * BLOCK_BYTES) }
}

/// The buffers of transfers that must have succeeded.
fn succeeded(completions: Vec<Completion>) -> Vec<Buffer> {
    completions
        .into_iter()
        .map(|completion| {
            completion.result.expect("the transfer succeeds");
            completion.buffer
        })
        .collect()
}

/// Writes the pattern of `version` to blocks `0..blocks`.
fn write_pattern(file: &dyn File, blocks: u64, version: u64) {
    succeeded(file.transfer((0..blocks).map(|block| write(block, pattern(block, version))).collect()));
}

/// Reads one block.
fn block(file: &dyn File, block: u64) -> Buffer {
    succeeded(file.transfer(vec![read(block, 1)])).pop().expect("one request, one completion")
}

#[track_caller]
fn assert_pattern(bytes: &[u8], block: u64, version: u64) {
    assert!(*bytes == *pattern(block, version), "block {block} does not hold version {version}");
}

#[track_caller]
fn assert_zero(bytes: &[u8]) {
    assert!(bytes.iter().all(|&byte| byte == 0), "the bytes are not all zero");
}

#[cfg(all(test, not(loom)))]
mod tests;

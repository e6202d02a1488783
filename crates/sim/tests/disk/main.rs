//! The simulated disk as its users see it.
//!
//! | module | checks |
//! |---|---|
//! | `states` | which states are legal after a loss of power, against a brute force |
//! | `crashes` | draws of them, kills, locks, what a boot keeps |
//! | `faults` | when faults strike, and what they do to calls |
//! | `lies` | lost, misdirected, stale and flipped transfers; damage to the medium |
//! | `order` | requests under way |
//! | `space` | a full disk |
//! | `replay` | conformance, determinism, counts, trace |

mod crashes;
mod faults;
mod lies;
mod order;
mod replay;
mod space;
mod states;

use aquifer_io::{BLOCK_BYTES, Buffer, Completion, Disk, File, OpenMode, Operation, Request, Result};
use aquifer_sim::SimDisk;
use aquifer_sync::Arc;

/// A new file, whose name is durable.
fn create(disk: &SimDisk, name: &str) -> Arc<dyn File> {
    let file = disk.open(name, OpenMode::CreateNew).unwrap();
    disk.sync_directory(name.rsplit_once('/').map_or("", |(directory, _)| directory)).unwrap();
    file
}

/// A new file of these blocks, durable.
fn stable(disk: &SimDisk, name: &str, blocks: &[u8]) -> Arc<dyn File> {
    let file = create(disk, name);
    write(&*file, 0, blocks).unwrap();
    file.sync_data().unwrap();
    file
}

fn open(disk: &SimDisk, name: &str) -> Arc<dyn File> {
    disk.open(name, OpenMode::Existing).unwrap()
}

/// Blocks that are full of these bytes.
fn buffer(blocks: &[u8]) -> Buffer {
    let mut buffer = Buffer::zeroed(blocks.len() * BLOCK_BYTES);
    for (chunk, byte) in buffer.chunks_exact_mut(BLOCK_BYTES).zip(blocks) {
        chunk.fill(*byte);
    }
    buffer
}

fn at(block: u64) -> u64 {
    block * BLOCK_BYTES as u64
}

fn write_request(block: u64, blocks: &[u8]) -> Request {
    Request { operation: Operation::Write, offset: at(block), buffer: buffer(blocks) }
}

fn read_request(block: u64, count: usize) -> Request {
    Request { operation: Operation::Read, offset: at(block), buffer: Buffer::zeroed(count * BLOCK_BYTES) }
}

fn write(file: &dyn File, block: u64, blocks: &[u8]) -> Result<()> {
    file.transfer(vec![write_request(block, blocks)]).remove(0).result
}

fn write_durable(file: &dyn File, block: u64, blocks: &[u8]) -> Result<()> {
    file.write_durable(at(block), buffer(blocks)).result
}

/// The bytes of some blocks.
fn read(file: &dyn File, block: u64, count: usize) -> Result<Vec<u8>> {
    let Completion { buffer, result } = file.transfer(vec![read_request(block, count)]).remove(0);
    result.map(|()| buffer.to_vec())
}

/// What each block of a file is full of; `None` if it is not full of one byte.
fn shown(disk: &SimDisk, name: &str) -> Vec<Option<u8>> {
    disk.contents()[name].chunks(BLOCK_BYTES).map(full_of).collect()
}

fn full_of(bytes: &[u8]) -> Option<u8> {
    bytes.iter().all(|byte| *byte == bytes[0]).then_some(bytes[0])
}

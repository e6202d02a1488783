//! How fast the simulated disk is: writes, syncs and crashes each second, on a disk of several mebibytes.
//!
//! ```text
//! cargo run --release -p aquifer-sim --example speed
//! ```

use aquifer_io::{BLOCK_BYTES, Buffer, Disk, OpenMode, Operation, Request, Result};
use aquifer_sim::{Random, SimDisk};
use std::time::Instant;

/// Size of the file.
const BLOCKS: u64 = 2048;
/// Unsynced blocks at a crash.
const UNSYNCED: u64 = 64;

fn main() -> Result<()> {
    let disk = SimDisk::new();
    let file = disk.open("data", OpenMode::CreateNew)?;
    let mut random = Random(1);
    let mut buffer = Buffer::zeroed(BLOCK_BYTES);
    let mut write = |block: u64| -> Result<()> {
        random.fill(&mut buffer[..64]);
        let taken = std::mem::replace(&mut buffer, Buffer::zeroed(0));
        let request =
            Request { operation: Operation::Write, offset: block * BLOCK_BYTES as u64, buffer: taken };
        let completion = file.transfer(vec![request]).remove(0);
        buffer = completion.buffer;
        completion.result
    };
    report("writes of a block, a sync for each 64", 200_000, |n| {
        write(n * 389 % BLOCKS)?;
        if n % 64 == 0 { file.sync_data() } else { Ok(()) }
    })?;
    disk.sync_directory("")?;
    file.sync_data()?;
    for block in 0..UNSYNCED {
        write(block * 31)?;
    }
    report("crashes with 64 unsynced blocks of 2048", 20_000, |n| {
        drop(disk.after_power_loss(n));
        Ok(())
    })?;
    report("kills", 20_000, |_| {
        drop(disk.after_kill());
        Ok(())
    })
}

fn report(what: &str, count: u64, mut act: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    for n in 0..count {
        act(n)?;
    }
    let each = begun.elapsed() / count as u32;
    println!("{what}: {each:?} each");
    Ok(())
}

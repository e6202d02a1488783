//! What this machine's disk gives through both ways to the kernel.
//!
//! `cargo run --release -p aquifer-io --example bandwidth -- [DIR] [SECONDS]`: makes a file of 1 GiB in a new
//! directory below DIR (default: the current one), measures each line for SECONDS (default: 1), and removes it.

use aquifer_io::{BLOCK_BYTES, Backend, Buffer, Completion, File, OpenMode, Operation, Request, open_disk};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE_BYTES: u64 = 1 << 30;
const RUN_BYTES: usize = 1 << 20;
const RUNS: u64 = FILE_BYTES / RUN_BYTES as u64;
const BLOCKS: u64 = FILE_BYTES / BLOCK_BYTES as u64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let root = parent.join(format!("aquifer-io-bandwidth-{}", std::process::id()));
    let measured = [Backend::Posix, Backend::Uring]
        .into_iter()
        .try_for_each(|backend| measure(&root, backend, Duration::from_secs_f64(seconds)));
    std::fs::remove_dir_all(&root)?;
    measured
}

fn measure(root: &Path, backend: Backend, time: Duration) -> Result<(), Box<dyn Error>> {
    let disk = open_disk(root, backend, true)?;
    let file = disk.open("file", OpenMode::CreateNew)?;
    let file = &*file;
    println!("{}", disk.backend());

    let begun = Instant::now();
    let mut batches = Batches::new(Operation::Write, 4, RUN_BYTES);
    for first in (0..RUNS).step_by(4) {
        batches.transfer(file, |index| (first + index) * RUN_BYTES as u64)?;
    }
    file.sync_all()?;
    report("1 MiB writes, new file, depth 4, and sync", RUNS, RUN_BYTES, begun.elapsed());

    let mut random = Random(1);
    for (operation, name) in [(Operation::Read, "reads"), (Operation::Write, "writes")] {
        for depth in [1, 4] {
            let mut next = 0;
            let name = format!("1 MiB {name}, sequential, depth {depth}");
            run(file, &name, time, Batches::new(operation, depth, RUN_BYTES), |_| {
                next = (next + 1) % RUNS;
                next * RUN_BYTES as u64
            })?;
        }
        for depth in [1, 8, 32, 128] {
            let name = format!("4 KiB {name}, random, depth {depth}");
            run(file, &name, time, Batches::new(operation, depth, BLOCK_BYTES), |_| random.block())?;
        }
        let name = format!("4 KiB {name}, 256 neighbours in a batch");
        let mut base = 0;
        run(file, &name, time, Batches::new(operation, 256, BLOCK_BYTES), |index| {
            if index == 0 {
                base = random.block().min(FILE_BYTES - RUN_BYTES as u64);
            }
            base + index * BLOCK_BYTES as u64
        })?;
    }

    durable(file, "4 KiB durable writes, overwriting", time)?;
    for blocks in [1, 16] {
        let log = disk.open(&format!("log{blocks}"), OpenMode::CreateNew)?;
        log.allocate(0, 64 << 20)?;
        log.sync_all()?;
        durable_sized(&*log, &format!("{} KiB durable writes, allocated only", 4 * blocks), time, blocks)?;
    }
    let log = disk.open("sync", OpenMode::CreateNew)?;
    let begun = Instant::now();
    let (mut count, mut batches) = (0, Batches::new(Operation::Write, 1, BLOCK_BYTES));
    while begun.elapsed() < time {
        batches.transfer(&*log, |_| count % 16384 * BLOCK_BYTES as u64)?;
        log.sync_data()?;
        count += 1;
    }
    report("4 KiB write, then sync, growing", count, BLOCK_BYTES, begun.elapsed());
    for name in disk.list("")? {
        disk.remove(&name)?;
    }
    Ok(())
}

/// Batches of one size, whose buffers are used again.
struct Batches {
    operation: Operation,
    buffers: Vec<Buffer>,
}

impl Batches {
    fn new(operation: Operation, depth: usize, bytes: usize) -> Batches {
        Batches { operation, buffers: (0..depth).map(|_| Buffer::zeroed(bytes)).collect() }
    }

    fn transfer(
        &mut self,
        file: &dyn File,
        mut offset: impl FnMut(u64) -> u64,
    ) -> Result<(), Box<dyn Error>> {
        let requests = self.buffers.drain(..).enumerate().map(|(index, buffer)| Request {
            operation: self.operation,
            offset: offset(index as u64),
            buffer,
        });
        for Completion { buffer, result } in file.transfer(requests.collect()) {
            result?;
            self.buffers.push(buffer);
        }
        Ok(())
    }
}

fn run(
    file: &dyn File,
    name: &str,
    time: Duration,
    mut batches: Batches,
    mut offset: impl FnMut(u64) -> u64,
) -> Result<(), Box<dyn Error>> {
    let (begun, depth, bytes) = (Instant::now(), batches.buffers.len() as u64, batches.buffers[0].len());
    let mut count = 0;
    while begun.elapsed() < time {
        batches.transfer(file, &mut offset)?;
        count += depth;
    }
    report(name, count, bytes, begun.elapsed());
    Ok(())
}

fn durable(file: &dyn File, name: &str, time: Duration) -> Result<(), Box<dyn Error>> {
    durable_sized(file, name, time, 1)
}

fn durable_sized(file: &dyn File, name: &str, time: Duration, blocks: u64) -> Result<(), Box<dyn Error>> {
    let bytes = blocks * BLOCK_BYTES as u64;
    let (begun, places) = (Instant::now(), file.len()? / bytes);
    let (mut count, mut buffer) = (0, Buffer::zeroed(bytes as usize));
    while begun.elapsed() < time {
        let completion = file.write_durable(count % places * bytes, buffer);
        completion.result?;
        buffer = completion.buffer;
        count += 1;
    }
    report(name, count, bytes as usize, begun.elapsed());
    Ok(())
}

fn report(name: &str, count: u64, bytes: usize, time: Duration) {
    let per_second = count as f64 / time.as_secs_f64();
    let mib = per_second * bytes as f64 / (1 << 20) as f64;
    let mean_us = 1e6 / per_second;
    println!("  {name:45} {per_second:9.0} /s {mib:8.1} MiB/s {mean_us:9.1} us each");
}

/// A linear congruential generator (Knuth, MMIX): offsets that no prefetcher guesses.
struct Random(u64);

impl Random {
    fn block(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % BLOCKS * BLOCK_BYTES as u64
    }
}

//! Durable commits a second, against a bare loop of durable writes on the same disk.
//!
//! ```text
//! cargo run --release -p aquifer-wal --example commits -- DIRECTORY [--threads 1,16] [--seconds 3] [--bytes 116]
//!     [--rounds 3] [--backend auto|uring|posix] [--mode power|process|eventual]
//! ```
//!
//! Each round runs the bare loop and then every number of threads; the last lines give medians, and the median over the
//! rounds of the ratio to the bare loop of the same round.

use aquifer_io::{BLOCK_BYTES, Backend, Buffer, File, OpenMode, Operation, Request, open_disk};
use aquifer_sync::atomic::{AtomicBool, AtomicU64, Ordering};
use aquifer_sync::{Arc, thread};
use aquifer_wal::{Log, LogOptions, LogStats, Lsn};
use std::path::PathBuf;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Settings {
    directory: PathBuf,
    threads: Vec<usize>,
    seconds: f64,
    bytes: usize,
    rounds: usize,
    backend: Backend,
    mode: String,
}

fn main() -> Result<(), Failure> {
    let settings = settings()?;
    let mut bare = Vec::new();
    let mut rates = vec![Vec::new(); settings.threads.len()];
    for round in 1..=settings.rounds {
        bare.push(bare_loop(&settings)?);
        println!("round {round}: bare loop {:>10.0} writes/s", bare[round - 1]);
        for (index, &threads) in settings.threads.iter().enumerate() {
            let (rate, stats) = commits(&settings, threads)?;
            let records_per_flush = rate * settings.seconds / stats.flushes as f64;
            println!(
                "round {round}: {threads:>3} threads {rate:>10.0} commits/s, {:.2} x bare, {records_per_flush:.1} a flush, \
                 {} segments",
                rate / bare[round - 1],
                stats.segments,
            );
            rates[index].push((rate, rate / bare[round - 1]));
        }
    }
    println!("median: bare loop {:.0} writes/s", median(bare));
    for (threads, rates) in settings.threads.iter().zip(rates) {
        let (rate, ratio): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
        println!("median: {threads} threads {:.0} commits/s, {:.2} x bare", median(rate), median(ratio));
    }
    Ok(())
}

fn settings() -> Result<Settings, Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which directory?")?.into();
    let mut settings = Settings {
        directory,
        threads: vec![1, 16],
        seconds: 3.0,
        bytes: 116,
        rounds: 3,
        backend: Backend::Auto,
        mode: "power".to_owned(),
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("an option has a value")?;
        match name.as_str() {
            "--threads" => settings.threads = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--seconds" => settings.seconds = value.parse()?,
            "--bytes" => settings.bytes = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--mode" => settings.mode = value,
            "--backend" => {
                settings.backend = match value.as_str() {
                    "uring" => Backend::Uring,
                    "posix" => Backend::Posix,
                    _ => Backend::Auto,
                }
            }
            _ => return Err(format!("no such option: {name}").into()),
        }
    }
    Ok(settings)
}

/// One thread that writes block after block of a file that was written before, each durably.
fn bare_loop(settings: &Settings) -> Result<f64, Failure> {
    let disk = open_disk(&settings.directory, settings.backend, true)?;
    let file = disk.open("bare", OpenMode::CreateNew)?;
    let blocks = 16_384;
    zero(&*file, blocks * BLOCK_BYTES as u64)?;
    let mut buffer = Buffer::zeroed(BLOCK_BYTES);
    let begun = Instant::now();
    let mut writes = 0u64;
    while begun.elapsed().as_secs_f64() < settings.seconds {
        buffer[..8].copy_from_slice(&writes.to_le_bytes());
        let completion = file.write_durable(writes % blocks * BLOCK_BYTES as u64, buffer);
        completion.result?;
        buffer = completion.buffer;
        writes += 1;
    }
    let rate = writes as f64 / begun.elapsed().as_secs_f64();
    disk.remove("bare")?;
    Ok(rate)
}

fn zero(file: &dyn File, bytes: u64) -> Result<(), Failure> {
    file.allocate(0, bytes)?;
    for offset in (0..bytes).step_by(1 << 20) {
        let request = Request { operation: Operation::Write, offset, buffer: Buffer::zeroed(1 << 20) };
        file.transfer(vec![request]).pop().expect("one completion").result?;
    }
    file.sync_all()?;
    Ok(())
}

/// Threads that append and wait.
fn commits(settings: &Settings, threads: usize) -> Result<(f64, LogStats), Failure> {
    let disk = open_disk(&settings.directory, settings.backend, true)?;
    let options =
        LogOptions { segment_bytes_max: 64 << 20, ring_bytes: 4 << 20, database_id: [1; 16], incarnation: 1 };
    let log = Log::start(disk.clone(), "log", options, Lsn(0))?;
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let keeper = keep_house(log.clone(), stop.clone(), settings.mode == "eventual");
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs_f64(settings.seconds);
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (log, total, mode) = (log.clone(), total.clone(), settings.mode.clone());
            let record = vec![7; settings.bytes];
            thread::spawn(move || -> Result<(), aquifer_wal::Error> {
                let mut count = 0u64;
                while !count.is_multiple_of(16) || Instant::now() < deadline {
                    let lsn = append(&log, &record)?;
                    match mode.as_str() {
                        "power" => log.wait_durable(lsn)?,
                        "process" => log.wait_written(lsn)?,
                        _ => {}
                    }
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no panic")?;
    }
    let rate = total.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    keeper.join().expect("no panic")?;
    let stats = log.stats();
    drop(log);
    for name in disk.list("log")? {
        disk.remove(&format!("log/{name}"))?;
    }
    Ok((rate, stats))
}

fn append(log: &Log, record: &[u8]) -> Result<Lsn, aquifer_wal::Error> {
    loop {
        if let Ok(reserved) = log.reserve(record.len()) {
            let lsn = reserved.lsn();
            reserved.fill(record);
            return Ok(lsn);
        }
        log.wait_for_room(record.len())?;
    }
}

/// Makes segments ahead, gives them back as a checkpoint would, and flushes every 10 ms if nobody else does.
fn keep_house(
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    flush: bool,
) -> thread::JoinHandle<Result<(), aquifer_wal::Error>> {
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            log.housekeep()?;
            if flush {
                log.wait_durable(log.reserved())?;
            }
            if log.stats().file_bytes > 512 << 20 {
                log.retire(log.durable())?;
            }
            thread::sleep(Duration::from_millis(if flush { 10 } else { 2 }));
        }
        Ok(())
    })
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

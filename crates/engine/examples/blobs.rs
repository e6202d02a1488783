//! How fast large values are written and read, against the bare device.
//!
//! ```text
//! cargo run --release -p aquifer --example blobs -- DIRECTORY [--mib 1024] [--budget-mib 64] [--rounds 3]
//! ```
//!
//! Each round writes a file of the same length in 1 MiB pieces with the same backend and syncs it, reads it, then writes a value,
//! reads it from front to back, and reads it in pieces of 4 KiB at random places. The last lines give medians, and the medians of
//! the ratios to the bare file of the same round. Everything is removed at the end.

use aquifer::{Database, Durability};
use aquifer_io::{Backend, Buffer, OpenMode, Operation, Request, open_disk};
use std::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const PIECE_BYTES: usize = 1 << 20;
const RANDOM_READS: u64 = 2000;

struct Settings {
    directory: PathBuf,
    mib: u64,
    budget_mib: usize,
    rounds: usize,
}

/// MiB a second, but for the last: reads a second.
#[derive(Debug, Clone, Copy)]
struct Round {
    bare_write: f64,
    bare_read: f64,
    write: f64,
    read: f64,
    random: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings()?;
    let mut rounds = Vec::new();
    for number in 1..=settings.rounds {
        let directory = settings.directory.join(format!("aquifer-blobs-{}", std::process::id()));
        let measured = round(&directory, &settings);
        std::fs::remove_dir_all(&directory)?;
        let round = measured?;
        println!("round {number}: {round:.0?}");
        rounds.push(round);
    }
    let line = |name: &str, of: fn(&Round) -> f64, unit: &str| {
        println!("{name:<28} {:>10.0} {unit}", median(&rounds, of));
    };
    line("file, write and sync", |round| round.bare_write, "MiB/s");
    line("value, write and commit", |round| round.write, "MiB/s");
    line("file, read", |round| round.bare_read, "MiB/s");
    line("value, read", |round| round.read, "MiB/s");
    line("value, 4 KiB at random", |round| round.random, "reads/s");
    let ratio = |name: &str, of: fn(&Round) -> f64| println!("{name:<28} {:>10.2}", median(&rounds, of));
    ratio("write, to the file's", |round| round.write / round.bare_write);
    ratio("read, to the file's", |round| round.read / round.bare_read);
    Ok(())
}

fn median(rounds: &[Round], of: fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn round(directory: &Path, settings: &Settings) -> Result<Round, Box<dyn Error>> {
    let (bare_write, bare_read) = bare(&directory.join("bare"), settings.mib)?;
    let db = Database::options()
        .memory_budget(settings.budget_mib << 20)
        .open_or_create(directory.join("database"))?;
    let table = db.create_table("values", Default::default())?.with_durability(Durability::Power);
    let begun = Instant::now();
    let mut writer = table.write_large(b"value")?;
    let mut piece = vec![0u8; PIECE_BYTES];
    for number in 0..settings.mib {
        piece[..8].copy_from_slice(&number.to_le_bytes());
        writer.write_all(&piece)?;
    }
    writer.finish()?;
    let write = settings.mib as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut reader = table.open_large(b"value")?.ok_or("the value is gone")?;
    for number in 0..settings.mib {
        reader.read_exact(&mut piece)?;
        assert_eq!(piece[..8], number.to_le_bytes());
    }
    let read = settings.mib as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut place = 1u64;
    for _ in 0..RANDOM_READS {
        place = place.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        reader.read_at((place >> 20) % (settings.mib << 20) / 4096 * 4096, &mut piece[..4096])?;
    }
    let random = RANDOM_READS as f64 / begun.elapsed().as_secs_f64();
    Ok(Round { bare_write, bare_read, write, read, random })
}

/// Writing and reading a file in 1 MiB pieces, MiB a second.
fn bare(directory: &Path, mib: u64) -> Result<(f64, f64), Box<dyn Error>> {
    let disk = open_disk(directory, Backend::Auto, true)?;
    let file = disk.open("file", OpenMode::CreateNew)?;
    let mut buffer = Buffer::zeroed(PIECE_BYTES);
    let mut speeds = [0.0; 2];
    for (operation, speed) in [Operation::Write, Operation::Read].into_iter().zip(&mut speeds) {
        let begun = Instant::now();
        for number in 0..mib {
            let offset = number * PIECE_BYTES as u64;
            let done = file.transfer(vec![Request { operation, offset, buffer }]).remove(0);
            done.result?;
            buffer = done.buffer;
        }
        if operation == Operation::Write {
            file.sync_all()?;
        }
        *speed = mib as f64 / begun.elapsed().as_secs_f64();
    }
    Ok((speeds[0], speeds[1]))
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("DIRECTORY is missing")?.into();
    let mut settings = Settings { directory, mib: 1024, budget_mib: 64, rounds: 3 };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--mib" => settings.mib = value.parse()?,
            "--budget-mib" => settings.budget_mib = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(settings)
}

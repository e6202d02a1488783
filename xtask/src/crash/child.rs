//! The process that is killed, and what it shares with the one that kills it: how the database is opened and read.

use super::acks::{Ack, Told};
use super::script::{Level, Script, State, TABLES};
use anyhow::{Context, Result, ensure};
use aquifer::{CommitTicket, Database, Durability, ErrorKind, Table, TableOptions, WriteBatch};
use aquifer_sim::Random;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Commits that a writer leaves waiting behind itself; one less than `prefix::AHEAD_MAX`.
const WAITING_MAX: usize = super::prefix::AHEAD_MAX as usize - 1;

/// Log kept between checkpoints: small, so that checkpoints happen by themselves too, and segments come and go.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// What the child is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The database.
    #[arg(long)]
    directory: PathBuf,
    /// Seed of the scripts.
    #[arg(long)]
    seed: u64,
    /// The database's memory.
    #[arg(long)]
    budget_bytes: usize,
    /// For each writer, how many of its commits the database holds. Without any, it is only opened.
    #[arg(long)]
    held: Vec<u64>,
}

/// Opens the database, with few bytes of memory and a short log.
///
/// # Errors
///
/// What opening fails with.
pub fn open(directory: &Path, budget_bytes: usize) -> Result<Database> {
    let options = Database::options().memory_budget(budget_bytes).log_bytes_max(LOG_BYTES_MAX);
    options.open_or_create(directory).context("opening the database")
}

/// What the database holds, by writer. Tables that are not there are empty.
///
/// # Errors
///
/// If reading fails, or a record is none that a writer wrote.
pub fn read(database: &Database, seed: u64, writers: u16) -> Result<Vec<State>> {
    let mut records = Vec::new();
    for (index, name) in TABLES.iter().enumerate() {
        let table = match database.table(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            table => table?,
        };
        let mut scan = table.scan(..);
        while let Some((key, value)) = scan.next().with_context(|| format!("reading table {name}"))? {
            records.push((index, key.to_vec(), value.to_vec()));
        }
    }
    super::states(seed, writers, records.into_iter())
}

/// Verifies the whole database.
///
/// # Errors
///
/// If anything is wrong with it.
pub fn verify(database: &Database) -> Result<()> {
    let report = database.verify(|_| {})?;
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    ensure!(report.is_clean(), "verification found: {}", faults.join("; "));
    Ok(())
}

/// The child: opens, writes until its standard input ends, closes.
///
/// # Errors
///
/// Whatever goes wrong; the parent takes it for a failure of the round.
pub fn run(arguments: &Arguments) -> Result<()> {
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let database = open(&arguments.directory, arguments.budget_bytes)?;
    if arguments.held.is_empty() {
        tell(&output, Told::Opened)?;
        return wait_for_end();
    }
    let tables = [table(&database, TABLES[0])?, table(&database, TABLES[1])?];
    tell(&output, Told::Opened)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (index, &held) in arguments.held.iter().enumerate() {
            let writer = index as u16;
            let (database, tables, output, stop) = (&database, &tables, &output, &stop);
            let script = Script::new(arguments.seed, writer);
            let mut life = Life { writer, script, database, tables, output, waiting: VecDeque::new() };
            scope.spawn(move || or_die(life.write(held, stop)));
        }
        scope.spawn(|| or_die(checkpoints(&database, arguments.seed, &stop)));
        or_die(wait_for_end());
        stop.store(true, Ordering::Relaxed);
    });
    drop(tables);
    database.close()?;
    tell(&output, Told::Closed)
}

fn table(database: &Database, name: &str) -> Result<Table> {
    match database.table(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(database.create_table(name, TableOptions::default())?)
        }
        table => Ok(table?),
    }
}

/// Returns when the parent closes our input, or is gone.
fn wait_for_end() -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Tells the parent, in one write.
fn tell(mut output: &File, told: Told) -> Result<()> {
    output.write_all(&told.encode()).context("the parent does not listen")
}

/// Ends the whole process at the first error, so that the parent notices at once.
fn or_die(result: Result<()>) {
    if let Err(error) = result {
        eprintln!("crash-child: {error:#}");
        std::process::exit(1);
    }
}

/// Takes checkpoints at random moments, beside those that the database takes by itself.
fn checkpoints(database: &Database, seed: u64, stop: &AtomicBool) -> Result<()> {
    let mut random = Random(seed ^ u64::from(std::process::id()));
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5 + random.below(150)));
        database.checkpoint()?;
    }
    Ok(())
}

/// One writer at work.
struct Life<'d> {
    writer: u16,
    script: Script,
    database: &'d Database,
    tables: &'d [Table; 2],
    output: &'d File,
    waiting: VecDeque<(u64, Level, CommitTicket)>,
}

impl Life<'_> {
    fn write(&mut self, held: u64, stop: &AtomicBool) -> Result<()> {
        let mut number = held;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let commit = self.script.commit(number);
            let ticket = self.commit(number)?;
            if commit.level == Level::Eventual {
                self.acknowledge(number, commit.level, &ticket)?;
                continue;
            }
            self.waiting.push_back((number, commit.level, ticket));
            let waiting_max = if commit.waits_later { WAITING_MAX } else { 0 };
            self.wait(waiting_max)?;
        }
        self.wait(0)
    }

    /// Makes commit `number` of the script.
    fn commit(&self, number: u64) -> Result<CommitTicket> {
        let commit = self.script.commit(number);
        let durability = match commit.level {
            Level::Power => Durability::Power,
            Level::Process => Durability::Process,
            Level::Eventual => Durability::Eventual,
        };
        if let [change] = commit.changes[..] {
            let table = &self.tables[change.place.table];
            let key = self.script.key(change.place.index);
            return Ok(if change.put {
                table.put_with(&key[..], &self.script.value(change.place, number)[..], durability)?
            } else {
                table.delete_with(&key[..], durability)?
            });
        }
        let mut batch = WriteBatch::new();
        for change in commit.changes {
            let table = &self.tables[change.place.table];
            let key = self.script.key(change.place.index);
            if change.put {
                batch.put(table, &key[..], &self.script.value(change.place, number)[..]);
            } else {
                batch.delete(table, &key[..]);
            }
        }
        Ok(self.database.submit(&mut batch, durability)?)
    }

    /// Waits for commits until at most `left` are waiting, and acknowledges them.
    fn wait(&mut self, left: usize) -> Result<()> {
        while self.waiting.len() > left {
            let (number, level, ticket) = self.waiting.pop_front().expect("longer than 0");
            ticket.wait()?;
            self.acknowledge(number, level, &ticket)?;
        }
        Ok(())
    }

    fn acknowledge(&self, number: u64, level: Level, ticket: &CommitTicket) -> Result<()> {
        let lsn = ticket.lsn().context("a commit to logged tables has no place in the log")?.0;
        tell(self.output, Told::Acknowledged(Ack { writer: self.writer, level, number, lsn }))
    }
}

//! The commands: one module each, or one for a few that are alike.
//!
//! A command's module holds its arguments, whose doc comments are its `--help`, and `run`.

use crate::exit::{EXIT_CODES, Failure};
use crate::opening::OpeningArgs;
use crate::output::Output;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

pub mod backup;
pub mod bench;
pub mod dump;
pub mod inspect;
pub mod load;
pub mod log;
pub mod point;
pub mod salvage;
pub mod scan;
mod source;
pub mod verify;

const TEXT_FORM: &str = "\
Keys and values are text. One that begins with 0x is bytes, two hexadecimal digits each; --text takes
it literally. They are printed the same way: as text where they are printable UTF-8, else as 0x….
In tables with types of their own, numbers are written as numbers and tuples as JSON arrays, such as
'[42,\"a\"]'.";

/// Aquifer, an embedded, transactional key-value database
#[derive(Debug, Parser)]
#[command(name = "aquifer", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// How databases are opened.
    #[command(flatten)]
    pub opening: OpeningArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load records into a table from tsv, csv or JSON lines
    Load(load::LoadArgs),
    /// Print the value of a key
    #[command(after_help = TEXT_FORM)]
    Get(point::GetArgs),
    /// Write a value under a key, making the database and the table if need be
    #[command(after_help = TEXT_FORM)]
    Put(point::PutArgs),
    /// Remove a key
    #[command(after_help = TEXT_FORM)]
    Delete(point::DeleteArgs),
    /// Print records in the order of their keys, as KEY<TAB>VALUE
    #[command(after_help = TEXT_FORM)]
    Scan(scan::ScanArgs),
    /// List the tables
    Tables(inspect::DirArgs),
    /// Print figures about the database: files, memory, log, last opening
    Stats(inspect::DirArgs),
    /// Walk through everything and report damage; exit code 5 if there is any
    Verify(inspect::DirArgs),
    /// Write a checkpoint, so that opening has nothing to replay
    Checkpoint(inspect::DirArgs),
    /// Write all tables with their records to a file, portable and checksummed
    #[command(after_help = dump::DUMP_HELP)]
    Dump(dump::DumpArgs),
    /// Copy the database to another directory while it is in use, or bring the copy there up to date
    #[command(after_help = backup::HELP)]
    Backup(backup::BackupArgs),
    /// Make a database of a dump or of a backup
    #[command(after_help = dump::RESTORE_HELP)]
    Restore(dump::RestoreArgs),
    /// Bring everything that is still readable in a damaged database into a new one; exit code 5 if anything is lost
    #[command(after_help = salvage::HELP)]
    Salvage(salvage::SalvageArgs),
    /// Print the records of the log, and where and why it ends; exit code 5 if it is damaged
    #[command(after_help = log::HELP)]
    Log(log::LogArgs),
    /// Measure: run workloads on a table of its own
    Bench(bench::BenchArgs),
    /// Load until killed, for `bench --workload reopen`
    #[command(hide = true)]
    LoadUntilKilled(bench::LoadUntilKilledArgs),
}

/// A database and a table in it.
#[derive(Debug, clap::Args)]
pub struct TableArgs {
    /// The database's directory
    pub dir: PathBuf,
    /// The table's name
    pub table: String,
}

impl Cli {
    /// Does it.
    ///
    /// # Errors
    ///
    /// [`Failure`], with the exit code.
    pub fn run(self, out: &mut Output) -> Result<(), Failure> {
        let opening = &self.opening;
        match self.command {
            Command::Load(args) => load::run(&args, opening, out),
            Command::Get(args) => point::get(&args, opening, out),
            Command::Put(args) => point::put(&args, opening),
            Command::Delete(args) => point::delete(&args, opening),
            Command::Scan(args) => scan::run(&args, opening, out),
            Command::Tables(args) => inspect::tables(&args, opening, out),
            Command::Stats(args) => inspect::stats(&args, opening, out),
            Command::Verify(args) => verify::run(&args, opening, out),
            Command::Checkpoint(args) => inspect::checkpoint(&args, opening, out),
            Command::Backup(args) => backup::run(&args, opening, out),
            Command::Dump(args) => dump::dump(&args, opening, out),
            Command::Restore(args) => dump::restore(&args, opening, out),
            Command::Salvage(args) => salvage::run(&args, opening, out),
            Command::Log(args) => log::run(&args, opening, out),
            Command::Bench(args) => bench::run(&args, opening, out),
            Command::LoadUntilKilled(args) => bench::load_until_killed(&args, opening, out),
        }
    }
}

#[cfg(test)]
mod tests;

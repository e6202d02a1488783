//! `aquifer-fuzz`: what `cargo xtask fuzz` runs, and the maker of the corpora.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use aquifer_fuzz::campaign::{self, Length};
use aquifer_fuzz::corpus;
use aquifer_fuzz::targets::{self, TARGETS, Target};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, Parser)]
#[command(name = "aquifer-fuzz", about = "Arbitrary bytes for every reader of bytes in Aquifer")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the checked-in inputs anew from valid bytes.
    Seed {
        /// Makes the checked-in databases anew, and nothing else; afterwards make the inputs.
        #[arg(long)]
        bases: bool,
    },
    /// Runs random inputs over all targets, or one input over one.
    Run {
        /// For how long, in all.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// One target; all of them unless given.
        #[arg(long)]
        target: Option<String>,
        /// Runs this input alone.
        #[arg(long, requires = "target")]
        input: Option<PathBuf>,
        /// Which inputs; others each time unless given.
        #[arg(long)]
        seed: Option<u64>,
        /// Where an input that fails is kept.
        #[arg(long, default_value = "fuzz-failures")]
        out: PathBuf,
    },
    /// Names the targets.
    List,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Arguments::parse().command {
        Command::Seed { bases } => corpus::seed(bases),
        Command::List => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            Ok(())
        }
        Command::Run { target: Some(name), input: Some(path), .. } => {
            let input = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            match campaign::run_input(named(&name)?, &input) {
                Ok(()) => {
                    println!("{name}: {} bytes, and the property holds", input.len());
                    Ok(())
                }
                Err(failure) => bail!("{name}: {}", failure.said),
            }
        }
        Command::Run { seconds, target, seed, out, .. } => {
            let chosen: Vec<&Target> = match &target {
                Some(name) => vec![named(name)?],
                None => TARGETS.iter().collect(),
            };
            let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 32 ^ clock());
            println!("fuzz: {seconds} s with --seed {seed}");
            run_all(&chosen, seed, Duration::from_secs(seconds), &out)
        }
    }
}

/// Runs these targets, each for its share of the time; all of them, also if one fails.
fn run_all(targets: &[&Target], seed: u64, time: Duration, out: &Path) -> Result<()> {
    let mut failed = Vec::new();
    for target in targets {
        let corpus = corpus::read(&corpus::folder(target))?.into_iter().map(|(_, bytes)| bytes);
        let (corpus, begun) = (corpus.collect::<Vec<_>>(), Instant::now());
        let length = Length::Time(time / targets.len() as u32);
        match campaign::run(target, &corpus, seed, length, Some(out)) {
            Ok(inputs) => {
                let rate = inputs as f64 / begun.elapsed().as_secs_f64();
                println!("{:>14}: {inputs:>9} inputs, {rate:>9.0} a second", target.name);
            }
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(target.name);
            }
        }
    }
    // Only if it is empty: what failed stays.
    let _ = std::fs::remove_dir(out);
    anyhow::ensure!(failed.is_empty(), "the property does not hold: {}", failed.join(", "));
    Ok(())
}

fn named(name: &str) -> Result<&'static Target> {
    targets::named(name).with_context(|| format!("no target `{name}`; `aquifer-fuzz list` names them"))
}

fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64
}

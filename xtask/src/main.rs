//! `cargo xtask`: the developer commands.
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use xtask::crash::{self, Plan};
use xtask::{bench, ci, fuzz, histories, loom, sanitize, sim, smoke, tidy, tree};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Developer commands of the Aquifer workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that a change must pass: format, tidy, clippy, tests, loom, smoke, crash, sim, fuzz.
    Ci,
    /// Checks the rules of the project: layers, heads, lengths, words, threads, unsafe, dependencies.
    Tidy,
    /// Model-checks the protocols between threads.
    Loom {
        /// Schedules with more interruptions of a thread than this are not tried.
        #[arg(long, default_value_t = loom::PREEMPTIONS_MAX)]
        preemptions: usize,
    },
    /// Kills a writing process at random moments, reopens, and checks what was acknowledged.
    Crash {
        /// Times to kill.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// What is written and when it is killed; a new one each time unless given.
        #[arg(long)]
        seed: Option<u64>,
        /// Where the database lies; an empty or absent directory.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Threads that write.
        #[arg(long, default_value_t = 4)]
        writers: u16,
        /// The database's memory in MiB.
        #[arg(long, default_value_t = 4)]
        budget: usize,
    },
    /// Runs the same workloads on Aquifer and on other engines, and prints one table.
    Bench(bench::Arguments),
    /// Runs the engine on a simulated disk with faults and crashes, against a model, seed after seed.
    Sim(sim::Arguments),
    /// Runs transactions on threads, with crashes, and checks that they were as isolated as their level says.
    Histories(histories::Arguments),
    /// Runs random inputs over the readers of bytes.
    Fuzz(fuzz::Arguments),
    /// Runs the tests under the address and the thread sanitizer.
    Sanitize(sanitize::Arguments),
    /// Runs the README's main job on a small input.
    Smoke,
    /// The process that `crash` kills.
    #[command(hide = true)]
    CrashChild(crash::child::Arguments),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            sanitize::exit_code(&error)
        }
    }
}

fn run() -> Result<()> {
    let root = tree::root();
    match Arguments::parse().command {
        Command::Ci => ci::run(&root),
        Command::Tidy => tidy::run(&root),
        Command::Loom { preemptions } => loom::run(&root, preemptions),
        Command::Crash { rounds, seed, dir, writers, budget } => {
            let mut plan = Plan::new(&std::env::current_exe()?);
            plan.seed = seed.unwrap_or(plan.seed);
            let plan = Plan { rounds, writers, directory: dir, budget_bytes: budget << 20, ..plan };
            println!("crash: {rounds} rounds with --seed {}", plan.seed);
            crash::run(&plan).map(|summary| println!("{summary}"))
        }
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Histories(arguments) => histories::run(&arguments),
        Command::Bench(arguments) => bench::run(&root, &arguments),
        Command::Fuzz(arguments) => fuzz::run(&root, &arguments),
        Command::Sanitize(arguments) => sanitize::run(&root, &arguments),
        Command::Smoke => smoke::run(&root),
        Command::CrashChild(arguments) => crash::child::run(&arguments),
    }
}

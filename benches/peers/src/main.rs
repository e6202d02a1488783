//! `aquifer-peers`: one engine on one workload.

use aquifer_peers::run;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "aquifer-peers", about = "Runs Aquifer's workloads on other engines")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one workload on one engine, loading its records first where there are none.
    Run(run::Arguments),
    /// Lists the engines of this build.
    Engines,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Engines => run::ENGINES.iter().for_each(|engine| println!("{engine}")),
        Command::Run(arguments) => match run::run(&arguments) {
            Ok(report) if arguments.json => println!("{}", report.to_json()),
            Ok(report) => println!("{report}"),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

//! `reopen`: opening after a kill in the middle of a load.
//!
//! ```text
//!  parent: spawn ----------------> read what the child says ... half is in: SIGKILL --> open, timed --> count
//!  child:        empty the table --> load, one thread, saying how far it is
//! ```
//!
//! # Rules
//!
//! - **RO1** The child is this program itself. It never closes the database: it is killed, also if it is done early.
//! - **RO2** What is there after the kill is a prefix of the load, and at `Process` and `Power` at least what the child
//!   had said; anything else is an error, and no figure.

use super::{AquiferStore, Numbers, note};
use crate::exit::Failure;
use crate::kind::KindArg;
use crate::opening::OpeningArgs;
use crate::output::{Output, grouped, size};
use aquifer_workload::{Durability, Report, Spec, Store as _, Workload};
use std::cell::RefCell;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Arguments of the child.
#[derive(Debug, clap::Args)]
pub struct LoadUntilKilledArgs {
    /// The database's directory
    dir: PathBuf,
    #[command(flatten)]
    numbers: Numbers,
}

/// The child: loads, says how many records are in, and waits for its end (RO1).
pub fn load_until_killed(
    args: &LoadUntilKilledArgs,
    opening: &OpeningArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let db = opening.open_or_create(&args.dir, None)?;
    note::Notes::open(&db)?.remove()?;
    let store = AquiferStore::emptied(&db, args.numbers.kind.kind())?;
    let spec = Spec { threads: 1, ..args.numbers.spec(Workload::Load, opening.budget.unwrap_or_default()) };
    let out = RefCell::new(out);
    let say = |done: u64| {
        let mut out = out.borrow_mut();
        out.line(&done.to_string()).and_then(|()| out.flush())
    };
    // If the parent has gone, the load goes on to its end and this process with it.
    aquifer_workload::run(&store, &spec, &|done, _| drop(say(done)))?;
    say(spec.records)?;
    let wait = io::stdin().lock().read_to_end(&mut Vec::new());
    wait.map(drop).map_err(|source| Failure::Io { what: "waiting for the end".into(), source })
}

/// The parent: has a load killed in its middle and measures the opening.
pub fn measure(
    dir: &Path,
    spec: &Spec,
    kind: KindArg,
    opening: &OpeningArgs,
) -> Result<(Report, String), Failure> {
    let said = kill_in_the_middle(dir, spec, kind, opening)?;
    let begun = Instant::now();
    let db = opening.open(dir)?;
    let elapsed = begun.elapsed();
    let recovery = db.recovery_report().clone();
    let store = AquiferStore::open(&db)?;
    let written = store.counters();
    let there = aquifer_workload::count_records(&store, spec.value_bytes)?;
    if spec.durability > Durability::Eventual && there < said {
        return Err(Failure::Corrupt(format!(
            "{} of {} acknowledged records are lost after a kill at durability {}",
            grouped(said - there),
            grouped(said),
            spec.durability
        )));
    }
    let report = Report::of_reopen(spec, store.description(), recovery.entries, elapsed, written)?;
    db.close()?;
    let remark = format!(
        "  recovered   {} records are there, {} of them replayed from {} of log",
        grouped(there),
        grouped(recovery.entries),
        size(recovery.log_bytes),
    );
    Ok((report, remark))
}

/// Lets a child load until half of the records are in, kills it, and returns how many it had said were in.
fn kill_in_the_middle(dir: &Path, spec: &Spec, kind: KindArg, opening: &OpeningArgs) -> Result<u64, Failure> {
    let failed = |what: &str| {
        let what = format!("the loading process: {what}");
        move |source: io::Error| Failure::Io { what, source }
    };
    let mut child = Killed(spawn(dir, spec, kind, opening).map_err(failed("starting it"))?);
    let heard = BufReader::new(child.0.stdout.take().expect("the child's output is a pipe"));
    let mut said = 0;
    for line in heard.lines() {
        let line = line.map_err(failed("listening to it"))?;
        said = line.parse().map_err(|error| failed("listening to it")(io::Error::other(error)))?;
        if said >= spec.records / 2 {
            break;
        }
    }
    let alive = child.0.try_wait().map_err(failed("asking for its state"))?.is_none();
    child.kill().map_err(failed("killing it"))?;
    if alive && said >= spec.records / 2 {
        return Ok(said);
    }
    Err(failed("it ended by itself")(io::Error::other("its own message says why")))
}

fn spawn(dir: &Path, spec: &Spec, kind: KindArg, opening: &OpeningArgs) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("load-until-killed").arg(dir);
    command.args(["--records", &spec.records.to_string()]);
    command.args(["--value", &spec.value_bytes.to_string()]);
    command.args(["--durability", spec.durability.name()]);
    command.args(["--seed", &spec.seed.to_string()]);
    command.args(["--batch", &spec.batch.to_string()]);
    command.args(["--budget", &spec.budget_mib.to_string()]);
    command.args(["--backend", opening.backend.name()]);
    command.args(["--kind", &kind.kind().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// A child that does not outlive this value.
struct Killed(Child);

impl Killed {
    /// SIGKILL, and the end of the child.
    fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // After `kill` there is nothing left to do, and on the way out of a failure that one is told.
        let _ = self.kill();
    }
}

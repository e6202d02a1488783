//! `cargo xtask crash`: a child process writes with several threads at mixed durabilities, the parent kills it at random
//! moments, reopens, and checks P1 and P2 by what the child acknowledged.
//!
//! ```text
//!  parent                               child (hidden command `crash-child`)
//!    | spawn, with where each writer goes on |
//!    |<------------- opened -----------------| recovery
//!    |<------------- acknowledgements -------| writers, and one that takes checkpoints
//!    | SIGKILL, or the wish to stop -------->|
//!    | sometimes: children that only open, killed meanwhile
//!    | open, compare (`prefix`), sometimes verify, close
//! ```
//!
//! The database lives on across the rounds, so what one round leaves behind is what the next one starts from. A copy as
//! the kill left it is kept beside it until the round has passed, so that a failure can be looked into.
//!
//! | module | holds |
//! |---|---|
//! | [`script`] | what each writer does, as a function of its number |
//! | [`acks`] | what the child tells |
//! | [`child`] | the child |
//! | [`prefix`] | the judge |

pub mod acks;
pub mod child;
pub mod prefix;
pub mod script;

use acks::{Ack, Told};
use anyhow::{Context, Result, bail, ensure};
use aquifer_sim::Random;
use prefix::Writer;
use script::{Place, Script, State, TABLES};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest time from spawning a child until it has opened, or from asking it to stop until it has closed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every so many rounds the whole database is verified, beside the last.
const VERIFY_EVERY: u32 = 5;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program to run as the child: this one.
    pub program: PathBuf,
    /// Times to kill.
    pub rounds: u32,
    /// What the writers do, and when they are killed.
    pub seed: u64,
    /// Writing threads.
    pub writers: u16,
    /// The database's memory in bytes.
    pub budget_bytes: usize,
    /// Where; an empty or absent directory. A temporary one if `None`. It is removed when all is well.
    pub directory: Option<PathBuf>,
}

impl Plan {
    /// Twenty rounds with a seed of the moment.
    pub fn new(program: &Path) -> Plan {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Plan {
            program: program.to_path_buf(),
            rounds: 20,
            seed: now.map_or(1, |d| d.as_nanos() as u64 >> 10),
            writers: 4,
            budget_bytes: 4 << 20,
            directory: None,
        }
    }
}

/// What was run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rounds that passed; a round that does not pass ends the run with an error.
    pub rounds: u32,
    /// Rounds in which the child was killed while it wrote.
    pub killed_writing: u32,
    /// Times that a child was killed before it had opened.
    pub killed_opening: u32,
    /// Rounds that ended in a clean close.
    pub closed: u32,
    /// Acknowledged commits that were checked.
    pub acknowledged: u64,
    /// Of these, commits that had to be there.
    pub durable: u64,
    /// Records that were compared, over all rounds.
    pub records: u64,
    /// Whole verifications.
    pub verified: u32,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "killed {} times while writing, {} while opening, closed {} times; \
             {} acknowledged commits checked, {} of them durable; {} records compared; verified {} times",
            self.killed_writing,
            self.killed_opening,
            self.closed,
            self.acknowledged,
            self.durable,
            self.records,
            self.verified
        )?;
        write!(f, "crash: {} passed, 0 failed", self.rounds)
    }
}

/// Runs the plan.
///
/// # Errors
///
/// The first promise that is broken, with the seed and the directory, beside which a copy is left as it was found.
pub fn run(plan: &Plan) -> Result<Summary> {
    let directory = plan.directory.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("aquifer-crash-{}-{}", std::process::id(), plan.seed))
    });
    std::fs::create_dir_all(&directory)?;
    ensure!(
        std::fs::read_dir(&directory)?.next().is_none(),
        "{} is not empty; the loop can judge only what it wrote itself",
        directory.display()
    );
    let mut run = Run::new(plan, directory.clone());
    for round in 1..=plan.rounds {
        run.round(round).with_context(|| {
            let killed = as_killed(&directory);
            format!("round {round} with --seed {}; as the kill left it: {}", plan.seed, killed.display())
        })?;
    }
    std::fs::remove_dir_all(&directory)?;
    std::fs::remove_dir_all(as_killed(&directory))?;
    Ok(run.summary)
}

/// Where the copy of a database lies that a round has yet to judge.
fn as_killed(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_os_string();
    name.push(".killed");
    PathBuf::from(name)
}

/// Copies a directory with all that is in it, in place of what was there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// How a round's child ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// So long after it was spawned, opened or not.
    KilledEarly(Duration),
    /// So long after it had opened.
    Killed(Duration),
    /// Asked to stop so long after it had opened.
    Closed(Duration),
}

struct Run<'p> {
    plan: &'p Plan,
    directory: PathBuf,
    random: Random,
    writers: Vec<Writer>,
    summary: Summary,
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan, directory: PathBuf) -> Run<'p> {
        let writers = (0..plan.writers).map(|writer| Writer::new(Script::new(plan.seed, writer))).collect();
        Run { plan, directory, random: Random(plan.seed), writers, summary: Summary::default() }
    }

    fn round(&mut self, round: u32) -> Result<()> {
        let end = self.end();
        let (acks, closed) = self.write(end)?;
        copy(&self.directory, &as_killed(&self.directory))?;
        if self.random.below(3) == 0 {
            for _ in 0..=self.random.below(3) {
                self.open_and_kill()?;
            }
        }
        self.check(&acks, closed, round.is_multiple_of(VERIFY_EVERY) || round == self.plan.rounds)?;
        self.summary.rounds += 1;
        Ok(())
    }

    /// A moment: mostly from 5 to 500 ms, as often below 50 as above.
    fn end(&mut self) -> End {
        let exponent = self.random.below(1000) as f64 / 1000.0;
        let moment = Duration::from_secs_f64(0.005 * 100f64.powf(exponent));
        match self.random.below(10) {
            0 => End::Closed(moment),
            1 => End::KilledEarly(moment / 10),
            _ => End::Killed(moment),
        }
    }

    /// One life of a writing child: what it acknowledged, by writer, and whether it closed.
    fn write(&mut self, end: End) -> Result<(Vec<Vec<Ack>>, bool)> {
        let (mut child, told) = self.spawn(false)?;
        let mut life = Life { opened: false, closed: false, acks: vec![Vec::new(); self.writers.len()] };
        if let End::KilledEarly(moment) = end {
            life.listen(&told, moment, |_| false)?;
        } else {
            life.listen(&told, PATIENCE, |life| life.opened)?;
            ensure!(life.opened, "the child did not open within {PATIENCE:?}: {}", last_words(&mut child));
        }
        match end {
            End::Killed(moment) => {
                life.listen(&told, moment, |_| false)?;
                kill(&mut child)?;
            }
            End::KilledEarly(_) => kill(&mut child)?,
            End::Closed(moment) => {
                life.listen(&told, moment, |_| false)?;
                drop(child.stdin.take());
                life.listen(&told, PATIENCE, |life| life.closed)?;
                ensure!(
                    life.closed,
                    "the child did not close within {PATIENCE:?}: {}",
                    last_words(&mut child)
                );
                let status = child.wait()?;
                ensure!(status.success(), "the child closed with {status}");
            }
        }
        while life.listen_once(&told, PATIENCE)? {} // what was still on its way
        match end {
            End::Closed(_) => self.summary.closed += 1,
            _ if life.opened => self.summary.killed_writing += 1,
            _ => self.summary.killed_opening += 1,
        }
        Ok((life.acks, life.closed))
    }

    /// A child that opens, and is killed at it.
    fn open_and_kill(&mut self) -> Result<()> {
        let (mut child, told) = self.spawn(true)?;
        let moment = Duration::from_micros(self.random.below(40_000));
        let mut life = Life { opened: false, closed: false, acks: Vec::new() };
        life.listen(&told, moment, |life| life.opened)?;
        kill(&mut child)?;
        while life.listen_once(&told, PATIENCE)? {}
        if !life.opened {
            self.summary.killed_opening += 1;
        }
        Ok(())
    }

    fn spawn(&self, open_only: bool) -> Result<(Child, Receiver<std::io::Result<Told>>)> {
        let mut command = Command::new(&self.plan.program);
        command.arg("crash-child").arg("--directory").arg(&self.directory);
        command.args(["--seed", &self.plan.seed.to_string()]);
        command.args(["--budget-bytes", &self.plan.budget_bytes.to_string()]);
        for writer in self.writers.iter().filter(|_| !open_only) {
            command.args(["--held", &writer.held.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut from = child.stdout.take().context("the child has no output")?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            while let Some(told) = Told::read(&mut from).transpose() {
                if sender.send(told).is_err() {
                    break;
                }
            }
        });
        Ok((child, receiver))
    }

    /// Opens, compares with what was acknowledged, verifies if asked to, and closes.
    fn check(&mut self, acks: &[Vec<Ack>], closed: bool, verify: bool) -> Result<()> {
        let database = child::open(&self.directory, self.plan.budget_bytes)?;
        let found = child::read(&database, self.plan.seed, self.plan.writers)?;
        let mut held = Vec::new();
        for (index, writer) in self.writers.iter_mut().enumerate() {
            let advanced = writer.advance(&found[index], &acks[index], closed);
            held.push(advanced.with_context(|| format!("writer {index}"))?);
        }
        prefix::check_order(acks, &held)?;
        if verify {
            child::verify(&database)?;
            self.summary.verified += 1;
        }
        database.close().context("closing after the check")?;
        let all = acks.iter().flatten();
        self.summary.acknowledged += all.clone().count() as u64;
        self.summary.durable += all.filter(|a| closed || a.level >= script::Level::Process).count() as u64;
        self.summary.records += found.iter().map(|state| state.len() as u64).sum::<u64>();
        Ok(())
    }
}

/// What is known of a child.
struct Life {
    opened: bool,
    closed: bool,
    acks: Vec<Vec<Ack>>,
}

impl Life {
    /// Listens until `enough`, or for `time`.
    fn listen(
        &mut self,
        told: &Receiver<std::io::Result<Told>>,
        time: Duration,
        enough: impl Fn(&Life) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        while !enough(self) {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() || !self.listen_once(told, left)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes in one record; `false` when there is none within `time`, or no more at all.
    fn listen_once(&mut self, told: &Receiver<std::io::Result<Told>>, time: Duration) -> Result<bool> {
        let told = match told.recv_timeout(time) {
            Ok(told) => told?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(false),
        };
        match told {
            Told::Opened => self.opened = true,
            Told::Closed => self.closed = true,
            Told::Acknowledged(ack) => {
                let acks = self.acks.get_mut(usize::from(ack.writer)).context("an unknown writer")?;
                acks.push(ack);
            }
        }
        Ok(true)
    }
}

/// Kills with SIGKILL. A child that has ended by itself has failed.
fn kill(child: &mut Child) -> Result<()> {
    if let Some(status) = child.try_wait()? {
        bail!("the child ended by itself: {status}; its words are above");
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// What there is to say of a child that does not answer; ends it.
fn last_words(child: &mut Child) -> String {
    match child.try_wait() {
        Ok(Some(status)) => format!("it ended with {status}; its words are above"),
        _ => {
            let _ = child.kill(); // the error that follows says more than a failure to kill would
            let _ = child.wait();
            "it was still running".to_string()
        }
    }
}

/// The states of all writers, from records as they were read.
///
/// # Errors
///
/// If a record is none that a writer ever wrote (P4).
pub fn states(
    seed: u64,
    writers: u16,
    records: impl Iterator<Item = (usize, Vec<u8>, Vec<u8>)>,
) -> Result<Vec<State>> {
    let mut states = vec![State::new(); usize::from(writers)];
    for (table, key, value) in records {
        let name = TABLES[table];
        let (writer, index) =
            Script::owner(&key).with_context(|| format!("P4: table {name} has the key {key:02x?}"))?;
        ensure!(writer < writers, "P4: table {name} has a key of writer {writer}, who does not exist");
        let place = Place { table, index };
        let number = Script::new(seed, writer).number(place, &value).with_context(|| {
            format!(
                "P4: table {name} has {value:02x?} at key {index} of writer {writer}; no commit wrote that"
            )
        })?;
        states[usize::from(writer)].insert(place, number);
    }
    Ok(states)
}

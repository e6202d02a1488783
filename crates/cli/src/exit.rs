//! How a command ends: the failures, and the exit codes that scripts rely on.
//!
//! # Rules
//!
//! - **EX1** The codes are those of [`Exit`], and each failure has one.
//! - **EX2** A message says what, where, and what the user can do on the command line.
//! - **EX3** A reader of standard output that goes away (`| head`) is no failure.

use std::io;

/// The exit codes (EX1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// There is no such database, table or key.
    NotFound = 1,
    /// The command line asks for something that cannot be. (Also what clap exits with.)
    Usage = 2,
    /// A line of the input is bad.
    BadInput = 3,
    /// Another process has the database open.
    Locked = 4,
    /// Files or pages are damaged, or are not this program's.
    Corrupt = 5,
    /// The system failed: disk, memory, files.
    Io = 6,
}

/// The table of exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  no such database, table or key
  2  usage: the command line asks for something that cannot be
  3  bad input: a line of it cannot be loaded
  4  locked: another process has the database open
  5  corrupt: damaged files, or files of another program or version
  6  I/O: the system failed";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such key.
    #[error("{0}")]
    NotFound(String),
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// A line of the input is bad.
    #[error("{0}")]
    BadInput(String),
    /// Damage was found, or the database answered wrongly.
    #[error("{0}")]
    Corrupt(String),
    /// The database failed.
    #[error("{}", explain(.0))]
    Engine(#[from] aquifer::Error),
    /// The database failed in the middle of something: what, and how far it got.
    #[error("{}\n{progress}", explain(.source))]
    Interrupted {
        /// What the database says.
        source: aquifer::Error,
        /// What was done before, and how to go on.
        progress: String,
    },
    /// The system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody reads standard output any more (EX3).
    #[error("standard output was closed")]
    OutputClosed,
}

impl Failure {
    /// The code to exit with (EX1).
    pub fn exit(&self) -> Exit {
        match self {
            Failure::NotFound(_) => Exit::NotFound,
            Failure::Usage(_) => Exit::Usage,
            Failure::BadInput(_) => Exit::BadInput,
            Failure::Corrupt(_) => Exit::Corrupt,
            Failure::Engine(source) | Failure::Interrupted { source, .. } => exit_of(source),
            Failure::Io { .. } => Exit::Io,
            Failure::OutputClosed => Exit::Ok,
        }
    }

    /// A failure of writing to standard output.
    pub fn of_output(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::OutputClosed;
        }
        Failure::Io { what: "cannot write to standard output".into(), source: error }
    }
}

impl From<crate::typed::Misfit> for Failure {
    fn from(misfit: crate::typed::Misfit) -> Failure {
        Failure::Usage(misfit.to_string())
    }
}

impl From<aquifer_workload::Error> for Failure {
    fn from(error: aquifer_workload::Error) -> Failure {
        use aquifer_workload::Error as E;
        match error {
            E::Store { doing, source } => match source.downcast::<aquifer::Error>() {
                Ok(source) => Failure::Interrupted { source: *source, progress: format!("during {doing}") },
                Err(source) => Failure::Io { what: doing.into(), source: io::Error::other(source) },
            },
            E::Wrong { .. } => Failure::Corrupt(error.to_string()),
            E::Memory(source) => Failure::Io { what: "cannot read /proc/self/status".into(), source },
            E::Panicked => Failure::Io { what: "the run failed".into(), source: io::Error::other(error) },
            E::UnknownWorkload { .. }
            | E::UnknownDurability { .. }
            | E::UnknownIsolation { .. }
            | E::Spec { .. } => Failure::Usage(error.to_string()),
        }
    }
}

fn exit_of(error: &aquifer::Error) -> Exit {
    use aquifer::ErrorKind as K;
    match error.kind() {
        K::NotFound => Exit::NotFound,
        K::Usage | K::AlreadyExists | K::TransactionTooLarge | K::BudgetExhausted => Exit::Usage,
        K::Locked => Exit::Locked,
        K::Corrupt | K::Format => Exit::Corrupt,
        _ => Exit::Io,
    }
}

/// What the engine says, with what the user of a command line can do (EX2).
fn explain(error: &aquifer::Error) -> String {
    use aquifer::Error as E;
    match error {
        E::NotFound { path } => format!("no database at {path}; `aquifer load` and `aquifer put` make one"),
        E::TableNotFound { name } => {
            format!(
                "no table `{name}`; `aquifer tables` lists those there are, `aquifer load` and `aquifer put` make one"
            )
        }
        E::BudgetExhausted(_) => format!("{error}; --budget MIB raises it"),
        E::TransactionTooLarge { bytes, bytes_max } => format!(
            "a batch of {bytes} bytes is beyond the limit of {bytes_max} bytes; use a smaller --batch or a larger --budget"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;

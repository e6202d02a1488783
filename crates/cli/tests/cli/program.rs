//! Running the program in a directory of its own.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A directory that goes away with the test, and a database in it that is not there yet.
pub struct Place {
    dir: tempfile::TempDir,
}

/// What a run of the program left.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    /// A database with a table `t` of these lines.
    pub fn loaded(lines: &str) -> Place {
        let place = Place::new();
        place.run_with("load DB t", lines.as_bytes()).succeeded();
        place
    }

    pub fn db(&self) -> PathBuf {
        self.file("db")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs the program with the words of `line`; the word `DB` stands for the database.
    pub fn run(&self, line: &str) -> Run {
        self.run_with(line, b"")
    }

    /// The same, with something on standard input.
    pub fn run_with(&self, line: &str, input: &[u8]) -> Run {
        self.run_words(line.split_whitespace(), input)
    }

    /// The same, word by word.
    pub fn run_words<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>, input: &[u8]) -> Run {
        self.run_in(8, words, input)
    }

    /// The same, with a memory budget of so many MiB.
    pub fn run_in<W: AsRef<OsStr>>(
        &self,
        budget_mib: u32,
        words: impl IntoIterator<Item = W>,
        input: &[u8],
    ) -> Run {
        let mut child = self.spawn_in(budget_mib, words);
        // A program that ends before it has read everything is for the test to judge.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::of(child.wait_with_output().unwrap())
    }

    /// The same, with the output as it is: it may be anything but text.
    pub fn command_output(&self, line: &str, input: &[u8]) -> Output {
        let mut child = self.spawn_in(8, line.split_whitespace());
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// The same, with standard output somewhere else.
    pub fn run_into(&self, line: &str, out: std::fs::File) -> Run {
        Run::of(self.command(8, line.split_whitespace()).stdout(out).output().unwrap())
    }

    /// Starts the program, all three streams being pipes.
    pub fn spawn<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Child {
        self.spawn_in(8, words)
    }

    fn spawn_in<W: AsRef<OsStr>>(&self, budget_mib: u32, words: impl IntoIterator<Item = W>) -> Child {
        let mut command = self.command(budget_mib, words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn command<W: AsRef<OsStr>>(&self, budget_mib: u32, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aquifer"));
        for word in words {
            match word.as_ref() {
                word if word == "DB" => command.arg(self.db()),
                word => command.arg(word),
            };
        }
        // Small budgets: many tests run at once.
        command.args(["--budget", &budget_mib.to_string()]).current_dir(self.dir.path());
        command
    }
}

impl Run {
    fn of(output: Output) -> Run {
        Run {
            code: output.status.code().expect("the program was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks that the run succeeded and said nothing on standard error; returns what it printed.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// Checks the exit code, and that the message has all of `parts`.
    #[track_caller]
    pub fn failed(self, code: i32, parts: &[&str]) -> Run {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("aquifer: "), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "no `{part}` in {self:?}");
        }
        self
    }

    /// Checks that the run succeeded and returns its lines of JSON.
    #[track_caller]
    pub fn json(self) -> Vec<serde_json::Value> {
        self.succeeded().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The files below a directory, data and log.
pub fn is_database(dir: &Path) -> bool {
    dir.join("data").exists()
}

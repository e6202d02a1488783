//! Where `load` and `restore` read from, and how far they have read.

use crate::exit::Failure;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Stdin};
use std::path::Path;
use std::rc::Rc;

/// Bytes read from the system at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file or standard input.
pub enum Source {
    /// A file, and its length if it has one.
    File(File, Option<u64>),
    /// Standard input.
    Stdin(Stdin),
}

/// How far the reader has come.
pub struct Position {
    read: Rc<Cell<u64>>,
    /// Bytes there are, if that is known.
    pub total: Option<u64>,
}

impl Position {
    /// Bytes that have been read.
    pub fn bytes(&self) -> u64 {
        self.read.get()
    }
}

impl Source {
    /// Opens `file`; nothing or `-` is standard input.
    pub fn open(file: Option<&Path>) -> Result<Source, Failure> {
        let Some(path) = file.filter(|path| path.as_os_str() != "-") else {
            return Ok(Source::Stdin(io::stdin()));
        };
        let opened = File::open(path).and_then(|file| {
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(Source::File(file, metadata.is_file().then_some(metadata.len())))
        });
        opened.map_err(|source| Failure::Io { what: format!("cannot read {}", path.display()), source })
    }

    /// True if somebody would have to type.
    pub fn is_terminal(&self) -> bool {
        match self {
            Source::File(file, _) => file.is_terminal(),
            Source::Stdin(stdin) => stdin.is_terminal(),
        }
    }

    /// A buffered reader, and its position.
    pub fn into_reader(self) -> (Box<dyn BufRead>, Position) {
        let read = Rc::new(Cell::new(0));
        let (inner, total): (Box<dyn Read>, _) = match self {
            Source::File(file, total) => (Box::new(file), total),
            Source::Stdin(stdin) => (Box::new(stdin.lock()), None),
        };
        let counted = Counted { inner, read: Rc::clone(&read) };
        (Box::new(BufReader::with_capacity(BUFFER_BYTES, counted)), Position { read, total })
    }
}

/// Counts what passes through.
struct Counted {
    inner: Box<dyn Read>,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

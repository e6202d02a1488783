//! The last calls that a disk got, for whoever has to explain a failure.

use crate::Call;
use crate::fault::Effect;
use aquifer_sync::Arc;
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;

/// How many are kept.
const EVENTS_MAX: usize = 64;

/// Something that happened to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was called.
    Call {
        /// Number of the call, from 1 when the disk was made or booted.
        number: u64,
        /// Kind of call.
        call: Call,
        /// Name of the file or directory; of a rename, the old one.
        file: Arc<str>,
        /// Byte offset, 0 where it means nothing.
        offset: u64,
        /// Bytes, 0 where it means nothing.
        len: u64,
        /// The fault that struck it.
        fault: Option<&'static str>,
        /// What it failed with.
        error: Option<ErrorKind>,
    },
    /// Power was lost, and the disk booted again.
    PowerLoss {
        /// The seed that chose what was left; `None` for the worst choice, or one of an enumeration.
        seed: Option<u64>,
    },
    /// The process died.
    Kill,
}

/// The last events of a disk and of those that it comes from, oldest first. Its text has a line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    events: VecDeque<Event>,
}

impl Trace {
    /// The events, oldest first.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.events.iter()
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// What came of the last call.
    pub(crate) fn ended(&mut self, effect: Option<Effect>, kind: Option<ErrorKind>) {
        if let Some(Event::Call { fault, error, .. }) = self.events.back_mut() {
            *fault = effect.map(|effect| match effect {
                Effect::Error => "error",
                Effect::Full => "full",
                Effect::PowerLoss => "power loss",
                Effect::LostWrite => "lost write",
                Effect::MisdirectedWrite => "misdirected write",
                Effect::MisdirectedRead => "misdirected read",
                Effect::StaleRead => "stale read",
                Effect::FlippedRead => "flipped read",
            });
            *error = kind;
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            match event {
                Event::Call { number, call, file, offset, len, fault, error } => {
                    write!(f, "{number:>8} {call:?} {file:?}")?;
                    if (*offset, *len) != (0, 0) {
                        write!(f, " at {offset}, {len} bytes")?;
                    }
                    if let Some(fault) = fault {
                        write!(f, ", struck by {fault}")?;
                    }
                    match error {
                        Some(error) => writeln!(f, ": {error}")?,
                        None => writeln!(f)?,
                    }
                }
                Event::PowerLoss { seed: Some(seed) } => writeln!(f, "         power lost, seed {seed}")?,
                Event::PowerLoss { seed: None } => writeln!(f, "         power lost")?,
                Event::Kill => writeln!(f, "         the process died")?,
            }
        }
        Ok(())
    }
}

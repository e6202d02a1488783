//! `load --sorted`: all records at once, in bulk, past the log.
//!
//! # Rules
//!
//! - **LS1** All of the input is loaded, durable, or nothing: there is no line to go on from.
//! - **LS2** A record that is not above the one before is told with its line and ends the load.

use super::{Loader, encode, fits};
use crate::exit::Failure;
use crate::input::{Fault, InputError, Record, Records};
use crate::typed::Role;

/// Records between two signs of progress.
const TELL_EVERY: u64 = 4096;

/// Why a load ended.
enum Stop {
    Database(aquifer::Error),
    Bad(Failure),
}

impl From<aquifer::Error> for Stop {
    fn from(error: aquifer::Error) -> Stop {
        Stop::Database(error)
    }
}

impl Loader<'_> {
    /// Loads everything in bulk (LS1).
    pub(super) fn load_sorted(
        &mut self,
        records: &mut dyn Records,
        mut progress: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let Some(table) = self.open.table.sorted() else {
            return Err(Failure::Usage("--sorted: a hashed table has no order; load it without".into()));
        };
        let mut record = Record::default();
        let next = std::iter::from_fn(|| {
            loop {
                let added = match records.next(&mut record) {
                    Ok(true) => {
                        self.encoded(&record).map_err(|fault| InputError { line: record.line, fault })
                    }
                    Ok(false) => return None,
                    Err(error) => Err(error),
                };
                match added {
                    Ok(pair) => {
                        if self.read.records.is_multiple_of(TELL_EVERY) {
                            progress(self.read.records);
                        }
                        return Some(Ok(pair));
                    }
                    Err(error) if self.passes_over(&error) => {}
                    Err(error) => return Some(Err(Stop::Bad(nothing_loaded(error)))),
                }
            }
        });
        let loaded = table.try_bulk_load(next);
        match loaded {
            Ok(_) => {
                self.committed = self.read;
                Ok(())
            }
            Err(Stop::Bad(failure)) => Err(failure),
            Err(Stop::Database(source)) if source.kind() == aquifer::ErrorKind::Usage => {
                let line = record.line;
                let place = if line == 0 { String::new() } else { format!("line {line}: ") };
                Err(Failure::BadInput(format!("{place}{source}\nnothing is loaded")))
            }
            Err(Stop::Database(source)) => Err(Failure::Interrupted {
                source,
                progress: "nothing is loaded; --sorted loads everything or nothing".into(),
            }),
        }
    }

    fn encoded(&mut self, record: &Record) -> Result<(Vec<u8>, Vec<u8>), Fault> {
        let key = encode(&self.open.key, Role::Key, &record.key, self.args.hex)?;
        let value = encode(&self.open.value, Role::Value, &record.value, self.args.hex)?;
        fits("key", key.len(), self.db.key_len_max())?;
        fits("value", value.len(), self.db.value_len_max())?;
        self.read.line = record.line + 1;
        self.read.records += 1;
        self.read.bytes += (key.len() + value.len()) as u64;
        Ok((key.into_owned(), value.into_owned()))
    }
}

fn nothing_loaded(error: InputError) -> Failure {
    let report = format!("{error}\nnothing is loaded; --sorted loads everything or nothing");
    match error.fault {
        Fault::Read(source) => Failure::Io { what: format!("{report}\nreading the input"), source },
        _ => Failure::BadInput(report),
    }
}

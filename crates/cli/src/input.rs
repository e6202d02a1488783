//! Reading records from text: what the three formats share.
//!
//! A reader hands out one record at a time into buffers that the caller owns, so the work for a record
//! allocates nothing once the buffers have grown.
//!
//! # Rules
//!
//! - **IN1** Lines count from 1 and are those of the whole input, wherever reading began; a record's line is
//!   the one on which it begins.
//! - **IN2** After a bad record that is not [final](InputError::is_final) the reader stands behind it: the next
//!   call reads the next record.
//! - **IN3** However long a line is, no more than [`LINE_BYTES_MAX`] and a read buffer of it is in memory.
//! - **IN4** Empty lines are no records; a missing line end at the end of the input is none the worse.

use std::io::{self, BufRead};

mod csv;
mod jsonl;
mod lines;
mod tsv;

/// The longest line, or CSV record, that is read.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// One record of the input.
#[derive(Debug, Default)]
pub struct Record {
    /// The line on which it begins (IN1).
    pub line: u64,
    /// The key, as it stands in the input.
    pub key: Vec<u8>,
    /// The value, as it stands in the input.
    pub value: Vec<u8>,
}

/// A source of records.
pub trait Records {
    /// Reads the next record into `record`; `false` at the end of the input.
    ///
    /// # Errors
    ///
    /// [`InputError`] with the line of a bad record (IN2).
    fn next(&mut self, record: &mut Record) -> Result<bool, InputError>;
}

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of fields with a tab between them.
    Tsv,
    /// Comma-separated values; the first line names the columns.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How the input is to be read.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The format.
    pub format: Format,
    /// Which column or field is the key; the first column if none is named.
    pub key: Option<String>,
    /// Lines end with a zero byte (tsv only).
    pub null_terminated: bool,
    /// Each line is a key, without a value (tsv only).
    pub keys_only: bool,
    /// The first line whose record is wanted.
    pub from_line: u64,
}

/// What is wrong with the input, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct InputError {
    /// The line on which the bad record begins (IN1).
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

impl InputError {
    /// True if the reader cannot find the next record.
    pub fn is_final(&self) -> bool {
        matches!(self.fault, Fault::Read(_) | Fault::RecordTooLong | Fault::NoColumn { .. })
    }
}

/// The ways in which a record can be bad.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// tsv: a line without a tab.
    #[error("there is no tab: a line is KEY<TAB>VALUE (--keys-only reads lines that are keys alone)")]
    NoTab,
    /// tsv: fewer columns than the key's number.
    #[error("there are {found} columns and the key should be column {key}")]
    TooFewColumns {
        /// How many there are.
        found: usize,
        /// Which is the key.
        key: usize,
    },
    /// A line beyond [`LINE_BYTES_MAX`]; the rest of it is passed over.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// csv: a record beyond [`LINE_BYTES_MAX`].
    #[error("the record is longer than {LINE_BYTES_MAX} bytes: is there a quote that never ends?")]
    RecordTooLong,
    /// csv: another number of fields than the header has.
    #[error("there are {found} fields, and the header names {expected} columns")]
    FieldCount {
        /// How many there are.
        found: usize,
        /// How many the header names.
        expected: usize,
    },
    /// csv: the header has no column of the key's name or number.
    #[error("the header has no column `{wanted}`; it names {columns}")]
    NoColumn {
        /// What was asked for.
        wanted: String,
        /// The columns there are.
        columns: String,
    },
    /// jsonl: no JSON object.
    #[error("not a JSON object: {reason}")]
    NotAnObject {
        /// What the parser says.
        reason: String,
    },
    /// jsonl: the object lacks the key.
    #[error("the object has no field `{field}`")]
    NoField {
        /// The field that should be the key.
        field: String,
    },
    /// jsonl: the key is neither text nor number.
    #[error("the field `{field}` is {kind}; a key is a string or a number")]
    FieldKind {
        /// The field that should be the key.
        field: String,
        /// What it is.
        kind: &'static str,
    },
    /// A field that begins with `0x` but is no bytes.
    #[error("{0}")]
    Hex(#[from] crate::text::HexError),
    /// A field that does not fit the table's type.
    #[error("{0}")]
    Typed(String),
    /// The table does not take the record.
    #[error("{0}")]
    Refused(String),
    /// The input itself failed.
    #[error("reading failed: {0}")]
    Read(#[source] io::Error),
}

/// A reader of `source` in the given shape.
///
/// # Errors
///
/// A message about what in the shape does not fit the format.
pub fn records(source: Box<dyn BufRead>, shape: &Shape) -> Result<Box<dyn Records>, String> {
    if shape.format != Format::Tsv && (shape.null_terminated || shape.keys_only) {
        return Err("--null and --keys-only are for --format tsv".into());
    }
    match shape.format {
        Format::Tsv => {
            let key = shape.key.as_deref().map_or(Ok(1), column_number)?;
            if shape.keys_only && shape.key.is_some() {
                return Err("--keys-only takes the whole line as the key; leave out --key".into());
            }
            let end = if shape.null_terminated { 0 } else { b'\n' };
            let lines = lines::Lines::new(source, end, shape.from_line);
            Ok(Box::new(tsv::Tsv::new(lines, key, shape.keys_only)))
        }
        Format::Csv => Ok(Box::new(csv::Csv::new(source, shape.key.clone(), shape.from_line))),
        Format::Jsonl => {
            let field =
                shape.key.clone().ok_or("--format jsonl needs --key FIELD: which field is the key?")?;
            Ok(Box::new(jsonl::Jsonl::new(lines::Lines::new(source, b'\n', shape.from_line), field)))
        }
    }
}

/// A column by its number, which a tsv without header has alone.
fn column_number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("--key {text}: tsv has no header, so a column is a number, from 1")),
    }
}

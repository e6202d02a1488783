//! `get`, `put`, `delete`: one key at a time.

use super::TableArgs;
use super::source::Source;
use crate::exit::Failure;
use crate::opening::{OpenTable, OpeningArgs};
use crate::output::Output;
use crate::text::Form;
use crate::typed::Role;
use aquifer::{Durability, TableOptions};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Arguments of `get`.
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    #[command(flatten)]
    place: TableArgs,
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// Take the key literally, even if it begins with 0x
    #[arg(long)]
    text: bool,
    /// Print the stored bytes as they are, without a line end
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print an object with key and value
    #[arg(long)]
    json: bool,
}

/// Arguments of `put`.
#[derive(Debug, clap::Args)]
pub struct PutArgs {
    #[command(flatten)]
    place: TableArgs,
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value
    #[arg(allow_negative_numbers = true, required_unless_present = "file", conflicts_with = "file")]
    value: Option<OsString>,
    /// The value is the bytes of this file, of any length up to 4 GiB; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take key and value literally, even if they begin with 0x
    #[arg(long)]
    text: bool,
    /// The record expires after this time; a table that is made for it is one whose records may
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    ttl: Option<Duration>,
    /// What the record survives once the command is done: power, process or eventual
    #[arg(long, value_name = "LEVEL", default_value_t = Durability::Power)]
    durability: Durability,
}

/// Arguments of `delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    place: TableArgs,
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// Take the key literally, even if it begins with 0x
    #[arg(long)]
    text: bool,
    /// What the removal survives once the command is done: power, process or eventual
    #[arg(long, value_name = "LEVEL", default_value_t = Durability::Power)]
    durability: Durability,
}

/// A time of so many seconds, a century at most.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| time.as_secs() <= SECONDS_MAX);
    time.ok_or_else(|| format!("a record lives 0 to {SECONDS_MAX} seconds"))
}

/// A century.
const SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// Prints a value.
pub fn get(args: &GetArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.place.dir)?;
    let open = OpenTable::open(&db, &args.place.table)?;
    let key = open.key.encode(Role::Key, args.key.as_bytes(), args.text)?;
    if args.raw {
        copy_raw(&open, &key, args, out)?;
        out.flush()?;
        return Ok(db.close()?);
    }
    let Some(value) = open.table.get(&key)? else {
        return Err(no_such_key(args.key.as_bytes(), &args.place));
    };
    if args.json {
        let key = open.decode(Role::Key, &key)?;
        let value = open.decode(Role::Value, &value)?;
        out.json(&json!({"key": key, "value": value}))?;
    } else {
        let mut text = String::new();
        open.print(Role::Value, &value, Form::Whole, &mut text)?;
        out.line(&text)?;
    }
    out.flush()?;
    Ok(db.close()?)
}

/// Copies the stored bytes piece by piece: a value may be longer than memory.
fn copy_raw(open: &OpenTable, key: &[u8], args: &GetArgs, out: &mut Output) -> Result<(), Failure> {
    let Some(mut reader) = open.table.open_large(key)? else {
        return Err(no_such_key(args.key.as_bytes(), &args.place));
    };
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < reader.len() {
        let read = reader.read_at(at, &mut piece)?;
        out.bytes(&piece[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// Bytes of a value that pass through memory at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Writes a value.
pub fn put(args: &PutArgs, opening: &OpeningArgs) -> Result<(), Failure> {
    let db = opening.open_or_create(&args.place.dir, None)?;
    let options = match args.ttl {
        Some(_) => TableOptions::expiring(),
        None => TableOptions::default(),
    };
    let open = OpenTable::open_or_create(&db, &args.place.table, options)?;
    let key = open.key.encode(Role::Key, args.key.as_bytes(), args.text)?;
    match (&args.value, &args.file) {
        (Some(value), _) => {
            let value = open.value.encode(Role::Value, value.as_bytes(), args.text)?;
            match args.ttl {
                Some(time) => {
                    let table = open.table.clone().with_durability(args.durability);
                    table.put_for(&key, &value, time)?;
                }
                None => open.table.put_with(&key, &value, args.durability)?.wait()?,
            }
        }
        (None, file) => put_file(&open, &key, file.as_deref(), args)?,
    }
    Ok(db.close()?)
}

/// Writes the bytes of a file, piece by piece.
fn put_file(open: &OpenTable, key: &[u8], file: Option<&Path>, args: &PutArgs) -> Result<(), Failure> {
    let info = open.table.info();
    if info.value_type != "bytes" {
        let table = info.name;
        return Err(Failure::Usage(format!(
            "--file: the values of table `{table}` are not bytes; give VALUE instead"
        )));
    }
    let (mut reader, position) = Source::open(file)?.into_reader();
    let table = open.table.clone().with_durability(args.durability);
    let mut writer = match args.ttl {
        Some(time) => table.write_large_until(key, SystemTime::now() + time)?,
        None => table.write_large(key)?,
    };
    loop {
        let failed = |source| Failure::Io {
            what: format!("cannot read the value after byte {}", position.bytes()),
            source,
        };
        let piece = reader.fill_buf().map_err(failed)?;
        if piece.is_empty() {
            return Ok(writer.finish()?);
        }
        let len = piece.len();
        if let Err(error) = writer.write_all(piece) {
            return Err(error.downcast::<aquifer::Error>().map_or_else(
                |source| Failure::Io { what: "cannot write the value".into(), source },
                Failure::Engine,
            ));
        }
        reader.consume(len);
    }
}

/// Removes a key.
pub fn delete(args: &DeleteArgs, opening: &OpeningArgs) -> Result<(), Failure> {
    let db = opening.open(&args.place.dir)?;
    let open = OpenTable::open(&db, &args.place.table)?;
    let key = open.key.encode(Role::Key, args.key.as_bytes(), args.text)?;
    let there = open.table.contains(&key)?;
    if there {
        open.table.delete_with(&key, args.durability)?.wait()?;
    }
    db.close()?;
    if there { Ok(()) } else { Err(no_such_key(args.key.as_bytes(), &args.place)) }
}

fn no_such_key(given: &[u8], place: &TableArgs) -> Failure {
    Failure::NotFound(format!("no key `{}` in table `{}`", String::from_utf8_lossy(given), place.table))
}

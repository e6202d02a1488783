//! `get`, `put`, `delete`: one key at a time.

use super::TableArgs;
use crate::exit::Failure;
use crate::opening::{OpenTable, OpeningArgs};
use crate::output::Output;
use crate::text::Form;
use crate::typed::Role;
use aquifer::{Durability, TableOptions};
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

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
    #[arg(allow_negative_numbers = true)]
    value: OsString,
    /// Take key and value literally, even if they begin with 0x
    #[arg(long)]
    text: bool,
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

/// Prints a value.
pub fn get(args: &GetArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.place.dir)?;
    let open = OpenTable::open(&db, &args.place.table)?;
    let key = open.key.encode(Role::Key, args.key.as_bytes(), args.text)?;
    let Some(value) = open.table.get(&key)? else {
        return Err(no_such_key(args.key.as_bytes(), &args.place));
    };
    if args.raw {
        out.bytes(&value)?;
    } else if args.json {
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

/// Writes a value.
pub fn put(args: &PutArgs, opening: &OpeningArgs) -> Result<(), Failure> {
    let db = opening.open_or_create(&args.place.dir, None)?;
    let open = OpenTable::open_or_create(&db, &args.place.table, TableOptions::default())?;
    let key = open.key.encode(Role::Key, args.key.as_bytes(), args.text)?;
    let value = open.value.encode(Role::Value, args.value.as_bytes(), args.text)?;
    open.table.put_with(&key, &value, args.durability)?.wait()?;
    Ok(db.close()?)
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

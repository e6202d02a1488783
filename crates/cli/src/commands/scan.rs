//! `scan`: records in the order of their keys, or of their hashes where a table is hashed.

use super::TableArgs;
use crate::exit::Failure;
use crate::opening::{OpenTable, OpeningArgs};
use crate::output::Output;
use crate::text::Form;
use crate::typed::Role;
use aquifer::{Records, Scan, Table};
use serde_json::json;
use std::ffi::OsString;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt as _;

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
pub struct ScanArgs {
    #[command(flatten)]
    place: TableArgs,
    /// Only keys that begin so; for tuples, the first elements as a JSON array
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<OsString>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY", allow_negative_numbers = true)]
    from: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY", allow_negative_numbers = true)]
    to: Option<OsString>,
    /// The last key first
    #[arg(long)]
    reverse: bool,
    /// At most so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print the keys alone
    #[arg(long)]
    keys: bool,
    /// Take the keys given literally, even if they begin with 0x
    #[arg(long)]
    text: bool,
    /// Print one object a line, with key and value
    #[arg(long)]
    json: bool,
}

/// Prints the records that are asked for.
pub fn run(args: &ScanArgs, opening: &OpeningArgs, out: &mut Output) -> Result<(), Failure> {
    let db = opening.open(&args.place.dir)?;
    let open = OpenTable::open(&db, &args.place.table)?;
    print_all(args, &open, out)?;
    out.flush()?;
    Ok(db.close()?)
}

fn print_all(args: &ScanArgs, open: &OpenTable, out: &mut Output) -> Result<(), Failure> {
    let sorted = open.table.sorted();
    let mut scan = match &sorted {
        Some(sorted) => Source::Sorted(begin(args, open, sorted)?),
        None => Source::Hashed(begin_unordered(args, open)?),
    };
    let mut line = String::new();
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some((key, value)) = scan.next(args.reverse)? else {
            break;
        };
        left -= 1;
        line.clear();
        print(args, open, key, value, &mut line)?;
        out.line(&line)?;
    }
    Ok(())
}

/// Where records come from.
enum Source<'t> {
    Sorted(Scan<'t>),
    Hashed(Records<'t>),
}

/// Key and value, lent.
type Pair<'r> = (&'r [u8], &'r [u8]);

impl Source<'_> {
    fn next(&mut self, reverse: bool) -> Result<Option<Pair<'_>>, Failure> {
        Ok(match self {
            Source::Sorted(scan) => match reverse {
                true => scan.next_back()?,
                false => scan.next()?,
            },
            Source::Hashed(records) => records.next()?,
        })
    }
}

/// All records of a hashed table, which has no ranges.
fn begin_unordered<'t>(args: &ScanArgs, open: &'t OpenTable) -> Result<Records<'t>, Failure> {
    let ordered = [
        ("--prefix", args.prefix.is_some()),
        ("--from", args.from.is_some()),
        ("--to", args.to.is_some()),
        ("--reverse", args.reverse),
    ];
    if let Some((option, _)) = ordered.into_iter().find(|&(_, given)| given) {
        return Err(Failure::Usage(format!(
            "{option}: table `{}` is hashed; its records have no order",
            open.table.name()
        )));
    }
    Ok(open.table.records())
}

fn begin<'t>(args: &ScanArgs, open: &OpenTable, table: &'t Table) -> Result<Scan<'t>, Failure> {
    if let Some(prefix) = &args.prefix {
        let prefix = open.key.encode_prefix(prefix.as_bytes(), args.text)?;
        return Ok(table.scan_prefix(&prefix));
    }
    let bound = |given: &Option<OsString>| -> Result<Option<Vec<u8>>, Failure> {
        let encode = |key: &OsString| open.key.encode(Role::Key, key.as_bytes(), args.text);
        Ok(given.as_ref().map(encode).transpose()?)
    };
    let (from, to) = (bound(&args.from)?, bound(&args.to)?);
    if let (Some(from), Some(to)) = (&from, &to)
        && from > to
    {
        return Err(Failure::Usage("--from is behind --to: no key lies between them".into()));
    }
    let from: Bound<&[u8]> = from.as_deref().map_or(Bound::Unbounded, Bound::Included);
    let to: Bound<&[u8]> = to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    Ok(table.scan((from, to)))
}

fn print(
    args: &ScanArgs,
    open: &OpenTable,
    key: &[u8],
    value: &[u8],
    line: &mut String,
) -> Result<(), Failure> {
    if args.json {
        let key = open.decode(Role::Key, key)?;
        let object = match args.keys {
            true => json!({ "key": key }),
            false => json!({"key": key, "value": open.decode(Role::Value, value)?}),
        };
        line.push_str(&object.to_string());
        return Ok(());
    }
    open.print(Role::Key, key, Form::Key, line)?;
    if !args.keys {
        line.push('\t');
        open.print(Role::Value, value, Form::Value, line)?;
    }
    Ok(())
}

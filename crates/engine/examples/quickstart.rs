//! A tour in one file: `cargo run -p aquifer --example quickstart -- DIRECTORY`.

use aquifer::{Database, Durability, Result, TableDef, WriteBatch};

/// Words to how often they were seen.
const WORDS: TableDef<str, u64> = TableDef::new("words");
/// Line number to the line.
const LINES: TableDef<u64, str> = TableDef::new("lines");

const TEXT: &str = "\
the rock holds the rain
the rain fills the rock
the well gives the rain back";

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "quickstart.aq".into());
    let db = Database::options().memory_budget(16 << 20).open_or_create(&dir)?;
    let words = WORDS.open_or_create(&db)?;
    let lines = LINES.open_or_create(&db)?;

    // Each line and its words in one commit.
    let mut batch = WriteBatch::new();
    let first_line = lines.last()?.map_or(1, |(number, _)| number + 1);
    for (number, line) in (first_line..).zip(TEXT.lines()) {
        batch.put(&lines, &number, line);
        let mut sorted: Vec<&str> = line.split(' ').collect();
        sorted.sort_unstable();
        for same in sorted.chunk_by(|a, b| a == b) {
            let count = words.get(same[0])?.unwrap_or(0);
            batch.put(&words, same[0], &(count + same.len() as u64));
        }
        db.write(&mut batch, Durability::Eventual)?;
    }
    db.sync()?; // and now all of them are on the disk

    println!("words from r on:");
    for record in words.range("r"..) {
        let (word, count) = record?;
        println!("  {word} {count}");
    }
    println!("last line: {:?}", lines.last()?);

    let report = db.verify(|_| {})?;
    println!("{} records on {} pages, {} faults", report.records, report.pages, report.faults.len());
    db.close()
}

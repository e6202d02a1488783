//! The cases of Hermitage in tables of both kinds, with a log and without.

use crate::{KINDS, any_table, begin, small};
use aquifer::{AnyTable, Database, Durability, Error, Isolation, TableKind, TableOptions};
use aquifer_history::{Level, hermitage};
use aquifer_sim::SimDisk;

struct Store {
    db: Database,
    table: AnyTable,
}

struct Transaction<'s> {
    inner: aquifer::Transaction,
    table: &'s AnyTable,
}

impl hermitage::Store for Store {
    type Transaction<'s> = Transaction<'s>;

    fn begin(&self, level: Level) -> Transaction<'_> {
        let isolation = if level == Level::Snapshot { Isolation::Snapshot } else { Isolation::Serializable };
        Transaction { inner: begin(&self.db, isolation), table: &self.table }
    }

    fn write(&self, key: &str, value: &str) {
        // Nobody waits for a checkpoint here.
        let ticket = self.table.put_with(key.as_bytes(), value.as_bytes(), Durability::Eventual).unwrap();
        ticket.wait().unwrap();
    }
}

impl hermitage::Transaction for Transaction<'_> {
    fn get(&mut self, key: &str) -> Option<String> {
        self.inner.get(self.table, key.as_bytes()).unwrap().map(text)
    }

    fn put(&mut self, key: &str, value: &str) {
        self.inner.put(self.table, key.as_bytes(), value.as_bytes()).unwrap();
    }

    fn delete(&mut self, key: &str) {
        self.inner.delete(self.table, key.as_bytes()).unwrap();
    }

    fn scan(&mut self) -> Vec<(String, String)> {
        let mut records = self.inner.records(self.table);
        let mut all = Vec::new();
        while let Some((key, value)) = records.next().unwrap() {
            all.push((text(key.to_vec()), text(value.to_vec())));
        }
        all.sort_unstable(); // hashed ones come in no order
        all
    }

    fn commit(self) -> Result<(), String> {
        self.inner.commit().map_err(|error| match error {
            Error::Conflict { table, key } if table == "t" => text(key),
            other => panic!("{other}"),
        })
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn hermitage_logged() {
    for kind in KINDS {
        hermitage::check(|| {
            let db = small().disk(SimDisk::new().disk()).create("").unwrap();
            let table = any_table(&db, "t", kind);
            Store { db, table }
        });
    }
}

#[test]
fn hermitage_unlogged() {
    for kind in KINDS {
        hermitage::check(|| {
            let db = small().disk(SimDisk::new().disk()).create("").unwrap();
            match kind {
                TableKind::Hashed => {
                    db.create_table("t", TableOptions::hashed().logged(false)).map(drop).unwrap()
                }
                _ => db.create_table("t", TableOptions::default().logged(false)).map(drop).unwrap(),
            }
            let table = db.any_table("t").unwrap();
            Store { db, table }
        });
    }
}

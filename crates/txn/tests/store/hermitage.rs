//! The cases of Hermitage.

use super::store::{self, Store};
use aquifer_history::{Level, hermitage};
use aquifer_txn::{Direction, Error, KeyRange};

impl hermitage::Store for Store {
    type Transaction<'s> = store::Transaction<'s>;

    fn begin(&self, level: Level) -> store::Transaction<'_> {
        let level =
            if level == Level::Snapshot { store::Level::Snapshot } else { store::Level::Serializable };
        Store::begin(self, level).unwrap()
    }

    fn write(&self, key: &str, value: &str) {
        Store::write(self, key.as_bytes(), Some(value.as_bytes())).unwrap();
    }
}

impl hermitage::Transaction for store::Transaction<'_> {
    fn get(&mut self, key: &str) -> Option<String> {
        store::Transaction::get(self, key.as_bytes()).unwrap().map(text)
    }

    fn put(&mut self, key: &str, value: &str) {
        store::Transaction::put(self, key.as_bytes(), value.as_bytes()).unwrap();
    }

    fn delete(&mut self, key: &str) {
        store::Transaction::delete(self, key.as_bytes()).unwrap();
    }

    fn scan(&mut self) -> Vec<(String, String)> {
        let all = store::Transaction::scan(self, KeyRange::all(), Direction::Forward).unwrap();
        all.into_iter().map(|(key, value)| (text(key), text(value))).collect()
    }

    fn commit(self) -> Result<(), String> {
        match store::Transaction::commit(self) {
            Ok(_) => Ok(()),
            Err(Error::Conflict { table: 1, key }) => Err(text(key)),
            Err(other) => panic!("{other}"),
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn hermitage() {
    hermitage::check(|| Store::new(1 << 20));
}

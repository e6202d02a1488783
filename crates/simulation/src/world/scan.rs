//! Scans between whose records others act (WO1). A hashed table is read whole, and what was found is put in order.

use super::{Judged, Touched, World, key, name};
use crate::action::Action;
use aquifer::Database;
use std::collections::BTreeMap;
use std::ops::Bound;

impl World {
    /// WO1.
    pub(super) fn scan(
        &mut self,
        db: &Database,
        table: u8,
        from: Option<u32>,
        reverse: bool,
        every: u8,
        others: &[Action],
    ) -> Judged {
        let Some((handle, _)) = self.table(db, table)? else { return Ok(()) };
        let name = name(table);
        let sorted = handle.sorted();
        // A hashed table has neither ranges nor directions.
        let (from, reverse) =
            if sorted.is_some() { (from.map(|number| key(table, number)), reverse) } else { (None, false) };
        let bounds = match (&from, reverse) {
            (None, _) => (Bound::Unbounded, Bound::Unbounded),
            (Some(key), false) => (Bound::Included(key.as_slice()), Bound::Unbounded),
            (Some(key), true) => (Bound::Unbounded, Bound::Included(key.as_slice())),
        };
        let before: Vec<(Vec<u8>, Vec<u8>)> = {
            let rows = self.model.state()[&name].rows.range::<[u8], _>(bounds);
            rows.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        self.touched = Some(BTreeMap::new());
        let hashed = handle.hashed();
        let mut range = sorted.as_ref().map(|table| table.range(bounds));
        let mut records = hashed.as_ref().map(|table| table.iter());
        let mut others = others.iter();
        let mut found = Vec::new();
        let mut result = Ok(());
        loop {
            let next = match (&mut range, &mut records) {
                (Some(range), _) if reverse => range.next_back(),
                (Some(range), _) => range.next(),
                (None, Some(records)) => records.next(),
                (None, None) => return Err(format!("table {name} is of no kind")),
            };
            match next {
                None => break,
                Some(Ok(record)) => found.push(record),
                Some(Err(error)) => {
                    self.touched = None;
                    return self.failed(&error, "a scan");
                }
            }
            if found.len().is_multiple_of(usize::from(every))
                && let Some(other) = others.next()
            {
                result = self.work(db, other);
                if result.is_err() {
                    break;
                }
            }
        }
        let touched = self.touched.take().unwrap_or_default();
        result?;
        if self.uncertain {
            return Ok(());
        }
        if reverse {
            found.reverse();
        }
        if hashed.is_some() {
            found.sort();
        }
        judge_scan(&name, &before, &touched, &found)
    }
}

fn judge_scan(
    name: &str,
    before: &[(Vec<u8>, Vec<u8>)],
    touched: &Touched,
    found: &[(Vec<u8>, Vec<u8>)],
) -> Judged {
    if let Some(pair) = found.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(format!("a scan of {name}: {:?} comes twice or out of order", pair[1].0));
    }
    let mut expected: BTreeMap<&[u8], &[u8]> = before.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    for (key, value) in found {
        let was = expected.remove(&key[..]);
        let since = touched.get(&(name.to_owned(), key.clone()));
        let meanwhile = since.is_some_and(|values| values.iter().any(|v| v.as_ref() == Some(value)));
        if was != Some(&value[..]) && !meanwhile {
            return Err(format!("a scan of {name}: {:?} has a value that it never had meanwhile", key));
        }
    }
    match expected.keys().find(|key| !touched.contains_key(&(name.to_owned(), key.to_vec()))) {
        Some(key) => Err(format!("a scan of {name} misses {key:?}")),
        None => Ok(()),
    }
}

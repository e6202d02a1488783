//! The consistency conditions (clause 3.3.2 of the TPC Benchmark C Standard Specification, revision 5.11), in one snapshot.
//!
//! Conditions 1 to 10 and 12 are the specification's. Condition 11, that a district has 2,100 orders more than new orders, holds of a fresh
//! population alone. Two more are ours, with numbers from 13 on:
//!
//! | | what must be equal |
//! |---|---|
//! | 1 | what a warehouse was paid; the sum of its districts |
//! | 2 | a district's next order less one; its greatest order; its greatest new order, if there is one |
//! | 3 | a district's new orders; the numbers from its least to its greatest |
//! | 4 | the sum of the lines that a district's orders say they have; its order lines |
//! | 5 | orders without a carrier; new orders |
//! | 6 | the lines that an order says it has; its order lines |
//! | 7 | lines without a time of delivery; lines of orders without a carrier |
//! | 8 | what a warehouse was paid; the sum of its history |
//! | 9 | what a district was paid; the sum of its history |
//! | 10 | a customer's balance; what was delivered to the customer less what the history says was paid |
//! | 12 | a customer's balance and payments; what was delivered to the customer |
//! | 13 | customers and orders; the records by which they are found |
//! | 14 | what the stock says was ordered of a warehouse's items; the lines of orders since the beginning |
//!
//! Each is linear in the records, in memory linear in those of one district, and in the number of warehouses and items.

mod district;

use crate::scale::DISTRICTS;
use crate::tables::{DistrictKey, Tables};
use crate::{Error, Scale};
use aquifer::Snapshot;
use district::District;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The number of the condition.
    pub condition: u32,
    /// Of what: a warehouse, a district, an order, a customer.
    pub place: String,
    /// What is there.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { condition, place, what } = self;
        write!(f, "consistency condition {condition} does not hold of {place}: {what}")
    }
}

/// The conditions that do not hold; none of a sound database.
///
/// # Errors
///
/// [`Error::Missing`] if the population is of another scale; whatever the database says.
pub fn check(tables: &Tables, scale: Scale) -> Result<Vec<Violation>, Error> {
    let snapshot = tables.db.snapshot()?;
    let mut checker =
        Checker { tables, snapshot: &snapshot, scale, found: Vec::new(), ordered: BTreeMap::new() };
    let history = checker.history()?;
    for warehouse in 1..=scale.warehouses {
        let mut districts = 0;
        for district in 1..=DISTRICTS {
            let key = (warehouse, district);
            let paid = checker.must(snapshot.get(&tables.district_ytd, &key)?, "district-ytd", key)?;
            districts += paid;
            let sum = history.by_district.get(&key).copied().unwrap_or_default();
            checker.equal(9, || format!("district {key:?}"), paid, sum);
            District::read(&mut checker, key)?.check(&mut checker, &history.by_customer);
        }
        let paid =
            checker.must(snapshot.get(&tables.warehouse_ytd, &warehouse)?, "warehouse-ytd", warehouse)?;
        let place = || format!("warehouse {warehouse}");
        checker.equal(1, place, paid, districts);
        let sum: i64 =
            history.by_district.range((warehouse, 0)..=(warehouse, u8::MAX)).map(|(_, sum)| sum).sum();
        checker.equal(8, place, paid, sum);
    }
    checker.stock()?;
    Ok(checker.found)
}

/// What was paid, by place and by customer.
struct Paid {
    by_district: BTreeMap<DistrictKey, i64>,
    by_customer: BTreeMap<(u32, u8, u32), i64>,
}

/// A check that goes on.
struct Checker<'c> {
    tables: &'c Tables,
    snapshot: &'c Snapshot,
    scale: Scale,
    found: Vec<Violation>,
    /// What the lines of orders since the beginning have taken from the stock: how many, and in how many lines.
    ordered: BTreeMap<(u32, u32), (u64, u64)>,
}

impl Checker<'_> {
    fn equal<T: PartialEq + Debug>(&mut self, condition: u32, place: impl Fn() -> String, left: T, right: T) {
        if left != right {
            let what = format!("{left:?} is not {right:?}");
            self.found.push(Violation { condition, place: place(), what });
        }
    }

    fn must<V>(&self, found: Option<V>, table: &'static str, key: impl Debug) -> Result<V, Error> {
        found.ok_or_else(|| Error::Missing { table, key: format!("{key:?}") })
    }

    fn history(&self) -> Result<Paid, Error> {
        let mut paid = Paid { by_district: BTreeMap::new(), by_customer: BTreeMap::new() };
        for record in self.snapshot.range(&self.tables.history, ..) {
            let ((warehouse, district, customer, _), history) = record?;
            *paid.by_district.entry((history.warehouse, history.district)).or_default() += history.amount;
            *paid.by_customer.entry((warehouse, district, customer)).or_default() += history.amount;
        }
        Ok(paid)
    }

    /// Condition 14.
    fn stock(&mut self) -> Result<(), Error> {
        for record in self.snapshot.range(&self.tables.stock, ..) {
            let (key, stock) = record?;
            let ordered = self.ordered.remove(&key).unwrap_or_default();
            let found = (stock.ytd, u64::from(stock.order_count));
            self.equal(14, || format!("stock {key:?}"), found, ordered);
        }
        for (key, ordered) in std::mem::take(&mut self.ordered) {
            self.equal(14, || format!("stock {key:?}"), (0, 0), ordered);
        }
        Ok(())
    }
}

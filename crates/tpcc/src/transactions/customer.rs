//! How a transaction names its customer: six of ten times by the last name (clauses 2.5.1.2, 2.6.1.2).

use super::{Stop, must};
use crate::random::{C_LAST_RUN, Random, last_name};
use crate::tables::{DistrictKey, Tables};
use aquifer::Snapshot;

/// A customer, by number or by last name.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Number(u32),
    Name(String),
}

impl Who {
    pub(crate) fn draw(random: &mut Random, customers: u32) -> Who {
        if random.percent(60) {
            return Who::Name(last_name(random.last_name(C_LAST_RUN, customers)));
        }
        Who::Number(random.customer(customers))
    }

    /// The customer's number. Of several with one name it is the one in the middle, by first names (clause 2.5.2.2).
    pub(crate) fn find(
        &self,
        tx: &Snapshot,
        tables: &Tables,
        (warehouse, district): DistrictKey,
    ) -> Result<u32, Stop> {
        let name = match self {
            Who::Number(number) => return Ok(*number),
            Who::Name(name) => name,
        };
        let from = (warehouse, district, name.clone(), String::new(), 0);
        // No name has a zero in it: this one follows on all whose last name it is.
        let to = (warehouse, district, format!("{name}\0"), String::new(), 0);
        let mut numbers = Vec::new();
        for record in tx.range(&tables.customer_names, from..to) {
            let ((_, _, _, _, number), ()) = record?;
            numbers.push(number);
        }
        let middle = numbers.len().saturating_sub(1) / 2;
        must(numbers.get(middle).copied(), "customer-names", (warehouse, district, name))
    }
}

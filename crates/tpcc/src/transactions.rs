//! The five transactions (clauses 2.4 to 2.8).
//!
//! 1. What a transaction draws at random is drawn before it begins, so that it does the same when it is begun again.
//! 2. Each returns something that follows from what it has read, so that no read is for nothing.
//! 3. Order-status and stock-level only read, and take one snapshot: they are never refused.

mod customer;
mod delivery;
mod new_order;
mod order_status;
mod payment;
mod stock_level;

pub(crate) use customer::Who;
pub(crate) use delivery::Delivery;
pub(crate) use new_order::NewOrder;
pub(crate) use order_status::OrderStatus;
pub(crate) use payment::Payment;
pub(crate) use stock_level::StockLevel;

use crate::Error;
use std::fmt::Debug;

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum Stop {
    /// As it was meant to be (clause 2.4.1.4).
    RolledBack,
    /// Something is wrong.
    Failed(Error),
}

impl From<aquifer::Error> for Stop {
    fn from(error: aquifer::Error) -> Stop {
        Stop::Failed(error.into())
    }
}

/// A record that must be there.
fn must<V>(found: Option<V>, table: &'static str, key: impl Debug) -> Result<V, Stop> {
    found.ok_or_else(|| Stop::Failed(Error::Missing { table, key: format!("{key:?}") }))
}

/// Now, in microseconds of Unix time.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}

//! Order-status (clause 2.6): what became of a customer's last order.

use super::{Stop, Who, must};
use crate::Scale;
use crate::random::Random;
use crate::tables::Tables;
use aquifer::Snapshot;

/// Whose order.
#[derive(Debug, Clone)]
pub(crate) struct OrderStatus {
    warehouse: u32,
    district: u8,
    who: Who,
}

impl OrderStatus {
    pub(crate) fn draw(random: &mut Random, scale: &Scale, warehouse: u32, district: u8) -> OrderStatus {
        OrderStatus { warehouse, district, who: Who::draw(random, scale.customers) }
    }

    /// Returns what is to be paid for it.
    pub(crate) fn run(&self, tx: &Snapshot, tables: &Tables) -> Result<i64, Stop> {
        let &OrderStatus { warehouse, district, .. } = self;
        let number = self.who.find(tx, tables, (warehouse, district))?;
        let key = (warehouse, district, number);
        must(tx.get(&tables.customers, &key)?, "customers", key)?;
        let all = (warehouse, district, number, 0)..=(warehouse, district, number, u32::MAX);
        let last = tx.range(&tables.orders_of, all).next_back().transpose()?;
        let ((_, _, _, order), ()) = must(last, "orders-of", key)?;
        let key = (warehouse, district, order);
        must(tx.get(&tables.orders, &key)?, "orders", key)?;
        let mut amount = 0;
        let lines = (warehouse, district, order, 0)..=(warehouse, district, order, u8::MAX);
        for line in tx.range(&tables.order_lines, lines) {
            amount += line?.1.amount;
        }
        Ok(amount)
    }
}

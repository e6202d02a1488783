//! Delivery (clause 2.7): the oldest new order of each district is delivered, all ten in one transaction, at once and not from a queue.

use super::{Stop, must, now};
use crate::random::Random;
use crate::scale::DISTRICTS;
use crate::tables::{Customer, DistrictKey, Order, OrderLine, Tables};
use aquifer::Transaction;

/// Who delivers, and where.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    warehouse: u32,
    carrier: u8,
}

impl Delivery {
    pub(crate) fn draw(random: &mut Random, warehouse: u32) -> Delivery {
        Delivery { warehouse, carrier: random.within(1, 10) as u8 }
    }

    /// Returns how many orders were delivered.
    pub(crate) fn run(&self, tx: &mut Transaction, tables: &Tables) -> Result<i64, Stop> {
        let mut delivered = 0;
        for district in 1..=DISTRICTS {
            delivered += self.deliver(tx, tables, (self.warehouse, district))?;
        }
        Ok(delivered)
    }

    fn deliver(
        &self,
        tx: &mut Transaction,
        tables: &Tables,
        (warehouse, district): DistrictKey,
    ) -> Result<i64, Stop> {
        let mut new =
            tx.range(&tables.new_orders, (warehouse, district, 0)..=(warehouse, district, u32::MAX));
        let Some(oldest) = new.next() else { return Ok(0) };
        drop(new);
        let (key, ()) = oldest?;
        tx.delete(&tables.new_orders, &key)?;
        let order: Order = must(tx.get(&tables.orders, &key)?, "orders", key)?;
        let customer = (warehouse, district, order.customer);
        tx.put(&tables.orders, &key, &Order { carrier: Some(self.carrier), ..order })?;
        let (first, last) = ((key.0, key.1, key.2, 0), (key.0, key.1, key.2, u8::MAX));
        let lines = tx.range(&tables.order_lines, first..=last).collect::<aquifer::Result<Vec<_>>>()?;
        let mut amount = 0;
        for (line_key, line) in lines {
            amount += line.amount;
            tx.put(&tables.order_lines, &line_key, &OrderLine { delivered: Some(now()), ..line })?;
        }
        let owner: Customer = must(tx.get(&tables.customers, &customer)?, "customers", customer)?;
        let (balance, delivery_count) = (owner.balance + amount, owner.delivery_count + 1);
        tx.put(&tables.customers, &customer, &Customer { balance, delivery_count, ..owner })?;
        Ok(1)
    }
}

//! New-order (clause 2.4): a customer orders five to fifteen items; one of a hundred orders names an item that does not exist, and is rolled back.

use super::{Stop, must, now};
use crate::Scale;
use crate::random::Random;
use crate::tables::{Order, OrderLine, Stock, Tables};
use aquifer::Transaction;

/// What is ordered.
#[derive(Debug, Clone)]
pub(crate) struct NewOrder {
    warehouse: u32,
    district: u8,
    customer: u32,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    item: u32,
    supplier: u32,
    quantity: u8,
}

impl NewOrder {
    pub(crate) fn draw(random: &mut Random, scale: &Scale, warehouse: u32, district: u8) -> NewOrder {
        let customer = random.customer(scale.customers);
        let count = random.within(5, 15);
        let mut lines: Vec<Line> = (0..count)
            .map(|_| {
                let remote = scale.warehouses > 1 && random.percent(1);
                Line {
                    item: random.item(scale.items),
                    supplier: if remote { other(random, scale.warehouses, warehouse) } else { warehouse },
                    quantity: random.within(1, 10) as u8,
                }
            })
            .collect();
        if random.percent(1)
            && let Some(last) = lines.last_mut()
        {
            last.item = scale.items + 1;
        }
        NewOrder { warehouse, district, customer, lines }
    }

    /// Returns the price of all.
    pub(crate) fn run(&self, tx: &mut Transaction, tables: &Tables) -> Result<i64, Stop> {
        let &NewOrder { warehouse, district, customer, .. } = self;
        let place = (warehouse, district);
        let warehouse_tax = must(tx.get(&tables.warehouses, &warehouse)?, "warehouses", warehouse)?.tax;
        let district_tax = must(tx.get(&tables.districts, &place)?, "districts", place)?.tax;
        let number = must(tx.get(&tables.district_next, &place)?, "district-next", place)?;
        tx.put(&tables.district_next, &place, &(number + 1))?;
        let buyer = (warehouse, district, customer);
        let discount = must(tx.get(&tables.customers, &buyer)?, "customers", buyer)?.discount;
        let order = Order {
            customer,
            entry: now(),
            carrier: None,
            all_local: self.lines.iter().all(|line| line.supplier == warehouse),
            lines: self.lines.len() as u8,
        };
        let key = (warehouse, district, number);
        tx.put(&tables.orders, &key, &order)?;
        tx.put(&tables.orders_of, &(warehouse, district, customer, number), &())?;
        tx.put(&tables.new_orders, &key, &())?;
        let mut sum = 0;
        for (line_number, line) in (1u8..).zip(&self.lines) {
            let order_line = self.take(tx, tables, line)?;
            sum += order_line.amount;
            tx.put(&tables.order_lines, &(warehouse, district, number, line_number), &order_line)?;
        }
        let taxed = sum * i64::from(10_000 + warehouse_tax + district_tax) / 10_000;
        Ok(taxed * i64::from(10_000 - discount) / 10_000)
    }

    /// Takes a line's items from the stock.
    fn take(&self, tx: &mut Transaction, tables: &Tables, line: &Line) -> Result<OrderLine, Stop> {
        let Some(item) = tx.get(&tables.items, &line.item)? else { return Err(Stop::RolledBack) };
        let key = (line.supplier, line.item);
        let stock: Stock = must(tx.get(&tables.stock, &key)?, "stock", key)?;
        let info = stock.districts[usize::from(self.district - 1)].clone();
        let left = stock.quantity - i32::from(line.quantity);
        let stock = Stock {
            quantity: if left >= 10 { left } else { left + 91 },
            ytd: stock.ytd + u64::from(line.quantity),
            order_count: stock.order_count + 1,
            remote_count: stock.remote_count + u32::from(line.supplier != self.warehouse),
            ..stock
        };
        tx.put(&tables.stock, &key, &stock)?;
        Ok(OrderLine {
            info,
            item: line.item,
            supplier: line.supplier,
            quantity: line.quantity,
            delivered: None,
            amount: item.price * i64::from(line.quantity),
        })
    }
}

/// A warehouse that is not this one, of two or more.
pub(super) fn other(random: &mut Random, warehouses: u32, warehouse: u32) -> u32 {
    let drawn = random.within(1, warehouses - 1);
    if drawn >= warehouse { drawn + 1 } else { drawn }
}

//! Payment (clause 2.5): a customer pays, fifteen of a hundred times at a warehouse that is not the customer's.

use super::new_order::other;
use super::{Stop, Who, must, now};
use crate::Scale;
use crate::random::Random;
use crate::scale::DISTRICTS;
use crate::tables::{Customer, History, Tables};
use aquifer::Transaction;

/// The most that is known about a customer, in bytes.
const DATA_BYTES_MAX: usize = 500;

/// What is paid, where and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    warehouse: u32,
    district: u8,
    customer_warehouse: u32,
    customer_district: u8,
    who: Who,
    amount: i64,
}

impl Payment {
    pub(crate) fn draw(random: &mut Random, scale: &Scale, warehouse: u32, district: u8) -> Payment {
        let remote = scale.warehouses > 1 && random.percent(15);
        let (customer_warehouse, customer_district) = match remote {
            true => (other(random, scale.warehouses, warehouse), random.within(1, DISTRICTS.into()) as u8),
            false => (warehouse, district),
        };
        let who = Who::draw(random, scale.customers);
        let amount = random.within(100, 500_000).into();
        Payment { warehouse, district, customer_warehouse, customer_district, who, amount }
    }

    /// Returns what the customer owes now.
    pub(crate) fn run(&self, tx: &mut Transaction, tables: &Tables) -> Result<i64, Stop> {
        let &Payment { warehouse, district, amount, .. } = self;
        let place = (warehouse, district);
        let warehouse_name = must(tx.get(&tables.warehouses, &warehouse)?, "warehouses", warehouse)?.name;
        let district_name = must(tx.get(&tables.districts, &place)?, "districts", place)?.name;
        let paid = must(tx.get(&tables.warehouse_ytd, &warehouse)?, "warehouse-ytd", warehouse)?;
        tx.put(&tables.warehouse_ytd, &warehouse, &(paid + amount))?;
        let paid = must(tx.get(&tables.district_ytd, &place)?, "district-ytd", place)?;
        tx.put(&tables.district_ytd, &place, &(paid + amount))?;

        let home = (self.customer_warehouse, self.customer_district);
        let number = self.who.find(tx, tables, home)?;
        let key = (home.0, home.1, number);
        let mut customer: Customer = must(tx.get(&tables.customers, &key)?, "customers", key)?;
        customer.balance -= amount;
        customer.ytd_payment += amount;
        customer.payment_count += 1;
        if customer.credit == "BC" {
            let note = format!("{number} {} {} {district} {warehouse} {amount} ", home.1, home.0);
            customer.data.insert_str(0, &note);
            customer.data.truncate(DATA_BYTES_MAX); // letters of one byte each
        }
        tx.put(&tables.customers, &key, &customer)?;
        let data = format!("{warehouse_name}    {district_name}");
        let history = History { data, warehouse, district, date: now(), amount };
        tx.put(&tables.history, &(home.0, home.1, number, customer.payment_count), &history)?;
        Ok(customer.balance)
    }
}

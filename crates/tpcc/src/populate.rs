//! The population at the beginning (clause 4.3.3).
//!
//! 1. It depends on the scale and the seed alone.
//! 2. What was paid follows from the customers: each has paid 10.00 once.

use crate::random::{C_LAST_POPULATION, Random, last_name};
use crate::scale::DISTRICTS;
use crate::tables::{Customer, DistrictKey, History, Item, Order, OrderLine, Place, Stock, Tables};
use crate::{Error, Scale};
use aquifer::{Durability, Key, Table, Value, WriteBatch};

/// Records of a batch.
const BATCH: usize = 200;
/// What each customer has paid, in cents.
const PAID: i64 = 1_000;
/// When everything was before the run, in microseconds of Unix time: the first second of 2024.
const THEN: i64 = 1_704_067_200_000_000;

/// Fills empty tables, and calls `progress` with the warehouses that are done.
///
/// # Errors
///
/// [`Error::Numbers`] for a scale that is too small; whatever the database says.
pub fn populate(tables: &Tables, scale: Scale, seed: u64, progress: &dyn Fn(u32)) -> Result<(), Error> {
    scale.check()?;
    let mut writer = Writer { tables, scale, random: Random::new(seed, 0), batch: WriteBatch::new() };
    for number in 1..=scale.items {
        writer.item(number)?;
    }
    for warehouse in 1..=scale.warehouses {
        writer.random = Random::new(seed, u64::from(warehouse));
        writer.warehouse(warehouse)?;
        for district in 1..=DISTRICTS {
            writer.district((warehouse, district))?;
        }
        progress(warehouse);
    }
    writer.flush()?;
    Ok(tables.db.sync()?)
}

struct Writer<'t> {
    tables: &'t Tables,
    scale: Scale,
    random: Random,
    batch: WriteBatch,
}

impl Writer<'_> {
    fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) -> Result<(), Error> {
        self.batch.put(table, key, value);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.tables.db.write(&mut self.batch, Durability::Eventual)?;
        self.batch.clear();
        Ok(())
    }

    fn address(&mut self) -> [String; 5] {
        let random = &mut self.random;
        let zip = random.digits(4) + "11111";
        [random.text(10, 20), random.text(10, 20), random.text(10, 20), random.text(2, 2), zip]
    }

    fn place(&mut self) -> Place {
        let name = self.random.text(6, 10);
        Place { name, address: self.address(), tax: self.random.within(0, 2000) }
    }

    fn item(&mut self, number: u32) -> Result<(), Error> {
        let random = &mut self.random;
        let item = Item {
            name: random.text(14, 24),
            data: random.data(26, 50),
            image: random.within(1, 10_000),
            price: random.within(100, 10_000).into(),
        };
        self.put(&self.tables.items, &number, &item)
    }

    fn warehouse(&mut self, warehouse: u32) -> Result<(), Error> {
        let place = self.place();
        self.put(&self.tables.warehouses, &warehouse, &place)?;
        let paid = PAID * i64::from(self.scale.customers) * i64::from(DISTRICTS);
        self.put(&self.tables.warehouse_ytd, &warehouse, &paid)?;
        for item in 1..=self.scale.items {
            let random = &mut self.random;
            let stock = Stock {
                districts: std::array::from_fn(|_| random.text(24, 24)),
                data: random.data(26, 50),
                quantity: random.within(10, 100) as i32,
                ytd: 0,
                order_count: 0,
                remote_count: 0,
            };
            self.put(&self.tables.stock, &(warehouse, item), &stock)?;
        }
        Ok(())
    }

    fn district(&mut self, key: DistrictKey) -> Result<(), Error> {
        let place = self.place();
        self.put(&self.tables.districts, &key, &place)?;
        self.put(&self.tables.district_ytd, &key, &(PAID * i64::from(self.scale.customers)))?;
        self.put(&self.tables.district_next, &key, &(self.scale.customers + 1))?;
        for number in 1..=self.scale.customers {
            self.customer(key, number)?;
        }
        let mut customers: Vec<u32> = (1..=self.scale.customers).collect();
        self.random.shuffle(&mut customers);
        for (order, customer) in (1..).zip(customers) {
            self.order(key, order, customer)?;
        }
        Ok(())
    }

    fn customer(&mut self, (warehouse, district): DistrictKey, number: u32) -> Result<(), Error> {
        // The first thousand have all names, the others some far more often than others.
        let last = match number {
            1..=1000 => number - 1,
            _ => self.random.last_name(C_LAST_POPULATION, self.scale.customers),
        };
        let address = self.address();
        let random = &mut self.random;
        let customer = Customer {
            first: random.text(8, 16),
            middle: "OE".into(),
            last: last_name(last),
            address,
            phone: random.digits(16),
            credit: if random.percent(10) { "BC" } else { "GC" }.into(),
            data: random.text(300, 500),
            since: THEN,
            credit_limit: 5_000_000,
            discount: random.within(0, 5000),
            balance: -PAID,
            ytd_payment: PAID,
            payment_count: 1,
            delivery_count: 0,
        };
        let history = History { data: random.text(12, 24), warehouse, district, date: THEN, amount: PAID };
        let name = (warehouse, district, customer.last.clone(), customer.first.clone(), number);
        self.put(&self.tables.customers, &(warehouse, district, number), &customer)?;
        self.put(&self.tables.customer_names, &name, &())?;
        self.put(&self.tables.history, &(warehouse, district, number, 1), &history)
    }

    fn order(&mut self, (warehouse, district): DistrictKey, number: u32, customer: u32) -> Result<(), Error> {
        let random = &mut self.random;
        let delivered = number <= self.scale.delivered();
        let lines = random.within(5, 15) as u8;
        let carrier = delivered.then(|| random.within(1, 10) as u8);
        let order = Order { customer, entry: THEN, carrier, all_local: true, lines };
        let key = (warehouse, district, number);
        self.put(&self.tables.orders, &key, &order)?;
        self.put(&self.tables.orders_of, &(warehouse, district, customer, number), &())?;
        if !delivered {
            self.put(&self.tables.new_orders, &key, &())?;
        }
        for line in 1..=lines {
            let random = &mut self.random;
            let order_line = OrderLine {
                info: random.text(24, 24),
                item: random.within(1, self.scale.items),
                supplier: warehouse,
                quantity: 5,
                delivered: delivered.then_some(THEN),
                amount: if delivered { 0 } else { random.within(1, 999_999).into() },
            };
            self.put(&self.tables.order_lines, &(warehouse, district, number, line), &order_line)?;
        }
        Ok(())
    }
}

//! How large a population is.
//!
//! 1. The specification fixes all but the warehouses (clause 1.2.1). Other numbers are for tests, and what they give may not be called by its name.

use crate::Error;

/// Districts of a warehouse.
pub const DISTRICTS: u8 = 10;

/// How large a population is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Warehouses; everything but the items grows with them.
    pub warehouses: u32,
    /// Items, and for each warehouse as many records of stock.
    pub items: u32,
    /// Customers of a district, and its orders at the beginning, one of each customer.
    pub customers: u32,
}

impl Scale {
    /// What the specification says: 100,000 items, and 3,000 customers in each district.
    pub fn of(warehouses: u32) -> Scale {
        Scale { warehouses, items: 100_000, customers: 3_000 }
    }

    /// A small one, for tests.
    pub fn small(warehouses: u32) -> Scale {
        Scale { warehouses, items: 100, customers: 30 }
    }

    /// Orders of a district at the beginning that are delivered: seven tenths. The others are new.
    pub fn delivered(&self) -> u32 {
        self.customers / 10 * 7
    }

    /// Records at the beginning, order lines apart (there are 5 to 15 for each order) and without the records by which others are found.
    pub fn records(&self) -> u64 {
        let [warehouses, items, customers] = [self.warehouses, self.items, self.customers].map(u64::from);
        let new_orders = customers - u64::from(self.delivered());
        let district = 1 + 3 * customers + new_orders; // customers, history, orders
        items + warehouses * (1 + items + u64::from(DISTRICTS) * district)
    }

    /// Whether there is enough of everything.
    ///
    /// # Errors
    ///
    /// [`Error::Numbers`], which names the number.
    pub fn check(&self) -> Result<(), Error> {
        let what = if self.warehouses == 0 || self.warehouses > 100_000 {
            format!("there are {} warehouses; 1 to 100,000 can be had", self.warehouses)
        } else if self.items < 20 {
            format!("there are {} items; an order needs at least 20 to choose from", self.items)
        } else if self.customers < 10 {
            format!("a district has {} customers; at least 10 are needed", self.customers)
        } else {
            return Ok(());
        };
        Err(Error::Numbers { what })
    }
}

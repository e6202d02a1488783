//! Stock-level (clause 2.8): how many items of a district's last twenty orders are short.

use super::{Stop, must};
use crate::random::Random;
use crate::tables::Tables;
use aquifer::Snapshot;
use std::collections::BTreeSet;

/// Orders that are looked at.
const ORDERS: u32 = 20;

/// Where, and what is short.
#[derive(Debug, Clone)]
pub(crate) struct StockLevel {
    warehouse: u32,
    district: u8,
    threshold: i32,
}

impl StockLevel {
    pub(crate) fn draw(random: &mut Random, warehouse: u32, district: u8) -> StockLevel {
        StockLevel { warehouse, district, threshold: random.within(10, 20) as i32 }
    }

    /// Returns how many items are short.
    pub(crate) fn run(&self, tx: &Snapshot, tables: &Tables) -> Result<i64, Stop> {
        let &StockLevel { warehouse, district, threshold } = self;
        let place = (warehouse, district);
        let next = must(tx.get(&tables.district_next, &place)?, "district-next", place)?;
        let lines = (warehouse, district, next.saturating_sub(ORDERS), 0)..(warehouse, district, next, 0);
        let mut items = BTreeSet::new();
        for line in tx.range(&tables.order_lines, lines) {
            items.insert(line?.1.item);
        }
        let mut short = 0;
        for item in items {
            let key = (warehouse, item);
            let stock = must(tx.get(&tables.stock, &key)?, "stock", key)?;
            short += i64::from(stock.quantity < threshold);
        }
        Ok(short)
    }
}

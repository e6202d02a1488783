//! The conditions of one district and its customers.

use super::Checker;
use crate::Error;
use crate::tables::{Customer, DistrictKey, Order, OrderLine};
use std::collections::{BTreeMap, BTreeSet};

/// All that a district has.
pub(super) struct District {
    key: DistrictKey,
    next: u32,
    orders: BTreeMap<u32, Order>,
    new: BTreeSet<u32>,
    lines: BTreeMap<(u32, u8), OrderLine>,
    customers: BTreeMap<u32, Customer>,
    /// Last and first name, and number.
    names: BTreeSet<(String, String, u32)>,
    /// Customer and order.
    orders_of: BTreeSet<(u32, u32)>,
}

impl District {
    pub(super) fn read(checker: &mut Checker<'_>, key: DistrictKey) -> Result<District, Error> {
        let (snapshot, tables, (w, d)) = (checker.snapshot, checker.tables, key);
        let next = checker.must(snapshot.get(&tables.district_next, &key)?, "district-next", key)?;
        let mut district = District {
            key,
            next,
            orders: BTreeMap::new(),
            new: BTreeSet::new(),
            lines: BTreeMap::new(),
            customers: BTreeMap::new(),
            names: BTreeSet::new(),
            orders_of: BTreeSet::new(),
        };
        for record in snapshot.range(&tables.orders, (w, d, 0)..=(w, d, u32::MAX)) {
            let ((_, _, number), order) = record?;
            district.orders.insert(number, order);
        }
        for record in snapshot.range(&tables.new_orders, (w, d, 0)..=(w, d, u32::MAX)) {
            district.new.insert(record?.0.2);
        }
        for record in snapshot.range(&tables.order_lines, (w, d, 0, 0)..=(w, d, u32::MAX, u8::MAX)) {
            let ((_, _, order, number), line) = record?;
            district.lines.insert((order, number), line);
        }
        for record in snapshot.range(&tables.customers, (w, d, 0)..=(w, d, u32::MAX)) {
            let ((_, _, number), customer) = record?;
            district.customers.insert(number, customer);
        }
        let names = (w, d, String::new(), String::new(), 0)..(w, d + 1, String::new(), String::new(), 0);
        for record in snapshot.range(&tables.customer_names, names) {
            let ((_, _, last, first, number), ()) = record?;
            district.names.insert((last, first, number));
        }
        for record in snapshot.range(&tables.orders_of, (w, d, 0, 0)..=(w, d, u32::MAX, u32::MAX)) {
            let ((_, _, customer, order), ()) = record?;
            district.orders_of.insert((customer, order));
        }
        Ok(district)
    }

    pub(super) fn check(&self, checker: &mut Checker<'_>, paid: &BTreeMap<(u32, u8, u32), i64>) {
        self.numbers(checker);
        self.lines(checker);
        self.customers(checker, paid);
        self.ways(checker);
    }

    /// Conditions 2, 3 and 5.
    fn numbers(&self, checker: &mut Checker<'_>) {
        let place = || format!("district {:?}", self.key);
        let last = self.next - 1;
        checker.equal(2, place, last, self.orders.last_key_value().map_or(0, |(&number, _)| number));
        if let (Some(&least), Some(&greatest)) = (self.new.first(), self.new.last()) {
            checker.equal(2, place, last, greatest);
            checker.equal(3, place, self.new.len() as u32, greatest - least + 1);
        }
        let undelivered = self.orders.iter().filter(|(_, order)| order.carrier.is_none());
        let undelivered: BTreeSet<u32> = undelivered.map(|(&number, _)| number).collect();
        checker.equal(5, place, &undelivered, &self.new);
    }

    /// Conditions 4, 6 and 7; and what 14 has to know.
    fn lines(&self, checker: &mut Checker<'_>) {
        let place = || format!("district {:?}", self.key);
        let said: u64 = self.orders.values().map(|order| u64::from(order.lines)).sum();
        checker.equal(4, place, said, self.lines.len() as u64);
        for (&number, order) in &self.orders {
            let place = || format!("order {number} of district {:?}", self.key);
            let lines = self.lines.range((number, 0)..=(number, u8::MAX));
            checker.equal(6, place, usize::from(order.lines), lines.clone().count());
            let open = lines.filter(|(_, line)| line.delivered.is_none()).count();
            let due = if order.carrier.is_none() { usize::from(order.lines) } else { 0 };
            checker.equal(7, place, open, due);
        }
        for (&(order, _), line) in &self.lines {
            if order > checker.scale.customers {
                let ordered = checker.ordered.entry((line.supplier, line.item)).or_default();
                ordered.0 += u64::from(line.quantity);
                ordered.1 += 1;
            }
        }
    }

    /// Conditions 10 and 12.
    fn customers(&self, checker: &mut Checker<'_>, paid: &BTreeMap<(u32, u8, u32), i64>) {
        let mut delivered: BTreeMap<u32, i64> = BTreeMap::new();
        for (&(number, _), line) in self.lines.iter().filter(|(_, line)| line.delivered.is_some()) {
            if let Some(order) = self.orders.get(&number) {
                *delivered.entry(order.customer).or_default() += line.amount;
            }
        }
        for (&number, customer) in &self.customers {
            let place = || format!("customer {number} of district {:?}", self.key);
            let delivered = delivered.get(&number).copied().unwrap_or_default();
            let paid = paid.get(&(self.key.0, self.key.1, number)).copied().unwrap_or_default();
            checker.equal(10, place, customer.balance, delivered - paid);
            checker.equal(12, place, customer.balance + customer.ytd_payment, delivered);
        }
    }

    /// Condition 13.
    fn ways(&self, checker: &mut Checker<'_>) {
        let place = || format!("district {:?}", self.key);
        let names = self.customers.iter();
        let names = names.map(|(&number, who)| (who.last.clone(), who.first.clone(), number)).collect();
        checker.equal(13, place, &self.names, &names);
        let orders_of = self.orders.iter().map(|(&number, order)| (order.customer, number)).collect();
        checker.equal(13, place, &self.orders_of, &orders_of);
    }
}

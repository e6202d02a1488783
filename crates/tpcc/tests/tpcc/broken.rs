//! The check finds what is broken.

use crate::{assert_consistent, plan, populated};
use aquifer_tpcc::tables::{Customer, History, Order, OrderLine, Stock};
use aquifer_tpcc::{Scale, Tables, check, run};

/// A payment at a warehouse and a district of it as a transaction makes it, but from a value of the warehouse's that was read by somebody else before.
fn pay_on(tables: &Tables, read: i64, customer: u32, amount: i64) {
    let mut tx = tables.db.begin().unwrap();
    tx.put(&tables.warehouse_ytd, &1, &(read + amount)).unwrap();
    let paid = tx.get(&tables.district_ytd, &(1, 1)).unwrap().unwrap();
    tx.put(&tables.district_ytd, &(1, 1), &(paid + amount)).unwrap();
    let key = (1, 1, customer);
    let mut payer: Customer = tx.get(&tables.customers, &key).unwrap().unwrap();
    payer.balance -= amount;
    payer.ytd_payment += amount;
    payer.payment_count += 1;
    tx.put(&tables.customers, &key, &payer).unwrap();
    let history = History { data: String::new(), warehouse: 1, district: 1, date: 0, amount };
    tx.put(&tables.history, &(1, 1, customer, payer.payment_count), &history).unwrap();
    tx.commit().unwrap();
}

/// Two payments read what a warehouse was paid, and then both write: what an engine without conflicts would let through.
#[test]
fn a_lost_update_is_found() {
    let scale = Scale::small(1);
    let tables = populated(scale);
    let read = || tables.warehouse_ytd.get(&1).unwrap().unwrap();
    pay_on(&tables, read(), 1, 500);
    pay_on(&tables, read(), 2, 700);
    assert_consistent(&tables, scale, "one after the other");
    let [first, second] = [read(), read()];
    pay_on(&tables, first, 1, 500);
    pay_on(&tables, second, 2, 700);
    let found = check(&tables, scale).unwrap();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "consistency condition 1 does not hold of warehouse 1: 301900 is not 302400",
            "consistency condition 8 does not hold of warehouse 1: 301900 is not 302400",
        ]
    );
}

/// Breaks a database after a run, and tells which conditions do not hold then.
#[track_caller]
fn found(break_it: impl Fn(&Tables) -> aquifer::Result<()>) -> Vec<u32> {
    let scale = Scale::small(1);
    let tables = populated(scale);
    run(&tables, &plan(scale, 1, 50, 1), &|_| {}).unwrap();
    assert_consistent(&tables, scale, "before it is broken");
    break_it(&tables).unwrap();
    let mut conditions: Vec<u32> = check(&tables, scale).unwrap().iter().map(|one| one.condition).collect();
    conditions.dedup();
    conditions.sort_unstable();
    conditions.dedup();
    conditions
}

#[test]
fn every_condition_is_found_to_be_broken() {
    // An order that is delivered, and one that is not, of district 2.
    let (old, new) = ((1, 2, 3), (1, 2, 30));
    assert_eq!(found(|t| t.warehouse_ytd.put(&1, &5)), [1, 8]);
    assert_eq!(found(|t| t.district_ytd.put(&(1, 2), &5)), [1, 9]);
    assert_eq!(found(|t| t.district_next.put(&(1, 2), &77)), [2]);
    // One from the middle of the new orders, though they are delivered in turn.
    assert_eq!(found(|t| t.new_orders.delete(&(1, 2, 29))), [3, 5]);
    assert_eq!(found(|t| t.order_lines.delete(&(1, 2, 30, 1))), [4, 6, 7]);
    assert_eq!(
        found(|t| {
            let order: Order = t.orders.get(&old)?.expect("it is there");
            t.orders.put(&old, &Order { carrier: None, ..order })
        }),
        [5, 7]
    );
    assert_eq!(
        found(|t| {
            let order: Order = t.orders.get(&new)?.expect("it is there");
            t.orders.put(&new, &Order { lines: order.lines + 1, ..order })
        }),
        [4, 6, 7]
    );
    assert_eq!(
        found(|t| {
            let key = (new.0, new.1, new.2, 1);
            let line: OrderLine = t.order_lines.get(&key)?.expect("it is there");
            t.order_lines.put(&key, &OrderLine { delivered: Some(1), amount: 1, ..line })
        }),
        [7, 10, 12]
    );
    assert_eq!(
        found(|t| {
            let history: History = t.history.get(&(1, 2, 4, 1))?.expect("it is there");
            t.history.put(&(1, 2, 4, 1), &History { amount: history.amount + 1, ..history })
        }),
        [8, 9, 10]
    );
    assert_eq!(
        found(|t| {
            let customer: Customer = t.customers.get(&(1, 2, 4))?.expect("it is there");
            t.customers.put(&(1, 2, 4), &Customer { ytd_payment: 1, ..customer })
        }),
        [12]
    );
    assert_eq!(
        found(|t| {
            let customer: Customer = t.customers.get(&(1, 2, 4))?.expect("it is there");
            t.customers.put(&(1, 2, 4), &Customer { first: "Nobody".into(), ..customer })
        }),
        [13]
    );
    assert_eq!(
        found(|t| {
            let stock: Stock = t.stock.get(&(1, 7))?.expect("it is there");
            t.stock.put(&(1, 7), &Stock { ytd: stock.ytd + 1, ..stock })
        }),
        [14]
    );
    assert_eq!(found(|_| Ok(())), [] as [u32; 0]);
}

//! Runs of several threads.

use crate::{assert_consistent, plan, populated};
use aquifer::Isolation;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_tpcc::{Error, Kind, Plan, Scale, Tables, populate, run};
use std::time::Duration;

#[test]
fn a_population_is_consistent_and_as_large_as_it_says() {
    for scale in [Scale::small(1), Scale::small(3)] {
        let tables = populated(scale);
        assert_consistent(&tables, scale, "a fresh population");
        let snapshot = tables.db.snapshot().unwrap();
        let orders = snapshot.count(&tables.orders, ..).unwrap();
        let new_orders = snapshot.count(&tables.new_orders, ..).unwrap();
        let districts = 10 * u64::from(scale.warehouses);
        // Condition 11, of these numbers.
        assert_eq!((orders, orders - new_orders), (30 * districts, 21 * districts));
        let counted = [
            snapshot.count(&tables.items, ..).unwrap(),
            snapshot.count(&tables.warehouses, ..).unwrap(),
            snapshot.count(&tables.stock, ..).unwrap(),
            snapshot.count(&tables.districts, ..).unwrap(),
            snapshot.count(&tables.customers, ..).unwrap(),
            snapshot.count(&tables.history, ..).unwrap(),
            orders,
            new_orders,
        ];
        assert_eq!(scale.records(), counted.iter().sum::<u64>());
    }
}

#[test]
fn conditions_hold_after_threads_at_each_level() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let scale = Scale::small(2);
        let tables = populated(scale);
        let committed = AtomicU64::new(0);
        let count = |_| {
            committed.fetch_add(1, Ordering::Relaxed);
        };
        let outcome = run(&tables, &Plan { isolation, ..plan(scale, 4, 500, 7) }, &count).unwrap();
        assert_consistent(&tables, scale, &format!("{isolation:?}"));
        let all = outcome.all();
        assert_eq!(all.done(), 2000);
        assert_eq!(all.committed, committed.load(Ordering::Relaxed));
        assert!(outcome.kinds.iter().all(|figures| figures.committed > 20), "{outcome:?}");
        // A hundredth of 900 new orders; nobody else rolls back.
        let rolled_back = outcome.of(Kind::NewOrder).rolled_back;
        assert!((1..40).contains(&rolled_back) && rolled_back == all.rolled_back, "{rolled_back}");
        assert!(all.latency_us(0.5) > 0.0 && all.latency_us(0.5) <= all.latency_us(0.999));
        assert!(outcome.new_orders_per_minute() > 0.0);
        // What only reads is never refused.
        for kind in [Kind::OrderStatus, Kind::StockLevel] {
            assert_eq!(outcome.of(kind).retries, 0, "{kind:?}");
        }
        let orders = tables.db.snapshot().unwrap().count(&tables.orders, ..).unwrap();
        assert_eq!(orders, 600 + outcome.of(Kind::NewOrder).committed);
    }
}

#[test]
fn one_thread_is_never_refused_and_does_the_same_again() {
    let balances = |seed| {
        let scale = Scale::small(1);
        let tables = populated(scale);
        let outcome = run(&tables, &plan(scale, 1, 300, seed), &|_| {}).unwrap();
        assert_eq!(outcome.all().retries, 0);
        let snapshot = tables.db.snapshot().unwrap();
        let customers = snapshot.range(&tables.customers, ..);
        customers.map(|record| record.unwrap().1.balance).collect::<Vec<_>>()
    };
    assert_eq!(balances(1), balances(1));
    assert_ne!(balances(1), balances(2));
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let scale = Scale::small(1);
    let tables = populated(scale);
    let time = Duration::from_millis(200);
    let outcome = run(&tables, &Plan { time, transactions: None, ..plan(scale, 2, 0, 1) }, &|_| {}).unwrap();
    assert!(outcome.elapsed >= time && outcome.all().done() > 0, "{outcome:?}");
    assert_consistent(&tables, scale, "some time");
}

#[test]
fn a_population_of_another_scale_is_told() {
    let tables = populated(Scale::small(1));
    let error = run(&tables, &plan(Scale::small(9), 2, 500, 1), &|_| {}).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    let tables = Tables::emptied(&tables.db).unwrap();
    let none = Scale { items: 5, ..Scale::small(1) };
    let error = populate(&tables, none, 1, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("there are 5 items"), "{error}");
}

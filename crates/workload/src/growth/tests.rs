//! What may be read, whatever the order of writes.

use super::Growth;

#[test]
fn a_gap_holds_back_what_comes_after_it() {
    let growth = Growth::new(10);
    assert_eq!([growth.take(), growth.take(), growth.take()], [10, 11, 12]);
    assert_eq!(growth.readable(), 10);
    growth.written(12);
    growth.written(11);
    assert_eq!(growth.readable(), 10);
    growth.written(10);
    assert_eq!(growth.readable(), 13);
}

#[test]
fn threads_leave_no_gap() {
    let growth = &Growth::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let number = growth.take();
                    growth.written(number);
                    assert!(growth.readable() <= 20_000);
                }
            });
        }
    });
    assert_eq!(growth.readable(), 20_000);
}

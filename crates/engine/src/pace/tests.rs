//! Back-pressure.

use super::*;

#[test]
fn a_byte_costs_nothing_until_half_beyond_the_bound() {
    assert_eq!(cost(0, 1000), 0);
    assert_eq!(cost(1499, 1000), 0);
    assert_eq!(cost(1500, 1000), PICOSECONDS_FIRST);
}

#[test]
fn the_cost_doubles_with_each_quarter_up_to_a_bound() {
    assert_eq!(cost(1750, 1000), 2 * PICOSECONDS_FIRST);
    assert_eq!(cost(2000, 1000), 4 * PICOSECONDS_FIRST);
    assert_eq!(cost(u64::MAX, 1000), PICOSECONDS_MAX);
    assert_eq!(cost(2500, 1000), 16 * PICOSECONDS_FIRST);
}

#[test]
fn debt_is_slept_off_in_pieces() {
    let pace = Pace::default();
    pace.slow_down(1 << 20);
    assert_eq!(pace.slept_us(), 0, "nothing is charged within the bound");
    pace.set(1500, 1000);
    pace.slow_down(36); // 100 bytes at 10 ns
    assert_eq!(pace.slept_us(), 0, "too little to sleep for");
    pace.slow_down(100_000);
    assert!(pace.slept_us() >= 1000);
}

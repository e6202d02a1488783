//! Tests of `stripes`.

use super::*;

#[test]
fn a_stripe_has_a_line_of_its_own() {
    assert_eq!(size_of::<Stripe>() % 64, 0);
    assert_eq!(Stripes::bytes(1024), 1024 * size_of::<Stripe>());
}

#[test]
fn keys_of_different_tables_spread_over_all_stripes() {
    let stripes = Stripes::new(16);
    let mut seen = std::collections::BTreeSet::new();
    for table in 0..4 {
        for key in 0u32..64 {
            seen.insert(stripes.of(table, &key.to_be_bytes()));
        }
    }
    assert_eq!(seen.len(), 16);
    assert_ne!(
        (0u32..64).map(|key| stripes.of(1, &key.to_be_bytes())).collect::<Vec<_>>(),
        (0u32..64).map(|key| stripes.of(2, &key.to_be_bytes())).collect::<Vec<_>>(),
    );
}

#[test]
fn commits_are_counted_under_their_stripes() {
    let stripes = Stripes::new(16);
    for key in 0u32..40 {
        stripes.lock(1, &key.to_be_bytes()).committed();
    }
    stripes.lock_many(&[0, 3, 7])[1].committed();
    assert_eq!(stripes.commits(), 41);
    assert_eq!(stripes.lock_all().len(), 16);
}

#[test]
#[should_panic(expected = "T4")]
fn reservations_under_a_stripe_rise() {
    let stripes = Stripes::new(1);
    let mut held = stripes.lock(1, b"k");
    held.reserved(Lsn(10));
    held.reserved(Lsn(10));
}

//! The zipf distribution: few records are popular, most are not.
//!
//! 1. Rank `r` (from 0) comes with a probability of nearly 1 / (r + 1)^0.99, as in YCSB.
//! 2. Popular ranks are scattered over the records, so that neither neighbours in key order nor records that
//!    were loaded together are popular together.
//!
//! Source: Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994), section 3.2; Cooper et
//! al., "Benchmarking Cloud Serving Systems with YCSB" (SoCC 2010).

use crate::random::{Random, scatter};

/// The skew that YCSB uses.
pub const THETA: f64 = 0.99;

/// Terms of the zeta sum that are added one by one; the rest is an integral.
const TERMS_MAX: u64 = 100_000;

/// A zipf distribution over `0..count`.
#[derive(Debug, Clone)]
pub struct Zipf {
    count: u64,
    /// The sum of all weights.
    zeta: f64,
    /// 1 / (1 − theta).
    alpha: f64,
    /// Gray's eta: makes the approximation exact at ranks 0 and 1.
    eta: f64,
}

impl Zipf {
    /// Over `count` items. Takes a millisecond at most, whatever `count` is.
    ///
    /// # Panics
    /// When `count` is 0.
    pub fn new(count: u64) -> Zipf {
        assert!(count > 0, "a distribution over nothing");
        let zeta = zeta(count);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - THETA)) / (1.0 - zeta_of_two() / zeta);
        Zipf { count, zeta, alpha: 1.0 / (1.0 - THETA), eta }
    }

    /// A rank: 0 is the most popular. Costs one power.
    #[inline]
    pub fn rank(&self, random: &mut Random) -> u64 {
        let unit = random.unit();
        let weight = unit * self.zeta;
        if weight < 1.0 {
            return 0;
        }
        if weight < zeta_of_two() {
            return 1.min(self.count - 1);
        }
        let rank = self.count as f64 * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count - 1)
    }

    /// An item whose popularity has nothing to do with its number (rule 2). Two ranks may fall on one item, as
    /// in YCSB.
    #[inline]
    pub fn scattered(&self, random: &mut Random) -> u64 {
        let place = scatter(self.rank(random).wrapping_add(0x9E37_79B9_7F4A_7C15));
        ((u128::from(place) * u128::from(self.count)) >> 64) as u64
    }
}

/// The sum of the weights of ranks 0 and 1.
#[inline]
fn zeta_of_two() -> f64 {
    // 0.5^0.99, to all its bits.
    1.0 + 0.503_477_775_028_359_4
}

/// The sum of 1 / i^theta for i from 1 to `count`.
fn zeta(count: u64) -> f64 {
    let exact = count.min(TERMS_MAX);
    // The small terms first, so that they are not lost.
    let head: f64 = (1..=exact).rev().map(|i| (i as f64).powf(-THETA)).sum();
    // Euler–Maclaurin: the integral, and half of the difference of the ends; what is left out is below 1e-12.
    let (from, to) = (exact as f64, count as f64);
    let integral = (to.powf(1.0 - THETA) - from.powf(1.0 - THETA)) / (1.0 - THETA);
    head + integral + (to.powf(-THETA) - from.powf(-THETA)) / 2.0
}

#[cfg(test)]
mod tests;

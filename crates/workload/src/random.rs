//! Random numbers for generators: fast, seeded, the same on every machine.
//!
//! 1. Equal seeds and streams give equal numbers, for ever: results of different days are of the same work.
//!
//! Source: Blackman & Vigna, "Scrambled Linear Pseudorandom Number Generators" (2021): xoshiro256++, seeded by
//! splitmix64 as they recommend.

/// A bijection on 64 bits that scatters its inputs: the finalizer of splitmix64.
///
/// ```
/// assert_eq!(aquifer_workload::random::scatter(0), 0);
/// assert_eq!(aquifer_workload::random::scatter(1), 0x5692_161D_100B_05E5);
/// ```
#[inline]
pub fn scatter(number: u64) -> u64 {
    // Each step can be undone, so the whole can: a shift by half or more of the bits twice at most, and a
    // multiplication by an odd number.
    let mut bits = number;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// A generator of random numbers: xoshiro256++. Not for secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator. Different streams of one seed are independent: a thread takes its number for a stream.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut counter = scatter(seed ^ scatter(stream.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        let state = std::array::from_fn(|_| {
            counter = counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
            scatter(counter)
        });
        Random { state }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to `bound` − 1, uniform but for a bias of less than `bound` in 2⁶⁴; 0 where `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 up to, but not including, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Fills `bytes`.
    #[inline]
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let mut chunks = bytes.chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes());
        }
        let rest = chunks.into_remainder();
        let last = self.next_u64().to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

#[cfg(test)]
mod tests;

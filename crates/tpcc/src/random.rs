//! Numbers and names as the specification draws them (clauses 2.1.6, 4.3.2).
//!
//! 1. Equal seeds draw equal numbers.
//! 2. The constants of NURand are fixed; those of last names differ between population and run as clause 2.1.6.1 asks: by 65 to 119, but for 96
//!    and 112.

/// C of last names in the population.
pub const C_LAST_POPULATION: u32 = 90;
/// C of last names in runs.
pub const C_LAST_RUN: u32 = 173;
/// C of customers' numbers.
const C_CUSTOMER: u32 = 259;
/// C of items' numbers.
const C_ITEM: u32 = 7911;

/// A generator: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of this number of a seed.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xA076_1D64_78BD_642F));
        random.draw();
        random
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `least` to `most`, both included, all alike.
    ///
    /// # Panics
    ///
    /// If `least` is greater.
    pub fn within(&mut self, least: u32, most: u32) -> u32 {
        assert!(least <= most, "a range has a least number and a most");
        let width = u64::from(most - least) + 1;
        least + (((self.draw() >> 32) * width) >> 32) as u32
    }

    /// True for so many of a hundred.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.within(1, 100) <= percent
    }

    /// NURand(A, x, y) with this C (clause 2.1.6).
    fn nonuniform(&mut self, a: u32, c: u32, least: u32, most: u32) -> u32 {
        let both = self.within(0, a) | self.within(least, most);
        (both + c) % (most - least + 1) + least
    }

    /// A customer of a district of so many.
    pub fn customer(&mut self, customers: u32) -> u32 {
        self.nonuniform(1023.min(width_of(customers)), C_CUSTOMER, 1, customers)
    }

    /// An item of so many.
    pub fn item(&mut self, items: u32) -> u32 {
        self.nonuniform(8191.min(width_of(items)), C_ITEM, 1, items)
    }

    /// The number of a last name, of those that a district of so many customers has.
    pub fn last_name(&mut self, c: u32, customers: u32) -> u32 {
        let names = customers.min(1000);
        self.nonuniform(255.min(width_of(names)), c, 0, names - 1)
    }

    /// So many letters and digits, from `least` to `most`.
    pub fn text(&mut self, least: u32, most: u32) -> String {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789. ";
        let letters = self.within(least, most);
        (0..letters).map(|_| char::from(LETTERS[self.within(0, 63) as usize])).collect()
    }

    /// So many digits.
    pub fn digits(&mut self, count: u32) -> String {
        (0..count).map(|_| char::from(b'0' + self.within(0, 9) as u8)).collect()
    }

    /// Text of `least` to `most` letters, with "ORIGINAL" somewhere in a tenth of all cases (clause 4.3.3.1).
    pub fn data(&mut self, least: u32, most: u32) -> String {
        let mut data = self.text(least, most);
        if self.percent(10) {
            let at = self.within(0, data.len() as u32 - 8) as usize;
            data.replace_range(at..at + 8, "ORIGINAL");
        }
        data
    }

    /// Mixes up a list: all orders are alike.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.within(0, end as u32) as usize);
        }
    }
}

/// The mask that a scale takes where it is too small for the specification's: below the next power of two.
fn width_of(count: u32) -> u32 {
    count.next_power_of_two() - 1
}

/// The last name of a number from 0 to 999 (clause 4.3.2.3).
pub fn last_name(number: u32) -> String {
    const PARTS: [&str; 10] =
        ["BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING"];
    [number / 100, number / 10, number].map(|part| PARTS[(part % 10) as usize]).concat()
}

#[cfg(all(test, not(loom)))]
mod tests;

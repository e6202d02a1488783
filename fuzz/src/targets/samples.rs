//! Values of every type that keys and values may have, out of arbitrary bytes, and their order.

use crate::source::Source;
use std::cmp::Ordering;

/// A type whose values can be made and compared.
pub(super) trait Sample: Sized {
    /// A value out of bytes.
    fn sample(source: &mut Source<'_>) -> Self;

    /// The order that an ordered encoding keeps: total, with floats as `total_cmp` has them.
    fn order(&self, other: &Self) -> Ordering;

    /// Are they the same, to the bit?
    fn same(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

macro_rules! plain {
    ($($type:ty: $source:ident => $sample:expr;)*) => {$(
        impl Sample for $type {
            fn sample($source: &mut Source<'_>) -> Self {
                $sample
            }

            fn order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
        }
    )*};
}

plain! {
    u8: source => source.u8();
    u16: source => source.u16();
    u32: source => source.u32();
    u64: source => source.u64();
    u128: source => u128::from_le_bytes(source.array());
    i8: source => source.u8() as i8;
    i16: source => source.u16() as i16;
    i32: source => source.u32() as i32;
    i64: source => source.u64() as i64;
    i128: source => i128::from_le_bytes(source.array());
    bool: source => source.u8() & 1 == 1;
    char: source => char::from_u32(source.u32() % 0x11_0000).unwrap_or('\u{0}');
    (): _source => ();
    Vec<u8>: source => {
        let len = source.below(24);
        source.take(len).to_vec()
    };
    String: source => {
        let len = source.below(24);
        String::from_utf8_lossy(source.take(len)).into_owned()
    };
}

macro_rules! float {
    ($($type:ty, $bits:ident;)*) => {$(
        impl Sample for $type {
            fn sample(source: &mut Source<'_>) -> Self {
                <$type>::from_bits(source.$bits())
            }

            fn order(&self, other: &Self) -> Ordering {
                self.total_cmp(other)
            }
        }
    )*};
}

float! {
    f32, u32;
    f64, u64;
}

impl<T: Sample> Sample for Option<T> {
    fn sample(source: &mut Source<'_>) -> Self {
        (source.u8() & 1 == 1).then(|| T::sample(source))
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Some(a), Some(b)) => a.order(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

impl<T: Sample, const N: usize> Sample for [T; N] {
    fn sample(source: &mut Source<'_>) -> Self {
        std::array::from_fn(|_| T::sample(source))
    }

    fn order(&self, other: &Self) -> Ordering {
        let orders = self.iter().zip(other).map(|(a, b)| a.order(b));
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

macro_rules! tuple {
    ($($element:ident $index:tt)*) => {
        impl<$($element: Sample),*> Sample for ($($element,)*) {
            fn sample(source: &mut Source<'_>) -> Self {
                ($($element::sample(source),)*)
            }

            fn order(&self, other: &Self) -> Ordering {
                Ordering::Equal$(.then(self.$index.order(&other.$index)))*
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0 B 1);
tuple!(A 0 B 1 C 2);
tuple!(A 0 B 1 C 2 D 3);
tuple!(A 0 B 1 C 2 D 3 E 4);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5 G 6);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7);

/// Calls `$check::<T>($argument)` for the type with number `$number`: every kind that there is, and compounds of each.
macro_rules! with_type {
    ($number:expr, $check:ident, $argument:expr) => {
        match $number {
            0 => $check::<u8>($argument),
            1 => $check::<u16>($argument),
            2 => $check::<u32>($argument),
            3 => $check::<u64>($argument),
            4 => $check::<u128>($argument),
            5 => $check::<i8>($argument),
            6 => $check::<i16>($argument),
            7 => $check::<i32>($argument),
            8 => $check::<i64>($argument),
            9 => $check::<i128>($argument),
            10 => $check::<f32>($argument),
            11 => $check::<f64>($argument),
            12 => $check::<bool>($argument),
            13 => $check::<char>($argument),
            14 => $check::<()>($argument),
            15 => $check::<String>($argument),
            16 => $check::<Vec<u8>>($argument),
            17 => $check::<[u8; 4]>($argument),
            18 => $check::<[i16; 3]>($argument),
            19 => $check::<[String; 2]>($argument),
            20 => $check::<[Vec<u8>; 0]>($argument),
            21 => $check::<Option<u8>>($argument),
            22 => $check::<Option<String>>($argument),
            23 => $check::<Option<Option<()>>>($argument),
            24 => $check::<(Vec<u8>,)>($argument),
            25 => $check::<(String, u32)>($argument),
            26 => $check::<(u8, Vec<u8>, String)>($argument),
            27 => $check::<(f64, Option<char>, bool, Vec<u8>)>($argument),
            28 => $check::<(Vec<u8>, Vec<u8>, (), i8, String)>($argument),
            29 => $check::<(u8, (String, Vec<u8>), u8, [bool; 2], i128, f32)>($argument),
            30 => $check::<(u8, u8, u8, u8, u8, u8, Vec<u8>)>($argument),
            31 => $check::<(String, u8, String, u8, String, u8, Option<Vec<u8>>, (Vec<u8>,))>($argument),
            _ => $check::<Option<(String, [Option<Vec<u8>>; 2])>>($argument),
        }
    };
}
pub(super) use with_type;

/// Types that `with_type` knows.
pub(super) const TYPES: usize = 33;

/// Two first inputs for every type.
pub(super) fn seeds(extra: usize) -> super::Seeds {
    let bytes = |number: usize, salt: u8| -> Vec<u8> {
        let mut input = vec![number as u8, 12, 0];
        input.extend((0..40u8).map(|n| if n % 3 == 0 { 0 } else { n.wrapping_mul(salt) }));
        input
    };
    let all = (0..TYPES + extra).flat_map(|number| [(number, 1), (number, 37)]);
    // One of the two for most: they differ little.
    all.filter(|(number, salt)| *salt == 1 || number % 4 == 3)
        .map(|(number, salt)| (format!("type{number:02}-{salt}"), bytes(number, salt)))
        .collect()
}

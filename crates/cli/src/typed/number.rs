//! The number types, and one way to do the same for each.

/// A type of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
}

/// Evaluates `$body` with `$T` as the Rust type of `$number`.
macro_rules! with_number {
    ($number:expr, $T:ident => $body:expr) => {
        with_number!(@ $number, $T, $body; U8 u8, U16 u16, U32 u32, U64 u64, U128 u128,
            I8 i8, I16 i16, I32 i32, I64 i64, I128 i128, F32 f32, F64 f64)
    };
    (@ $number:expr, $T:ident, $body:expr; $($variant:ident $type:ident),*) => {
        match $number {
            $($crate::typed::Number::$variant => {
                type $T = $type;
                $body
            })*
        }
    };
}
pub(super) use with_number;

impl Number {
    const ALL: [Number; 12] = [
        Number::U8,
        Number::U16,
        Number::U32,
        Number::U64,
        Number::U128,
        Number::I8,
        Number::I16,
        Number::I32,
        Number::I64,
        Number::I128,
        Number::F32,
        Number::F64,
    ];

    /// The type of that name.
    pub fn named(name: &str) -> Option<Number> {
        Number::ALL.into_iter().find(|number| number.name() == name)
    }

    /// Its name in the catalog.
    pub fn name(self) -> &'static str {
        with_number!(self, T => std::any::type_name::<T>())
    }

    /// True for the floats.
    pub fn is_float(self) -> bool {
        matches!(self, Number::F32 | Number::F64)
    }
}

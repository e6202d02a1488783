//! What an operator is: a name, a function of bytes, and whether the order of its operands matters.

use aquifer_codec::Value;
use aquifer_sync::Arc;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

/// What an operator makes: the new value, or none, which removes the key; or why it refuses.
pub type MergeResult<T> = Result<Option<T>, Box<dyn std::error::Error + Send + Sync>>;

type Function = dyn Fn(&[u8], Option<&[u8]>, &[u8]) -> MergeResult<Vec<u8>> + Send + Sync;

/// How a table merges operands into values of type `V`: registered with [`TableDef::merging`](crate::TableDef::merging) or
/// [`Table::with_merge`](crate::Table::with_merge), used by [`Table::merge`](crate::Table::merge),
/// [`WriteBatch::merge`](crate::WriteBatch::merge) and [`Transaction::merge`](crate::Transaction::merge). Operands are of the type of the values.
///
/// An operator must be a function: the same arguments, the same result. It may be called while others wait for the key, so it should be quick,
/// and must not use the database. What is committed is its result, so it may be another one the next time that the database is opened.
///
/// An operator *commutes* if the order of operands does not matter: then transactions that merge into one key and have not read it do not
/// conflict. [`add`](Self::add), [`max`](Self::max), [`min`](Self::min) and [`union`](Self::union) do.
///
/// ```
/// # use aquifer::{Database, MergeOperator, TableDef};
/// # let db = Database::in_memory(4 << 20)?;
/// // Of one's own: the mean is of a sum and a count.
/// fn mean() -> MergeOperator<(u64, u32)> {
///     MergeOperator::typed("sum and count", |value: Option<(u64, u32)>, operand: (u64, u32)| {
///         let (sum, count) = value.unwrap_or_default();
///         let sum = sum.checked_add(operand.0).ok_or("the sum is too great")?;
///         Ok(Some((sum, count + operand.1)))
///     })
///     .commuting()
/// }
/// const LATENCIES: TableDef<str, (u64, u32)> = TableDef::new("latencies").merging(mean);
/// let latencies = LATENCIES.open_or_create(&db)?;
/// latencies.merge("get", &(30, 1))?;
/// latencies.merge("get", &(50, 1))?;
/// assert_eq!(latencies.get("get")?, Some((80, 2)));
/// assert!(latencies.merge("get", &(u64::MAX, 1)).is_err()); // and nothing has happened
/// assert_eq!(latencies.get("get")?, Some((80, 2)));
/// # Ok::<(), aquifer::Error>(())
/// ```
pub struct MergeOperator<V: ?Sized = [u8]> {
    pub(super) operator: Operator,
    types: PhantomData<fn(&V)>,
}

/// An operator, whatever its types are.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(super) name: String,
    pub(super) commutes: bool,
    pub(super) function: Arc<Function>,
}

impl<V: ?Sized> MergeOperator<V> {
    /// An operator on encoded bytes: a function of the key, the value if there is one, and the operand. The order of operands matters,
    /// unless it is [said](Self::commuting) that it does not. Operators of one name are taken for the same.
    pub fn new(
        name: impl Into<String>,
        merge: impl Fn(&[u8], Option<&[u8]>, &[u8]) -> MergeResult<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let operator = Operator { name: name.into(), commutes: false, function: Arc::new(merge) };
        MergeOperator { operator, types: PhantomData }
    }

    /// Declares that the order of operands does not matter: merging `a`, then `b` gives what merging `b`, then `a` does, for every value and for none.
    /// (Which of them is refused may depend on it.)
    #[must_use]
    pub fn commuting(mut self) -> Self {
        self.operator.commutes = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.operator.name
    }
}

impl<V: Value + ?Sized> MergeOperator<V>
where
    V::Owned: Borrow<V>,
{
    /// An operator on values: a function of the value, if there is one, and the operand. As [`new`](Self::new) otherwise.
    pub fn typed(
        name: impl Into<String>,
        merge: impl Fn(Option<V::Owned>, V::Owned) -> MergeResult<V::Owned> + Send + Sync + 'static,
    ) -> Self {
        MergeOperator::new(name, move |_, value, operand| {
            let value = value.map(V::decode).transpose()?;
            let Some(merged) = merge(value, V::decode(operand)?)? else { return Ok(None) };
            let mut bytes = Vec::new();
            merged.borrow().encode(&mut bytes)?;
            Ok(Some(bytes))
        })
    }

    /// The greater of value and operand. Commutes.
    pub fn max() -> Self
    where
        V::Owned: Ord,
    {
        let merge = |value: Option<V::Owned>, operand| Ok(Some(greatest(value, operand)));
        MergeOperator::typed(format!("max of {}", V::type_name()), merge).commuting()
    }

    /// The lesser of value and operand. Commutes.
    pub fn min() -> Self
    where
        V::Owned: Ord,
    {
        let merge = |value: Option<V::Owned>, operand| Ok(Some(least(value, operand)));
        MergeOperator::typed(format!("min of {}", V::type_name()), merge).commuting()
    }
}

fn greatest<T: Ord>(value: Option<T>, operand: T) -> T {
    match value {
        Some(value) => value.max(operand),
        None => operand,
    }
}

fn least<T: Ord>(value: Option<T>, operand: T) -> T {
    match value {
        Some(value) => value.min(operand),
        None => operand,
    }
}

impl<V: Addend> MergeOperator<V> {
    /// The sum of value and operand; the operand, where there is no value. A sum that the type does not hold is refused. Commutes.
    pub fn add() -> Self {
        let merge = |value: Option<V>, operand: V| match value {
            None => Ok(Some(operand)),
            Some(value) => match value.sum(operand) {
                Some(sum) => Ok(Some(sum)),
                None => Err("the sum is beyond what the type holds".into()),
            },
        };
        MergeOperator::typed(format!("add of {}", V::type_name()), merge).commuting()
    }
}

impl<V: Append + ?Sized> MergeOperator<V> {
    /// The value, and the operand behind it. Does not commute.
    pub fn append() -> Self {
        MergeOperator::new("append", |_, value, operand| {
            Ok(Some([value.unwrap_or_default(), operand].concat()))
        })
    }
}

impl MergeOperator<[u8]> {
    /// The union of sets of small numbers: `n` is in the set if bit `n % 8` of byte `n / 8` is 1. Sets may differ in length. Commutes.
    ///
    /// ```
    /// # use aquifer::{Database, MergeOperator};
    /// # let db = Database::in_memory(4 << 20)?;
    /// let seen = db.create_table("seen", Default::default())?.with_merge(MergeOperator::union())?;
    /// seen.merge(b"page", &[0b0001])?;
    /// seen.merge(b"page", &[0b0100, 0b1])?;
    /// assert_eq!(seen.get(b"page")?.as_deref(), Some(&[0b0101, 0b1][..]));
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn union() -> Self {
        MergeOperator::new("union of bits", |_, value, operand| {
            let (longer, shorter) = match value.unwrap_or_default() {
                value if value.len() >= operand.len() => (value, operand),
                value => (operand, value),
            };
            let mut union = longer.to_vec();
            union.iter_mut().zip(shorter).for_each(|(byte, other)| *byte |= other);
            Ok(Some(union))
        })
        .commuting()
    }
}

mod sealed {
    /// What comes with the engine.
    pub trait Sealed {}
}

/// Integers, which can be [added](MergeOperator::add).
pub trait Addend: Value<Owned = Self> + Sized + sealed::Sealed + 'static {
    /// The sum, if the type holds it.
    fn sum(self, other: Self) -> Option<Self>;
}

macro_rules! addends {
    ($($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}

        impl Addend for $integer {
            fn sum(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
        }
    )*};
}

addends!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

/// Strings of bytes or of text, which can be [appended](MergeOperator::append) to.
pub trait Append: Value + sealed::Sealed {}

impl sealed::Sealed for [u8] {}
impl sealed::Sealed for str {}
impl Append for [u8] {}
impl Append for str {}

impl Operator {
    /// May they be taken for the same?
    pub(super) fn is(&self, other: &Operator) -> bool {
        self.name == other.name && self.commutes == other.commutes
    }
}

impl<V: ?Sized> Clone for MergeOperator<V> {
    fn clone(&self) -> Self {
        MergeOperator { operator: self.operator.clone(), types: PhantomData }
    }
}

impl<V: ?Sized> fmt::Debug for MergeOperator<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MergeOperator").field(&self.operator).finish()
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("name", &self.name)
            .field("commutes", &self.commutes)
            .finish_non_exhaustive()
    }
}

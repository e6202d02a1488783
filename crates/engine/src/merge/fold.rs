//! Batches in which a key has several entries, some of them operands: made one entry for each key. What comes after a put or a delete is
//! known at once; operands before which there is neither stay together, and wait for the value that the commit finds.
//!
//! A list of operands is bytes: of each its length, as a `u64`, then itself.

use crate::batch::{BatchEntry, WriteBatch};
use crate::error::Result;

/// Bytes of an operand's length.
const LEN_BYTES: usize = 8;

/// Appends an operand to a list.
pub(crate) fn push_operand(list: &mut Vec<u8>, operand: &[u8]) {
    list.extend_from_slice(&(operand.len() as u64).to_le_bytes());
    list.extend_from_slice(operand);
}

/// The operands of a list, in their order.
pub(crate) fn operands(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = list.split_first_chunk::<LEN_BYTES>()?;
        let (operand, behind) = rest.split_at(u64::from_le_bytes(*len) as usize);
        list = behind;
        Some(operand)
    })
}

/// The same batch with one entry for each key.
///
/// # Errors
///
/// What an operator refuses.
pub(crate) fn folded(batch: &WriteBatch) -> Result<WriteBatch> {
    let entry = |index: u32| &batch.entries[index as usize];
    let place = |index: u32| (batch.table_of(entry(index)).id, batch.key(entry(index)));
    let mut order: Vec<u32> = (0..batch.entries.len() as u32).collect();
    order.sort_by(|&a, &b| place(a).cmp(&place(b))); // stable: of one key in their order
    let mut folded = WriteBatch::for_tables_of(batch);
    for of_key in order.chunk_by(|&a, &b| place(a) == place(b)) {
        let entries: Vec<&BatchEntry> = of_key.iter().map(|&index| entry(index)).collect();
        fold_key(batch, &entries, &mut folded)?;
    }
    Ok(folded)
}

/// The entries of one key.
fn fold_key(batch: &WriteBatch, entries: &[&BatchEntry], folded: &mut WriteBatch) -> Result<()> {
    let last = entries.last().expect("a key of an entry");
    let (table, key) = (batch.table_of(last), batch.key(last));
    let whole = entries.iter().rposition(|entry| batch.operands(entry).is_none());
    let behind = &entries[whole.map_or(0, |whole| whole + 1)..];
    let lists = behind.iter().filter_map(|entry| batch.operands(entry));
    match whole {
        Some(_) if behind.is_empty() => folded.copy(batch, last),
        Some(whole) => {
            let value = batch.value(entries[whole]).map(<[u8]>::to_vec);
            let value = table.merged_all(batch.now, key, value, lists.flat_map(operands))?;
            folded.push_record(last.table, key, value.as_deref());
        }
        None => folded.push_operands(last.table, key, lists.flat_map(operands)),
    }
    Ok(())
}

//! The commit of a merge into one key: as that of a put, of a value that is made under the stripe (MG3 of `merge`).

use super::{Attempt, Change, Done, with_record};
use crate::clock::Moment;
use crate::durability::Commit;
use crate::engine::Engine;
use crate::error::Result;
use crate::exchange::whole;
use crate::large::{Logging, write_whole};
use crate::table_core::TableCore;
use aquifer_sync::Arc;

/// Merges an operand into a short key. Where the commit stands.
///
/// # Errors
///
/// As `commit_record`; what the operator refuses.
pub(crate) fn commit_merge(
    engine: &Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    operand: &[u8],
) -> Result<Commit> {
    table.check_merges()?;
    table.check_key(key)?;
    engine.pace.slow_down(key.len() + operand.len());
    engine.txns.honour_claims(engine, table, key)?;
    let now = table.now(engine);
    let commit = merge_under_stripe(engine, table, key, operand, now)?.finish(engine)?;
    table.note(table.stamp_at(now));
    Ok(commit)
}

fn merge_under_stripe<'e>(
    engine: &'e Arc<Engine>,
    table: &TableCore,
    key: &[u8],
    operand: &[u8],
    now: Moment,
) -> Result<Done<'e>> {
    let mut stripe = engine.stripes.lock(table.id, key);
    table.check_usable()?; // under the stripe: ST2
    engine.check_healthy()?;
    // Nobody changes the key meanwhile, so a large value keeps its pages.
    let found = table.find(key)?;
    let is_large = found.as_ref().is_some_and(|found| found.is_large());
    let old = if is_large { whole(engine, table, found.as_ref())? } else { found.map(|found| found.bytes) };
    let new = table.merged(now, key, old.as_deref(), operand)?; // MG7
    drop(old);
    let written;
    let change = match &new {
        None => Change::Delete,
        Some(value) if value.len() > table.value_len_max => {
            written = write_whole(engine, value, Logging::of(table))?;
            Change::PutLarge(&written)
        }
        Some(value) => Change::Put(value),
    };
    let merges = table.merges_commute();
    with_record(table, key, change, |record| {
        Attempt { engine, table, key, change, expected: None, record, merges }.run_inside(&mut stripe, None)
    })
}

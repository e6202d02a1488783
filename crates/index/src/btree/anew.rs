//! Leaves put together anew, each of the kind that suits its records.
//!
//! # Invariants
//!
//! - **AN1** A leaf becomes dense if its records allow it (DN1) and take no more room so than in slots. So if they fit in either kind,
//!   the leaf fits.
//! - **AN2** A dense leaf gets all the places for which its page has room and which its fences allow: above its records, below, or on both
//!   sides, as the insertions before went.
//! - **AN3** Leaves are built aside; nothing is changed if a page turns out to be nonsense.
//! - **AN4** A leaf with slots gets fingerprints or hints as FP2 says. One that was dense and makes way for a record that is unlike gets
//!   hints, for the room for that record was reckoned with them.

use super::build::{Builder, Plan, UNLIKE};
use super::dense::{Form, Shape};
use super::layout::{FLAG_DISMANTLED, ROOT_FLAGS, RUN_MIN};
use super::leaf::Leaf;
use super::node::Node;
use crate::fault::Nonsense;
use std::ops::Range;

/// What decides whether a dense leaf is worth a try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outline<'k> {
    pub(crate) count: usize,
    pub(crate) first: &'k [u8],
    pub(crate) last: &'k [u8],
    /// Length of one of the values; all must have it.
    pub(crate) value_len: usize,
}

impl Outline<'_> {
    /// The dense leaf for these records (AN2), if all of them have lengths like the first's and it takes no more room than slots.
    pub(crate) fn shape(&self, page_bytes: usize, plan: &Plan<'_>) -> Option<Shape> {
        let form = Form { key_len: self.first.len(), value_len: self.value_len };
        let prefix_len = plan.prefix_len();
        if self.last.len() != form.key_len || form.key_len == 0 || form.stem_len() > prefix_len {
            return None;
        }
        let (first, last) = (form.tail(self.first), form.tail(self.last));
        let fences = plan.lower.len() + plan.upper.map_or(0, <[u8]>::len);
        let places_max = form.places_max(page_bytes.saturating_sub(fences));
        let span = usize::try_from(last.checked_sub(first)?).ok()?;
        if span >= places_max || form.dense_bytes(span + 1) > form.slotted_bytes(self.count, prefix_len) {
            return None;
        }
        let lowest = form.tail(plan.lower).min(first);
        let highest =
            plan.upper.map_or(form.tail_max(), |upper| form.tail(upper).saturating_sub(1)).max(last);
        let behind_first = (places_max as u64 - 1).min(highest - lowest);
        let spare = behind_first - span as u64;
        let below = match plan.run {
            RUN_MIN.. => 0,
            run if run <= -RUN_MIN => spare,
            _ => spare / 2,
        };
        let base = first.saturating_sub(below).clamp(lowest, highest - behind_first);
        Some(Shape { form, base, places: behind_first as usize + 1 })
    }
}

/// Builds a leaf. `give` pushes all its records, and may be asked twice.
pub(crate) fn build_leaf(
    page_bytes: usize,
    plan: &Plan<'_>,
    outline: Option<Outline<'_>>,
    give: impl Fn(&mut Builder) -> Result<(), Nonsense>,
) -> Result<Vec<u8>, Nonsense> {
    if let Some(shape) = outline.and_then(|outline| outline.shape(page_bytes, plan)) {
        let mut builder = Builder::dense(page_bytes, plan, shape)?;
        match give(&mut builder) {
            Ok(()) => return Ok(builder.finish()),
            Err(nonsense) if nonsense == UNLIKE => {}
            Err(nonsense) => return Err(nonsense),
        }
    }
    let mut builder = Builder::new(page_bytes, plan)?;
    give(&mut builder)?;
    Ok(builder.finish())
}

/// Builds a leaf with some of another's records.
pub(crate) fn build_leaf_of(
    node: Node<&[u8]>,
    plan: &Plan<'_>,
    records: [Range<usize>; 2],
) -> Result<Vec<u8>, Nonsense> {
    let leaf = Leaf::of(node);
    leaf.check_count()?;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut parts = records.iter().filter(|range| !range.is_empty());
    let outline = parts.next().and_then(|range| {
        let end = parts.next().unwrap_or(range).end;
        let ends = (leaf.spot(range.start), leaf.spot(end - 1));
        if !leaf.may_be_near(ends.0, ends.1, plan.prefix_len()) {
            return None;
        }
        leaf.key_to(ends.0, &mut first);
        leaf.key_to(ends.1, &mut last);
        let value_len = leaf.value_at(ends.0)?.len;
        Some(Outline { count: records[0].len() + records[1].len(), first: &first, last: &last, value_len })
    });
    build_leaf(node.page_bytes(), plan, outline, |builder| {
        builder.push_records(leaf, records[0].clone())?;
        builder.push_records(leaf, records[1].clone())
    })
}

/// Builds a leaf with the records of one that it is to replace: dense of this shape, or with slots.
pub(crate) fn rebuild_leaf(node: Node<&[u8]>, shape: Option<Shape>) -> Result<Vec<u8>, Nonsense> {
    let leaf = Leaf::of(node);
    leaf.check_count()?;
    let flags = node.summary().flags() & (ROOT_FLAGS | FLAG_DISMANTLED);
    let (run, run_position) = (node.summary().run(), leaf.run_position());
    let plan = Plan { flags, run, run_position, ..Plan::of(node)? };
    let mut builder = match shape {
        Some(shape) => Builder::dense(node.page_bytes(), &plan, shape)?,
        None => Builder::new(node.page_bytes(), &plan)?,
    };
    builder.push_records(leaf, 0..node.count())?;
    Ok(builder.finish_with(false)) // AN4
}

#[cfg(all(test, not(loom)))]
mod tests;

//! Where a full page is cut in two, and the two halves.
//!
//! The *items* of a leaf are its records and the incoming one, in key order. A boundary `i` puts items
//! before `i` to the left, the others to the right; the separator is the shortest key between items
//! `i - 1` and `i`.
//!
//! # Invariants
//!
//! - **SP1** A split makes progress: afterwards the leaf that covers the incoming key has room for it,
//!   or fewer records than before. Let P be the page size; a key has at most P/8 bytes, a value at
//!   most P/4, so fences take at most P/4 and an item at most m = 3/8 P + 6 (slot 8, value length 2, less
//!   4 for the head).
//!   1. *One record and the incoming one*: each half holds one item, and P/4 + m + 112 ≤ P for P ≥ 4096.
//!   2. *Boundaries at which both halves fit, the incoming item counted*, are preferred; the record
//!      then has room.
//!   3. *Otherwise any boundary between two records, the incoming item left out.* The left half
//!      loses the record behind the boundary and gains a separator instead of the upper fence: the
//!      separator is at most that record's key, that is the prefix (at most the upper fence, BT1) and
//!      its suffix, and the record took at least its suffix and 6 bytes more. The right half loses the record
//!      before the boundary and gains a separator at most one byte longer than that record's key,
//!      with the lower fence in the same part. So both fit, and each has fewer records.
//! - **SP2** Inner pages: a separator takes at most P/8 + 8 bytes, so a page without room for one more
//!   has at least three, and the one in the middle goes up. Halves fit as in SP1.3: the separator
//!   that becomes a fence was on the page before, as prefix and suffix, with 8 bytes more.
//! - **SP3** Halves are built aside; nothing is changed if the page turns out to be nonsense.
//! - **SP4** Prefixes only grow by a split, so sizes reckoned with the old prefix are upper bounds.
//! - **SP5** A half of a dense leaf fits if its records do in slots, or in places from its first to its last (AN1). Boundaries are preferred
//!   as in SP1.2; the one in the middle serves for SP1.3: fences grow by at most eight bytes, because the prefix holds all but
//!   the tail, and what a half loses takes more than that unless there are so few records that they fit in slots.
//! - **SP6** A leaf with fingerprints holds no more than one with hints could (FP5). Where many heads are equal, room for fingerprints is reckoned with the halves of SP1.2. A half that has no room for its own goes
//!   without (FP2); one that has them and then no room for the incoming record is cut again, with fewer records than before.
//!
//! # Runs
//!
//! When the last insertions came one behind the other, the next ones will: the cut is made where the
//! incoming record goes, so that ascending insertions leave full pages (descending ones likewise).
//! The page at the edge of the tree lacks one fence and so has no prefix; once bounded its
//! records shrink, and the page that was full is not. Therefore such a page is first *tightened*: the cut
//! is made a little beyond the incoming record, so that the page has a prefix and goes on being filled. Records of a dense leaf
//! would not shrink.

use super::anew::build_leaf_of;
use super::build::{Builder, Plan};
use super::dense::Form;
use super::fingerprint;
use super::layout::*;
use super::leaf::{Leaf, Spot};
use super::node::Node;
use crate::ValueKind;
use crate::fault::Nonsense;
use aquifer_buffer::PageId;
use std::ops::Range;

/// A tightened page covers the keys that differ from the incoming one in this many bytes before the
/// one where the run's last two keys differ: some ten thousand records of a run, even of decimal digits.
const TIGHTEN_BYTES: usize = 3;
/// The separator is looked for among so many boundaries on either side of the middle, at most.
const WINDOW_MAX: usize = 128;

/// A record that has no room on a leaf, or the key for which an inner page needs room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'k> {
    pub(crate) key: &'k [u8],
    pub(crate) value_len: usize,
    pub(crate) kind: ValueKind,
    /// The first record whose key is not below `key`; of an inner page, the child that covers it.
    pub(crate) index: usize,
    /// Is the record there, with another value?
    pub(crate) exists: bool,
}

/// A page cut in two. The left half says nothing right about its right neighbour yet, the right half
/// about its own id.
#[derive(Debug, Clone)]
pub(crate) struct Halves {
    pub(crate) separator: Vec<u8>,
    pub(crate) left: Vec<u8>,
    pub(crate) right: Vec<u8>,
}

/// Cuts a page in two.
pub(crate) fn split(page: &[u8], incoming: &Incoming<'_>) -> Result<Halves, Nonsense> {
    let node = Node::new(page);
    if node.level() > 0 {
        return split_inner(node, incoming.index);
    }
    if let Some(halves) = tighten(node, incoming) {
        return Ok(halves);
    }
    Items::of(node, Some(incoming))?.split(incoming)
}

/// Cuts a leaf in the middle.
pub(crate) fn halve(page: &[u8]) -> Result<Halves, Nonsense> {
    Items::of(Node::new(page), None)?.split_without_incoming()
}

/// Insertions in a row at one place, and the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Ascending,
    Descending,
}

fn run_at(node: Node<&[u8]>, index: usize) -> Option<Run> {
    let (run, position) = (node.summary().run(), Leaf::of(node).run_position());
    if run >= RUN_MIN && index == position && index > 0 {
        Some(Run::Ascending)
    } else if run <= -RUN_MIN && index + 1 == position && index < node.count() {
        Some(Run::Descending)
    } else {
        None
    }
}

/// How the halves go on with a run.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    left: (i8, usize),
    right: (i8, usize),
}

/// Cuts a leaf at the edge of the tree so that all its records and the incoming one stay in one half
/// that has a longer prefix; `None` if this is not such a leaf, or they do not fit.
fn tighten(node: Node<&[u8]>, incoming: &Incoming<'_>) -> Option<Halves> {
    if node.is_dense() {
        return None;
    }
    let (count, index, key) = (node.count(), incoming.index, incoming.key);
    let run = run_at(node, index).filter(|_| !incoming.exists)?;
    let mut neighbour = Vec::new();
    let (separator, slots_left, runs) = match run {
        Run::Ascending if index == count => {
            node.key_to(node.slot(count - 1), &mut neighbour);
            let kept = common_prefix_len(&neighbour, key).checked_sub(TIGHTEN_BYTES)?;
            let separator = successor(&key[..kept])?;
            let runs = Runs { left: (node.summary().run(), count), ..Runs::default() };
            (separator, count, runs)
        }
        Run::Descending if index == 0 => {
            node.key_to(node.slot(0), &mut neighbour);
            let kept = common_prefix_len(&neighbour, key).checked_sub(TIGHTEN_BYTES)?;
            let runs = Runs { right: (node.summary().run(), 1), ..Runs::default() };
            (key[..kept].to_vec(), 0, runs)
        }
        _ => return None,
    };
    // The separator must lie strictly between the fences.
    if node.lower()? >= separator.as_slice() || node.compare_upper(&separator)?.is_ge() {
        return None;
    }
    let halves = build(node, separator, (slots_left, slots_left), runs).ok()?;
    let full = Node::new(if run == Run::Ascending { halves.left.as_slice() } else { &halves.right });
    if let Leaf::Dense(_, dense) = Leaf::of(full) {
        let has_place = incoming.is_like(dense.shape().form) && dense.shape().place(key).is_some();
        return has_place.then_some(halves);
    }
    let rest_len = key.len().saturating_sub(full.prefix_len() + HEAD_BYTES);
    let fits = full.next_slot_bytes() + 2 + rest_len + incoming.value_len <= full.gap_bytes();
    fits.then_some(halves)
}

/// The least key above every key that begins with `prefix`, if there is one.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xFF)?;
    let mut above = prefix[..=last].to_vec();
    above[last] += 1;
    Some(above)
}

/// The records of a leaf and the incoming one, if there is one.
struct Items<'n> {
    node: Node<&'n [u8]>,
    leaf: Leaf<&'n [u8]>,
    spots: Vec<Spot>,
    incoming: Option<&'n Incoming<'n>>,
    /// Bytes of the items before each boundary, in slots.
    sums: Vec<usize>,
    /// Are the halves likely to get fingerprints?
    is_crowded: bool,
}

impl<'n> Items<'n> {
    fn of(node: Node<&'n [u8]>, incoming: Option<&'n Incoming<'n>>) -> Result<Self, Nonsense> {
        let leaf = Leaf::of(node);
        leaf.check_count()?; // so that the incoming one's number is at most the count
        let spots: Vec<Spot> = leaf.all_spots().collect();
        let mut sums = Vec::with_capacity(spots.len() + 2);
        let mut sum = 0;
        sums.push(sum);
        let mut push = |bytes| {
            sum += bytes;
            sums.push(sum);
        };
        for (index, &spot) in spots.iter().enumerate() {
            let incoming = incoming.filter(|incoming| incoming.index == index);
            incoming.iter().for_each(|incoming| push(incoming.bytes(node)));
            let bytes = leaf.slotted_bytes(spot).ok_or(BEYOND)?;
            if incoming.is_none_or(|incoming| !incoming.exists) {
                push(bytes);
            }
        }
        let behind = incoming.filter(|incoming| incoming.index >= spots.len());
        behind.iter().for_each(|incoming| push(incoming.bytes(node)));
        let equal_heads = spots.windows(2).filter(|pair| heads_are_equal(pair[0], pair[1])).count();
        let is_crowded = fingerprint::are_worth_it(spots.len(), equal_heads);
        Ok(Self { node, leaf, spots, incoming, sums, is_crowded })
    }

    fn split(self, incoming: &Incoming<'_>) -> Result<Halves, Nonsense> {
        if self.sums.len() < 3 {
            return Err(Nonsense("the only record of a leaf has no room"));
        }
        let index = incoming.index;
        let run = run_at(self.node, index).filter(|_| !incoming.exists);
        let (preferred, window) = match run {
            Some(Run::Ascending) => (index, 0),
            Some(Run::Descending) => (index + 1, 0),
            None => (self.middle(), (self.sums.len() / 16).min(WINDOW_MAX)),
        };
        let Some((boundary, separator)) = self.best_near(preferred, window) else {
            return self.split_without_incoming();
        };
        let slots_left = self.slots_before(boundary);
        let streak = self.node.summary().run();
        let runs = match run {
            Some(Run::Ascending) if boundary <= index => {
                Runs { right: (streak, index - boundary), ..Runs::default() }
            }
            Some(Run::Descending) if boundary == index + 1 => {
                Runs { left: (streak, slots_left + 1), ..Runs::default() }
            }
            _ => Runs::default(),
        };
        build(self.node, separator, (slots_left, slots_left), runs)
    }

    /// SP1.3.
    fn split_without_incoming(self) -> Result<Halves, Nonsense> {
        let count = self.spots.len();
        if count < 2 {
            return Err(Nonsense("a leaf with one record has no room for another"));
        }
        let slots_left = self.slots_before(self.middle()).clamp(1, count - 1);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        self.leaf.key_to(self.spots[slots_left - 1], &mut low);
        self.leaf.key_to(self.spots[slots_left], &mut high);
        let separator = separator(&low, &high).to_vec();
        build(self.node, separator, (slots_left, slots_left), Runs::default())
    }

    /// The boundary that divides the bytes best.
    fn middle(&self) -> usize {
        let half = self.sums[self.sums.len() - 1] / 2;
        let above = self.sums.partition_point(|&sum| sum < half);
        let boundary = if above > 0 && half - self.sums[above - 1] < self.sums[above] - half {
            above - 1
        } else {
            above
        };
        boundary.clamp(1, self.sums.len() - 2)
    }

    /// A boundary at which both halves fit: within `window` of `preferred` the one with the shortest
    /// separator, else the nearest.
    fn best_near(&self, preferred: usize, window: usize) -> Option<(usize, Vec<u8>)> {
        let boundaries = 1..self.sums.len() - 1;
        let mut best: Option<(usize, Vec<u8>)> = None;
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for distance in 0..=boundaries.end.max(preferred) {
            if distance > window && best.is_some() {
                break;
            }
            let sides = [preferred.checked_sub(distance), (distance > 0).then_some(preferred + distance)];
            for boundary in sides.into_iter().flatten().filter(|boundary| boundaries.contains(boundary)) {
                self.key_to(boundary - 1, &mut low);
                self.key_to(boundary, &mut high);
                let separator = separator(&low, &high);
                let shorter = best.as_ref().is_none_or(|(_, other)| separator.len() < other.len());
                if shorter && self.fits(boundary, separator.len()) {
                    best = Some((boundary, separator.to_vec()));
                }
            }
        }
        best
    }

    fn fits(&self, boundary: usize, separator_len: usize) -> bool {
        let (_, lower_len) = self.node.lower_range().unwrap_or_default();
        let (_, upper_len) = self.node.upper_range().unwrap_or_default();
        self.side_fits(0..boundary, lower_len + separator_len)
            && self.side_fits(boundary..self.sums.len() - 1, separator_len + upper_len)
    }

    /// Do these items fit between such fences, in slots (SP6) or in places (SP5)?
    fn side_fits(&self, items: Range<usize>, fences_len: usize) -> bool {
        let room = self.node.page_bytes().saturating_sub(fences_len);
        let more = if self.is_crowded { fingerprint::bytes_more(items.len()) } else { 0 };
        if SLOTS + self.sums[items.end] - self.sums[items.start] + more <= room {
            return true;
        }
        let Leaf::Dense(_, dense) = self.leaf else { return false };
        let form = dense.shape().form;
        let unlike = |incoming: &&Incoming<'_>| items.contains(&incoming.index) && !incoming.is_like(form);
        if self.incoming.filter(unlike).is_some() {
            return false;
        }
        let (mut first, mut last) = (Vec::new(), Vec::new());
        self.key_to(items.start, &mut first);
        self.key_to(items.end - 1, &mut last);
        let span =
            form.tail(&last).checked_sub(form.tail(&first)).and_then(|span| usize::try_from(span).ok());
        span.is_some_and(|span| span < form.places_max(room))
    }

    fn slots_before(&self, boundary: usize) -> usize {
        let is_before = |incoming: &&Incoming<'_>| !incoming.exists && boundary > incoming.index;
        boundary - usize::from(self.incoming.filter(is_before).is_some())
    }

    fn incoming_at(&self, item: usize) -> Option<&'n Incoming<'n>> {
        self.incoming.filter(|incoming| incoming.index == item)
    }

    fn key_to(&self, item: usize, out: &mut Vec<u8>) {
        match self.incoming_at(item) {
            Some(incoming) => {
                out.clear();
                out.extend_from_slice(incoming.key);
            }
            None => self.leaf.key_to(self.spots[self.slots_before(item)], out),
        }
    }
}

fn heads_are_equal(one: Spot, other: Spot) -> bool {
    matches!((one, other), (Spot::Slot(one), Spot::Slot(other)) if one.head() == other.head())
}

impl Incoming<'_> {
    /// Bytes that it takes in a slot and its entry.
    fn bytes(&self, node: Node<&[u8]>) -> usize {
        let rest_len = Suffix::of(self.key, node.prefix_len()).rest.len();
        SLOT_BYTES + entry_head_bytes(0) + rest_len + self.value_len
    }

    /// Could it be on a dense leaf of this form?
    pub(crate) fn is_like(&self, form: Form) -> bool {
        self.kind == ValueKind::Inline && Form { key_len: self.key.len(), value_len: self.value_len } == form
    }
}

/// SP2: the separator in the middle (or at the end of a run) goes up.
fn split_inner(node: Node<&[u8]>, index: usize) -> Result<Halves, Nonsense> {
    let count = node.count();
    if count < 3 {
        return Err(Nonsense("an inner page with few separators has no room for another"));
    }
    let run = run_at(node, index);
    let up = match run {
        Some(Run::Ascending) => index - 1,
        Some(Run::Descending) => index,
        None => {
            let window = count / 16;
            let (from, to) = (count / 2 - window, count / 2 + window);
            (from..=to).min_by_key(|&slot| node.slot(slot).suffix_len()).unwrap_or(count / 2)
        }
    }
    .clamp(1, count - 2);
    let mut separator = Vec::new();
    node.key_to(node.slot(up), &mut separator);
    let (streak, position) = (node.summary().run(), node.run_position());
    let runs = match run {
        Some(Run::Ascending) => Runs { right: (streak, position.saturating_sub(up + 1)), ..Runs::default() },
        Some(Run::Descending) => Runs { left: (streak, position), ..Runs::default() },
        None => Runs::default(),
    };
    build(node, separator, (up, up + 1), runs)
}

/// Builds both halves: slots before `cut.0` go left, slots from `cut.1` on go right.
fn build(node: Node<&[u8]>, separator: Vec<u8>, cut: (usize, usize), runs: Runs) -> Result<Halves, Nonsense> {
    let whole = Plan::of(node)?;
    let left = Plan { upper: Some(&separator), run: runs.left.0, run_position: runs.left.1, ..whole };
    let leftmost = if node.level() == 0 { PageId::NONE } else { node.child(cut.1) };
    let right = Plan {
        id: PageId::NONE,
        leftmost,
        lower: &separator,
        run: runs.right.0,
        run_position: runs.right.1,
        ..whole
    };
    let left = build_half(node, &left, 0..cut.0)?;
    let right = build_half(node, &right, cut.1..node.count())?;
    Ok(Halves { separator, left, right })
}

fn build_half(node: Node<&[u8]>, plan: &Plan<'_>, entries: Range<usize>) -> Result<Vec<u8>, Nonsense> {
    if node.level() == 0 {
        return build_leaf_of(node, plan, [entries, 0..0]);
    }
    let mut builder = Builder::new(node.page_bytes(), plan)?;
    builder.push_children(node, entries)?;
    Ok(builder.finish())
}

const BEYOND: Nonsense = Nonsense("an entry lies beyond the page");

#[cfg(all(test, not(loom)))]
mod tests;

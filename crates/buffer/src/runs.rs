//! Runs of consecutive numbers, of pages or of slots.
//!
//! # Invariants
//!
//! - **RN1** The runs of a [`RunSet`] are not empty, are disjoint, and do not touch: two that would are one.

use crate::PageId;
use std::collections::BTreeMap;

/// Pages whose ids follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageRun {
    /// The first.
    pub first: PageId,
    /// How many.
    pub pages: u32,
}

impl PageRun {
    /// The id behind the last one.
    pub fn end(&self) -> u32 {
        self.first.0.saturating_add(self.pages)
    }

    /// The ids.
    pub fn ids(&self) -> impl Iterator<Item = PageId> + use<> {
        (self.first.0..self.end()).map(PageId)
    }

    /// The pages of one list that are not in another, ascending. Each page is in a list once. O(n log n).
    pub fn difference(mut pages: Vec<PageRun>, mut without: Vec<PageRun>) -> Vec<PageRun> {
        pages.sort_unstable();
        without.sort_unstable();
        let mut rest = Vec::new();
        let mut without = without.into_iter().peekable();
        for run in pages {
            let mut from = run.first.0;
            while from < run.end() {
                let gap_end = match without.peek() {
                    Some(hole) if hole.end() <= from => {
                        without.next();
                        continue;
                    }
                    Some(hole) => hole.first.0.clamp(from, run.end()),
                    None => run.end(),
                };
                PageRun::push(&mut rest, PageRun { first: PageId(from), pages: gap_end - from });
                from = match without.peek() {
                    Some(hole) if gap_end < run.end() => hole.end(),
                    _ => gap_end,
                };
            }
        }
        rest
    }

    /// Appends a run to a list; it becomes longer instead where the run goes on.
    ///
    /// ```
    /// use aquifer_buffer::{PageId, PageRun};
    ///
    /// let mut list = Vec::new();
    /// PageRun::push(&mut list, PageRun { first: PageId(7), pages: 2 });
    /// PageRun::push(&mut list, PageRun { first: PageId(9), pages: 1 });
    /// assert_eq!(list, [PageRun { first: PageId(7), pages: 3 }]);
    /// ```
    pub fn push(list: &mut Vec<PageRun>, run: PageRun) {
        match list.last_mut() {
            _ if run.pages == 0 => {}
            Some(last) if last.end() == run.first.0 => last.pages += run.pages,
            _ => list.push(run),
        }
    }
}

/// A set of numbers, kept as runs. Operations are O(log runs), and O(runs touched).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSet {
    /// Start to end, which is not in the run.
    runs: BTreeMap<u32, u32>,
    count: u64,
}

impl RunSet {
    /// The empty set.
    pub fn new() -> RunSet {
        RunSet::default()
    }

    /// The pages of a list of runs.
    pub fn of(pages: &[PageRun]) -> RunSet {
        let mut set = RunSet::new();
        pages.iter().for_each(|run| set.insert(run.first.0, run.end()));
        set
    }

    /// Numbers in it.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, ascending: start, and end, which is not in the run.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().map(|(&start, &end)| (start, end))
    }

    /// The runs, ascending, as pages.
    pub fn pages(&self) -> Vec<PageRun> {
        self.iter().map(|(start, end)| PageRun { first: PageId(start), pages: end - start }).collect()
    }

    /// The lowest run, as pages.
    pub fn first(&self) -> Option<PageRun> {
        self.iter().next().map(|(start, end)| PageRun { first: PageId(start), pages: end - start })
    }

    /// Is the number in it?
    pub fn contains(&self, number: u32) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    /// Are all numbers of a range in it? So are those of an empty one.
    pub fn covers(&self, start: u32, end: u32) -> bool {
        start >= end || self.runs.range(..=start).next_back().is_some_and(|(_, &last)| end <= last)
    }

    /// Is any number of a range in it?
    pub fn intersects(&self, start: u32, end: u32) -> bool {
        start < end && self.runs.range(..end).next_back().is_some_and(|(_, &last)| start < last)
    }

    /// Adds a range.
    pub fn insert(&mut self, start: u32, end: u32) {
        if start >= end {
            return;
        }
        let (mut from, mut to) = (start, end);
        // All runs that the range overlaps or touches become one with it (RN1).
        while let Some((&first, &last)) = self.runs.range(..=to).next_back() {
            if last < from {
                break;
            }
            (from, to) = (from.min(first), to.max(last));
            self.runs.remove(&first);
            self.count -= u64::from(last - first);
        }
        self.runs.insert(from, to);
        self.count += u64::from(to - from);
    }

    /// Takes a range out, as far as it is in.
    pub fn remove(&mut self, start: u32, end: u32) {
        if start >= end {
            return;
        }
        while let Some((&first, &last)) = self.runs.range(..end).next_back() {
            if last <= start {
                break;
            }
            self.runs.remove(&first);
            self.count -= u64::from(last - first);
            for (from, to) in [(first, start.min(last)), (end.max(first), last)] {
                if from < to {
                    self.runs.insert(from, to);
                    self.count += u64::from(to - from);
                }
            }
        }
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: &RunSet) {
        other.iter().for_each(|(start, end)| self.insert(start, end));
    }

    /// Takes all of another set out.
    pub fn subtract(&mut self, other: &RunSet) {
        other.iter().for_each(|(start, end)| self.remove(start, end));
    }

    /// What both have.
    #[must_use]
    pub fn intersection(&self, other: &RunSet) -> RunSet {
        let mut rest = self.clone();
        rest.subtract(other);
        let mut both = self.clone();
        both.subtract(&rest);
        both
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

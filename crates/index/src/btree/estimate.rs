//! How many records there are, about.

use super::BTree;
use super::fault::Attempt;
use super::node::Node;
use aquifer_buffer::{PageId, Pager, Result, Retry};

/// Pages looked at on each level.
const SAMPLES: usize = 8;

impl BTree {
    /// Records, estimated from up to eight pages of each level; exact for trees that have no more.
    /// O(depth) page reads.
    ///
    /// # Errors
    ///
    /// What loading a page gives; a damaged page.
    pub fn len_estimate(&self, pager: &Pager) -> Result<u64> {
        let mut pages = vec![self.root()];
        let mut level = None;
        // Pages of the level that the samples stand for.
        let mut pages_of_level = 1.0;
        loop {
            let mut entries = 0;
            let mut children = Vec::new();
            for &page in &pages {
                let (found_level, count, below) = self.sample(pager, page, level)?;
                level = Some(found_level);
                entries += count;
                children.push(below);
            }
            pages_of_level *= entries as f64 / pages.len() as f64;
            let Some(below) = level.filter(|&level| level > 0) else {
                return Ok(pages_of_level.round() as u64);
            };
            level = Some(below - 1);
            let all: Vec<PageId> = children.concat();
            let samples = all.len().min(SAMPLES);
            pages = (0..samples).map(|sample| all[(2 * sample + 1) * all.len() / (2 * samples)]).collect();
            if pages.is_empty() {
                return Ok(0); // only a tree that is being dismantled has childless inner pages
            }
        }
    }

    /// The level of a page, how many children or records it has, and which children.
    fn sample(&self, pager: &Pager, page: PageId, level: Option<u8>) -> Result<(u8, usize, Vec<PageId>)> {
        loop {
            match self.try_sample(pager, page, level) {
                Ok(sample) => return Ok(sample),
                Err(retry) => pager.resolve(retry)?,
            }
        }
    }

    fn try_sample(
        &self,
        pager: &Pager,
        page: PageId,
        level: Option<u8>,
    ) -> Attempt<(u8, usize, Vec<PageId>)> {
        let read = pager.read(page)?;
        let node = Node::new(read.words());
        let found_level = node.level();
        let is_own = self.is_own(node.summary(), level.unwrap_or(found_level), node.owner());
        let count = node.count();
        let children: Vec<PageId> = if found_level == 0 {
            Vec::new()
        } else {
            (0..=count).map(|index| node.child(index)).filter(|&child| child != PageId::NONE).collect()
        };
        read.validate()?;
        if !is_own {
            return Err(Retry::Damaged(page, "kind, level or owner is not what its parent says"));
        }
        let entries = if found_level == 0 { count } else { children.len() };
        Ok((found_level, entries, children))
    }
}

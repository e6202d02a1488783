//! The crate's own tree, through its public interface.

use crate::measure::Store;
use crate::tree::{in_memory, resolved};
use aquifer_buffer::Pager;
use aquifer_index::PointReads;
use aquifer_index::btree::BTree;
use aquifer_sync::Arc;
use std::ops::Bound;

#[derive(Debug)]
pub(crate) struct BuiltIn {
    pager: Arc<Pager>,
    tree: BTree,
}

impl Store for BuiltIn {
    fn new(budget_bytes: usize) -> Self {
        let pager = in_memory(budget_bytes);
        let tree = resolved(&pager, |m| BTree::create(m, 1));
        Self { pager, tree }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) {
        resolved(&self.pager, |m| {
            self.tree.place(m, &self.pager, key, value.len()).map(|place| place.put(value, 1))
        });
    }

    #[inline(always)]
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> bool {
        self.tree.get_into(&self.pager, key, out).expect("in memory")
    }

    fn scan(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        let mut cursor = self.tree.cursor(&self.pager, Bound::Unbounded, Bound::Unbounded);
        while let Some((key, value)) = cursor.next().expect("in memory") {
            visit(key, value);
        }
    }

    fn pages(&self) -> usize {
        self.tree.check(&self.pager, &mut |_| ()).expect("in memory").pages.len()
    }
}

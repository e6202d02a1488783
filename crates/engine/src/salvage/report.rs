//! What a salvage says: what came over, what is lost, and what cannot be told.

use aquifer_buffer::PageId;
use aquifer_wal::LogEnd;

/// What salvage is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SalvageStage {
    /// Reading every page, and finding out what it is.
    Pages,
    /// Bringing the records of leaves over.
    Records,
    /// Applying the log: of record bytes.
    Log,
}

/// How far salvage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SalvageProgress {
    /// Stage.
    pub stage: SalvageStage,
    /// Pages, or bytes of the log, done in this stage.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// What salvage found, brought over, and had to leave.
#[derive(Debug, Clone, Default)]
pub struct SalvageReport {
    /// Page size in bytes.
    pub page_bytes: usize,
    /// The checkpoint that was taken as the base; nothing if no superblock could be read.
    pub generation: Option<u64>,
    /// Records brought over from pages.
    pub records: u64,
    /// Bytes of their keys and values.
    pub record_bytes: u64,
    /// Leaves whose records were brought over.
    pub leaves: u64,
    /// Of them, those that no page map vouches for: found by their own headers, checked as far as a page alone can be.
    pub unchecked_leaves: u64,
    /// Each table, by name.
    pub tables: Vec<SalvagedTable>,
    /// Pages and nodes of the page map that are damaged.
    pub lost_pages: Vec<LostPage>,
    /// Rows of the catalog may be missing: tables may have lost names and types, or be missing without a trace.
    pub catalog_damaged: bool,
    /// The log.
    pub log: SalvagedLog,
    /// What cannot be told, and what was done about it.
    pub doubts: Vec<String>,
    /// What is damaged without a loss of its own.
    pub notes: Vec<String>,
}

/// A table that was brought over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SalvagedTable {
    /// Name; made up, such as `table-7`, if [`named`](Self::named) is not set.
    pub name: String,
    /// Id that it had.
    pub id: u32,
    /// Its name, types and options are those that it had.
    pub named: bool,
    /// Records brought over from pages.
    pub records: u64,
    /// Leaves that they came from.
    pub leaves: u64,
    /// Large values that are lost, because one of their pages is; what the log did not change since the checkpoint is gone.
    pub lost_values: Vec<LostValue>,
    /// Keys whose page is lost, in order: what the log did not change since the checkpoint is gone there. Of a hashed table these
    /// are not keys but their hashes, eight bytes big-endian.
    pub lost: Vec<KeyGap>,
}

/// A large value that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostValue {
    /// Its encoded key.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub what: String,
}

/// A stretch of keys, between what the pages beside it say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyGap {
    /// The first key that may be lost.
    pub from: Vec<u8>,
    /// The first key that is not; nothing: all that follow may be lost.
    pub to: Option<Vec<u8>>,
}

/// What a lost page was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LostKind {
    /// A leaf: its records are lost.
    Leaf,
    /// An inner page: nothing is lost with it.
    Inner,
    /// A page of a large value: that is lost.
    LargeValue,
    /// A node of the page map: its pages were looked for in all slots.
    MapNode,
    /// It cannot be told.
    Unknown,
}

/// A page or a node of the page map that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPage {
    /// Its id; nothing for a node of the map.
    pub page: Option<PageId>,
    /// Where it lies in the data file, in bytes.
    pub offset: u64,
    /// What it was.
    pub kind: LostKind,
    /// The table that it belonged to, where known; `(catalog)` for the catalog's.
    pub table: Option<String>,
    /// What is wrong with it.
    pub what: String,
}

/// What became of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SalvagedLog {
    /// Commits that were read.
    pub records: u64,
    /// Changes in them.
    pub entries: u64,
    /// Changes that could not be applied, because what they change is lost.
    pub lost_entries: u64,
    /// Where it ended, and why; nothing if there was none to read.
    pub end: Option<LogEnd>,
    /// What of the log is lost, if anything.
    pub damage: Option<String>,
}

impl SalvageReport {
    /// Whether everything came over, and nothing is in doubt.
    pub fn is_complete(&self) -> bool {
        !self.catalog_damaged
            && self.doubts.is_empty()
            && self.log.damage.is_none()
            && self.log.lost_entries == 0
            && self
                .tables
                .iter()
                .all(|table| table.lost.is_empty() && table.lost_values.is_empty() && table.named)
    }

    /// How many of the lost pages are of this kind.
    pub fn lost(&self, kind: LostKind) -> usize {
        self.lost_pages.iter().filter(|page| page.kind == kind).count()
    }
}

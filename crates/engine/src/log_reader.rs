//! Looking at a log without opening its database: which records there are, what they say, and where and why the log ends.
//!
//! # Invariants
//!
//! - **LR1** Nothing is written but the process id in `LOCK`: the lock is held as long as the reader lives.
//! - **LR2** Damage ends the reading; it is never an error and never passed over.

use crate::catalog::{CATALOG_ID, Description, Row};
use crate::error::{Error, Result};
use crate::index::TableKind;
use crate::opening::{DATA, disk_of, lock};
use crate::options::Options;
use crate::record::{Entry, Malformed, Op, Record};
use crate::recovery::LOG_DIRECTORY;
use aquifer_buffer::{PageId, PlacedPage, Superblock, Wreck};
use aquifer_index::blob::Descriptor;
use aquifer_index::btree::LoosePage;
use aquifer_io::DiskLock;
use aquifer_sync::Arc;
use aquifer_wal::{LogEnd, Lsn, Remains};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The log of a database that nobody has open, record by record.
///
/// ```
/// use aquifer::{Database, LogReader, LogRecordKind, Options};
///
/// # let dir = tempfile::tempdir()?;
/// let db = Database::open(dir.path())?;
/// db.create_table("t", Default::default())?.put(b"k", b"v")?;
/// db.close()?;
///
/// let mut log = LogReader::open(&Options::default(), dir.path())?;
/// let mut commits = 0;
/// while let Some(record) = log.next()? {
///     commits += u64::from(matches!(record.kind, LogRecordKind::Commit(_)));
/// }
/// assert_eq!(commits, 2); // the table, and the record
/// assert!(log.end().closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LogReader {
    remains: Remains,
    end: LogEnd,
    flip_lsn: Lsn,
    incarnation: u64,
    /// Tables by id, as far as they are known.
    names: BTreeMap<u32, String>,
    position: Lsn,
    _lock: Box<dyn DiskLock>, // LR1
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its LSN: where it ends.
    pub lsn: Lsn,
    /// Bytes that it takes in the log.
    pub bytes: u64,
    /// What it says.
    pub kind: LogRecordKind,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRecordKind {
    /// Changes that happen together.
    Commit(Vec<LogChange>),
    /// The checkpoint of this generation is durable.
    Checkpoint {
        /// Generation.
        generation: u64,
    },
    /// A place that was reserved and not used.
    Aborted,
}

/// A change in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChange {
    /// Id of the table.
    pub table: u32,
    /// Its name, if it is known.
    pub table_name: Option<String>,
    /// Encoded key; the name where a table is made, nothing where one is dropped. Of long keys it is that of their group: the bytes that
    /// they begin with, and a zero.
    pub key: Vec<u8>,
    /// What happens to it.
    pub operation: LogOperation,
}

/// What happens to a key, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOperation {
    /// It gets this value.
    Put(Vec<u8>),
    /// Its value changes in these ranges: where each begins, and its bytes.
    Patch(Vec<(usize, Vec<u8>)>),
    /// It gets a value that lies in pages of its own, some or all of them new.
    Attach {
        /// Length of the value in bytes.
        len: u64,
        /// Bytes of the manifest, which says where the new pages lie; it may be written to the data file itself.
        manifest_bytes: usize,
    },
    /// It goes.
    Delete,
    /// The table is made.
    CreateTable {
        /// Sorted or hashed.
        kind: TableKind,
        /// Whether its changes are logged.
        logged: bool,
        /// Type of the keys.
        key_type: String,
        /// Type of the values.
        value_type: String,
        /// Whether its records may expire: then its values begin with eight bytes, the time of that in milliseconds since 1970, 0 never.
        expires: bool,
    },
    /// The table goes.
    DropTable,
    /// The keys from this one on go: those below the end, or all if there is none.
    RangeDelete {
        /// Encoded key: the first that stays.
        end: Option<Vec<u8>>,
    },
    /// Records that were loaded in bulk, and are in the checkpoints and not in the log, become the table's.
    BulkLoad,
}

impl LogReader {
    /// Opens the log of the database in `dir`, from the first record that is still there: that may be one which the newest
    /// checkpoint holds already. Takes the database's lock, and memory for one record and the page map.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Locked`]; [`Error::Format`] if neither superblock can be read; the disk's.
    pub fn open(options: &Options, dir: impl AsRef<Path>) -> Result<LogReader> {
        let dir = dir.as_ref();
        let disk = disk_of(options, dir, false)?;
        if !disk.list("")?.iter().any(|name| name == DATA) {
            return Err(Error::NotFound { path: dir.display().to_string() });
        }
        let lock = lock(&disk)?;
        let wreck = Wreck::open(Arc::clone(&disk))?;
        let newest = wreck.superblocks().iter().flatten().max_by_key(|superblock| superblock.generation);
        let Some(&superblock) = newest else {
            let what =
                "both superblocks are damaged, so it is not known which log is the newest; use salvage";
            return Err(Error::Format { what: what.into() });
        };
        let Superblock { database_id, incarnation, flip_lsn, .. } = superblock;
        let open = |from| Remains::open(Arc::clone(&disk), LOG_DIRECTORY, database_id, incarnation, from);
        // From the beginning of the incarnation if it is there, and reaches what an opening would replay.
        let mut remains = open(None)?;
        if remains.end().lsn.0 < flip_lsn || remains.start().0 > flip_lsn {
            remains = open(Some(Lsn(flip_lsn)))?;
        }
        let (end, position) = (remains.end().clone(), remains.start());
        let names = table_names(&wreck, &superblock)?;
        Ok(LogReader { remains, end, flip_lsn: Lsn(flip_lsn), incarnation, names, position, _lock: lock })
    }

    /// The next record; nothing at the end ([`end`](Self::end)).
    ///
    /// # Errors
    ///
    /// The disk's.
    #[expect(
        clippy::should_implement_trait,
        reason = "it gives a result of an option, as the other readers do"
    )]
    pub fn next(&mut self) -> Result<Option<LogRecord>> {
        if self.position >= self.end.lsn {
            return Ok(None);
        }
        let Some((lsn, bytes)) = self.remains.next()? else { return Ok(None) };
        match decode(bytes, &mut self.names) {
            Ok(kind) => {
                let bytes = lsn.0 - self.position.0;
                self.position = lsn;
                Ok(Some(LogRecord { lsn, bytes, kind }))
            }
            Err(Malformed(what)) => {
                self.end.closed = false;
                self.end.lsn = self.position; // LR2
                self.end.damage = Some(format!("the record that ends at {} makes no sense: {what}", lsn.0));
                Ok(None)
            }
        }
    }

    /// Where the log ends, and why; final once [`next`](Self::next) has given nothing.
    pub fn end(&self) -> &LogEnd {
        &self.end
    }

    /// Where the first record begins.
    pub fn start(&self) -> Lsn {
        self.remains.start()
    }

    /// The newest checkpoint holds the commits before this position; an opening replays the others.
    pub fn flip_lsn(&self) -> Lsn {
        self.flip_lsn
    }

    /// Counts openings: whose log it is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

fn decode(bytes: &[u8], names: &mut BTreeMap<u32, String>) -> std::result::Result<LogRecordKind, Malformed> {
    let mut entries = match Record::decode(bytes)? {
        Record::Checkpoint { generation } => return Ok(LogRecordKind::Checkpoint { generation }),
        Record::Aborted => return Ok(LogRecordKind::Aborted),
        Record::Commit(entries) => entries,
    };
    let mut changes = Vec::new();
    while let Some(entry) = entries.next()? {
        changes.push(change(&entry, names)?);
    }
    Ok(LogRecordKind::Commit(changes))
}

fn change(entry: &Entry<'_>, names: &mut BTreeMap<u32, String>) -> std::result::Result<LogChange, Malformed> {
    let operation = match &entry.op {
        Op::Put(value) => LogOperation::Put(value.to_vec()),
        Op::Patch(patch) => {
            LogOperation::Patch(patch.ranges().map(|(start, bytes)| (start, bytes.to_vec())).collect())
        }
        Op::Attach { descriptor, manifest } => LogOperation::Attach {
            len: Descriptor::len_of(descriptor).map_err(Malformed)?,
            manifest_bytes: manifest.len(),
        },
        Op::Delete => LogOperation::Delete,
        Op::Create { row } => {
            let Description { name, kind, logged, key_type, value_type, lifetime } =
                Description::of_log(entry.key, row).map_err(Malformed)?;
            names.insert(entry.table, name);
            let (kind, expires) = (kind.of_table(), lifetime.is_some());
            LogOperation::CreateTable { kind, logged, key_type, value_type, expires }
        }
        Op::Drop => LogOperation::DropTable,
        Op::RangeDelete { high } => LogOperation::RangeDelete { end: high.map(<[u8]>::to_vec) },
        Op::Adopt { .. } => LogOperation::BulkLoad,
    };
    let table_name = names.get(&entry.table).cloned();
    Ok(LogChange { table: entry.table, table_name, key: entry.key.to_vec(), operation })
}

/// The names of the tables of a checkpoint, as far as its catalog can be read. O(pages) for the map.
fn table_names(wreck: &Wreck, superblock: &Superblock) -> Result<BTreeMap<u32, String>> {
    let map = wreck.map(superblock)?;
    let find = |page: PageId| -> Option<PlacedPage> {
        let index = map.pages.binary_search_by_key(&page, |placed| placed.page).ok()?;
        Some(map.pages[index])
    };
    let mut names = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut below = vec![PageId::FIRST];
    while let Some(page) = below.pop() {
        let Some(placed) = find(page).filter(|_| seen.insert(page)) else { continue };
        wreck.read(&[placed.slot], |_, bytes| {
            let Ok(bytes) = bytes else { return };
            let Some(page) = LoosePage::new(bytes).ok().filter(|_| Wreck::vouches_for(&placed, bytes)) else {
                return;
            };
            if page.table() != CATALOG_ID {
                return;
            }
            page.children(|child, _, _| below.push(child));
            page.records(|key, value| {
                if let Ok(Row::Table { id, description, .. }) = Row::read(key, value.bytes) {
                    names.insert(id, description.name);
                }
            });
        });
    }
    Ok(names)
}

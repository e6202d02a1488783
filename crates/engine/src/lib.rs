//! An embedded, transactional key-value database.
//!
//! | module | its secret |
//! |---|---|
//! | `database` | what a user's handle of a database is, and when the database closes |
//! | `options`, `opening` | how a database is opened, and what follows from it |
//! | `table`, `range`, `definition` | tables of bytes and of types |
//! | `batch` | several changes in one commit |
//! | `commit`, `commit_batch`, `stripes`, `order` | how a commit is ordered and applied |
//! | `transaction`, `snapshot`, `view`, `settled`, `transactions` | transactions, what they and others see, and what they share |
//! | `checkpoint_snapshot` | snapshots of a checkpoint's pages, for long reads |
//! | `exchange` | single commits that depend on what is there |
//! | `merge` | changes that are told as an operand |
//! | `watch` | who is told what is committed |
//! | `expiry`, `clock` | records that expire |
//! | `large` | values beyond what a leaf takes |
//! | `long_key` | keys beyond what a page takes |
//! | `durability` | how sure a commit is when the caller goes on |
//! | `record` | what a log record holds |
//! | `catalog`, `table_core` | which tables there are |
//! | `checkpoint`, `housekeeping`, `pace` | background work |
//! | `recovery` | from a checkpoint and a log to a database |
//! | `verify`, `stats`, `log_reader` | looking at it |
//! | `dump`, `filler` | a database as a stream of bytes, and a new one from elsewhere |
//! | `salvage` | what is left of a damaged one |
//! | `fuzzing` | entry points for the fuzz targets, with the feature of that name |
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod archive;
mod backup;
mod batch;
mod bulk_load;
mod catalog;
mod checkpoint;
mod checkpoint_snapshot;
mod clock;
mod commit;
mod commit_batch;
mod database;
mod definition;
mod dump;
mod durability;
mod engine;
mod error;
mod exchange;
mod expiry;
mod filler;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod housekeeping;
mod index;
mod kind;
mod large;
mod log_reader;
mod long_key;
mod merge;
mod opening;
mod options;
mod order;
mod pace;
mod range;
mod range_delete;
mod record;
mod records;
mod recovery;
mod salvage;
mod scratch;
mod settled;
mod snapshot;
mod stats;
mod stripes;
mod table;
mod table_core;
mod transaction;
mod transactions;
mod verify;
mod view;
mod watch;

pub use aquifer_buffer::{BackupReport, CopyProgress, PageId, PagerStats};
#[cfg(feature = "postcard")]
pub use aquifer_codec::Serde;
pub use aquifer_codec::{DecodeError, EncodeError, Key, Value};
pub use aquifer_io::Backend;
pub use aquifer_wal::{LogEnd, LogStats, Lsn};
pub use backup::{Backup, BackupInfo, RestoreReport};
pub use batch::WriteBatch;
pub use checkpoint_snapshot::CheckpointSnapshot;
pub use clock::Clock;
pub use database::{Database, TableInfo, TableOptions};
pub use definition::{HashTableDef, TableDef};
pub use dump::{DumpProgress, DumpSummary};
pub use durability::{CommitTicket, Durability};
pub use error::{Error, ErrorKind, Result};
pub use expiry::Expiry;
pub use index::TableKind;
pub use kind::{Hashed, Kind, OneKind, Sorted, Unknown};
pub use large::{LargeReader, LargeWriter};
pub use log_reader::{LogChange, LogOperation, LogReader, LogRecord, LogRecordKind};
pub use merge::{Addend, Append, MergeOperator, MergeResult};
pub use options::Options;
pub use range::{ByteOrdered, KeyRange, Range, Scan};
pub use records::{AnyTable, HashTable, Iter, Records};
pub use salvage::{
    KeyGap, LostKind, LostPage, LostValue, SalvageProgress, SalvageReport, SalvageStage, SalvagedLog,
    SalvagedTable,
};
pub use snapshot::Snapshot;
pub use stats::{CheckpointSnapshotStats, MemoryAccount, RecoveryReport, Stats, TransactionStats};
pub use table::Table;
pub use transaction::{Isolation, Savepoint, Transaction, TxOptions};
pub use verify::{Fault, TableReport, VerifyProgress, VerifyReport, VerifyStage};
pub use watch::{Event, Watcher};

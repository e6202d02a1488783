//! The superblock: which checkpoint is the newest, and where its page map is rooted.
//!
//! Two of them, at byte 0 and byte 65536 of the data file; generation g is at `(g mod 2) * 65536`. The one that is not
//! known durable is overwritten, so one whole superblock is there at any moment.
//!
//! FROZEN at version 1. All numbers little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `AQUIFER\0` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | page size in bytes |
//! | 16 | 16 | database id |
//! | 32 | 8 | incarnation |
//! | 40 | 8 | generation |
//! | 48 | 8 | flip LSN: the checkpoint holds exactly the commits below it |
//! | 56 | 4 | page map: root's slot, 0 if the map is empty |
//! | 60 | 4 | page map: root's CRC32C |
//! | 64 | 4 | page map: height, 1 if the root is a leaf |
//! | 68 | 4 | pages: ids below it may be in the map |
//! | 72 | 4 | flags: bit 0, the file is a backup: it has no log, and opens as nothing but that; others zero |
//! | 76 | 4016 | zeros |
//! | 4092 | 4 | CRC32C of bytes 0 to 4091 |

use crate::file::{DATA, DataFile};
use crate::map::MapRoot;
use crate::translation::Location;
use crate::{Error, Result};
use aquifer_codec::checksum::crc32c;
use aquifer_io::{BLOCK_BYTES, Buffer};

/// FROZEN.
const MAGIC: &[u8; 8] = b"AQUIFER\0";
/// FROZEN.
const VERSION: u32 = 1;
const CRC_AT: usize = BLOCK_BYTES - 4;
const SECOND: u64 = 64 << 10;
/// Incarnations, generations and log positions are at most this, so that the next one is a number too. FROZEN.
const COUNT_MAX: u64 = 1 << 62;

/// What the newest durable superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Superblock {
    /// Identity of the database.
    pub database_id: [u8; 16],
    /// Rises at every opening.
    pub incarnation: u64,
    /// Rises at every checkpoint.
    pub generation: u64,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// The checkpoint holds exactly the commits below this log position.
    pub flip_lsn: u64,
    /// The file is a backup, which has no log: it is restored into another directory, and never opened itself.
    pub is_backup: bool,
    /// The page map.
    pub(crate) map: MapRoot,
}

/// Why a block is not a valid superblock.
#[derive(Debug)]
pub(crate) enum Invalid {
    Foreign,
    Version(u32),
    Damaged(String),
}

impl Superblock {
    /// Byte offset of the superblock of this generation.
    pub(crate) fn offset(generation: u64) -> u64 {
        generation % 2 * SECOND
    }

    /// The block to write.
    pub(crate) fn encode(&self) -> Buffer {
        let mut block = Buffer::zeroed(BLOCK_BYTES);
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &self.page_bytes.to_le_bytes());
        put(16, &self.database_id);
        put(32, &self.incarnation.to_le_bytes());
        put(40, &self.generation.to_le_bytes());
        put(48, &self.flip_lsn.to_le_bytes());
        put(56, &self.map.root.slot.to_le_bytes());
        put(60, &self.map.root.checksum.to_le_bytes());
        put(64, &self.map.height.to_le_bytes());
        put(68, &self.map.pages.to_le_bytes());
        put(72, &u32::from(self.is_backup).to_le_bytes());
        let crc = crc32c(0, &block[..CRC_AT]);
        block[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Reads the block where superblock `index` (0 or 1) belongs.
    pub(crate) fn read_one(file: &DataFile, index: u64) -> Result<std::result::Result<Self, Invalid>> {
        Ok(Self::decode(&file.read_block(Self::offset(index))?))
    }

    fn decode(block: &[u8]) -> std::result::Result<Self, Invalid> {
        let u32_at = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
        if &block[..8] != MAGIC {
            return Err(Invalid::Foreign);
        }
        if u32_at(CRC_AT) != crc32c(0, &block[..CRC_AT]) {
            return Err(Invalid::Damaged("its checksum does not match".into()));
        }
        if u32_at(8) != VERSION {
            return Err(Invalid::Version(u32_at(8)));
        }
        let superblock = Self {
            page_bytes: u32_at(12),
            database_id: block[16..32].try_into().expect("sixteen bytes"),
            incarnation: u64_at(32),
            generation: u64_at(40),
            flip_lsn: u64_at(48),
            is_backup: u32_at(72) == 1,
            map: MapRoot {
                root: Location { slot: u32_at(56), checksum: u32_at(60) },
                height: u32_at(64),
                pages: u32_at(68),
            },
        };
        if !(superblock.page_bytes.is_power_of_two() && (4096..=65536).contains(&superblock.page_bytes)) {
            return Err(Invalid::Damaged(format!("page size {} is not possible", superblock.page_bytes)));
        }
        if u32_at(72) > 1 {
            return Err(Invalid::Damaged(format!("flags {:x} are not possible", u32_at(72))));
        }
        let Self { incarnation, generation, flip_lsn, .. } = superblock;
        for (what, count) in
            [("incarnation", incarnation), ("generation", generation), ("flip LSN", flip_lsn)]
        {
            if count > COUNT_MAX {
                return Err(Invalid::Damaged(format!("{what} {count} is not possible")));
            }
        }
        if superblock.map.height > 4 || (superblock.map.root.slot == 0) != (superblock.map.height == 0) {
            return Err(Invalid::Damaged(format!("map height {} is not possible", superblock.map.height)));
        }
        Ok(superblock)
    }

    /// Reads both and returns the newest valid one.
    pub(crate) fn read(file: &DataFile) -> Result<Self> {
        let format = |what: String| Error::Format { file: DATA.into(), what };
        let len = file.len()?;
        if len < SECOND + BLOCK_BYTES as u64 {
            return Err(format(format!(
                "{len} bytes long, too short for an Aquifer data file: it was cut, or is another program's file"
            )));
        }
        match (Self::read_one(file, 0)?, Self::read_one(file, 1)?) {
            // First: a newer program's checkpoint is not to be passed over for an older one.
            (Err(Invalid::Version(version)), _) | (_, Err(Invalid::Version(version))) => {
                Err(format(format!(
                    "format version {version}, this program reads version {VERSION}; use the newer program"
                )))
            }
            (Ok(first), Ok(second)) if first.database_id != second.database_id => {
                Err(format("its two superblocks name different databases; restore a backup".into()))
            }
            (Ok(first), Ok(second)) if first.generation > second.generation => Ok(first),
            (Ok(_), Ok(second)) => Ok(second),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(Invalid::Foreign), Err(Invalid::Foreign)) => {
                Err(format("not an Aquifer data file (no superblock found)".into()))
            }
            (Err(Invalid::Damaged(what)), _) | (_, Err(Invalid::Damaged(what))) => {
                Err(format(format!("both superblocks are damaged ({what}); restore a backup or use salvage")))
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

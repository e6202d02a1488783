//! Damage to what is on the medium: bits that rot, sectors that cannot be read any more.
//!
//! - **D1** Damage is to the durable image. A reader sees it where the kernel holds nothing newer, that is where both images
//!   have the same block.

use crate::Random;
use crate::SimDisk;
use crate::image::{BLOCK, SECTOR_BYTES};
use crate::names::Entry;
use crate::state::Stored;
use std::ops::Range;

/// A bit on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rot {
    /// Name of the file.
    pub file: String,
    /// Byte in it.
    pub byte: u64,
    /// Bit in the byte, 0 to 7.
    pub bit: u8,
}

impl SimDisk {
    /// Flips one bit of a file, on the medium: a reader sees it unless a newer block has been written and not yet synced.
    ///
    /// # Panics
    ///
    /// If there is no such file, or the byte is not durable.
    pub fn flip_bit(&self, name: &str, byte: u64, bit: u8) {
        assert!(bit < 8, "a byte has 8 bits");
        self.with_file(name, |file| {
            let content = &mut file.content;
            assert!(byte < content.durable.len(), "byte {byte} of {name} is not durable");
            let (index, at) = (byte / BLOCK, (byte % BLOCK) as usize);
            let seen = content.current.block(index) == content.durable.block(index);
            for (image, flip) in [(&mut content.durable, true), (&mut content.current, seen)] {
                if flip && byte < image.len() {
                    let sector = at / SECTOR_BYTES * SECTOR_BYTES;
                    // A spoiled sector stays so: damage does not mend it.
                    let spoiled = image.unreadable_in(byte..byte + 1).is_some();
                    image.edit(index, at..at + 1)[0] ^= 1 << bit;
                    if spoiled {
                        let first = index * BLOCK + sector as u64;
                        image.spoil(first..first + 1);
                    }
                }
            }
        });
    }

    /// Flips a bit somewhere in the durable bytes of the files that have names, drawn from `seed`, each bit as likely as
    /// any other. Says which; `None` if there is nothing.
    pub fn rot(&self, seed: u64) -> Option<Rot> {
        let sizes: Vec<(String, u64)> = {
            let state = self.state().lock();
            let files = state.tree().iter().filter_map(|(name, entry)| match entry {
                Entry::File(id) => Some((name.to_string(), state.files[*id].content.durable.len())),
                Entry::Directory => None,
            });
            files.collect()
        };
        let total: u64 = sizes.iter().map(|(_, len)| len).sum();
        if total == 0 {
            return None;
        }
        let mut random = Random(seed);
        let (mut byte, bit) = (random.below(total), random.below(8) as u8);
        for (file, len) in sizes {
            if byte < len {
                self.flip_bit(&file, byte, bit);
                return Some(Rot { file, byte, bit });
            }
            byte -= len;
        }
        unreachable!("the byte is below the total")
    }

    /// Makes the 512-byte sectors that these bytes touch unreadable: reading them fails until they have been written again
    /// (or cut off, or punched), also after a boot.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn spoil_sectors(&self, name: &str, bytes: Range<u64>) {
        self.with_file(name, |file| {
            let content = &mut file.content;
            content.durable.spoil(bytes.clone());
            for sector in bytes.start / SECTOR_BYTES as u64..bytes.end.div_ceil(SECTOR_BYTES as u64) {
                let start = sector * SECTOR_BYTES as u64;
                if content.current.block(start / BLOCK) == content.durable.block(start / BLOCK) {
                    content.current.spoil(start..start + 1);
                }
            }
        });
    }

    fn with_file(&self, name: &str, act: impl FnOnce(&mut Stored)) {
        let mut state = self.state().lock();
        let id = match state.names.entry(name) {
            Some(Entry::File(id)) => id,
            _ => panic!("no file {name} on the simulated disk"),
        };
        act(&mut state.files[id]);
    }
}

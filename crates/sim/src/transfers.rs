//! What can be done to a file's bytes, with the faults that may strike it.
//!
//! The caller has checked that ranges are whole blocks. A transfer that fails leaves anything behind, as the rules of a
//! disk allow: a failed read nonsense in the buffer, a failed write any part of itself.

use crate::content::Change;
use crate::fault::Effect;
use crate::image::{BLOCK, Block};
use crate::state::{State, Target};
use crate::{Call, FILE_BYTES_MAX};
use aquifer_io::{BLOCK_BYTES, Result};
use aquifer_sync::Arc;
use std::io::ErrorKind;
use std::ops::Range;

impl State {
    /// Fills `buffer`, which is not empty, from `offset` on.
    pub(crate) fn read(&mut self, id: usize, name: &Arc<str>, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let len = buffer.len() as u64;
        let target = Target { call: Call::Read, name, file: Some(id), offset, len };
        self.operate(target, |state, effect| {
            let (first, count) = (offset / BLOCK, len / BLOCK);
            match effect {
                None => state.fetch(&target, first, buffer),
                Some(Effect::MisdirectedRead) => {
                    let elsewhere = state.elsewhere(id, first, count);
                    state.fetch(&target, elsewhere, buffer)
                }
                Some(Effect::StaleRead) => {
                    state.fetch(&target, first, buffer)?;
                    let content = &state.files[id].content;
                    for (index, bytes) in (first..).zip(buffer.chunks_exact_mut(BLOCK_BYTES)) {
                        match content.older(index) {
                            Some(Some(older)) => bytes.copy_from_slice(&older[..]),
                            Some(None) => bytes.fill(0),
                            None => {}
                        }
                    }
                    Ok(())
                }
                Some(Effect::FlippedRead) => {
                    state.fetch(&target, first, buffer)?;
                    let bit = state.random.below(len * 8);
                    buffer[(bit / 8) as usize] ^= 1 << (bit % 8);
                    Ok(())
                }
                Some(effect) => {
                    state.random.fill(buffer);
                    if effect == Effect::PowerLoss {
                        state.powered = false;
                        return Err(target.off());
                    }
                    Err(target.injected())
                }
            }
        })
    }

    /// Reads from block `first` on, which need not be where the target lies.
    fn fetch(&mut self, target: &Target<'_>, first: u64, buffer: &mut [u8]) -> Result<()> {
        let image = &self.files[target.file.expect("of a file")].content.current;
        let (start, end) = (first * BLOCK, first * BLOCK + target.len);
        if end > image.len() {
            let message = format!("the file ends at {}", image.len());
            return Err(target.error(ErrorKind::UnexpectedEof, &message));
        }
        if let Some(place) = image.unreadable_in(start..end) {
            let message = format!("the sector at {place} cannot be read until it is written");
            self.random.fill(buffer);
            return Err(target.error(ErrorKind::Other, &message));
        }
        image.copy_to(first, buffer);
        Ok(())
    }

    /// Writes blocks, of which there are some; durably if `call` says so.
    pub(crate) fn write(
        &mut self,
        call: Call,
        id: usize,
        name: &Arc<str>,
        first: u64,
        blocks: &[Block],
    ) -> Result<()> {
        let count = blocks.len() as u64;
        let target = Target { call, name, file: Some(id), offset: first * BLOCK, len: count * BLOCK };
        self.operate(target, |state, effect| {
            if (first + count) * BLOCK > FILE_BYTES_MAX {
                let message = format!("a simulated file has at most {FILE_BYTES_MAX} bytes");
                return Err(target.error(ErrorKind::FileTooLarge, &message));
            }
            match effect {
                None => state.place(&target, first, blocks),
                Some(Effect::PowerLoss) => {
                    state.take_off(id, name, first, blocks);
                    state.powered = false;
                    Err(target.off())
                }
                Some(Effect::LostWrite) => {
                    let content = &mut state.files[id].content;
                    content.grow((first + count) * BLOCK);
                    Ok(())
                }
                Some(Effect::MisdirectedWrite) => {
                    let elsewhere = state.elsewhere(id, first, count);
                    state.files[id].content.grow((first + count) * BLOCK);
                    state.place(&target, elsewhere, blocks)
                }
                Some(Effect::Full) => Err(target.full()),
                Some(_) => {
                    state.place_some(&target, first, blocks);
                    Err(target.injected())
                }
            }
        })
    }

    /// Writes what there is space for.
    fn place(&mut self, target: &Target<'_>, first: u64, blocks: &[Block]) -> Result<()> {
        let mut room = self.room_blocks();
        let content = &mut self.files[target.file.expect("of a file")].content;
        let fits = |index| {
            let needed = u64::from(content.current.is_hole(index));
            let fits = needed <= room;
            room -= if fits { needed } else { 0 };
            fits
        };
        let count = (first..first + blocks.len() as u64).map(fits).take_while(|fits| *fits).count();
        let full = count < blocks.len();
        if count > 0 {
            match target.call {
                Call::WriteDurable if !full => content.write_durable(first, blocks),
                _ => content.write(first, &blocks[..count]),
            }
        }
        if full { Err(target.full()) } else { Ok(()) }
    }

    /// A write that fails: nothing, everything, or any sectors of it; perhaps for readers only.
    fn place_some(&mut self, target: &Target<'_>, first: u64, blocks: &[Block]) {
        let id = target.file.expect("of a file");
        let everything = match self.random.below(4) {
            0 => return,
            1 => true,
            _ => false,
        };
        if self.room_blocks() < blocks.len() as u64 {
            return;
        }
        let sector_bytes = self.settings.sector_bytes;
        for (index, block) in (first..).zip(blocks) {
            let mut mixed = block.clone();
            if !everything {
                let old = self.files[id].content.current.block(index);
                let bytes = Arc::make_mut(&mut mixed);
                let mut choices = self.random.draw();
                for start in (0..BLOCK_BYTES).step_by(sector_bytes) {
                    let range = start..start + sector_bytes;
                    match old {
                        _ if choices & 1 == 0 => {}
                        Some(old) => bytes[range.clone()].copy_from_slice(&old[range]),
                        None => bytes[range].fill(0),
                    }
                    choices >>= 1;
                }
            }
            self.files[id].content.write(index, &[mixed]);
        }
        if self.random.chance(50) {
            self.files[id].content.forget(first..first + blocks.len() as u64);
        }
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self, id: usize, name: &Arc<str>) -> Result<()> {
        let target = Target { call: Call::Sync, name, file: Some(id), offset: 0, len: 0 };
        self.operate(target, |state, effect| {
            let content = &mut state.files[id].content;
            match effect {
                None => {
                    content.sync();
                    Ok(())
                }
                Some(Effect::PowerLoss) => {
                    state.powered = false;
                    Err(target.off())
                }
                Some(effect) => {
                    content.fail_sync(&mut state.random);
                    Err(if effect == Effect::Full { target.full() } else { target.injected() })
                }
            }
        })
    }

    /// Gives these blocks space.
    pub(crate) fn allocate(&mut self, id: usize, name: &Arc<str>, blocks: Range<u64>) -> Result<()> {
        let target = ranged(Call::Allocate, id, name, &blocks);
        self.change(target, |state| {
            if blocks.end * BLOCK > FILE_BYTES_MAX {
                return Err(target.full());
            }
            let room = state.room_blocks();
            let content = &mut state.files[id].content;
            let needed = blocks.clone().filter(|index| content.current.is_hole(*index)).count();
            if needed as u64 > room {
                return Err(target.full());
            }
            if needed > 0 || blocks.end * BLOCK > content.current.len() {
                content.change(Change::Allocate(blocks.clone()));
            }
            Ok(())
        })
    }

    /// Sets the length.
    pub(crate) fn truncate(&mut self, id: usize, name: &Arc<str>, len: u64) -> Result<()> {
        let target = Target { call: Call::Truncate, name, file: Some(id), offset: len, len: 0 };
        self.change(target, |state| {
            if len > FILE_BYTES_MAX {
                let message = format!("a simulated file has at most {FILE_BYTES_MAX} bytes");
                return Err(target.error(ErrorKind::FileTooLarge, &message));
            }
            let content = &mut state.files[id].content;
            if len != content.current.len() {
                content.change(Change::Length(len));
            }
            Ok(())
        })
    }

    /// Makes holes.
    pub(crate) fn punch_hole(&mut self, id: usize, name: &Arc<str>, blocks: Range<u64>) -> Result<()> {
        let target = ranged(Call::PunchHole, id, name, &blocks);
        self.change(target, |state| {
            let content = &mut state.files[id].content;
            let there = blocks.start..blocks.end.min(content.current.blocks());
            if there.clone().any(|index| !content.current.is_hole(index)) {
                content.change(Change::Punch(there));
            }
            Ok(())
        })
    }

    /// The length.
    pub(crate) fn len(&mut self, id: usize, name: &Arc<str>) -> Result<u64> {
        let target = Target { call: Call::Length, name, file: Some(id), offset: 0, len: 0 };
        self.change(target, |state| Ok(state.files[id].content.current.len()))
    }
}

fn ranged<'a>(call: Call, id: usize, name: &'a Arc<str>, blocks: &Range<u64>) -> Target<'a> {
    let (offset, len) = (blocks.start * BLOCK, (blocks.end - blocks.start) * BLOCK);
    Target { call, name, file: Some(id), offset, len }
}

//! Changing part of a value: new pages for those touched, the others stay.

use super::{Known, LargeWriter, Logging, PageWriter, Written};
use crate::Durability;
use crate::commit::{Change, commit_one_if};
use crate::database::Handle;
use crate::durability::Commit;
use crate::error::{Error, Result};
use crate::long_key;
use crate::table_core::TableCore;
use aquifer_buffer::{PageRun, Pin};
use aquifer_index::blob::LargeValue;
use aquifer_io::Buffer;
use aquifer_sync::Arc;

/// Appends bytes to the value of a key, or makes it. Repeated until nobody else has changed it meanwhile (LV4).
pub(crate) fn append(
    handle: &Arc<Handle>,
    core: &Arc<TableCore>,
    key: &[u8],
    bytes: &[u8],
) -> Result<Commit> {
    loop {
        let mut writer = LargeWriter::behind(handle, core, key.to_vec(), Durability::default())?;
        writer.push(bytes)?;
        match writer.commit() {
            Err(Error::ValueChanged { .. }) => {}
            committed => return committed,
        }
    }
}

/// Overwrites bytes of the value of a key, from `offset` on.
pub(crate) fn patch(
    handle: &Arc<Handle>,
    core: &Arc<TableCore>,
    key: &[u8],
    offset: u64,
    bytes: &[u8],
) -> Result<Commit> {
    core.check_usable()?;
    core.check_key(key)?;
    loop {
        match patch_once(handle, core, key, offset, bytes) {
            Err(Error::ValueChanged { .. }) => {} // LV4
            patched => return patched,
        }
    }
}

fn patch_once(
    handle: &Arc<Handle>,
    core: &Arc<TableCore>,
    key: &[u8],
    offset: u64,
    bytes: &[u8],
) -> Result<Commit> {
    let engine = &handle.engine;
    let pin = Pin::everything(&engine.pager); // LV5
    let found = long_key::find(engine, core, key)?;
    let now = core.now(engine);
    let there = match &found {
        Some(old) => core.is_found_there(now, old)?.then_some(old),
        None => None,
    };
    let Some(old) = there else { return Err(beyond(core, offset, bytes, None)) };
    let offset = offset.saturating_add(core.stamp_bytes() as u64); // EX1 of `expiry`: the stamp stays
    if !old.is_large() {
        let mut value = old.bytes.clone();
        let range =
            usize::try_from(offset).ok().and_then(|from| value.get_mut(from..from.checked_add(bytes.len())?));
        let Some(range) = range else {
            return Err(beyond(core, offset, bytes, Some(old.bytes.len() as u64)));
        };
        range.copy_from_slice(bytes);
        return Ok(commit_one_if(engine, core, key, Change::Put(&value), Some(&found), None)?.0);
    }
    let Known { value, .. } = Known::load_to_read(&engine.pager, &old.bytes)?;
    pin.narrow(&value.pages());
    let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= value.len());
    let Some(end) = end else { return Err(beyond(core, offset, bytes, Some(value.len()))) };
    if bytes.is_empty() {
        return Ok(Commit::Nothing);
    }
    let page_bytes = engine.pager.page_bytes() as u64;
    let (first, behind) = (offset / page_bytes, end.div_ceil(page_bytes));
    let mut buffer = vec![Buffer::zeroed(page_bytes as usize)];
    let mut pages = PageWriter::new(engine)?;
    if !offset.is_multiple_of(page_bytes) {
        engine.pager.read_direct(&value.ids(first, 1), &mut buffer)?;
        pages.push(&buffer[0][..(offset % page_bytes) as usize])?;
    }
    pages.push(bytes)?;
    if !end.is_multiple_of(page_bytes) {
        engine.pager.read_direct(&value.ids(behind - 1, 1), &mut buffer)?;
        pages.push(&buffer[0][(end % page_bytes) as usize..])?;
    }
    let new = pages.end_page(0)?;
    let written = complete(pages, value.len(), value.spliced(first, behind, &new), Logging::of(core))?;
    Ok(commit_one_if(engine, core, key, Change::PutLarge(&written), Some(&found), None)?.0)
}

fn beyond(core: &TableCore, offset: u64, bytes: &[u8], len: Option<u64>) -> Error {
    let (stamp, is_there) = (core.stamp_bytes() as u64, len.is_some());
    let offset = if is_there { offset - stamp } else { offset };
    let value = len.map_or("no value".to_owned(), |len| format!("a value of {} bytes", len - stamp));
    Error::usage(format!(
        "table {}: {} bytes at {offset} do not lie within {value}; append to it, or put it",
        core.name,
        bytes.len()
    ))
}

/// As [`PageWriter::complete`]; where there would be too many extents, neighbours are written anew as one first (LB3).
pub(crate) fn complete(
    mut pages: PageWriter,
    len: u64,
    mut extents: Vec<PageRun>,
    logging: Logging,
) -> Result<Written> {
    let pager = pages.pager();
    let page_bytes = pager.page_bytes();
    loop {
        let value = LargeValue::new(len, extents, Vec::new());
        let Some(crowd) = value.crowd() else {
            return pages.complete(len, value.extents().to_vec(), logging);
        };
        let from = pages.pages_written();
        let mut buffer = vec![Buffer::zeroed(page_bytes)];
        for page in crowd.clone() {
            pager.read_direct(&value.ids(page, 1), &mut buffer)?;
            pages.push(&buffer[0])?;
        }
        let new = pages.end_page(from)?;
        extents = value.spliced(crowd.start, crowd.end, &new);
    }
}

//! Large values: what a leaf holds in their stead, and the arithmetic of their pages. No I/O is done here.
//!
//! A value beyond what a leaf takes lies in pages of its own, as pure bytes, the last page padded with zeros. The pages are named
//! by *extents*, runs of consecutive page ids; the page map places each page and has its checksum. The leaf has a *descriptor*,
//! in a record that is flagged ([`ValueKind::Large`](crate::ValueKind)). FROZEN at version 1:
//!
//! ```text
//! descriptor: 1 | varint length of the value | extent*
//!             2 | varint length of the value | varint bytes of the list | extent*    these extents are those of the list
//! extent:     varint first page | varint pages
//! list:       extent*, in pages of its own, the last padded with zeros
//! ```
//!
//! # Invariants
//!
//! - **LB1** The extents of a value have exactly the pages that its length takes; those of a list likewise. Page 0 is in none.
//! - **LB2** Pages of a value never change: whoever changes, appends or moves bytes writes new pages and makes a new descriptor,
//!   with those pages that stay. Two values share no page.
//! - **LB3** A descriptor has at most a sixteenth of a page; more extents than that allows are listed. There are at most
//!   [`EXTENTS_MAX`]: before there are more, neighbours are written anew as one ([`LargeValue::crowd`]).
//! - **LB4** Decoding is total: any bytes give a descriptor that obeys LB1, or an error.

use aquifer_buffer::{PageId, PageRun};
use aquifer_codec::varint;

/// Longest value: 4 GiB.
pub const LARGE_BYTES_MAX: u64 = 1 << 32;
/// Extents of a value, at most.
pub const EXTENTS_MAX: usize = 8192;
/// Extents that become one when there are too many (LB3).
const CROWD: usize = 64;

const INLINE: u8 = 1;
const LISTED: u8 = 2;

/// What a leaf holds for a large value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Length of the value in bytes.
    pub len: u64,
    /// Its extents.
    pub extents: Extents,
}

/// Where the extents of a value are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extents {
    /// In the descriptor.
    Inline(Vec<PageRun>),
    /// In pages.
    Listed {
        /// Length of the list in bytes.
        bytes: u64,
        /// The pages that hold it.
        pages: Vec<PageRun>,
    },
}

impl Descriptor {
    /// The bytes to put in the leaf.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let (kind, runs) = match &self.extents {
            Extents::Inline(runs) => (INLINE, runs),
            Extents::Listed { pages, .. } => (LISTED, pages),
        };
        out.push(kind);
        varint::put(&mut out, self.len);
        if let Extents::Listed { bytes, .. } = &self.extents {
            varint::put(&mut out, *bytes);
        }
        out.extend_from_slice(&encode_extents(runs));
        out
    }

    /// The length that a descriptor states, of whatever page size.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn len_of(bytes: &[u8]) -> Result<u64, &'static str> {
        number(&mut bytes.get(1..).ok_or("a large value's descriptor is empty")?)
    }

    /// Reads what a leaf holds (LB4).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(bytes: &[u8], page_bytes: usize) -> Result<Descriptor, &'static str> {
        let (&kind, mut rest) = bytes.split_first().ok_or("a large value's descriptor is empty")?;
        let len = number(&mut rest)?;
        if len == 0 || len > LARGE_BYTES_MAX {
            return Err("a large value's length is not possible");
        }
        let extents = match kind {
            INLINE => Extents::Inline(decode_extents(rest, len, page_bytes)?),
            LISTED => {
                let bytes = number(&mut rest)?;
                if bytes == 0 || bytes > (EXTENTS_MAX * 10) as u64 {
                    return Err("the list of a large value's extents is too long");
                }
                Extents::Listed { bytes, pages: decode_extents(rest, bytes, page_bytes)? }
            }
            _ => return Err("a large value's descriptor is of no known kind"),
        };
        Ok(Descriptor { len, extents })
    }
}

/// The bytes of a list of extents.
pub fn encode_extents(runs: &[PageRun]) -> Vec<u8> {
    let mut out = Vec::with_capacity(runs.len() * 8);
    for run in runs {
        varint::put(&mut out, u64::from(run.first.0));
        varint::put(&mut out, u64::from(run.pages));
    }
    out
}

/// Reads extents that hold `len` bytes (LB1).
///
/// # Errors
///
/// What is wrong with them.
pub fn decode_extents(mut bytes: &[u8], len: u64, page_bytes: usize) -> Result<Vec<PageRun>, &'static str> {
    let mut runs = Vec::new();
    let mut pages_left = len.div_ceil(page_bytes as u64);
    while !bytes.is_empty() {
        let (first, pages) = (number(&mut bytes)?, number(&mut bytes)?);
        let (Ok(id), Ok(count)) = (u32::try_from(first), u32::try_from(pages)) else {
            return Err("an extent of a large value is beyond all pages");
        };
        if id == 0 || count == 0 || id.checked_add(count).is_none() {
            return Err("an extent of a large value is beyond all pages");
        }
        pages_left =
            pages_left.checked_sub(pages).ok_or("a large value has more pages than its length takes")?;
        runs.push(PageRun { first: PageId(id), pages: count });
    }
    if pages_left > 0 {
        return Err("a large value has fewer pages than its length takes");
    }
    Ok(runs)
}

fn number(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let (number, len) = varint::get(bytes).ok_or("a number of a large value's descriptor is malformed")?;
    *bytes = &bytes[len..];
    Ok(number)
}

/// A large value whose extents are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LargeValue {
    len: u64,
    extents: Vec<PageRun>,
    /// Pages of the value before each extent.
    starts: Vec<u64>,
    list: Vec<PageRun>,
}

impl LargeValue {
    /// A value of `len` bytes in these extents; `list` holds their list, if that is not in the descriptor.
    pub fn new(len: u64, extents: Vec<PageRun>, list: Vec<PageRun>) -> LargeValue {
        let starts = extents
            .iter()
            .scan(0, |sum, run| {
                let start = *sum;
                *sum += u64::from(run.pages);
                Some(start)
            })
            .collect();
        LargeValue { len, extents, starts, list }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Is it empty? No value that a leaf describes is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its extents.
    pub fn extents(&self) -> &[PageRun] {
        &self.extents
    }

    /// All its pages: those of the value and those of the list.
    pub fn pages(&self) -> Vec<PageRun> {
        self.extents.iter().chain(&self.list).copied().collect()
    }

    /// Pages of the value.
    pub fn page_count(&self) -> u64 {
        self.extents.last().map_or(0, |last| self.starts[self.starts.len() - 1] + u64::from(last.pages))
    }

    /// The ids of pages `from` and those that follow it, `most` at most. O(log extents), and O(pages).
    pub fn ids(&self, from: u64, most: usize) -> Vec<PageId> {
        let mut ids = Vec::with_capacity(most.min(1024));
        let first = self.starts.partition_point(|&start| start <= from).saturating_sub(1);
        for (run, start) in self.extents.iter().zip(&self.starts).skip(first) {
            let skip = from.saturating_sub(*start) as usize;
            ids.extend(run.ids().skip(skip).take(most - ids.len()));
            if ids.len() == most {
                break;
            }
        }
        ids
    }

    /// The extents of its pages from `from` below `to`.
    pub fn part(&self, from: u64, to: u64) -> Vec<PageRun> {
        let mut part = Vec::new();
        self.push_part(from, to, &mut part);
        part
    }

    /// The extents when pages from `from` below `to` are replaced by `new` ones.
    pub fn spliced(&self, from: u64, to: u64, new: &[PageRun]) -> Vec<PageRun> {
        let mut spliced = Vec::with_capacity(self.extents.len() + new.len() + 1);
        self.push_part(0, from, &mut spliced);
        new.iter().for_each(|&run| PageRun::push(&mut spliced, run));
        self.push_part(to, self.page_count(), &mut spliced);
        spliced
    }

    fn push_part(&self, from: u64, to: u64, out: &mut Vec<PageRun>) {
        for (run, &start) in self.extents.iter().zip(&self.starts) {
            let (low, high) = (from.max(start), to.min(start + u64::from(run.pages)));
            if low < high {
                let first = PageId(run.first.0 + (low - start) as u32);
                PageRun::push(out, PageRun { first, pages: (high - low) as u32 });
            }
        }
    }

    /// Of too many extents, the pages of those neighbours that are the fewest bytes (LB3); nothing if there are not too many.
    /// Written anew in one extent, they make room for many more changes.
    pub fn crowd(&self) -> Option<std::ops::Range<u64>> {
        if self.extents.len() <= EXTENTS_MAX {
            return None;
        }
        let end_of = |index: usize| self.starts[index] + u64::from(self.extents[index].pages);
        (0..=self.extents.len() - CROWD)
            .map(|index| self.starts[index]..end_of(index + CROWD - 1))
            .min_by_key(|pages| pages.end - pages.start)
    }

    /// The pages of this value that another one does not have: those to be freed when that one takes its place.
    pub fn pages_not_in(&self, other: &[PageRun]) -> Vec<PageRun> {
        PageRun::difference(self.pages(), other.to_vec())
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

//! Every legal state of a disk after a loss of power, one after the other; the head of `crash` says which are legal.
//!
//! The states are numbered, and each is made when it is asked for:
//!
//! ```text
//! states = Σ over prefixes of the names, Π over the files with a name then,
//!          Σ over prefixes of the file's metadata, Π over its sectors, number of values
//! ```
//!
//! - **E1** The values of a sector differ from each other. They are what it holds if all writes to it are lost, what each
//!   write brings that no kept metadata covers, and garbage if there was such a write.
//! - **E2** Prefixes of the names differ in the names that they leave. Prefixes of a file's metadata may lead to the same
//!   bytes, so a state may come more than once; none is left out.

use crate::Random;
use crate::content::Change;
use crate::image::{BLOCK, Block, Image};
use crate::names::{Entry, Tree};
use crate::sim_disk::SimDisk;
use crate::state::State;
use aquifer_io::BLOCK_BYTES;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

/// All legal states after a loss of power, from [`SimDisk::crash_states`].
#[derive(Debug)]
pub struct CrashStates {
    disk: State,
    trees: Vec<(Tree, u64)>,
    files: BTreeMap<usize, FilePlan>,
    next: u64,
    total: u64,
}

/// What may become of one file.
#[derive(Debug)]
struct FilePlan {
    variants: Vec<Variant>,
    count: u64,
}

/// What may become of it with one prefix of its metadata.
#[derive(Debug)]
struct Variant {
    /// All data is lost.
    base: Image,
    sectors: Vec<Sector>,
    count: u64,
}

/// A sector that may have several values.
#[derive(Debug)]
struct Sector {
    index: u64,
    /// Place in the block.
    start: usize,
    /// Blocks that it may have come from; the base image is another value, and garbage the last.
    versions: Vec<Block>,
}

impl CrashStates {
    /// `None` if there are more than `bound`.
    pub(crate) fn of(disk: State, bound: u64) -> Option<CrashStates> {
        let mut trees: Vec<(Tree, u64)> = Vec::new();
        let mut files = BTreeMap::new();
        let mut total = 0u64;
        for kept in 0..=disk.names.undurable() {
            let tree = disk.names.after_crash(kept);
            if trees.iter().any(|(other, _)| *other == tree) {
                continue; // E2
            }
            let mut count = 1u64;
            for id in files_of(&tree) {
                let plan = match files.entry(id) {
                    Slot::Occupied(known) => known.into_mut(),
                    Slot::Vacant(new) => new.insert(FilePlan::of(&disk, id, bound)?),
                };
                count = count.checked_mul(plan.count).filter(|count| *count <= bound)?;
            }
            total = total.checked_add(count).filter(|total| *total <= bound)?;
            trees.push((tree, count));
        }
        Some(CrashStates { disk, trees, files, next: 0, total })
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// State `number`, below the total.
    fn state(&self, mut number: u64) -> SimDisk {
        let mut trees = self.trees.iter();
        let tree = loop {
            let (tree, count) = trees.next().expect("the number is below the total");
            if number < *count {
                break tree;
            }
            number -= count;
        };
        let image = |_: &State, id: usize| {
            let plan = &self.files[&id];
            let choice = number % plan.count;
            number /= plan.count;
            plan.image(choice, self.disk.settings.sector_bytes)
        };
        SimDisk::from_state(self.disk.rebooted(tree.clone(), None, image))
    }
}

impl Iterator for CrashStates {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        if self.next == self.total {
            return None;
        }
        self.next += 1;
        Some(self.state(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.total - self.next).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}

fn files_of(tree: &Tree) -> impl Iterator<Item = usize> + '_ {
    tree.values().filter_map(|entry| match entry {
        Entry::File(id) => Some(*id),
        Entry::Directory => None,
    })
}

impl FilePlan {
    fn of(disk: &State, id: usize, bound: u64) -> Option<FilePlan> {
        let metadata = disk.undurable(id).filter(|change| change.is_metadata()).count();
        let mut plan = FilePlan { variants: Vec::new(), count: 0 };
        for kept in 0..=metadata {
            let variant = Variant::of(disk, id, kept, bound)?;
            plan.count = plan.count.checked_add(variant.count).filter(|count| *count <= bound)?;
            plan.variants.push(variant);
        }
        Some(plan)
    }

    fn image(&self, mut choice: u64, sector_bytes: usize) -> Image {
        let mut variants = self.variants.iter();
        let variant = loop {
            let variant = variants.next().expect("the choice is below the count");
            if choice < variant.count {
                break variant;
            }
            choice -= variant.count;
        };
        let mut image = variant.base.clone();
        for sector in &variant.sectors {
            let value = choice % sector.count();
            choice /= sector.count();
            if value == 0 {
                continue;
            }
            let range = sector.start..sector.start + sector_bytes;
            let place = image.edit(sector.index, range.clone());
            match sector.versions.get(value as usize - 1) {
                Some(block) => place.copy_from_slice(&block[range]),
                None => Random(sector.index * BLOCK + sector.start as u64).fill(place),
            }
        }
        image
    }
}

impl Variant {
    /// The file with the first `kept` changes of its metadata.
    fn of(disk: &State, id: usize, kept: usize, bound: u64) -> Option<Variant> {
        let mut base = disk.files[id].content.durable.clone();
        let mut written: BTreeMap<u64, Vec<&Block>> = BTreeMap::new();
        let mut metadata = 0;
        for change in disk.undurable(id) {
            match change {
                Change::Data { index, block } if *index < base.blocks() => {
                    written.entry(*index).or_default().push(block);
                }
                Change::Data { .. } => {} // not seen
                change if metadata < kept => {
                    metadata += 1;
                    change.apply(&mut base);
                    written.retain(|index, _| !change.erases(*index));
                }
                _ => {}
            }
        }
        let mut variant = Variant { base, sectors: Vec::new(), count: 1 };
        for (index, blocks) in written {
            variant.add(index, &blocks, disk.settings.sector_bytes);
            if variant.count > bound {
                return None;
            }
        }
        Some(variant)
    }

    /// The sectors of a block that was written so often.
    fn add(&mut self, index: u64, blocks: &[&Block], sector_bytes: usize) {
        const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
        for start in (0..BLOCK_BYTES).step_by(sector_bytes) {
            if index * BLOCK + start as u64 >= self.base.len() {
                break; // not seen
            }
            let range = start..start + sector_bytes;
            let lost = self.base.block(index).map_or(&ZEROS[range.clone()], |block| &block[range.clone()]);
            let mut versions: Vec<Block> = Vec::new();
            for block in blocks {
                let bytes = &block[range.clone()];
                if bytes != lost && versions.iter().all(|other| other[range.clone()] != *bytes) {
                    versions.push((*block).clone()); // E1
                }
            }
            let sector = Sector { index, start, versions };
            self.count = self.count.saturating_mul(sector.count());
            self.sectors.push(sector);
        }
    }
}

impl Sector {
    fn count(&self) -> u64 {
        self.versions.len() as u64 + 2
    }
}

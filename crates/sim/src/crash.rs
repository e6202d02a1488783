//! Loss of power: which states of the disk are legal after it, and a draw among them.
//!
//! A state is legal if it can be had by these choices, each independent of the others:
//!
//! - **L1 Names.** The durable names with any prefix of the unsynced changes of names (N3).
//! - **L2 Lengths, space, holes.** For each file, its durable image with any prefix of its unsynced changes of metadata, in
//!   their order among its writes: a file that was cut and has grown again shows zeros, not what was there before the cut.
//! - **L3 Data.** For each sector of each unsynced write, kept, lost or garbage; later writes and holes cover earlier ones,
//!   and any of them may be lost, which makes it any order. What lies beyond the length that L2 left is not seen.
//! - **L4** Writes under way count as unsynced writes, their growth as the last changes of metadata.
//!
//! Every legal state has a probability greater than zero; garbage is random bytes, or zeros. The draw prefers the
//! extremes (all, nothing), because that is where mistakes are.

use crate::Random;
use crate::content::{Change, Content};
use crate::image::Image;
use crate::names::{Entry, Names, Tree};
use crate::state::State;
use crate::trace::Event;
use aquifer_io::BLOCK_BYTES;

/// What happens to the data of a file, so that all kinds of crash come often.
#[derive(Debug, Clone, Copy)]
enum Mood {
    KeepAll,
    LoseAll,
    /// Of the blocks that are not torn, so many percent are kept.
    Mix(u64),
}

impl State {
    /// The disk after a loss of power, drawn from `seed`.
    pub(crate) fn after_power_loss(&self, seed: u64) -> State {
        let mut random = Random(seed);
        let names = draw_prefix(self.names.undurable(), &mut random);
        let images = |state: &State, id| draw_image(state, id, &mut random);
        let tree = self.names.after_crash(names);
        let mut state = self.rebooted(tree, Some(seed), images);
        state.random = random;
        state
    }

    /// The disk after a loss of power that takes everything that it may take.
    pub(crate) fn after_worst_power_loss(&self) -> State {
        let tree = self.names.after_crash(0);
        self.rebooted(tree, None, |state, id| state.files[id].content.durable.clone())
    }

    /// A disk with these names, and the images of the files that have one.
    pub(crate) fn rebooted(
        &self,
        mut tree: Tree,
        seed: Option<u64>,
        mut image_of: impl FnMut(&State, usize) -> Image,
    ) -> State {
        let mut contents = Vec::with_capacity(tree.len());
        for entry in tree.values_mut() {
            if let Entry::File(id) = entry {
                contents.push(Content::stable(image_of(self, *id)));
                *id = contents.len() - 1;
            }
        }
        let mut trace = self.trace.clone();
        trace.push(Event::PowerLoss { seed });
        State::booted(self.settings, trace, seed.unwrap_or(0), Names::stable(tree), contents)
    }
}

/// How many of an ordered row of changes are kept.
fn draw_prefix(count: usize, random: &mut Random) -> usize {
    match random.below(4) {
        0 => 0,
        1 => count,
        _ => random.below(count as u64 + 1) as usize,
    }
}

fn draw_image(state: &State, id: usize, random: &mut Random) -> Image {
    let mut image = state.files[id].content.durable.clone();
    let changes = state.undurable(id);
    let metadata = changes.clone().filter(|change| change.is_metadata()).count();
    let mut kept = draw_prefix(metadata, random);
    let mood = match random.below(8) {
        0 => Mood::KeepAll,
        1 => Mood::LoseAll,
        _ => Mood::Mix([10, 50, 90][random.below(3) as usize]),
    };
    for change in changes {
        match change {
            Change::Data { index, block } if *index < image.blocks() => match mood {
                Mood::KeepAll => image.put(*index, block.clone()),
                Mood::LoseAll => {}
                Mood::Mix(_) if random.chance(25) => {
                    tear(&mut image, *index, &block[..], state.settings.sector_bytes, random);
                }
                Mood::Mix(percent) => {
                    if random.chance(percent) {
                        image.put(*index, block.clone());
                    }
                }
            },
            Change::Data { .. } => {} // L3: not seen
            metadata if kept > 0 => {
                metadata.apply(&mut image);
                kept -= 1;
            }
            _ => {}
        }
    }
    image
}

/// Each sector of a block is kept, lost or garbage.
fn tear(image: &mut Image, index: u64, bytes: &[u8], sector_bytes: usize, random: &mut Random) {
    let mut choices = random.draw();
    for start in (0..BLOCK_BYTES).step_by(sector_bytes) {
        let range = start..start + sector_bytes;
        match choices % 8 {
            0..3 => image.edit(index, range.clone()).copy_from_slice(&bytes[range]),
            3..6 => {}
            6 => random.fill(image.edit(index, range)),
            _ => image.edit(index, range).fill(0),
        }
        choices >>= 8;
    }
}

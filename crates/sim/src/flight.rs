//! Requests under way: submitted, and not yet waited for.
//!
//! A batch draws for each of its requests whether it is carried out at once, or later: a write lands when it is waited for,
//! or during any call before that; a read when it is waited for. Requests of a batch are carried out in a drawn order.
//!
//! - **F1** A write that is under way is as an unsynced write to a loss of power: each sector kept, lost or garbage, and the
//!   length with or without it. To a kill: each block there or not.
//! - **F2** A flight ends when its batch takes its result, unless power was lost before it landed: then it stays, under
//!   way for ever.

use crate::Call;
use crate::content::Change;
use crate::image::{BLOCK, Block};
use crate::state::State;
use aquifer_io::Result;
use aquifer_sync::Arc;

/// A write under way.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    ticket: u64,
    file: usize,
    name: Arc<str>,
    first: u64,
    progress: Progress,
}

#[derive(Debug, Clone)]
enum Progress {
    /// What it will do, if anything comes of it: the length that it needs, and its blocks.
    UnderWay(Vec<Change>),
    Landed(Result<()>),
}

impl Flight {
    /// Whether it may yet change this file.
    pub(crate) fn is_under_way_to(&self, file: usize) -> bool {
        self.file == file && self.is_under_way()
    }

    fn is_under_way(&self) -> bool {
        matches!(self.progress, Progress::UnderWay(_))
    }

    /// What it will do to its file.
    pub(crate) fn changes(&self) -> &[Change] {
        match &self.progress {
            Progress::UnderWay(changes) => changes,
            Progress::Landed(_) => &[],
        }
    }
}

impl State {
    /// A write is under way; its ticket.
    pub(crate) fn take_off(&mut self, file: usize, name: &Arc<str>, first: u64, blocks: &[Block]) -> u64 {
        self.tickets += 1;
        let end = (first + blocks.len() as u64) * BLOCK;
        let growth = (end > self.files[file].content.current.len()).then_some(Change::Grow(end));
        let data = (first..).zip(blocks).map(|(index, block)| Change::Data { index, block: block.clone() });
        let progress = Progress::UnderWay(growth.into_iter().chain(data).collect());
        self.flights.push(Flight { ticket: self.tickets, file, name: name.clone(), first, progress });
        self.tickets
    }

    /// Before a call: something that is under way may land, or may not.
    pub(crate) fn progress(&mut self) {
        if self.flights.is_empty() || !self.powered || !self.random.chance(25) {
            return;
        }
        let index = self.random.below(self.flights.len() as u64) as usize;
        self.land(index);
    }

    /// Carries a flight out, if it is under way, and if there is power; says how it went if it was tried.
    fn land(&mut self, index: usize) -> Option<Result<()>> {
        let flight = &self.flights[index];
        let Progress::UnderWay(changes) = &flight.progress else { return None };
        let (file, first, name) = (flight.file, flight.first, flight.name.clone());
        let blocks: Vec<Block> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Data { block, .. } => Some(block.clone()),
                _ => None,
            })
            .collect();
        let powered = self.powered;
        // If power is lost in it, it leaves a flight of its own behind: this one is done with.
        let result = self.write(Call::Write, file, &name, first, &blocks);
        if powered {
            self.flights[index].progress = Progress::Landed(result.clone());
        }
        Some(result)
    }

    /// The result of a flight that is waited for.
    pub(crate) fn result_of(&mut self, ticket: u64) -> Result<()> {
        let index = self.flights.iter().position(|flight| flight.ticket == ticket).expect("F2: it is there");
        let tried = self.land(index);
        if self.flights[index].is_under_way() {
            return tried.expect("F2: without power it fails, and stays");
        }
        match self.flights.swap_remove(index).progress {
            Progress::Landed(result) => result,
            Progress::UnderWay(_) => unreachable!("it has landed"),
        }
    }

    /// The process died: each block under way arrived, or not.
    pub(crate) fn land_some(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            for change in flight.changes() {
                if let Change::Data { index, block } = change
                    && self.random.chance(50)
                {
                    self.files[flight.file].content.write(*index, std::slice::from_ref(block));
                }
            }
        }
    }
}

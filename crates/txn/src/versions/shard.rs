//! One shard: the chains of the keys that hash to it, behind one lock.
//!
//! # Invariants
//!
//! - **SH1** Every chain has one entry in the hash table, its number, and at least one version when the lock is let go.
//! - **SH2** The census that is kept is as good as a new one, but for snapshots that were closed since ([`Census`]).
//! - **SH3** A push walks a constant number of chains, and of versions on average.
//! - **SH4** `granules` times their size is what was taken from the account; `bytes` is more only if the account refused.

use super::chain::Chain;
use super::removed::Removed;
use super::{AsOf, Change};
use crate::key::CommitLsn;
use crate::snapshots::Census;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use aquifer_sync::{Mutex, MutexGuard, Rank};
use hashbrown::HashTable;

/// Pushes between two looks at the open snapshots.
const PUSHES_PER_CENSUS: u32 = 64;
/// Chains that a push looks at, beside its own. More than one, or needless ones would grow without end.
const CHAINS_PER_PUSH: usize = 2;
/// Chains that a sweep looks at under one lock.
const CHAINS_PER_LOCK: usize = 256;

/// What shards need of the whole.
pub(super) trait Room {
    /// Looks at all snapshots.
    fn census(&self) -> Census;
    /// The keys that are no longer in the store.
    fn removed(&self) -> &Removed;
    /// Bytes that are taken at a time.
    fn granule(&self) -> usize;
    /// Takes some from the account, if it can.
    fn take_granule(&self) -> bool;
    /// Gives them back.
    fn give_granule_back(&self);
}

/// See the module's head.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    /// VE5; written under the lock.
    newest: AtomicU64,
    chains: Mutex<Chains>,
}

#[derive(Debug)]
struct Chains {
    /// Numbers of chains, by hash.
    numbers: HashTable<u32>,
    chains: Vec<Option<Chain>>,
    free: Vec<u32>,
    /// The chain that is looked at next.
    hand: usize,
    census: Census,
    pushes: u32,
    bytes: usize,
    granules: usize,
}

impl Shard {
    pub(super) fn new() -> Shard {
        let chains = Chains {
            numbers: HashTable::new(),
            chains: Vec::new(),
            free: Vec::new(),
            hand: 0,
            census: Census::default(),
            pushes: 0,
            bytes: 0,
            granules: 0,
        };
        Shard { newest: AtomicU64::new(0), chains: Mutex::new(Rank::VersionShard, chains) }
    }

    pub(super) fn push(&self, room: &impl Room, hash: u64, table: u32, key: &[u8], change: Change) {
        let mut chains = self.chains.lock();
        if self.newest.load(Ordering::Relaxed) < change.lsn.0 {
            // Release: pairs with the Acquire in `may_be_newer` (VE5).
            self.newest.store(change.lsn.0, Ordering::Release);
        }
        if chains.pushes.is_multiple_of(PUSHES_PER_CENSUS) {
            chains.census = room.census();
        }
        chains.pushes = chains.pushes.wrapping_add(1);
        chains.push(room, hash, table, key, change);
        for _ in 0..CHAINS_PER_PUSH {
            chains.sweep_one(room);
        }
        chains.settle(room);
    }

    pub(super) fn value_as_of(
        &self,
        snapshot: CommitLsn,
        hash: u64,
        table: u32,
        key: &[u8],
        current: Option<&[u8]>,
    ) -> AsOf {
        match self.find(snapshot, hash, table, key) {
            Some((chains, number)) => chains.chain(number).value_as_of(snapshot, current),
            None => AsOf::Current,
        }
    }

    /// Merges count, unless they `may_merge`.
    pub(super) fn is_changed_after(
        &self,
        snapshot: CommitLsn,
        hash: u64,
        table: u32,
        key: &[u8],
        may_merge: bool,
    ) -> bool {
        let Some((chains, number)) = self.find(snapshot, hash, table, key) else { return false };
        let chain = chains.chain(number);
        if may_merge { chain.is_overwritten_after(snapshot) } else { chain.newest() > snapshot }
    }

    /// The chain of a key, if there may be something newer than the snapshot.
    fn find(
        &self,
        snapshot: CommitLsn,
        hash: u64,
        table: u32,
        key: &[u8],
    ) -> Option<(MutexGuard<'_, Chains>, u32)> {
        // Acquire: pairs with the Release in `push`. A reader that saw a change in the store, or holds the lock of the
        // key, comes after its push; if nothing here is newer, the store has nothing newer (VE1, VE5).
        if self.newest.load(Ordering::Acquire) <= snapshot.0 {
            return None;
        }
        let chains = self.chains.lock();
        let number = chains.number(hash, table, key)?;
        Some((chains, number))
    }

    /// Cuts all chains by this census, and adds up what the open snapshots need.
    pub(super) fn sweep(&self, room: &impl Room, census: &Census, needed: &mut [usize]) {
        let mut next = 0;
        loop {
            let mut chains = self.chains.lock();
            if next >= chains.chains.len() {
                return;
            }
            chains.census = census.clone();
            let end = (next + CHAINS_PER_LOCK).min(chains.chains.len());
            for number in next..end {
                chains.cut(room, number as u32);
                if let Some(chain) = &chains.chains[number] {
                    chain.add_needed(census, needed);
                }
            }
            chains.settle(room);
            next = end;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.chains.lock().bytes
    }

    pub(super) fn versions(&self) -> usize {
        self.chains.lock().chains.iter().flatten().map(Chain::len).sum()
    }
}

impl Chains {
    fn number(&self, hash: u64, table: u32, key: &[u8]) -> Option<u32> {
        let is_it = |&number: &u32| {
            let chain = self.chain(number);
            chain.table == table && *chain.key == *key
        };
        self.numbers.find(hash, is_it).copied()
    }

    fn chain(&self, number: u32) -> &Chain {
        self.chains[number as usize].as_ref().expect("SH1")
    }

    fn push(&mut self, room: &impl Room, hash: u64, table: u32, key: &[u8], change: Change) {
        let number = match self.number(hash, table, key) {
            Some(number) => number,
            None => self.insert(Chain::new(table, key, hash)),
        };
        let chain = self.chains[number as usize].as_mut().expect("SH1");
        if change.deletes && !chain.listed {
            chain.listed = true;
            room.removed().insert(table, key); // VE6
        }
        self.bytes += chain.push(change);
        if chain.is_overgrown() {
            self.cut(room, number);
        }
    }

    fn insert(&mut self, chain: Chain) -> u32 {
        self.bytes += chain.bytes();
        let hash = chain.hash;
        let number = self.free.pop().unwrap_or_else(|| {
            self.chains.push(None);
            (self.chains.len() - 1) as u32
        });
        self.chains[number as usize] = Some(chain);
        let chains = &self.chains;
        self.numbers
            .insert_unique(hash, number, |&number| chains[number as usize].as_ref().expect("SH1").hash);
        number
    }

    /// Looks at the next chain.
    fn sweep_one(&mut self, room: &impl Room) {
        if self.hand >= self.chains.len() {
            self.hand = 0;
        }
        self.cut(room, self.hand as u32);
        self.hand += 1;
    }

    /// Removes from a chain what nobody needs, and the chain if that is all of it.
    fn cut(&mut self, room: &impl Room, number: u32) {
        let Some(chain) = &mut self.chains[number as usize] else { return };
        let before = chain.bytes();
        if !chain.cut(&self.census) {
            return;
        }
        self.bytes -= before;
        if !chain.is_empty() {
            self.bytes += chain.bytes(); // may be more, as a version that stays may have absorbed one that goes
            return;
        }
        let chain = self.chains[number as usize].take().expect("seen above");
        if let Ok(entry) = self.numbers.find_entry(chain.hash, |&other| other == number) {
            entry.remove();
        }
        if chain.listed {
            room.removed().remove(chain.table, &chain.key); // VE6
        }
        self.free.push(number);
    }

    /// Takes and gives back memory, as needed (SH4).
    fn settle(&mut self, room: &impl Room) {
        let granule = room.granule();
        while self.bytes > self.granules * granule && room.take_granule() {
            self.granules += 1;
        }
        while self.granules > 0 && self.bytes + 2 * granule <= self.granules * granule {
            self.granules -= 1;
            room.give_granule_back();
        }
        // What a burst of keys has left.
        if self.numbers.is_empty() && self.chains.len() > CHAINS_PER_LOCK {
            (self.chains, self.free, self.numbers) = (Vec::new(), Vec::new(), HashTable::new());
        }
    }
}

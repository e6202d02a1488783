//! The gate: changes pass through it shared; a flip closes it for a moment.
//!
//! Each thread counts its passages in one of a fixed number of padded slots, so threads do not
//! write to each other's cache lines; the closer pays by visiting every slot.
//!
//! ```text
//!  open --close()--> closing --every slot 0--> closed --drop of Closed--> open
//!                       '------- patience is over ----------------------'
//! ```
//!
//! # Invariants
//!
//! - **GA1** While [`Closed`] exists there is no [`Pass`], and none begins.
//! - **GA2** What happened during a pass happens before what the closer does, and what the closer did
//!   happens before what any later pass does.
//! - **GA3** `shut` is set only by who holds `closer`, and cleared before it is let go. So a thread that is
//!   kept out waits by taking `closer`: there is no wake-up that it could miss.
//!
//! Why GA1 holds without sequentially consistent fences: passer and closer both use read-modify-write
//! operations on the slot. If the closer's comes first in the slot's modification order, the passer's
//! reads from it, or from a later one in its release sequence, and so sees `shut`; if it comes second, the
//! closer sees the count. A passer that sees `shut` cleared again comes after that closer's end.

use crate::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::lock::{Mutex, MutexGuard};
use crate::rank::{self, Rank};
use crate::thread::Backoff;
use std::marker::PhantomData;
use std::time::Duration;

#[cfg(not(loom))]
const SLOTS: usize = 64;
#[cfg(loom)]
const SLOTS: usize = 2;

/// How often a thread that is kept out looks again before it sleeps.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 32 };

/// The gate. See the module's head.
#[derive(Debug)]
pub struct Gate {
    slots: [Slot; SLOTS],
    shut: AtomicBool,
    /// Held while the gate is being closed and is closed (GA3).
    closer: Mutex<()>,
}

/// How many passes of its threads are inside, or looking whether they may.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot(AtomicU64);

/// The right to change pages, until dropped. It stays with its thread.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<aquifer_sync::Pass<'_>>();
/// ```
#[derive(Debug)]
#[must_use = "dropping a pass ends it"]
pub struct Pass<'g> {
    slot: &'g Slot,
    /// Not `Send`: the rank is noted in the thread.
    _stays: PhantomData<*const ()>,
}

/// The gate is closed, until dropped. It stays with its thread.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<aquifer_sync::gate::Closed<'_>>();
/// ```
#[derive(Debug)]
#[must_use = "dropping it opens the gate"]
pub struct Closed<'g> {
    gate: &'g Gate,
    /// Let go after `shut` is cleared (GA3): fields are dropped after `drop` has run.
    _closer: MutexGuard<'g, ()>,
    _stays: PhantomData<*const ()>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| Slot::default()),
            shut: AtomicBool::new(false),
            closer: Mutex::new(Rank::Gate, ()),
        }
    }

    /// Passes the gate, waiting while it is closed. A thread never enters twice: if a closer came in
    /// between, it would wait for itself.
    ///
    /// # Panics
    ///
    /// In debug builds, if the thread is inside already or holds a lock of the gate's rank or a later one.
    #[inline]
    #[track_caller]
    pub fn enter(&self) -> Pass<'_> {
        rank::acquired(Rank::Gate);
        let slot = &self.slots[slot_of_thread()];
        while !self.try_enter(slot) {
            self.wait_until_open();
        }
        Pass { slot, _stays: PhantomData }
    }

    #[inline]
    fn try_enter(&self, slot: &Slot) -> bool {
        // Acquire: pairs with the Release half of the closer's visit, directly or through the operations of
        // others in between: if the visit came first, the next line cannot give what was before it (GA1).
        slot.0.fetch_add(1, Ordering::Acquire);
        // Acquire: pairs with the Release in `Closed::drop` (GA2).
        if !self.shut.load(Ordering::Acquire) {
            return true;
        }
        // Relaxed: nothing was done inside. What earlier passes of this slot released stays in the sequence.
        slot.0.fetch_sub(1, Ordering::Relaxed);
        false
    }

    #[cold]
    fn wait_until_open(&self) {
        rank::released(Rank::Gate); // what we wait for has that rank
        let mut backoff = Backoff::new();
        let mut looks = 0;
        // Relaxed: `try_enter` looks again.
        while self.shut.load(Ordering::Relaxed) {
            if looks == LOOKS {
                drop(self.closer.lock()); // GA3
                break;
            }
            looks += 1;
            backoff.wait();
        }
        rank::acquired(Rank::Gate);
    }

    /// Closes the gate once everybody inside has left, if they leave before `patience` is over;
    /// otherwise opens it again and returns `None`. If nobody is inside, it succeeds with no patience at all.
    ///
    /// Waits for another closer first, for as long as it takes. Visits every slot: some microseconds.
    ///
    /// # Panics
    ///
    /// In debug builds, if the thread is inside or holds a lock of the gate's rank or a later one.
    #[track_caller]
    pub fn close(&self, patience: Duration) -> Option<Closed<'_>> {
        let closed = Closed { gate: self, _closer: self.closer.lock(), _stays: PhantomData };
        // Relaxed: passers learn of it through the Release half of the visit below.
        self.shut.store(true, Ordering::Relaxed);
        let mut patience = Patience::new(patience);
        for slot in &self.slots {
            let mut backoff = Backoff::new();
            // A read-modify-write, although it changes nothing: a load would not be part of the slot's modification
            // order, and GA1 rests on that. Release: pairs with the Acquire of `try_enter` (GA1). Acquire: pairs
            // with the Release of `Pass::drop` (GA2).
            while slot.0.fetch_add(0, Ordering::AcqRel) != 0 {
                if patience.is_over() {
                    return None; // `closed` drops and opens the gate
                }
                backoff.wait();
            }
        }
        Some(closed)
    }
}

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire half of the closer's visit (GA2).
        self.slot.0.fetch_sub(1, Ordering::Release);
        rank::released(Rank::Gate);
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire load in `try_enter` (GA2).
        self.gate.shut.store(false, Ordering::Release);
    }
}

#[cfg(not(loom))]
fn slot_of_thread() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        // Relaxed: any number will do, as long as they are spread.
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    MINE.with(|&mine| mine)
}

/// Under loom the threads of a model share two slots by turns.
#[cfg(loom)]
fn slot_of_thread() -> usize {
    loom::lazy_static! {
        static ref NEXT: crate::atomic::AtomicUsize = crate::atomic::AtomicUsize::new(0);
    }
    loom::thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    MINE.with(|&mine| mine)
}

/// When a closer gives up.
#[cfg(not(loom))]
struct Patience {
    begun: std::time::Instant,
    patience: Duration,
}

#[cfg(not(loom))]
impl Patience {
    fn new(patience: Duration) -> Self {
        Self { begun: std::time::Instant::now(), patience }
    }

    fn is_over(&mut self) -> bool {
        self.begun.elapsed() >= self.patience
    }
}

/// When a closer gives up. Loom has no clock: a microsecond is one look in vain.
#[cfg(loom)]
struct Patience {
    looks_left: u128,
}

#[cfg(loom)]
impl Patience {
    fn new(patience: Duration) -> Self {
        Self { looks_left: patience.as_micros() }
    }

    fn is_over(&mut self) -> bool {
        let over = self.looks_left == 0;
        self.looks_left = self.looks_left.saturating_sub(1);
        over
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

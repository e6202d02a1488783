//! Whether commits have to keep what they replace. While no snapshot is open, and none is being opened, they need not.
//!
//! ```text
//!  resting --first snapshot--> starting --what was reserved before is visible--> keeping --nobody has a slot--> stopping
//!     ^                                                                             ^  '----- somebody has ------'  |
//!     '-----------------------------------------------------------------------------'-------------------------------'
//! ```
//!
//! Who takes a snapshot claims a slot, passes a fence, and looks at the state. If it is not `keeping`, it says that it is starting, then makes
//! a read-modify-write of the word that commits reserve their places with, and waits until everything before that is visible.
//! Who wants to rest says that it is stopping, passes a fence, and looks at all slots.
//!
//! # Invariants
//!
//! - **RT1** A commit that looks after it has reserved its place, and finds `resting`, has a place that is below every snapshot that is open
//!   or comes to be open while nobody rests in between. For the snapshot was taken at or above the place that its maker, or who started
//!   before it, met in the read-modify-write: a commit behind that place sees the start (reservations acquire and release).
//! - **RT2** Nobody passes from `stopping` to `resting` while a slot is claimed whose holder has read `keeping`: if the fence of the taker
//!   comes first, the slot is seen; if the other comes first, the taker reads `stopping`. One stops at a time.

use crate::error::Result;
use crate::key::CommitLsn;
use crate::visible::Visible;
use aquifer_sync::atomic::{AtomicU8, Ordering, fence};
use aquifer_sync::{Mutex, Rank};
use std::fmt;

const RESTING: u8 = 0;
const STARTING: u8 = 1;
const KEEPING: u8 = 2;
const STOPPING: u8 = 3;

/// Where the next commit will be in the order: a read-modify-write of the word that places are reserved with, acquiring and releasing.
pub(super) type Reserved = Box<dyn Fn() -> CommitLsn + Send + Sync>;

/// See the module's head. On lines of its own: all commits read it, and it is written when snapshots begin to be taken, and no longer are.
#[repr(align(128))]
pub(super) struct Retention {
    state: AtomicU8,
    /// Nothing where everything is kept always.
    reserved: Option<Reserved>,
    /// One stops at a time, or one would go on from the other's `stopping`, with what it saw before that.
    stopping: Mutex<()>,
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retention").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Retention {
    /// Everything is kept always, or from the first snapshot on.
    pub(super) fn new(reserved: Option<Reserved>) -> Retention {
        let state = if reserved.is_some() { RESTING } else { KEEPING };
        Retention { state: AtomicU8::new(state), reserved, stopping: Mutex::new(Rank::Leaf, ()) }
    }

    /// RT1. To be asked after the place is reserved.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        // Relaxed: the reservation has acquired every start that matters.
        self.state.load(Ordering::Relaxed) != RESTING
    }

    /// A slot is claimed, and the fence is passed: what is visible from here on is kept. Waits if nothing was.
    #[inline]
    pub(super) fn ensure(&self, visible: &Visible) -> Result<()> {
        // Acquire: pairs with the Release at the end of `start`, so that `visible` is not older than it was there.
        if self.state.load(Ordering::Acquire) == KEEPING { Ok(()) } else { self.start(visible) }
    }

    #[cold]
    fn start(&self, visible: &Visible) -> Result<()> {
        let begin = |state| matches!(state, RESTING | STOPPING).then_some(STARTING);
        // AcqRel: who comes second goes on from who came first.
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin) == Err(KEEPING) {
            return Ok(());
        }
        let reserved = self.reserved.as_ref().expect("it never rests without");
        visible.wait(reserved())?; // RT1
        // AcqRel: pairs with the Acquire in `ensure`.
        let _ = self.state.compare_exchange(STARTING, KEEPING, Ordering::AcqRel, Ordering::Relaxed);
        Ok(())
    }

    /// Rests if `is_idle`: no slot is claimed. Whether it rests now and did not before.
    pub(super) fn rest(&self, is_idle: impl FnOnce() -> bool) -> bool {
        if self.reserved.is_none() {
            return false;
        }
        let exchange =
            |from, to| self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let Some(_alone) = self.stopping.try_lock() else { return false };
        if self.state.load(Ordering::Relaxed) != KEEPING || !exchange(KEEPING, STOPPING) {
            return false;
        }
        // SeqCst: pairs with the fence in `Snapshots::take` (RT2).
        fence(Ordering::SeqCst);
        if is_idle() {
            return exchange(STOPPING, RESTING);
        }
        exchange(STOPPING, KEEPING);
        false
    }
}

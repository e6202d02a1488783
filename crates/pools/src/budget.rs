//! Budgets. A [`Budget`] bounds the sum of its named accounts; every account is visible.
//!
//! A budget counts; it does not allocate. Whoever is about to use memory takes the bytes from an
//! account first and gives them back afterwards. Taking and giving back touch two words, one of the
//! budget and one of the account, and no lock: they may be called with any lock held.
//!
//! ```text
//!                 take: used += n, if used + n <= bytes
//!   Total.used   <------------------------------------- Account "frames"   live, peak
//!                <------------------------------------- Account "log ring" live, peak
//! ```
//!
//! # Invariants
//!
//! - **BU1** `used <= bytes` at every moment.
//! - **BU2** A take that fails changes nothing, not even for a moment: it neither is seen in `used` nor
//!   makes another take fail.
//! - **BU3** An account's `live` is what was taken from it and not given back; nobody gives back more.
//! - **BU4** The sum of all `live` is at most `used`, and equal to it when no call is under way: a take
//!   raises `used` first and `live` after, giving back lowers them in the opposite order.
//! - **BU5** `peak` is the greatest value that `live` ever had.
//!
//! Orderings are relaxed throughout: the words are counters that publish no other memory, and each
//! invariant speaks of the modification order of one word. (BU4 compares words, so it is exact only
//! for a reader that is ordered after the calls, such as one that joined their threads.)

use aquifer_sync::atomic::{AtomicUsize, Ordering};
use aquifer_sync::{Arc, Mutex, Rank};

/// The bound on all memory of one database.
///
/// ```
/// use aquifer_pools::Budget;
///
/// let budget = Budget::new(1 << 20);
/// let frames = budget.account("frames");
/// let held = frames.reserve(4096).unwrap();
/// assert_eq!(budget.used(), 4096);
/// assert!(frames.reserve(1 << 20).is_err());
/// drop(held);
/// assert_eq!(budget.used(), 0);
/// ```
#[derive(Debug)]
pub struct Budget {
    total: Arc<Total>,
    accounts: Mutex<Vec<Arc<Ledger>>>,
}

/// One named share of a budget, e.g. "frames" or "log ring". Cheap to clone: clones are the same account.
#[derive(Debug, Clone)]
pub struct Account {
    total: Arc<Total>,
    ledger: Arc<Ledger>,
}

/// What all accounts draw on. Away from its neighbours, as it is written by all threads.
#[derive(Debug)]
#[repr(align(128))]
struct Total {
    bytes: usize,
    used: AtomicUsize,
}

/// What is known of one account. Aligned as [`Total`] is, and for the same reason.
#[derive(Debug)]
#[repr(align(128))]
struct Ledger {
    name: &'static str,
    live: AtomicUsize,
    peak: AtomicUsize,
}

/// The budget does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "memory budget exhausted: account {account} asked for {requested_bytes} bytes, {used_bytes} of \
     {budget_bytes} bytes are in use; raise memory_budget or do less at once"
)]
pub struct BudgetExhausted {
    /// Account that asked.
    pub account: &'static str,
    /// Bytes it asked for.
    pub requested_bytes: usize,
    /// Bytes in use in the whole budget.
    pub used_bytes: usize,
    /// The budget.
    pub budget_bytes: usize,
}

/// Bytes taken from an account; given back when dropped.
#[derive(Debug)]
#[must_use = "dropping a reservation gives its bytes back"]
pub struct Reservation {
    account: Account,
    bytes: usize,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Arc<Budget> {
        let total = Arc::new(Total { bytes, used: AtomicUsize::new(0) });
        Arc::new(Budget { total, accounts: Mutex::new(Rank::Leaf, Vec::new()) })
    }

    /// The account of this name, made at first use.
    ///
    /// Takes a lock of rank `Leaf` and searches all names: for set-up, not for each operation.
    pub fn account(&self, name: &'static str) -> Account {
        let mut accounts = self.accounts.lock();
        let ledger = match accounts.iter().find(|ledger| ledger.name == name) {
            Some(ledger) => Arc::clone(ledger),
            None => {
                let ledger = Arc::new(Ledger { name, live: AtomicUsize::new(0), peak: AtomicUsize::new(0) });
                accounts.push(Arc::clone(&ledger));
                ledger
            }
        };
        Account { total: Arc::clone(&self.total), ledger }
    }

    /// The bound in bytes.
    pub fn bytes(&self) -> usize {
        self.total.bytes
    }

    /// Bytes in use by all accounts.
    pub fn used(&self) -> usize {
        self.total.used.load(Ordering::Relaxed)
    }

    /// Name, live bytes and peak bytes of every account, in the order of their first use.
    pub fn accounts(&self) -> Vec<(&'static str, usize, usize)> {
        let accounts = self.accounts.lock();
        accounts
            .iter()
            .map(|ledger| {
                (ledger.name, ledger.live.load(Ordering::Relaxed), ledger.peak.load(Ordering::Relaxed))
            })
            .collect()
    }
}

impl Account {
    /// Takes `bytes`, until the reservation is dropped.
    ///
    /// # Errors
    ///
    /// [`BudgetExhausted`] if the whole budget does not have them left; nothing is changed then (BU2).
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, BudgetExhausted> {
        self.take(bytes)?;
        Ok(Reservation { account: self.clone(), bytes })
    }

    /// A guard over bytes that this account holds already: dropping it gives them back.
    pub fn guard(&self, bytes: usize) -> Reservation {
        Reservation { account: self.clone(), bytes }
    }

    /// Takes `bytes` without a guard; the caller calls [`give_back`](Self::give_back).
    ///
    /// Two atomic read-modify-writes, and a third when the account reaches a new peak.
    ///
    /// # Errors
    ///
    /// [`BudgetExhausted`] if the whole budget does not have them left; nothing is changed then (BU2).
    #[inline]
    pub fn take(&self, bytes: usize) -> Result<(), BudgetExhausted> {
        let total = &*self.total;
        // A compare-and-swap rather than an addition that is undone: see BU2.
        total
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= total.bytes) // BU1
            })
            .map_err(|used_bytes| self.exhausted(bytes, used_bytes))?;
        let live = self.ledger.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if live > self.ledger.peak.load(Ordering::Relaxed) {
            self.ledger.peak.fetch_max(live, Ordering::Relaxed); // BU5
        }
        Ok(())
    }

    /// Gives back what `take` took, in whole or in part.
    ///
    /// # Panics
    ///
    /// If the account holds fewer bytes than that (BU3).
    #[inline]
    pub fn give_back(&self, bytes: usize) {
        let live = self.ledger.live.fetch_sub(bytes, Ordering::Relaxed);
        assert!(live >= bytes, "BU3: {} gives back {bytes} bytes but holds {live}", self.ledger.name);
        self.total.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Moves `bytes` to another account of the same budget, whose total stays what it is throughout.
    ///
    /// # Panics
    ///
    /// If this account holds fewer bytes than that (BU3), or the other belongs to another budget.
    pub fn transfer(&self, bytes: usize, to: &Account) {
        assert!(
            Arc::ptr_eq(&self.total, &to.total),
            "{} and {} have different budgets",
            self.ledger.name,
            to.ledger.name
        );
        let live = self.ledger.live.fetch_sub(bytes, Ordering::Relaxed);
        assert!(live >= bytes, "BU3: {} gives {bytes} bytes but holds {live}", self.ledger.name);
        let live = to.ledger.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        to.ledger.peak.fetch_max(live, Ordering::Relaxed); // BU5
    }

    /// Bytes in use by this account.
    pub fn used(&self) -> usize {
        self.ledger.live.load(Ordering::Relaxed)
    }

    #[cold]
    fn exhausted(&self, requested_bytes: usize, used_bytes: usize) -> BudgetExhausted {
        BudgetExhausted {
            account: self.ledger.name,
            requested_bytes,
            used_bytes,
            budget_bytes: self.total.bytes,
        }
    }
}

impl Reservation {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

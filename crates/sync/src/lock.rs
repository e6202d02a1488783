//! Mutex, condition variable and reader-writer lock with ranks.
//!
//! A panic while a lock is held does not poison it: the engine has its own sticky failed state,
//! and what these locks protect is kept consistent at every step.

use crate::rank::{self, Rank};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(loom))]
use std::sync as imp;

/// A mutual exclusion lock with a place in the lock order.
#[derive(Debug)]
pub struct Mutex<T> {
    rank: Rank,
    inner: imp::Mutex<T>,
}

/// Access to what a [`Mutex`] protects; dropping it unlocks.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    inner: Option<imp::MutexGuard<'a, T>>,
    rank: Rank,
}

impl<T> Mutex<T> {
    /// A new, unlocked mutex.
    pub fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: imp::Mutex::new(value) }
    }

    /// Locks, waiting if needed.
    ///
    /// # Panics
    ///
    /// In debug builds, if the lock order is violated.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        rank::acquired(self.rank);
        let inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        MutexGuard { inner: Some(inner), rank: self.rank }
    }

    /// Locks if nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        #[cfg(not(loom))]
        let inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(imp::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(imp::TryLockError::WouldBlock) => return None,
        };
        #[cfg(loom)]
        let inner = self.inner.try_lock().ok()?;
        rank::acquired_by_trying(self.rank);
        Some(MutexGuard { inner: Some(inner), rank: self.rank })
    }

    /// What the mutex protects, without locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.inner.as_ref().expect("held until drop")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("held until drop")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.inner.take().is_some() {
            rank::released(self.rank);
        }
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar {
    inner: imp::Condvar,
}

impl Condvar {
    /// A new condition variable.
    pub fn new() -> Self {
        Self { inner: imp::Condvar::new() }
    }

    /// Unlocks, waits to be notified (or for no reason), and locks again.
    pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let inner = guard.inner.take().expect("held until drop");
        let inner = self.inner.wait(inner).unwrap_or_else(|poisoned| poisoned.into_inner());
        MutexGuard { inner: Some(inner), rank: guard.rank }
    }

    /// As [`wait`](Self::wait), but for no longer than `timeout`.
    #[cfg(not(loom))]
    pub fn wait_timeout<'a, T>(&self, mut guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        let inner = guard.inner.take().expect("held until drop");
        let (inner, _) =
            self.inner.wait_timeout(inner, timeout).unwrap_or_else(|poisoned| poisoned.into_inner());
        MutexGuard { inner: Some(inner), rank: guard.rank }
    }

    /// As [`wait`](Self::wait): loom has no clock.
    #[cfg(loom)]
    pub fn wait_timeout<'a, T>(&self, guard: MutexGuard<'a, T>, _timeout: Duration) -> MutexGuard<'a, T> {
        self.wait(guard)
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

/// A lock held by many readers or one writer, with a place in the lock order.
#[derive(Debug)]
pub struct RwLock<T> {
    rank: Rank,
    inner: imp::RwLock<T>,
}

/// Shared access to what an [`RwLock`] protects.
#[derive(Debug)]
pub struct RwLockReadGuard<'a, T> {
    inner: imp::RwLockReadGuard<'a, T>,
    rank: Rank,
}

/// Exclusive access to what an [`RwLock`] protects.
#[derive(Debug)]
pub struct RwLockWriteGuard<'a, T> {
    inner: imp::RwLockWriteGuard<'a, T>,
    rank: Rank,
}

impl<T> RwLock<T> {
    /// A new, unlocked lock.
    pub fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: imp::RwLock::new(value) }
    }

    /// Locks for reading.
    ///
    /// # Panics
    ///
    /// In debug builds, if the lock order is violated.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        rank::acquired(self.rank);
        let inner = self.inner.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        RwLockReadGuard { inner, rank: self.rank }
    }

    /// Locks for writing.
    ///
    /// # Panics
    ///
    /// In debug builds, if the lock order is violated.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        rank::acquired(self.rank);
        let inner = self.inner.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        RwLockWriteGuard { inner, rank: self.rank }
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        rank::released(self.rank);
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        rank::released(self.rank);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

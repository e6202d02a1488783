//! What time it is: for records that expire, and for nothing else.

use aquifer_sync::Arc;
use aquifer_sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells the time to a database ([`Options::clock`](crate::Options::clock)): the system's clock, or one that is set by hand, for tests and
/// simulation. Cloning gives another handle of the same one.
///
/// It is wall-clock time, as it has to outlive the process. If it is set forward, records expire early, and those that were removed by then do not
/// come back when it is set right; if it is set back, records that had expired and are not yet removed are there again.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Milliseconds, if it is set by hand.
    by_hand: Option<Arc<AtomicU64>>,
}

/// A moment: milliseconds since the beginning of 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// The first whole millisecond that is not before this; the first of all for what lies before 1970.
    pub(crate) fn not_before(time: SystemTime) -> Moment {
        Moment(whole_ms(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(whole_ms(time)))
    }

    pub(crate) fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

/// Milliseconds, begun ones included.
pub(crate) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// A clock that stands at this time until it is [set](Self::set) or [advanced](Self::advance).
    ///
    /// ```
    /// use aquifer::{Clock, Database, TableOptions};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = Clock::by_hand(SystemTime::UNIX_EPOCH);
    /// let db = Database::options().memory_budget(4 << 20).clock(clock.clone()).in_memory()?;
    /// let sessions = db.create_table("sessions", TableOptions::expiring())?;
    /// sessions.put_for(b"7f3a", b"ada", Duration::from_secs(60))?;
    /// clock.advance(Duration::from_millis(59_999));
    /// assert!(sessions.contains(b"7f3a")?);
    /// clock.advance(Duration::from_millis(1));
    /// assert!(!sessions.contains(b"7f3a")?);
    /// # Ok::<(), aquifer::Error>(())
    /// ```
    pub fn by_hand(time: SystemTime) -> Clock {
        Clock { by_hand: Some(Arc::new(AtomicU64::new(Moment::not_before(time).0))) }
    }

    /// Sets it, forward or back.
    ///
    /// # Panics
    ///
    /// If it is the system's.
    pub fn set(&self, time: SystemTime) {
        self.hands().store(Moment::not_before(time).0, Ordering::Release);
    }

    /// Sets it forward.
    ///
    /// # Panics
    ///
    /// If it is the system's.
    pub fn advance(&self, time: Duration) {
        let later = |now| Some(Moment(now).after(time).0);
        let _always = self.hands().fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    fn hands(&self) -> &AtomicU64 {
        self.by_hand.as_deref().expect("the system's clock is not the database's to set")
    }

    /// What it shows. A millisecond has passed when it shows the next.
    pub(crate) fn now(&self) -> Moment {
        match &self.by_hand {
            Some(hands) => Moment(hands.load(Ordering::Acquire)),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Moment(since.as_millis() as u64)
            }
        }
    }
}

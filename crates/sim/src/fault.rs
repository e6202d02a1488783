//! What goes wrong, and when: an effect, the calls that it may strike, and which of them it does.

use crate::{Call, Calls, Random};
use aquifer_sync::Arc;

/// What happens to a call that a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Error,
    Full,
    PowerLoss,
    LostWrite,
    MisdirectedWrite,
    MisdirectedRead,
    StaleRead,
    FlippedRead,
}

#[derive(Debug, Clone)]
enum Place {
    Anywhere,
    File(String),
    Under(String),
}

/// Something that goes wrong, for [`SimDisk::inject`](crate::SimDisk::inject).
///
/// By itself it strikes the first call that it can strike, once. The methods narrow the calls ([`on`](Fault::on),
/// [`file`](Fault::file), [`under`](Fault::under)) and say which of those it strikes ([`nth`](Fault::nth),
/// [`one_in`](Fault::one_in)) and how often ([`times`](Fault::times), [`for_good`](Fault::for_good)).
///
/// ```
/// use aquifer_sim::{Call, Fault};
///
/// // The third sync from now on fails, and every one after it.
/// let sync = Fault::error().on(Call::Sync).nth(3).for_good();
/// // One of a thousand reads of files in `log` gives bytes of another place.
/// let read = Fault::misdirected_read().under("log").one_in(1000).for_good();
/// # drop((sync, read));
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    effect: Effect,
    calls: Calls,
    place: Place,
    /// Calls that it spares before the first that it may strike.
    spared: u64,
    one_in: u64,
    /// How often it strikes yet.
    left: u64,
}

impl Fault {
    fn new(effect: Effect, calls: impl Into<Calls>) -> Fault {
        Fault { effect, calls: calls.into(), place: Place::Anywhere, spared: 0, one_in: 1, left: 1 }
    }

    /// An input/output error (EIO). By itself at any call that changes something.
    ///
    /// | call | what has happened all the same |
    /// |---|---|
    /// | read | the buffer holds nonsense |
    /// | write | nothing, everything, or any part of it, in sectors; nothing is durable |
    /// | sync | some or all unsynced data is forgotten: readers see it until the next boot, and no later sync writes it |
    /// | all others | nothing |
    pub fn error() -> Fault {
        Fault::new(Effect::Error, Calls::CHANGES)
    }

    /// The disk says that it is full (ENOSPC), whatever space there is. By itself at any call that may need space; may be
    /// [`on`](Fault::on) anything that changes something. Nothing has happened; for a sync, what an error does to it.
    pub fn full() -> Fault {
        Fault::new(Effect::Full, Calls::GROWTH)
    }

    /// Power is lost during the call, or the process dies: this call and all after it fail, and it may have happened, or in
    /// part. By itself at any call that changes something. Go on with
    /// [`after_power_loss`](crate::SimDisk::after_power_loss) or [`after_kill`](crate::SimDisk::after_kill).
    pub fn power_loss() -> Fault {
        Fault::new(Effect::PowerLoss, Calls::CHANGES)
    }

    /// A write that is acknowledged and never happens; the file's length follows all the same.
    pub fn lost_write() -> Fault {
        Fault::new(Effect::LostWrite, Calls::WRITES)
    }

    /// A write that is acknowledged and goes to other blocks of the same file. It spares files with no other place for it.
    pub fn misdirected_write() -> Fault {
        Fault::new(Effect::MisdirectedWrite, Calls::WRITES)
    }

    /// A read that succeeds with bytes from other blocks of the same file. It spares files with no other place for it.
    pub fn misdirected_read() -> Fault {
        Fault::new(Effect::MisdirectedRead, Call::Read)
    }

    /// A read that succeeds with what the blocks held before they were last written. It spares blocks that were not
    /// written since the disk was made or booted.
    pub fn stale_read() -> Fault {
        Fault::new(Effect::StaleRead, Call::Read)
    }

    /// A read that succeeds with one bit flipped on the way; the file is sound.
    pub fn flipped_read() -> Fault {
        Fault::new(Effect::FlippedRead, Call::Read)
    }

    /// Only calls of these kinds.
    ///
    /// # Panics
    ///
    /// If the fault cannot strike one of them.
    #[must_use]
    pub fn on(mut self, calls: impl Into<Calls>) -> Fault {
        let calls = calls.into();
        let possible = match self.effect {
            Effect::Error | Effect::PowerLoss => Calls::ALL,
            Effect::Full => Calls::CHANGES,
            Effect::LostWrite | Effect::MisdirectedWrite => Calls::WRITES,
            Effect::MisdirectedRead | Effect::StaleRead | Effect::FlippedRead => Call::Read.into(),
        };
        assert!(calls.is_subset_of(possible), "{:?} cannot strike {calls:?}", self.effect);
        self.calls = calls;
        self
    }

    /// Only calls that concern this file or directory, by the name that it was opened with or the one that it has now.
    #[must_use]
    pub fn file(mut self, name: &str) -> Fault {
        self.place = Place::File(name.to_owned());
        self
    }

    /// Only calls that concern what lies in this directory.
    #[must_use]
    pub fn under(mut self, directory: &str) -> Fault {
        self.place = Place::Under(format!("{directory}/"));
        self
    }

    /// From the `n`-th call on, of those that it may strike, counted from 1 when it is injected.
    ///
    /// # Panics
    ///
    /// If `n` is zero.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Fault {
        self.spared = n.checked_sub(1).expect("calls are counted from 1");
        self
    }

    /// Not each of those calls, but each with a probability of one in `n`.
    ///
    /// # Panics
    ///
    /// If `n` is zero.
    #[must_use]
    pub fn one_in(mut self, n: u64) -> Fault {
        assert!(n > 0, "one in none");
        self.one_in = n;
        self
    }

    /// So many times, and then never again.
    #[must_use]
    pub fn times(mut self, times: u64) -> Fault {
        self.left = times;
        self
    }

    /// Again and again.
    #[must_use]
    pub fn for_good(self) -> Fault {
        self.times(u64::MAX)
    }

    pub(crate) fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether it strikes this call, which it could, of something that has these names. Counts.
    pub(crate) fn strikes(&mut self, call: Call, names: [&Arc<str>; 2], random: &mut Random) -> bool {
        let here = names.iter().any(|name| self.place.holds(name));
        if self.left == 0 || !here || !self.calls.contains(call) {
            return false;
        }
        if self.spared > 0 {
            self.spared -= 1;
            return false;
        }
        if self.one_in > 1 && random.below(self.one_in) > 0 {
            return false;
        }
        if self.left != u64::MAX {
            self.left -= 1;
        }
        true
    }
}

impl Place {
    fn holds(&self, name: &str) -> bool {
        match self {
            Place::Anywhere => true,
            Place::File(file) => file == name,
            Place::Under(start) => name.starts_with(start.as_str()),
        }
    }
}

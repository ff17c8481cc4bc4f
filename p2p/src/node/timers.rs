//! The closed list of control-plane timers.

use std::time::{Duration, Instant};

/// Everything that can wake a node by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A member is due to be called.
    Dial,
    /// A member that did not answer at once is due to be called through others.
    Circuit,
    /// A relay is due to be asked, or others whether they can reach us.
    Relaying,
    /// A member that was cut off may come back.
    Forgive,
    /// A member that is out had time enough to hear of it.
    Farewell,
    /// New addresses are to be written down.
    Addresses,
    /// Something to say waited, so as not to talk too fast.
    Pace,
    /// Compare records with everybody connected, in case a message was lost.
    Exchange,
    /// Tell everybody connected where we are, before what we said is too old.
    Presence,
    /// Wishes to stay connected with a member run out.
    Interest,
}

/// A third of how long a presence counts. Whatever changes is told at once, so this is for the clock's sake alone.
pub(super) const PRESENCE: Duration = Duration::from_secs(2 * 3600);

/// The timers that tick by themselves and how often.
const PERIODIC: [(Timer, Duration); 3] = [
    (Timer::Exchange, Duration::from_secs(900)),
    (Timer::Presence, PRESENCE),
    (Timer::Interest, Duration::from_secs(60)),
];

/// When each of them is due next.
#[derive(Debug)]
pub(super) struct Timers([Instant; PERIODIC.len()]);

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self(PERIODIC.map(|(_, period)| now + period))
    }

    /// A timer that is due; it is set again from now, so that a suspended machine does not catch up in a burst.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let index = self.0.iter().position(|due| *due <= now)?;
        let (timer, period) = PERIODIC[index];
        self.0[index] = now + period;
        Some(timer)
    }

    pub(super) fn next(&self) -> Option<(Instant, Timer)> {
        let due = self.0.iter().zip(PERIODIC).map(|(due, (timer, _))| (*due, timer));
        due.min_by_key(|(due, _)| *due)
    }
}

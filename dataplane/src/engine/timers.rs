//! What can wake the engine: a closed list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::wg::PeerId;

/// Why the engine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// A tunnel: handshake repetition, keepalive, rekeying, forgetting old keys.
    Tunnel,
    /// A path: probes due, a path found dead.
    Path,
    /// Packets that waited too long for a path or a session.
    Waiting,
    /// A ping without an answer.
    Ping,
    /// Handshakes are counted by the second.
    Handshakes,
    /// Pings to addresses that never answered may go on.
    Probing,
    /// The next peer's ports may be guessed.
    Guessing,
}

/// Deadlines by time and by owner. One per timer and peer; from `Ping` on they belong to the engine.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, Timer, Option<PeerId>)>,
    armed: BTreeMap<(Timer, Option<PeerId>), Instant>,
}

impl Timers {
    /// Set, move or (None) stop a timer.
    pub(crate) fn set(&mut self, timer: Timer, owner: Option<PeerId>, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.armed.insert((timer, owner), at),
            None => self.armed.remove(&(timer, owner)),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, timer, owner));
        }
        if let Some(at) = at {
            self.due.insert((at, timer, owner));
        }
    }

    /// Stop all timers of a peer.
    pub(crate) fn forget(&mut self, owner: PeerId) {
        for timer in [Timer::Tunnel, Timer::Path, Timer::Waiting] {
            self.set(timer, Some(owner), None);
        }
    }

    pub(crate) fn is_set(&self, timer: Timer, owner: Option<PeerId>) -> bool {
        self.armed.contains_key(&(timer, owner))
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.due.first().map(|(at, timer, _)| (*at, *timer))
    }

    /// Take a timer that is due. It is stopped by that.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Timer, Option<PeerId>)> {
        let (at, timer, owner) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.set(timer, owner, None);
        Some((timer, owner))
    }
}

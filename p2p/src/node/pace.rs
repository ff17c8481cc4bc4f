//! How fast one peer and we may talk.
//!
//! Limits on what a peer sends are of use only if an honest member never meets them, whatever others make it pass on. So
//! we keep to a slower pace than the one we demand: what comes too fast waits, and goes out together.

use std::time::{Duration, Instant};

/// Messages of the record exchange that we send at once, and each second in the long run. A quarter and a half of what
/// [`limits`](crate::limits) lets a peer send; the rest is for what our questions make it answer.
const MESSAGES: (u32, u32) = (500, 10);
/// Greetings that we send at once and each second.
const GREETINGS_OURS: (u32, u32) = (10, 1);
/// Greetings that a peer may send at once and each second. Each may hold 64 signatures to check.
const GREETINGS_THEIRS: (u32, u32) = (60, 2);
/// Addresses at which a peer may see us at once and each second: each changed one goes to everybody.
const OBSERVATIONS: (u32, u32) = (10, 1);

/// Requests to test our reach that a peer may send at once and each second.
const TESTS: (u32, f64) = (3, 0.05);

/// What a peer may say about relaying at once and each second: it renews a session of each of its peers every four minutes.
const RELAYING_THEIRS: (u32, u32) = (256, 8);
/// What we say about it at once and each second, whatever others ask us for. More is not said: all of it is said again.
const RELAYING_OURS: (u32, u32) = (128, 2);

/// Calls through others at once and each second: each is a handful of packets for us and for the relay, and a hundred members
/// that are off must not make a stream of them.
const CIRCUITS: (u32, u32) = (32, 1);

/// A bucket of tokens that fills with time.
#[derive(Debug)]
pub(super) struct Pace {
    left: f64,
    full: f64,
    per_second: f64,
    at: Instant,
}

impl Pace {
    fn new((full, per_second): (u32, u32), now: Instant) -> Self {
        Self::slow((full, f64::from(per_second)), now)
    }

    fn slow((full, per_second): (u32, f64), now: Instant) -> Self {
        Self { left: f64::from(full), full: f64::from(full), per_second, at: now }
    }

    /// For all calls through others.
    pub(super) fn circuits(now: Instant) -> Self {
        Self::new(CIRCUITS, now)
    }

    /// Takes one token; else says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * self.per_second).min(self.full);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // A millisecond more, so that rounding does not wake us in vain.
        let missing = Duration::from_secs_f64((1.0 - self.left) / self.per_second);
        Err(now + missing + Duration::from_millis(1))
    }
}

/// All that is paced with one peer. Outlives its connections: going and coming back must not refill anything.
#[derive(Debug)]
pub(super) struct Paces {
    pub(super) messages: Pace,
    pub(super) greetings_ours: Pace,
    pub(super) greetings_theirs: Pace,
    pub(super) observations: Pace,
    pub(super) tests: Pace,
    pub(super) relaying_ours: Pace,
    pub(super) relaying_theirs: Pace,
}

impl Paces {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            messages: Pace::new(MESSAGES, now),
            greetings_ours: Pace::new(GREETINGS_OURS, now),
            greetings_theirs: Pace::new(GREETINGS_THEIRS, now),
            observations: Pace::new(OBSERVATIONS, now),
            tests: Pace::slow(TESTS, now),
            relaying_ours: Pace::new(RELAYING_OURS, now),
            relaying_theirs: Pace::new(RELAYING_THEIRS, now),
        }
    }
}

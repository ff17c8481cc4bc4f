//! How much a peer may still send.

use std::time::Instant;

/// A bucket of tokens that fills with time: so many at once, then so many a second.
#[derive(Debug)]
pub(super) struct Budget {
    left: f64,
    full: f64,
    per_second: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(full: u32, per_second: u32, now: Instant) -> Self {
        Self { left: f64::from(full), full: f64::from(full), per_second: f64::from(per_second), at: now }
    }

    /// Takes one token if there is one.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * self.per_second).min(self.full);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    /// Takes tokens for what has been done already, though there be too few.
    pub(super) fn charge(&mut self, amount: usize) {
        self.left -= amount as f64;
    }
}

//! A token bucket on virtual time: how much may be sent, in a burst and per second.

use std::time::{Duration, Instant};

/// Tokens that refill with time.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    capacity: u32,
    /// Time in which one token refills.
    interval: Duration,
    /// The bucket is full at this time; each token taken moves it one interval on.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket of `capacity` tokens which refills `per_second` (at least one) tokens a second.
    #[must_use]
    pub(crate) fn new(capacity: u32, per_second: u32, now: Instant) -> Self {
        Self { capacity, interval: Duration::from_secs(1) / per_second.max(1), full_at: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.next_at() > now {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.interval;
        true
    }

    /// When a token will be there; in the past if there is one.
    #[must_use]
    pub(crate) fn next_at(&self) -> Instant {
        self.next_beyond(0)
    }

    /// When a token will be there that leaves this many to others.
    #[must_use]
    pub(crate) fn next_beyond(&self, reserve: u32) -> Instant {
        // Not before this moment has the bucket `capacity - 1` tokens to go.
        let slack = self.interval * (self.capacity.saturating_sub(1).saturating_sub(reserve));
        self.full_at.checked_sub(slack).unwrap_or(self.full_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn a_bucket_gives_its_capacity_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(5, 10, start);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 5);
        let later = start + Duration::from_millis(200);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 2);
        assert_eq!(bucket.next_at(), start + Duration::from_millis(300));
        assert_eq!(bucket.next_beyond(2), start + Duration::from_millis(500));
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| bucket.take(much_later)).count(), 5, "never more than full");
    }
}

//! What a peer may send through us.

use std::time::{Duration, Instant};

use crate::path::budget::Bucket;

/// The day that bytes are counted by.
const DAY: Duration = Duration::from_secs(86_400);

/// What each peer may send through us. The default is what a home with a fast line does not notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of frames a day.
    pub bytes_per_day: u64,
    /// Datagrams a second, on average; a second's worth may come at once.
    pub packets_per_second: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self { bytes_per_day: 50_000_000_000, packets_per_second: 20_000 }
    }
}

/// Which part of a quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The bytes of the day.
    Day,
    /// The packets of the second.
    Rate,
}

/// What one peer has used.
#[derive(Debug)]
pub(crate) struct Meter {
    quota: Quota,
    packets: Bucket,
    day_began: Instant,
    bytes: u64,
}

impl Meter {
    pub(crate) fn new(quota: Quota, now: Instant) -> Self {
        let packets = Bucket::new(quota.packets_per_second, quota.packets_per_second, now);
        Self { quota, packets, day_began: now, bytes: 0 }
    }

    /// Another quota from now on; the bytes of the day stay counted.
    pub(crate) fn set_quota(&mut self, quota: Quota, now: Instant) {
        *self = Self { bytes: self.bytes, day_began: self.day_began, ..Self::new(quota, now) };
    }

    /// One datagram wants to pass.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Result<(), Exceeded> {
        if self.day_began + DAY <= now {
            self.day_began = now;
            self.bytes = 0;
        }
        let total = self.bytes.saturating_add(bytes as u64);
        if total > self.quota.bytes_per_day {
            return Err(Exceeded::Day);
        }
        if self.quota.packets_per_second == 0 || !self.packets.take(now) {
            return Err(Exceeded::Rate);
        }
        self.bytes = total;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn a_meter_holds_to_the_second_and_to_the_day() {
        let start = Instant::now();
        let mut meter = Meter::new(Quota { bytes_per_day: 10_000, packets_per_second: 10 }, start);
        assert_eq!((0..100).filter(|_| meter.take(100, start).is_ok()).count(), 10);
        assert_eq!(meter.take(100, start), Err(Exceeded::Rate));
        let later = start + Duration::from_secs(60);
        assert_eq!(meter.take(9001, later), Err(Exceeded::Day));
        assert_eq!(meter.take(9000, later), Ok(()), "a thousand before");
        assert_eq!(meter.take(1, later), Err(Exceeded::Day));
        meter.set_quota(Quota { bytes_per_day: 10_001, packets_per_second: 10 }, later);
        assert_eq!(meter.take(1, later), Ok(()));
        assert_eq!(meter.take(1, later), Err(Exceeded::Day), "a new quota does not forget the day");
        assert_eq!(meter.take(1, start + DAY), Ok(()));
    }
}

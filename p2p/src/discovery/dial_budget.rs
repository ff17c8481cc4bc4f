//! How many addresses may be called: a home router forgets its other flows when one machine opens too many.
//!
//! A call that nobody answers leaves an entry in the table of every router on its way: half a minute for UDP, two minutes
//! for TCP. So with a hundred members that are off, a few of them are called at a time. A call that is answered costs
//! nothing in the end, so a mesh whose members are on comes up at full speed.

use std::time::{Duration, Instant};

/// Addresses that may be called at once at the start and after a change of network.
const ADDRESSES: u32 = 24;
/// Those that may be called at once later, and in [`PERIOD`] in the long run: together, never more than 14 in one.
const ADDRESSES_LATER: f64 = 4.0;
const ADDRESSES_IN_PERIOD: f64 = 10.0;
/// Somebody waits for an urgent call: it may borrow that much.
const BORROWED: u32 = 4;
/// The same for TCP.
const STREAMS: u32 = 6;
const STREAMS_LATER: f64 = 2.0;
const STREAMS_IN_PERIOD: f64 = 2.0;
const PERIOD: Duration = Duration::from_secs(30);

/// What one call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Addresses.
    pub addresses: u32,
    /// Of these, by TCP as well.
    pub streams: u32,
}

/// What may be spent on calls.
#[derive(Debug)]
pub struct DialBudget {
    addresses: f64,
    streams: f64,
    at: Instant,
    /// When it was last full.
    renewed: Instant,
}

impl DialBudget {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self { addresses: f64::from(ADDRESSES), streams: f64::from(STREAMS), at: now, renewed: now }
    }

    /// The network changed, so routers know nothing of us. Not soon after the last time: it is usually the same router, and
    /// what was just called is still in its table.
    pub fn renew(&mut self, now: Instant) {
        if now.saturating_duration_since(self.renewed) >= PERIOD {
            *self = Self::new(now);
        }
    }

    /// How many addresses one of `due` members may be called at, so that each gets its turn: 0 when nothing is left.
    pub fn share(&mut self, due: usize, urgent: bool, now: Instant) -> u32 {
        self.fill(now);
        let mine = |left: f64| (1..=ADDRESSES).rev().find(|count| f64::from(*count) <= left).unwrap_or(0);
        let left = mine(self.addresses + if urgent { f64::from(BORROWED) } else { 0.0 });
        (left / u32::try_from(due.max(1)).unwrap_or(u32::MAX)).max(left.min(1))
    }

    /// Spends `addresses`, and as many of `streams` as there are; says what was taken.
    pub fn take(&mut self, addresses: u32, streams: u32, now: Instant) -> Taken {
        self.fill(now);
        let streams = (0..=streams.min(STREAMS)).rev().find(|count| f64::from(*count) <= self.streams);
        let taken = Taken { addresses, streams: streams.unwrap_or(0) };
        self.addresses -= f64::from(taken.addresses);
        self.streams -= f64::from(taken.streams);
        taken
    }

    /// The call was answered.
    pub fn give_back(&mut self, taken: Taken) {
        self.addresses = (self.addresses + f64::from(taken.addresses)).min(f64::from(ADDRESSES));
        self.streams = (self.streams + f64::from(taken.streams)).min(f64::from(STREAMS));
    }

    /// From when on one address may be called that is not urgent.
    pub fn ready_at(&self) -> Instant {
        let missing = (1.0 - self.addresses).max(0.0);
        // A millisecond more, so that rounding does not wake us in vain.
        let wait = PERIOD.mul_f64(missing / ADDRESSES_IN_PERIOD);
        if wait.is_zero() { self.at } else { self.at + wait + Duration::from_millis(1) }
    }

    fn fill(&mut self, now: Instant) {
        let periods = now.saturating_duration_since(self.at).as_secs_f64() / PERIOD.as_secs_f64();
        self.at = self.at.max(now);
        let filled = |left: f64, rate: f64, full: f64| (left + periods * rate).min(full).max(left);
        self.addresses = filled(self.addresses, ADDRESSES_IN_PERIOD, ADDRESSES_LATER);
        self.streams = filled(self.streams, STREAMS_IN_PERIOD, STREAMS_LATER);
    }
}

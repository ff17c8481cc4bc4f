//! The largest datagram that passes a pair, found by padded pings: one sans-IO [`Mtu`] a pair.
//!
//! # Model
//!
//! Packetization layer path MTU discovery (RFC 4821, for datagrams RFC 8899): nobody's ICMP is believed, a size passes when a
//! ping of that size was answered. The pong is small, so each side learns of its own direction, which is the one it sends in.
//! Sizes are those of the UDP payload as our peer gets it; what a relay puts around it is not counted, but is felt.
//!
//! ```text
//!               answered                                     3 large lost, small ones answered
//!   Unproven ─────────────► Resting (full size) ◄──┐  ┌───────────────────────────────────────┐
//!      │                                           │  │                                       │
//!      └── 3 lost, or refused ──► base ──► halving ┴──┴─► Resting (what passes) ── raise ─────┘
//! ```
//!
//! It is *optimistic*: the full size is used until it is disproved, because it nearly always passes, and because the first
//! ping of that size leaves as soon as a pair is verified, before the WireGuard handshake is complete. RFC 8899 begins at
//! the base instead. Once disproved, the base is assumed, proved, and then the room above it is halved until it is no wider
//! than a step. [`Mtu::is_settled`] is false meanwhile: what is longer than the size goes in fragments then and is not
//! refused, as a program that was told a size remembers it for ten minutes (RFC 8201, 4).
//!
//! A size that was in use for long can stop passing without a word (RFC 2923, black holes). So while large datagrams are sent
//! their size is proved again every five seconds. Three large pings lost are a verdict only if a small one was answered
//! meanwhile; else the pair is in trouble as a whole, and that is its agent's business.

use std::time::{Duration, Instant};

/// What every path is taken to carry: an IPv6 link carries 1280 bytes (RFC 8200, 5), of which 48 are headers. RFC 8899, 5.1.2
/// has 1200 as base for the same reason.
pub(crate) const BASE: u16 = 1232;
/// What sealing adds to an inner packet (WireGuard paper, 5.4.6).
pub(crate) const OVERHEAD: u16 = 32;
/// No smaller size is looked for: an inner packet of 576 bytes, which every IPv4 host takes (RFC 791, 3.1), sealed.
pub(crate) const FLOOR: u16 = 576 + OVERHEAD;
/// Precision of the search. WireGuard pads to 16 bytes, so less would be of no use.
const STEP: u16 = 8;
/// Lost pings that disprove a size (`MAX_PROBES` of RFC 8899, 5.1.2).
const TRIES: usize = 3;
/// How long an answer is waited for at least, and two round trips, but
const MIN_PATIENCE: Duration = Duration::from_millis(200);
/// never longer than this.
const MAX_PATIENCE: Duration = Duration::from_secs(3);
/// A size that large datagrams make use of is proved so often.
const CHECK: Duration = Duration::from_secs(5);
/// After a verdict that may have been bad luck a larger size is tried soon, and then at intervals that double up to
const FIRST_RAISE: Duration = Duration::from_secs(60);
/// this (`PMTU_RAISE_TIMER` of RFC 8899, 5.1.1).
const LAST_RAISE: Duration = Duration::from_secs(600);

/// What is known of the sizes that pass a pair.
pub(crate) struct Mtu {
    /// The largest size that is of any use; 0 when there is none, and nothing is looked for.
    full: u16,
    /// In use: proved, or assumed.
    size: u16,
    /// The smallest size that was disproved, or more than `full`.
    too_big: u16,
    /// When `size` was proved last.
    proved: Option<Instant>,
    /// Whether `size` is there to stay, as far as is known.
    settled: bool,
    /// Whether it is still to be found out what passes between `size` and `too_big`.
    searching: bool,
    test: Option<Test>,
    /// No test begins before this.
    not_before: Option<Instant>,
    /// A large datagram left, and no proof came since.
    large: bool,
    /// When larger sizes are tried again,
    raise_at: Option<Instant>,
    /// and how long after that again.
    raise: Duration,
}

/// Pings of one size that are under way.
struct Test {
    size: u16,
    first: Option<Instant>,
    /// The next one, or the verdict.
    next: Instant,
    transactions: Vec<u64>,
}

/// A ping to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Its size.
    pub(crate) size: u16,
    /// Whether a small one must go along, because the last large one was not answered.
    pub(crate) doubt: bool,
}

impl Mtu {
    /// Nothing is known, and `full` is the largest size that is of any use.
    pub(crate) const fn new(full: u16) -> Self {
        Self {
            full,
            size: full,
            too_big: full.saturating_add(1),
            proved: None,
            settled: true,
            searching: true,
            test: None,
            not_before: None,
            large: false,
            raise_at: None,
            raise: FIRST_RAISE,
        }
    }

    /// The size in use.
    pub(crate) const fn size(&self) -> u16 {
        self.size
    }

    /// Whether `size` will stay for a while. If not, longer datagrams go in fragments until it does.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether `size` is more than an assumption.
    pub(crate) const fn is_known(&self) -> bool {
        self.settled && (self.proved.is_some() || !self.searching)
    }

    /// Nothing known holds any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.full);
    }

    /// Pings under way are no evidence: the clock jumped.
    pub(crate) fn forgive(&mut self) {
        self.test = None;
    }

    /// A datagram of this size was sent. True if something may have become due by that.
    pub(crate) const fn sent_data(&mut self, size: usize) -> bool {
        let news = size > FLOOR as usize && !self.large && self.full > 0;
        self.large |= news;
        news
    }

    /// When [`Self::poll`] has something to do. Larger sizes are tried only while the pair is `used`.
    pub(crate) fn due(&self, used: bool, now: Instant) -> Option<Instant> {
        if self.full <= FLOOR {
            return None;
        }
        if let Some(test) = &self.test {
            return Some(test.next);
        }
        let check = self.proved.filter(|_| self.large).map(|at| at + CHECK);
        let raise = self.raise_at.filter(|_| used);
        let at = if self.searching { now } else { [check, raise].into_iter().flatten().min()? };
        Some(self.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// The next ping to be sent now; tell [`Self::sent`] when it was. `heard` is when the peer last gave a sign of life on
    /// this pair.
    pub(crate) fn poll(&mut self, used: bool, heard: Option<Instant>, now: Instant) -> Option<Probe> {
        // Two verdicts of one moment cannot be: a test that begins now sends now.
        for _ in 0..2 {
            self.due(used, now).filter(|due| *due <= now)?;
            match self.test.take() {
                Some(test) if test.transactions.len() >= TRIES => {
                    if test.first.is_some_and(|first| heard.is_some_and(|heard| heard >= first)) {
                        self.disprove(test.size, now);
                    } else {
                        self.not_before = Some(now + CHECK);
                    }
                }
                Some(test) => {
                    let probe = Probe { size: test.size, doubt: !test.transactions.is_empty() };
                    self.test = Some(test);
                    return Some(probe);
                }
                None => {
                    let size = self.next_size(now);
                    self.test = Some(Test { size, first: None, next: now, transactions: Vec::new() });
                }
            }
        }
        self.test
            .as_ref()
            .filter(|test| test.transactions.is_empty())
            .map(|test| Probe { size: test.size, doubt: false })
    }

    fn next_size(&mut self, now: Instant) -> u16 {
        if !self.searching {
            if self.raise_at.is_none_or(|at| at > now) {
                return self.size;
            }
            self.searching = true;
            self.too_big = self.full.saturating_add(1);
            self.raise = (self.raise * 2).min(LAST_RAISE);
        }
        if self.proved.is_none() {
            self.size
        } else if self.too_big > self.full {
            self.full
        } else {
            self.size + ((self.too_big - self.size) / 2 / STEP).max(1) * STEP
        }
    }

    /// The ping left; `rtt` is the round trip of small ones.
    pub(crate) fn sent(&mut self, transaction: u64, rtt: Duration, now: Instant) {
        if let Some(test) = &mut self.test {
            test.transactions.push(transaction);
            test.first.get_or_insert(now);
            test.next = now + (rtt * 2).clamp(MIN_PATIENCE, MAX_PATIENCE);
        }
    }

    /// A pong came. False if it answers no ping of a test under way.
    pub(crate) fn answered(&mut self, transaction: u64, size: u16, now: Instant) -> bool {
        let is_ours = |test: &Test| test.size == size && test.transactions.contains(&transaction);
        if !self.test.as_ref().is_some_and(is_ours) {
            return false;
        }
        self.test = None;
        self.not_before = None;
        self.large = false;
        self.size = size;
        self.proved = Some(now);
        if self.searching && self.is_narrow() {
            self.settle(now);
        }
        true
    }

    /// This machine itself refused to send a datagram of this size.
    pub(crate) fn refused(&mut self, size: usize, now: Instant) {
        let Ok(size) = u16::try_from(size) else { return };
        if size <= FLOOR || size >= self.too_big {
            return;
        }
        if self.test.as_ref().is_some_and(|test| test.size >= size) {
            self.test = None;
        }
        self.disprove(size, now);
    }

    fn disprove(&mut self, size: u16, now: Instant) {
        self.too_big = self.too_big.min(size).max(FLOOR + 1);
        self.not_before = None;
        if size <= self.size {
            self.size = if size > BASE { BASE } else { FLOOR };
            self.proved = None;
            self.settled = false;
            self.searching = true;
            self.raise = FIRST_RAISE;
        }
        // Below the floor nothing is looked for: it is what is used when nothing at all passes.
        if size <= FLOOR || (self.proved.is_some() && self.is_narrow()) {
            self.settle(now);
        }
    }

    const fn is_narrow(&self) -> bool {
        self.size >= self.full || self.too_big.saturating_sub(self.size) <= STEP
    }

    fn settle(&mut self, now: Instant) {
        self.settled = true;
        self.searching = false;
        self.raise_at = (self.size < self.full).then(|| now + self.raise);
    }
}

#[cfg(test)]
mod tests;

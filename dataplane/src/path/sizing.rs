//! How long datagrams may be: the agent's side of the search in `mtu.rs`.
//!
//! Searched are the pair in use and, while there is traffic, the one that would take over; the others are not worth their
//! pings. A ping of a test is none of the pings that tell whether a pair lives: its loss says something of its size alone.

use std::time::Instant;

use super::agent::Agent;
use super::mtu::{Mtu, OVERHEAD};
use super::pair::Pair;
use super::probe::{MAX_LEN, Message};
use super::schedule::{BURST_SPACING, IN_USE, MAX_TRANSMITS};
use super::{Room, Route};

impl Agent {
    /// Datagrams are as long as sealed packets of this many bytes at most: longer ones are of no use. Nothing is searched
    /// until this is known.
    pub fn set_mtu(&mut self, mtu: u16) {
        let most = u16::try_from(MAX_LEN).unwrap_or(u16::MAX);
        self.full_size = mtu.saturating_add(OVERHEAD).min(most);
        for pair in &mut self.pairs {
            pair.mtu = Mtu::new(self.full_size);
        }
    }

    /// How long an inner packet on the path in use may be.
    #[must_use]
    pub const fn room(&self) -> Option<Room> {
        self.room
    }

    /// The longest datagram of a batch that was sent to the peer. Cheap enough for every batch.
    pub fn sent(&mut self, size: usize, now: Instant) {
        let active = self.active;
        let pair = self.pairs.iter_mut().find(|pair| Some(pair.route) == active);
        if pair.is_some_and(|pair| pair.mtu.sent_data(size)) {
            self.run(now);
        }
    }

    /// The machine refused to send a datagram of this size on this route.
    pub fn handle_too_big(&mut self, route: Route, size: usize, now: Instant) {
        if let Some(pair) = self.pair_at(route) {
            pair.mtu.refused(size, now);
            self.run(now);
        }
    }

    /// Sends the pings of tests that are due. Returns when to go on with them.
    pub(super) fn test_sizes(&mut self, now: Instant) -> Option<Instant> {
        let used = self.used_within(IN_USE, now);
        let standby = if used { self.second_best(now) } else { None };
        let mut next: Option<Instant> = None;
        for index in 0..self.pairs.len() {
            let pair = &mut self.pairs[index];
            let is_searched = Some(pair.route) == self.active || Some(pair.route) == standby;
            let Some(rtt) = pair.verified.map(|verified| verified.rtt).filter(|_| is_searched) else {
                continue;
            };
            let mut at = None;
            if let Some(probe) = pair.mtu.poll(used, pair.heard, now) {
                if self.transmits.len() >= MAX_TRANSMITS {
                    at = Some(now + BURST_SPACING);
                } else if !self.pings.take(now) {
                    at = Some(self.pings.next_at());
                } else {
                    let transaction = self.random.next();
                    pair.mtu.sent(transaction, rtt, now);
                    // Is it this size that is lost, or everything?
                    pair.pending |= probe.doubt;
                    let route = pair.route;
                    let ping = self.ping(transaction, probe.size);
                    self.send(route, &ping);
                }
            }
            let due = at.or_else(|| self.pairs[index].mtu.due(used, now));
            next = [next, due].into_iter().flatten().min();
        }
        self.tell_mtu();
        next
    }

    /// The next ping.
    pub(super) fn ping(&mut self, transaction: u64, size: u16) -> Message {
        self.sequence += 1;
        let (session, sequence, challenge) = (self.session, self.sequence, self.proof);
        Message::Ping { transaction, session, sequence, challenge, size }
    }

    fn tell_mtu(&mut self) {
        let pair = self.pairs.iter().find(|pair| Some(pair.route) == self.active);
        let mtu = pair.and_then(known_mtu);
        self.room = pair.filter(|_| self.full_size > 0).map(|Pair { mtu, .. }| Room {
            mtu: mtu.size().saturating_sub(OVERHEAD),
            settled: mtu.is_settled(),
        });
        if let Some(info) = self.info.as_mut().filter(|info| Some(info.route) == self.active) {
            info.mtu = mtu;
        }
    }
}

/// What of an inner packet passes a pair, if that is more than an assumption.
pub(super) fn known_mtu(pair: &Pair) -> Option<u16> {
    pair.mtu.is_known().then(|| pair.mtu.size().saturating_sub(OVERHEAD))
}

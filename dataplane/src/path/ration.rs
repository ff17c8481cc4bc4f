//! Pings that must wait for leave: those to addresses that never answered, when others have a say in how many there are.
//!
//! Such a ping makes an entry in every router on its way, whether anybody is there or not, and a device has many peers. So
//! the owner of all agents may ration them: then an agent keeps them pending and gives them out one by one
//! ([`Agent::poll_ping`]). Nothing is lost by that, it comes later: a pending ping stays pending, a burst of which nothing
//! could be sent is not over, and rounds that come meanwhile set the same flags again.
//!
//! Not rationed: pings to pairs that answered, unless they have missed three since, to the pair in use, to one that the peer just pinged us from, and what
//! goes through relays and streams, whose ways are open already.

use std::time::{Duration, Instant};

use super::agent::Agent;
use super::pair::Pair;
use super::schedule::{BURST, BURST_SPACING};
use super::{Route, Transmit};

/// A ping of the peer proves its address for so long.
const PROOF: Duration = Duration::from_secs(5);

/// News is new for so long.
const NEW: Duration = Duration::from_secs(3);

/// How much it matters that a ping leaves soon, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// There is something new to try, as of a moment ago, and a packet waits.
    New,
    /// There is something new to try, and a packet waits.
    Wanted,
    /// There is something new to try.
    News,
    /// What was tried before is tried again.
    Habit,
}

/// What an agent knows of its ration.
#[derive(Default)]
pub(super) struct Ration {
    /// Whether there is one.
    is_on: bool,
    /// When there was something new to try,
    urgent_since: Option<Instant>,
    /// and until when it is tried.
    urgent_until: Option<Instant>,
}

impl Agent {
    /// From now on pings to addresses that never answered leave by [`Self::poll_ping`] only.
    pub fn ration(&mut self) {
        self.ration.is_on = true;
    }

    /// Whether [`Self::poll_ping`] has something.
    #[must_use]
    pub fn has_ping(&self, now: Instant) -> bool {
        self.waiting(now).next().is_some()
    }

    /// Where the pings go that wait for leave.
    pub fn waiting(&self, now: Instant) -> impl Iterator<Item = Route> {
        let waits = move |pair: &&Pair| self.ration.is_on && pair.pending && self.is_rationed(pair, now);
        self.pairs.iter().filter(waits).map(|pair| pair.route)
    }

    /// How urgent the pings are that wait.
    #[must_use]
    pub fn urgency(&self, now: Instant) -> Urgency {
        let is_new = self.ration.urgent_since.is_some_and(|since| now < since + NEW);
        match self.ration.urgent_until {
            Some(until) if now < until && is_new && self.is_in_demand(now) => Urgency::New,
            Some(until) if now < until && self.is_in_demand(now) => Urgency::Wanted,
            Some(until) if now < until => Urgency::News,
            Some(_) | None => Urgency::Habit,
        }
    }

    /// The first ping waiting for leave that `admit` gives it. Afterwards [`Self::poll_timeout`] may have changed.
    pub fn poll_ping(&mut self, now: Instant, mut admit: impl FnMut(Route) -> bool) -> Option<Transmit> {
        let waits = |pair: &Pair| pair.pending && self.is_rationed(pair, now);
        let mut waiting: Vec<usize> =
            (0..self.pairs.len()).filter(|index| self.pairs.get(*index).is_some_and(waits)).collect();
        waiting.sort_by_key(|index| (self.pairs[*index].last_sent, *index));
        let index = waiting.into_iter().find(|index| admit(self.pairs[*index].route))?;
        let (transaction, ping) = self.next_ping();
        let pair = &mut self.pairs[index];
        pair.sent(transaction, now);
        let transmit = Transmit { route: pair.route, datagram: self.codec.encode(&ping) };
        self.set_deadline(now);
        Some(transmit)
    }

    /// The addresses that answer.
    pub fn proven(&self, now: Instant) -> impl Iterator<Item = Route> {
        self.pairs.iter().filter(move |pair| pair.is_fit(now)).map(|pair| pair.route)
    }

    /// There is something new to try.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.ration.urgent_since = Some(now);
        self.ration.urgent_until = Some(now + BURST);
    }

    /// Whether a pending ping may leave without being asked for.
    pub(super) fn may_send(&self, pair: &Pair, now: Instant) -> bool {
        pair.pending && !pair.is_closed() && !(self.ration.is_on && self.is_rationed(pair, now))
    }

    /// Whether nothing could be sent since the last round.
    pub(super) fn starves(&self, now: Instant) -> bool {
        let recently = |pair: &Pair| pair.last_sent.is_some_and(|at| at + BURST_SPACING >= now);
        self.has_ping(now) && !self.pairs.iter().any(recently)
    }

    /// A round was lost: what was urgent remains so for as much longer.
    pub(super) fn stay_urgent(&mut self, now: Instant) {
        if let Some(until) = self.ration.urgent_until.as_mut().filter(|until| now < **until) {
            *until += BURST_SPACING;
        }
    }

    /// Nobody wants the peer any more: what still waits for leave does so no longer.
    pub(super) fn give_way(&mut self, now: Instant) {
        for pair in &mut self.pairs {
            pair.pending &= pair.is_fit(now);
        }
    }

    fn is_rationed(&self, pair: &Pair, now: Instant) -> bool {
        matches!(pair.route, Route::Udp { .. })
            && !pair.is_fit(now)
            && Some(pair.route) != self.active
            && pair.pinged.is_none_or(|at| at + PROOF <= now)
    }
}

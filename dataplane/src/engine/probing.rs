//! How many pings all peers together may send to addresses that never answered.
//!
//! Home routers keep an entry for every flow they let out, often in a table of a thousand, and an unanswered one for
//! 30 s (Linux's `nf_conntrack_udp_timeout`; RFC 4787 section 4.3 asks for more). A hundred members that are
//! switched off must not fill it, nor must they keep the one waiting that has just been switched on. So agents
//! ask here ([`crate::path::Urgency`]) for two things at once:
//!
//! * a token: 15 a second, and 128 at once, for a start with few peers is quick; later 24 at once;
//! * a place: at most 36 addresses are pinged within 30 s, and no more than 32 are new at once. Whoever is there already may
//!   go on; but when others wait for a place, only for 5 s out of habit, or 30 s with news, and then it returns its place
//!   by being silent for 30.
//!
//! News comes before habit for both, and the older it is the fewer places it may fill, so that even after a hundred
//! peers were switched off at once, or we on, the next one finds some. Within one urgency peers take turns, a ping each.
//! Beside this there are the pings that guess ports, which have a budget of their own ([`super::guessing`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::Engine;
use super::timers::Timer;
use crate::path::budget::Bucket;
use crate::path::{Agent, Route, Urgency};
use crate::wg::PeerId;

/// Pings at once, and a second. Control connections of the same device call the same peers beside this: together they
/// keep below 50 packets a second, and 64 entries in a router's table.
const TOKENS: (u32, u32) = (24, 15);
/// Once, at the start.
const FIRST_TOKENS: u32 = 104;
/// Left to addresses that were not pinged yet: one ping is often enough for them, others are pinged over and over.
const FOR_NEW: u32 = 8;
/// New addresses at once, and a second.
const ADDRESSES: (u32, u32) = (32, 1);
/// How long a router remembers a ping that nobody answered.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Most urgent first.
const ORDER: [Urgency; 4] = [Urgency::New, Urgency::Wanted, Urgency::News, Urgency::Habit];

/// How many places may be taken before this urgency gets no further one.
const fn places(urgency: Urgency) -> usize {
    match urgency {
        Urgency::New => 36,
        Urgency::Wanted => 33,
        Urgency::News => 30,
        Urgency::Habit => 24,
    }
}

/// How many new addresses it leaves to others.
const fn reserve(urgency: Urgency) -> u32 {
    match urgency {
        Urgency::New => 0,
        Urgency::Wanted | Urgency::News => 6,
        Urgency::Habit => 12,
    }
}

/// How long this urgency keeps a place that others wait for.
const fn tenure(urgency: Urgency) -> Duration {
    match urgency {
        // A peer that has news all the time must not be the only one.
        Urgency::New | Urgency::Wanted | Urgency::News => Duration::from_secs(30),
        Urgency::Habit => Duration::from_secs(5),
    }
}

/// The budget, and whose turn it is.
#[derive(Debug)]
pub(super) struct Probing {
    tokens: Bucket,
    /// What is left of the first ones.
    first: u32,
    addresses: Bucket,
    /// Addresses pinged lately that have not answered: since when, and when last.
    places: BTreeMap<Route, Place>,
    turns: VecDeque<PeerId>,
    waiting: BTreeSet<PeerId>,
    /// Somebody was refused a place when all were asked before,
    is_crowded: bool,
    /// or is now.
    was_refused: bool,
    /// Somebody who was not asked yet may get something.
    is_news: bool,
    /// When those who were refused may get something.
    again: Option<Instant>,
}

#[derive(Debug)]
struct Place {
    since: Instant,
    last: Instant,
}

impl Probing {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = |(capacity, per_second)| Bucket::new(capacity, per_second, now);
        Self {
            tokens: bucket(TOKENS),
            first: FIRST_TOKENS,
            addresses: bucket(ADDRESSES),
            places: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: BTreeSet::new(),
            is_crowded: false,
            was_refused: false,
            is_news: false,
            again: None,
        }
    }

    /// Something happened to a peer: it may want to ping, and addresses may have answered.
    pub(super) fn attend(&mut self, id: PeerId, path: &Agent, now: Instant) {
        if !self.places.is_empty() {
            path.proven(now).for_each(|route| {
                self.places.remove(&route);
            });
        }
        if !path.has_ping(now) {
            return;
        }
        if self.waiting.insert(id) {
            self.turns.push_back(id);
            self.is_news = true;
        } else {
            // It was refused something, but may go on where it has a place.
            let urgency = path.urgency(now);
            let may_go_on =
                |route| self.places.get(&route).is_some_and(|place| self.keeps(place, urgency, now));
            self.is_news |= urgency == Urgency::New || path.waiting(now).any(may_go_on);
        }
    }

    /// Whether a ping by this route may leave now; if so, it is taken for sent.
    fn admit(&mut self, route: Route, urgency: Urgency, now: Instant) -> bool {
        if !self.has_token(now) {
            return false;
        }
        let known = self.places.get(&route);
        if known.is_some() && self.next_token(FOR_NEW, now) > now {
            return false;
        }
        if known.is_some_and(|place| !self.keeps(place, urgency, now)) {
            return false;
        }
        let is_full = self.places.len() >= places(urgency);
        if known.is_none() && (is_full || self.addresses.next_beyond(reserve(urgency)) > now) {
            self.was_refused = true;
            return false;
        }
        if known.is_none() {
            self.addresses.take(now);
        }
        self.places.entry(route).or_insert(Place { since: now, last: now }).last = now;
        self.tokens.take(now) || self.first.checked_sub(1).map(|left| self.first = left).is_some()
    }

    fn has_token(&self, now: Instant) -> bool {
        self.next_token(0, now) <= now
    }

    /// When there is one, with this many left to others.
    fn next_token(&self, reserve: u32, now: Instant) -> Instant {
        if self.first > 0 { now } else { self.tokens.next_beyond(reserve) }
    }

    /// Whether a place may be used further.
    fn keeps(&self, place: &Place, urgency: Urgency, now: Instant) -> bool {
        !self.is_crowded || now < place.since + tenure(urgency)
    }

    /// Whether there is a point in asking anybody.
    fn is_time(&mut self, now: Instant) -> bool {
        let is_due = self.is_news || self.again.is_none_or(|again| again <= now);
        if self.turns.is_empty() || !is_due || !self.has_token(now) {
            return false;
        }
        self.places.retain(|_, place| place.last + REMEMBERED > now);
        self.is_news = false;
        true
    }

    /// All were asked who still wait: when to ask again. `highest` is the most urgent of them.
    fn rest(&mut self, highest: Option<Urgency>, now: Instant) {
        let token = Some(self.next_token(FOR_NEW, now)).filter(|at| *at > now);
        // Without tokens not all were asked, so that nobody was refused says nothing.
        self.is_crowded = std::mem::take(&mut self.was_refused) || (self.is_crowded && token.is_some());
        let address = highest.map(|urgency| self.addresses.next_beyond(reserve(urgency)));
        let address = address.filter(|at| *at > now);
        let place = self.places.values().map(|place| place.last + REMEMBERED).min();
        // Any of them may be what is missing: asking in vain costs little, and a second is not often.
        self.again = token.or_else(|| address.into_iter().chain(place).min()).filter(|_| highest.is_some());
    }
}

impl Engine {
    /// Send those of the waiting pings for which there is room.
    pub(super) fn serve_pings(&mut self, now: Instant) {
        if self.probing.is_time(now) {
            let mut highest = None;
            for urgency in ORDER {
                while self.ask_in_turn(urgency, now) {}
                let waits = |id: &PeerId| self.agent(*id).is_some_and(|path| path.urgency(now) == urgency);
                if highest.is_none() && self.probing.turns.iter().any(waits) {
                    highest = Some(urgency);
                }
            }
            self.probing.rest(highest, now);
        }
        let again = self.probing.again.filter(|_| !self.probing.turns.is_empty());
        self.timers.set(Timer::Probing, None, again);
    }

    /// One ping for each peer of this urgency. Those who got none come first the next time. False: nobody got any.
    fn ask_in_turn(&mut self, urgency: Urgency, now: Instant) -> bool {
        let probing = &mut self.probing;
        let (mut refused, mut served) = (VecDeque::new(), VecDeque::new());
        for id in std::mem::take(&mut probing.turns) {
            let Some(remote) =
                self.remotes.get_mut(id.slot()).and_then(Option::as_mut).filter(|r| r.id == id)
            else {
                probing.waiting.remove(&id);
                continue;
            };
            if !remote.path.has_ping(now) {
                probing.waiting.remove(&id);
            } else if remote.path.urgency(now) != urgency || !probing.has_token(now) {
                refused.push_back(id);
            } else if let Some(ping) = remote.path.poll_ping(now, |route| probing.admit(route, urgency, now))
            {
                if let Some(way) = remote.way(ping.route) {
                    self.out.transmits.push_back(way.single(ping.datagram));
                }
                self.timers.set(Timer::Path, Some(id), remote.path.poll_timeout());
                served.push_back(id);
            } else {
                refused.push_back(id);
            }
        }
        let any = !served.is_empty();
        refused.append(&mut served);
        probing.turns = refused;
        any
    }

    fn agent(&self, id: PeerId) -> Option<&Agent> {
        self.remotes.get(id.slot())?.as_ref().filter(|remote| remote.id == id).map(|remote| &remote.path)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn route(number: u16) -> Route {
        Route::udp(SocketAddr::from(([203, 0, 113, 1], number)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn whoever_asks_for_whatever_the_budget_holds(
            asks in prop::collection::vec((1..200_u16, 0..4_usize, 0..100_u64), 0..1000),
        ) {
            let start = epoch();
            let (mut probing, mut now) = (Probing::new(start), start);
            let mut sent: Vec<(Instant, Route)> = Vec::new();
            for (number, urgency, pause) in asks {
                now += Duration::from_millis(pause);
                let urgency = ORDER[urgency];
                // One that has just woken up, as the engine does before it asks anybody.
                probing.places.retain(|_, place| place.last + REMEMBERED > now);
                if probing.admit(route(number), urgency, now) {
                    sent.push((now, route(number)));
                }
            }
            for (index, (at, _)) in sent.iter().enumerate().step_by(7) {
                let second = sent[index..].iter().take_while(|(later, _)| *later < *at + Duration::from_secs(1));
                prop_assert!(second.count() <= 128 + 16);
                let entries: BTreeSet<Route> = sent[index..]
                    .iter()
                    .take_while(|(later, _)| *later < *at + REMEMBERED)
                    .map(|(_, route)| *route)
                    .collect();
                prop_assert!(entries.len() <= 36, "{} addresses in 30 s", entries.len());
            }
        }
    }

    #[test]
    fn news_find_a_place_where_habit_has_filled_what_it_may() {
        let start = epoch();
        let (mut probing, mut now) = (Probing::new(start), start);
        for number in 1..1000 {
            now += Duration::from_millis(50);
            probing.places.retain(|_, place| place.last + REMEMBERED > now);
            probing.admit(route(number), Urgency::Habit, now);
        }
        let places = |probing: &Probing| probing.places.len();
        assert!(places(&probing) <= 24, "{}", places(&probing));
        let admitted = (2000..2100).filter(|number| probing.admit(route(*number), Urgency::New, now)).count();
        assert!(admitted >= 8, "{admitted}");
        assert!(places(&probing) <= 36);
    }
}

//! How many pings all peers together may send to addresses that never answered.
//!
//! Home routers keep an entry for every flow they let out, often in a table of a thousand, and an unanswered one for
//! 30 s (Linux's `nf_conntrack_udp_timeout`; RFC 4787 section 4.3 asks for more). A hundred members that are
//! switched off must not fill it, nor must they keep the one waiting that has just been switched on. So agents
//! ask here ([`crate::path::Urgency`]) for two things at once:
//!
//! * a token: 50 a second, and 128 at once, for a start with few peers is quick;
//! * a place: at most 48 addresses are pinged within 30 s. Whoever is there already may go on. When others
//!   wait for a place, what is mere habit goes on for 5 s only, and then returns the place by being silent for 30.
//!
//! News comes before habit for both, and habit never has all places. Within one urgency peers take turns, a ping each.
//! Beside this there are the pings that guess ports, which have a budget of their own ([`super::guessing`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::Engine;
use super::timers::Timer;
use crate::path::budget::Bucket;
use crate::path::{Agent, Route, Urgency};
use crate::wg::PeerId;

/// Pings at once, and a second.
const TOKENS: (u32, u32) = (128, 50);
/// How long a router remembers a ping that nobody answered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long habit keeps a place that others wait for.
const TENURE: Duration = Duration::from_secs(5);

/// Most urgent first.
const ORDER: [Urgency; 3] = [Urgency::Wanted, Urgency::News, Urgency::Habit];

/// How many places may be taken before this urgency gets no further one.
const fn places(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Wanted => 48,
        Urgency::News => 40,
        Urgency::Habit => 24,
    }
}

/// The budget, and whose turn it is.
#[derive(Debug)]
pub(super) struct Probing {
    tokens: Bucket,
    /// Addresses pinged lately that have not answered: since when, and when last.
    places: BTreeMap<Route, Place>,
    turns: VecDeque<PeerId>,
    waiting: BTreeSet<PeerId>,
    /// Somebody was refused a place when all were asked last.
    is_crowded: bool,
    /// Asking again earlier is no use, unless something more urgent comes.
    rests: Option<(Instant, Urgency)>,
}

#[derive(Debug)]
struct Place {
    since: Instant,
    last: Instant,
}

impl Probing {
    pub(super) fn new(now: Instant) -> Self {
        let (capacity, per_second) = TOKENS;
        Self {
            tokens: Bucket::new(capacity, per_second, now),
            places: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: BTreeSet::new(),
            is_crowded: false,
            rests: None,
        }
    }

    /// Something happened to a peer: it may want to ping, and addresses may have answered.
    pub(super) fn attend(&mut self, id: PeerId, path: &Agent, now: Instant) {
        if !self.places.is_empty() {
            path.proven().for_each(|route| {
                self.places.remove(&route);
            });
        }
        if !path.has_ping(now) {
            return;
        }
        if self.rests.is_some_and(|(_, urgency)| path.urgency(now) < urgency) {
            self.rests = None;
        }
        if self.waiting.insert(id) {
            self.turns.push_back(id);
        }
    }

    /// Whether a ping by this route may leave now; if so, it is taken for sent.
    fn admit(&mut self, route: Route, urgency: Urgency, now: Instant) -> bool {
        if self.tokens.next_at() > now {
            return false;
        }
        let taken = self.places.len();
        match self.places.get_mut(&route) {
            Some(place) if urgency == Urgency::Habit && self.is_crowded && place.since + TENURE <= now => {
                return false;
            }
            Some(place) => place.last = now,
            None if taken >= places(urgency) => {
                self.is_crowded = true;
                return false;
            }
            None => {
                self.places.insert(route, Place { since: now, last: now });
            }
        }
        self.tokens.take(now)
    }

    /// Whether there is a point in asking anybody.
    fn is_time(&mut self, now: Instant) -> bool {
        if self.turns.is_empty() || self.rests.is_some_and(|(until, _)| now < until) {
            return false;
        }
        self.places.retain(|_, place| place.last + REMEMBERED > now);
        self.is_crowded &= self.places.len() >= places(Urgency::Habit);
        self.rests = None;
        true
    }

    /// All were asked who still wait: when to ask again. `highest` is the most urgent of them.
    fn rest(&mut self, highest: Option<Urgency>, now: Instant) {
        let token = Some(self.tokens.next_at()).filter(|at| *at > now);
        let place = self.places.values().map(|place| place.last + REMEMBERED).min();
        self.rests = token.or(place).zip(highest);
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
        let again = self.probing.rests.map(|(until, _)| until).filter(|_| !self.probing.turns.is_empty());
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
            } else if remote.path.urgency(now) != urgency || probing.tokens.next_at() > now {
                refused.push_back(id);
            } else if let Some(ping) = remote.path.poll_ping(now, |route| probing.admit(route, urgency, now))
            {
                if let Some(way) = remote.way(ping.route) {
                    self.out.transmits.push_back(way.single(ping.datagram.to_vec()));
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

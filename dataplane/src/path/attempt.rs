//! When an agent guesses ports, and what it does with the answers. What is sent is in `guess.rs`.
//!
//! An attempt is due half a second after signalling told both sides of each other, if plain pings brought nothing
//! and the two kinds of NAT make it promising (`role.rs`). The owner says when it may begin ([`Agent::start_guess`]), because
//! only one peer's ports are guessed at a time. There is one attempt until something is new: our network, either
//! side's kind of NAT, or an address of the peer that was not known before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::candidate::Source;
use super::guess::{self, Guess};
use super::pair::Pair;
use super::role::{Nat, Role};
use super::{Route, Transmit};

/// Plain pings have this long before any guessing.
const PLAIN_FIRST: Duration = Duration::from_millis(500);
/// The two sides must begin within this time of the signalling that told both.
const TOGETHER: Duration = Duration::from_secs(5);
/// Addresses of the peer that were told since the network changed.
const MAX_KNOWN: usize = 16;
/// A path on a socket of its own that was silent for so long, and is not in use, is given up with its socket.
const GIVE_UP: Duration = Duration::from_secs(30);

/// What an agent knows of guessing.
#[derive(Default)]
pub(super) struct Attempts {
    ours: Nat,
    theirs: Nat,
    /// Where the peer's NAT may be, as told last.
    targets: Vec<SocketAddr>,
    /// Which of its addresses are no news.
    known: Vec<SocketAddr>,
    /// There was an attempt since the last news.
    spent: bool,
    /// When signalling that may lead to an attempt began,
    since: Option<Instant>,
    /// and when it was repeated last.
    last: Option<Instant>,
    current: Option<Guess>,
}

impl Agent {
    /// What our own NAT turned out to be.
    pub fn set_our_nat(&mut self, nat: Nat, now: Instant) {
        if self.attempts.ours != nat {
            self.attempts.ours = nat;
            self.attempts.spent = false;
            self.run(now);
        }
    }

    /// What the peer says of its NAT. Before [`Agent::set_candidates`], which come with it.
    pub fn set_their_nat(&mut self, nat: Nat) {
        if self.attempts.theirs != nat {
            self.attempts.theirs = nat;
            self.attempts.spent = false;
        }
    }

    /// Whether neither side is behind a router that translates.
    pub(super) fn is_untranslated(&self) -> bool {
        [self.attempts.ours, self.attempts.theirs] == [Nat::Open; 2]
    }

    /// Whether an attempt is due: then [`Self::start_guess`] may be called.
    #[must_use]
    pub fn wants_guess(&self, now: Instant) -> bool {
        self.guess_window(now).is_some_and(|(from, _)| from <= now)
    }

    /// Whether packets were exchanged with the peer lately, or wait for it.
    #[must_use]
    pub fn is_in_demand(&self, now: Instant) -> bool {
        [self.wanted_at, self.used_at].into_iter().flatten().any(|at| at + super::schedule::WANTED > now)
    }

    /// Begins an attempt, if one is due. With many sockets, they are awaited: [`Self::add_sockets`].
    pub fn start_guess(&mut self, now: Instant) -> Option<Role> {
        let role = Role::of(self.attempts.ours, self.attempts.theirs).filter(|_| self.wants_guess(now))?;
        self.attempts.spent = true;
        self.attempts.current = Some(Guess::new(role, &self.attempts.targets, now));
        self.run(now);
        Some(role)
    }

    /// These sockets are open and ours until [`Self::sockets_in_use`] says otherwise.
    pub fn add_sockets(&mut self, sockets: &[u16], now: Instant) {
        if let Some(guess) = &mut self.attempts.current {
            guess.add_sockets(sockets, now);
            self.run(now);
        }
    }

    /// Whether an attempt is under way.
    #[must_use]
    pub const fn is_guessing(&self) -> bool {
        self.attempts.current.is_some()
    }

    /// Whether the peer answers on a way of its own, without relay or stream.
    #[must_use]
    pub fn is_direct(&self, now: Instant) -> bool {
        self.pairs.iter().any(|pair| matches!(pair.route, Route::Udp { .. }) && pair.is_fit(now))
    }

    /// The extra sockets that a pair of ours still needs.
    pub fn sockets_in_use(&self) -> impl Iterator<Item = u16> {
        self.pairs.iter().filter_map(|pair| extra(pair.route))
    }

    /// Takes note of what the peer told, and of when.
    pub(super) fn note_targets(&mut self, told: &[SocketAddr], now: Instant) {
        let attempts = &mut self.attempts;
        attempts.targets = guess::targets(told);
        for target in &attempts.targets {
            // Each observer sees another port of a hard NAT; that is no news.
            let is_known = attempts.known.iter().any(|known| match attempts.theirs {
                Nat::Hard | Nat::Unknown => known.ip() == target.ip(),
                Nat::Open | Nat::Easy => known == target,
            });
            if !is_known {
                attempts.spent = false;
                attempts.known.truncate(MAX_KNOWN - 1);
                attempts.known.insert(0, *target);
            }
        }
        if attempts.last.is_none_or(|last| last + TOGETHER <= now) {
            attempts.since = Some(now);
        }
        attempts.last = Some(now);
    }

    /// Our network changed: what is guessed now leads nowhere, and what was guessed may be guessed again once the peer
    /// has heard of it.
    pub(super) fn forget_attempts(&mut self) {
        self.attempts.current = None;
        self.attempts.spent = false;
        self.attempts.known.clear();
        (self.attempts.since, self.attempts.last) = (None, None);
    }

    /// Sends what the attempt under way asks for, or ends it; gives up pairs whose sockets serve nobody.
    pub(super) fn run_guess(&mut self, now: Instant) {
        if self.attempts.current.as_ref().is_some_and(|guess| guess.is_over(now) || self.is_direct(now)) {
            self.attempts.current = None;
        }
        let Some(guess) = &mut self.attempts.current else {
            let active = self.active;
            self.pairs
                .retain(|pair| Some(pair.route) == active || gives_up_at(pair).is_none_or(|at| at > now));
            return;
        };
        let random = &mut self.random;
        for route in guess.due(|| random.next(), now) {
            let (transaction, ping) = self.next_ping();
            self.transmits.push_back(Transmit { route, datagram: self.codec.encode(&ping) });
            if let Some(guess) = &mut self.attempts.current {
                guess.sent(transaction, route, now);
            }
        }
    }

    /// A pong came by a route that is no pair: it becomes one if the pong answers a guess.
    pub(super) fn learn_guessed(&mut self, route: Route, transaction: u64, now: Instant) {
        let sent = self.attempts.current.as_mut().and_then(|guess| guess.answered(transaction, route));
        if let Some(sent) = sent {
            if self.pair_at(route).is_none() {
                self.add(Pair::new(route, Source::Learned(now), self.full_size));
            }
            if let Some(pair) = self.pair_at(route) {
                pair.sent(transaction, sent);
            }
        }
    }

    /// When guessing has something to do.
    pub(super) fn guess_deadline(&self, now: Instant) -> Option<Instant> {
        if let Some(guess) = &self.attempts.current {
            return Some(guess.next_at());
        }
        let begins = self.guess_window(now).map(|(from, _)| from).filter(|from| *from > now);
        let unused = self.pairs.iter().filter(|pair| Some(pair.route) != self.active);
        unused.filter_map(gives_up_at).chain(begins).min()
    }

    /// From when to when an attempt may begin.
    fn guess_window(&self, now: Instant) -> Option<(Instant, Instant)> {
        let attempts = &self.attempts;
        Role::of(attempts.ours, attempts.theirs)?;
        if attempts.spent || attempts.current.is_some() || attempts.targets.is_empty() || self.is_direct(now)
        {
            return None;
        }
        let (from, until) = (attempts.since? + PLAIN_FIRST, attempts.last? + TOGETHER);
        (now < until).then_some((from, until))
    }
}

/// The number of a socket that is not the shared one.
fn extra(route: Route) -> Option<u16> {
    match route {
        Route::Udp { socket, .. } => Some(socket).filter(|socket| *socket != 0),
        Route::Relay { .. } | Route::Stream { .. } => None,
    }
}

/// When a pair that is not in use gives its socket back.
fn gives_up_at(pair: &Pair) -> Option<Instant> {
    extra(pair.route)?;
    let Source::Learned(learned) = pair.source else { return None };
    let alive = [pair.heard, pair.pinged].into_iter().flatten().max().unwrap_or(learned);
    Some(alive.max(learned) + GIVE_UP)
}

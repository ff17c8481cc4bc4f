//! Which pair is active: leaving a dead one quickly, and a good one only for a better that lasts.

use std::time::{Duration, Instant};

use super::agent::Agent;
use super::pair::Pair;
use super::schedule::IN_USE;
use super::score::{Kind, Lead, Score};
use super::sizing::known_mtu;
use super::{Event, PathInfo, Route};

/// Unanswered pings after which an unverified active pair gives way to a verified one.
const UNPROVEN_MISSES: usize = 2;
/// Unanswered pings after which a pair that answered since takes over.
const SILENT_MISSES: usize = 3;
/// Unanswered pings after which a pair is dead whatever else there is,
const DEAD_MISSES: usize = 5;
/// and the time it must have been silent, so that a burst of loss is not death.
const DEAD_SILENCE: Duration = Duration::from_secs(2);
/// A better pair must be better for this long,
const SETTLE: Duration = Duration::from_secs(3);
/// with this many pongs meanwhile.
const SETTLE_PONGS: u32 = 3;
/// A direct path that failed within this time is no longer preferred to a detour in haste.
const FAILED_LATELY: Duration = Duration::from_secs(60);
/// A lower round trip moves us no more often than this: our own traffic raises the one we use.
const RTT_DWELL: Duration = Duration::from_secs(30);
/// A packet from a route that then did not answer pings moves us there again only after this time.
const DISTRUST: Duration = Duration::from_secs(30);

/// A pair that has been better than the active one since.
pub(super) struct Challenger {
    pub(super) route: Route,
    since: Instant,
    /// Its pongs at that time.
    pongs: u32,
    /// It is a direct path and the active one is a detour: no need to wait.
    pub(super) hasty: bool,
}

impl Agent {
    /// A pong came over this pair.
    pub(super) fn handle_pong(&mut self, route: Route, now: Instant) {
        match self.active {
            None => self.activate(route, now),
            Some(active) if active == route => {
                self.waiting_since = None;
                self.silent_since = None;
                self.tell(now);
            }
            Some(_) => {}
        }
    }

    /// Moves to this pair, verified or not. A packet leads to an unverified one, and a ping follows.
    pub(super) fn activate(&mut self, route: Route, now: Instant) {
        self.active = Some(route);
        self.active_since = now;
        self.challenger = None;
        self.waiting_since = None;
        self.silent_since = None;
        self.tell(now);
    }

    /// Leaves the active pair if it failed, or if a better one lasts.
    pub(super) fn choose(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        let Some(pair) = self.pairs.iter().find(|pair| pair.route == active) else { return };
        let missed = pair.missed(now);
        let is_dead = missed >= DEAD_MISSES
            && pair.heard.unwrap_or(self.active_since).max(self.active_since) + DEAD_SILENCE <= now;
        if pair.verified.is_none() {
            let other = self.best_other(now, None);
            if let Some(other) = other.filter(|_| missed >= UNPROVEN_MISSES) {
                if let Some(pair) = self.pair_at(active) {
                    pair.distrusted_until = Some(now + DISTRUST);
                }
                self.activate(other, now);
            } else if is_dead {
                self.lose(active, now);
            }
            return;
        }
        if missed >= SILENT_MISSES {
            self.keep_alive.missed(active);
        }
        if is_dead {
            self.lose(active, now);
            return;
        }
        if missed >= 2 || (missed == 1 && self.waiting_since.is_some()) {
            self.challenger = None;
            let Some(silent_since) = self.silent_since else {
                self.silent_since = Some(now);
                if self.used_within(IN_USE, now) {
                    self.push_event(Event::Silent);
                }
                self.ask_all();
                return;
            };
            if missed >= SILENT_MISSES
                && let Some(other) = self.best_other(now, Some(silent_since))
            {
                if let Some(pair) = self.pair_at(active) {
                    pair.failed_at = Some(now);
                }
                self.activate(other, now);
            }
            return;
        }
        self.consider_better(active, now);
    }

    /// The second best verified pair.
    pub(super) fn second_best(&self, now: Instant) -> Option<Route> {
        self.best_other(now, None)
    }

    /// The active pair is dead: what else is verified takes over, or the search begins.
    fn lose(&mut self, active: Route, now: Instant) {
        let other = self.best_other(now, self.silent_since).or_else(|| self.best_other(now, None));
        if let Some(pair) = self.pair_at(active) {
            pair.forget();
            pair.failed_at = Some(now);
        }
        match other {
            Some(other) => self.activate(other, now),
            None => {
                self.active = None;
                self.challenger = None;
                self.silent_since = None;
                self.start_search(now);
                self.tell(now);
            }
        }
    }

    /// A detour closes: if it is the active pair, what else is verified takes over, or the search begins.
    pub(super) fn lose_if_active(&mut self, route: Route, now: Instant) {
        if self.active == Some(route) {
            self.lose(route, now);
        }
    }

    fn consider_better(&mut self, active: Route, now: Instant) {
        let Some(current) =
            self.pairs.iter().find(|pair| pair.route == active).and_then(|pair| self.score(pair))
        else {
            return;
        };
        let dwelt = self.active_since + RTT_DWELL <= now;
        let leads = |score: Score| match score.lead(&current) {
            Lead::None => false,
            Lead::Kind => true,
            Lead::Rtt => dwelt,
        };
        let fit = |route: Route| {
            let pair = self.pairs.iter().find(|pair| pair.route == route && pair.is_fit(now))?;
            Some((self.score(pair).filter(|score| leads(*score))?, pair.verified?.pongs))
        };
        // The one on trial stays on trial while it leads; another, even better, gets its own later.
        if let Some(challenger) = &self.challenger
            && let Some((_, pongs)) = fit(challenger.route)
        {
            if (challenger.hasty || challenger.since + SETTLE <= now)
                && pongs >= challenger.pongs + SETTLE_PONGS
            {
                self.activate(challenger.route, now);
            }
            return;
        }
        self.challenger = self.best_other(now, None).and_then(|route| {
            let (_, pongs) = fit(route)?;
            let failed = self.pairs.iter().find(|pair| pair.route == route)?.failed_at;
            let hasty = active.address().is_none()
                && route.address().is_some()
                && failed.is_none_or(|at| at + FAILED_LATELY <= now);
            Some(Challenger { route, since: now, pongs, hasty })
        });
    }

    /// The best fit pair that is not active, if asked for among those that answered since a time.
    fn best_other(&self, now: Instant, answered_since: Option<Instant>) -> Option<Route> {
        self.pairs
            .iter()
            .filter(|pair| Some(pair.route) != self.active && pair.is_fit(now))
            .filter(|pair| {
                answered_since.is_none_or(|since| pair.verified.as_ref().is_some_and(|v| v.at >= since))
            })
            .filter_map(|pair| Some((self.score(pair)?, pair.route)))
            .min()
            .map(|(_, route)| route)
    }

    fn score(&self, pair: &Pair) -> Option<Score> {
        pair.score(&self.networks)
    }

    /// Tells of the path in use if it is another one than was told last, and keeps its round trip.
    pub(super) fn tell(&mut self, now: Instant) {
        let Some(active) = self.active else {
            if self.info.take().is_some() {
                self.push_event(Event::Changed(None));
            }
            return;
        };
        // Not verified yet: the next pong, or its absence, will tell.
        let Some(pair) = self.pairs.iter().find(|pair| pair.route == active) else { return };
        let Some(score) = self.score(pair) else { return };
        let (endpoint, mtu) = (pair.endpoint(), known_mtu(pair));
        if score.kind == Kind::Lan || (score.kind == Kind::Direct && self.is_untranslated()) {
            self.keep_alive.assume_open();
        }
        match &mut self.info {
            Some(info) if (info.route, info.kind, info.endpoint) == (active, score.kind, endpoint) => {
                info.rtt = score.rtt;
            }
            Some(_) | None => {
                let info = PathInfo {
                    route: active,
                    kind: score.kind,
                    endpoint,
                    via: pair.detour.and_then(|detour| detour.via),
                    rtt: score.rtt,
                    since: now,
                    mtu,
                };
                self.info = Some(info);
                self.push_event(Event::Changed(Some(info)));
            }
        }
    }
}

//! The pairs of an agent: how addresses enter the list and which one makes room.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Route;
use super::agent::Agent;
use super::candidate::{MAX_CANDIDATES, Source, usable};
use super::keepalive;
use super::pair::Pair;

/// An active pair not heard for so long, or for two keep-alives, may have been forgotten by the routers on its way.
const STALE: Duration = Duration::from_secs(2 * keepalive::START.as_secs());

impl Agent {
    pub(super) fn pair_at(&mut self, route: Route) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.route == route)
    }

    pub(super) fn was_heard_within(&self, route: Route, time: Duration, now: Instant) -> bool {
        let pair = self.pairs.iter().find(|pair| pair.route == route);
        pair.and_then(|pair| pair.heard).is_some_and(|heard| heard + time > now)
    }

    pub(super) fn is_stale(&self, active: Route, now: Instant) -> bool {
        !self.was_heard_within(active, STALE.max(self.keep_alive.interval() * 2), now)
    }

    /// Adds a route that the peer proved to use, or renews it.
    pub(super) fn learn(&mut self, route: Route, now: Instant) {
        match self.pair_at(route) {
            None if route.address().is_none() => {}
            Some(pair) => {
                if let Source::Learned(at) = &mut pair.source {
                    *at = now;
                }
            }
            None => self.add(Pair::new(route, Source::Learned(now), self.full_size)),
        }
    }

    /// Adds a pair; the least useful one makes room for it.
    pub(super) fn add(&mut self, pair: Pair) {
        if self.pairs.iter().filter(|pair| pair.route.address().is_some()).count() >= MAX_CANDIDATES {
            let active = self.active;
            // The oldest learned, else the last told one that never answered, else the last told.
            let rank = |index: usize, pair: &Pair| match pair.source {
                Source::Learned(at) => (0, Some(at), index),
                Source::Told => (if pair.verified.is_none() { 1 } else { 2 }, None, usize::MAX - index),
                Source::Agreed(_) => (3, None, index),
            };
            let victim = self
                .pairs
                .iter()
                .enumerate()
                .filter(|(_, pair)| Some(pair.route) != active && pair.route.address().is_some())
                .min_by_key(|(index, pair)| rank(*index, pair))
                .map(|(index, _)| index);
            if let Some(victim) = victim {
                self.pairs.remove(victim);
            }
        }
        self.pairs.push(pair);
    }

    /// Replaces the addresses that the peer told before. True if there is a new one.
    pub(super) fn replace_told(&mut self, candidates: &[SocketAddr], now: Instant) -> bool {
        let mut told: Vec<Route> = Vec::new();
        for route in candidates.iter().filter_map(|address| usable(*address)).map(Route::udp) {
            if !told.contains(&route) && told.len() < MAX_CANDIDATES {
                told.push(route);
            }
        }
        let active = self.active;
        self.pairs.retain_mut(|pair| {
            if told.contains(&pair.route) {
                pair.source = Source::Told;
                return true;
            }
            match pair.source {
                Source::Learned(_) | Source::Agreed(_) => true,
                Source::Told => {
                    pair.source = Source::Learned(now);
                    pair.verified.is_some() || active == Some(pair.route)
                }
            }
        });
        let mut news = false;
        for route in told {
            if self.pair_at(route).is_none() {
                self.add(Pair::new(route, Source::Told, self.full_size));
                news = true;
            }
        }
        news
    }
}

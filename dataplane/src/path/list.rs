//! The pairs of an agent: how addresses enter the list and which one makes room.

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::Agent;
use super::candidate::{MAX_CANDIDATES, Source, usable};
use super::pair::Pair;

impl Agent {
    /// Adds an address that the peer proved to use, or renews it.
    pub(super) fn learn(&mut self, address: SocketAddr, now: Instant) {
        match self.pair_at(address) {
            Some(pair) => {
                if let Source::Learned(at) = &mut pair.source {
                    *at = now;
                }
            }
            None => self.add(Pair::new(address, Source::Learned(now))),
        }
    }

    /// Adds a pair; the least useful one makes room for it.
    pub(super) fn add(&mut self, pair: Pair) {
        if self.pairs.len() >= MAX_CANDIDATES {
            let active = self.active;
            // The oldest learned, else the last told one that never answered, else the last told.
            let rank = |index: usize, pair: &Pair| match pair.source {
                Source::Learned(at) => (0, Some(at), index),
                Source::Told => (if pair.verified.is_none() { 1 } else { 2 }, None, usize::MAX - index),
            };
            let victim = self
                .pairs
                .iter()
                .enumerate()
                .filter(|(_, pair)| Some(pair.address) != active)
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
        let mut told: Vec<SocketAddr> = Vec::new();
        for address in candidates.iter().filter_map(|address| usable(*address)) {
            if !told.contains(&address) && told.len() < MAX_CANDIDATES {
                told.push(address);
            }
        }
        let active = self.active;
        self.pairs.retain_mut(|pair| {
            if told.contains(&pair.address) {
                pair.source = Source::Told;
                return true;
            }
            match pair.source {
                Source::Learned(_) => true,
                Source::Told => {
                    pair.source = Source::Learned(now);
                    pair.verified.is_some() || active == Some(pair.address)
                }
            }
        });
        let mut news = false;
        for address in told {
            if self.pair_at(address).is_none() {
                self.add(Pair::new(address, Source::Told));
                news = true;
            }
        }
        news
    }
}

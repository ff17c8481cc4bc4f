//! Ways that are no address: through a relay, and in a stream. Whoever drives the agent opens, closes and removes them.
//!
//! They are pairs like all others: pinged end to end, measured, kept, left when they fall silent. What differs: they are
//! not learned from what arrives, they do not count among the candidates, and while a direct path is not yet proved they
//! carry at once. A direct path then needs no three seconds to take over, three more pongs suffice.

use std::net::SocketAddr;
use std::time::Instant;

use super::Route;
use super::agent::Agent;
use super::candidate::Source;
use super::pair::Pair;
use super::score::Kind;
use crate::wg::PublicKey;

/// What stands between us and the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detour {
    /// [`Kind::Relay`], or [`Kind::Stream`] when our part of the way is a stream.
    pub kind: Kind,
    /// Where our part of the way leads: the relay's address, or the peer's own.
    pub endpoint: SocketAddr,
    /// The member that relays.
    pub via: Option<PublicKey>,
}

impl Agent {
    /// Adds a way that is no address, or changes it. Without a `detour` it stays known but carries nothing: the relay
    /// cannot be reached at the moment.
    pub fn set_detour(&mut self, route: Route, detour: Option<Detour>, now: Instant) {
        self.advance(now);
        if route.address().is_some() {
            return;
        }
        let is_new = self.pair_at(route).is_none();
        if is_new {
            self.pairs.push(Pair::new(route, Source::Agreed(now), self.full_size));
            self.signalled_at = Some(now);
        }
        let Some(pair) = self.pair_at(route) else { return };
        let before = std::mem::replace(&mut pair.detour, detour);
        match (before, detour) {
            (None, Some(_)) => {
                pair.pending = true;
                if self.active.is_none() && self.is_wanted(now) {
                    self.start_search(now);
                }
            }
            (Some(_), None) => {
                pair.forget();
                self.lose_if_active(route, now);
            }
            (Some(_), Some(_)) if self.active == Some(route) => self.tell(now),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.run(now);
    }

    /// Forgets a way that is no address: the session or the stream has ended.
    pub fn remove_detour(&mut self, route: Route, now: Instant) {
        self.advance(now);
        if route.address().is_none() && self.pair_at(route).is_some() {
            if let Some(pair) = self.pair_at(route) {
                pair.detour = None;
                pair.forget();
            }
            self.lose_if_active(route, now);
            self.pairs.retain(|pair| pair.route != route);
            self.run(now);
        }
    }

    /// The peer is of use to us though we send it nothing of our own: it relays. Keeps its path, wakes nothing.
    pub fn keep(&mut self, now: Instant) {
        self.advance(now);
        self.kept_at = Some(now);
        self.run(now);
    }

    /// When the peer last proved that it sends from there: by an answered ping, a fresh one of its own, or a packet.
    #[must_use]
    pub fn proved_at(&self, route: Route) -> Option<Instant> {
        let route = route.usable()?;
        self.pairs.iter().find(|pair| pair.route == route)?.proved_at()
    }

    /// The best verified way to the peer with no relay on it, and the address it leads to.
    #[must_use]
    pub fn leg(&self, now: Instant) -> Option<(Route, SocketAddr)> {
        let mut legs = self.pairs.iter().filter(|pair| !matches!(pair.route, Route::Relay { .. }));
        // The path in use was verified, even if a change of our network makes us ask again just now.
        let told = self.info.map(|info| info.route).filter(|told| self.active == Some(*told));
        let active = legs.clone().find(|pair| Some(pair.route) == told);
        let best = active.or_else(|| {
            let fit = legs.by_ref().filter(|pair| pair.is_fit(now));
            fit.min_by_key(|pair| pair.score(&self.networks))
        })?;
        Some((best.route, best.endpoint()))
    }

    /// Whether the active pair is a detour, or there is none.
    pub(super) fn is_roundabout(&self) -> bool {
        self.active.is_none_or(|active| active.address().is_none())
    }
}

//! Letting go of connections that nobody needs: each costs both sides keep-alives.
//!
//! A member that is neither neighbour nor talked to stays connected only if it wants to: whoever has called it hangs up,
//! and if the other side misses the connection, it calls.
//!
//! Of two connections with one member, which simultaneous calls leave behind, the side with the smaller key closes the lesser
//! one, so that not each closes another. QUIC follows the side that called when its address changes, and only that side,
//! so the better one was called by whoever is behind a router that may forget it. It is closed soon: requests go
//! by either, and on the wrong one they are lost with its mapping.

use std::time::{Duration, Instant};

use super::{
    ConnectionKey, Node, Now, Output,
    session::{Link, Session},
};
use crate::{identity::DeviceId, signal::NatKind};

/// Connections younger than this are left alone: a wish may return.
const SETTLED: Duration = Duration::from_secs(90);
/// By then both sides have both connections, and have said hello.
const DOUBLED: Duration = Duration::from_secs(1);

impl Node {
    /// Closes what is not needed.
    pub(super) fn let_go(&mut self, now: Now) {
        let settled = |link: &Link| now.instant.duration_since(link.since) >= SETTLED;
        for (peer, session) in &self.sessions {
            // Circuits and datagrams may go through it, or datagrams in it.
            let carries = session.relays || self.middle.serves(peer) || session.needs_stream(true);
            let used = carries || self.farewells.contains_key(peer);
            let ours = session.links.values().all(|link| link.dialled && settled(link));
            if ours && !used && !self.plan.wants(peer) {
                self.outputs.extend(session.links.keys().copied().map(Output::Close));
            }
        }
    }

    /// Closes what there is twice.
    pub(super) fn close_doubles(&mut self, now: Now) {
        let due = |(peer, session): &(&DeviceId, &mut Session)| {
            doubled_until(&self.own, peer, session).is_some_and(|at| at <= now.instant)
        };
        for (_, session) in self.sessions.iter_mut().filter(due) {
            let kept = best_link(self.nat, session);
            let lesser = session.links.extract_if(.., |key, _| Some(*key) != kept);
            self.outputs.extend(lesser.map(|(key, _)| Output::Close(key)));
        }
    }

    /// When [`Self::close_doubles`] is due.
    pub(super) fn doubles_due(&self) -> Option<Instant> {
        self.sessions.iter().filter_map(|(peer, session)| doubled_until(&self.own, peer, session)).min()
    }
}

fn doubled_until(own: &DeviceId, peer: &DeviceId, session: &Session) -> Option<Instant> {
    // Datagrams may go in one of several TCP connections.
    let is_double = session.links.len() > 1 && session.links.values().any(|link| link.udp);
    let newest = session.links.values().map(|link| link.since).max()?;
    (is_double && own < peer).then_some(newest + DOUBLED)
}

fn best_link(own_nat: NatKind, session: &Session) -> Option<ConnectionKey> {
    let we_call = own_nat != NatKind::Open || session.nat == NatKind::Open;
    let rank = |(key, link): (&ConnectionKey, &Link)| (link.udp, link.dialled == we_call, *key);
    session.links.iter().map(rank).max().map(|(.., key)| key)
}

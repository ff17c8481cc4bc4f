//! Letting go of connections that nobody needs: each costs both sides keep-alives.
//!
//! A member that is neither neighbour nor talked to stays connected only if it wants to: whoever has called it hangs up,
//! and if the other side misses the connection, it calls. Of two connections with one member, which simultaneous calls
//! leave behind, the side with the smaller key closes the lesser one, so that not each closes another.

use std::time::Duration;

use super::{Node, Now, Output, session::Link};

/// Connections younger than this are left alone: one of two may be dead and about to be noticed, a wish may return.
const SETTLED: Duration = Duration::from_secs(90);

impl Node {
    /// Closes what is not needed.
    pub(super) fn let_go(&mut self, now: Now) {
        let settled = |link: &Link| now.instant.duration_since(link.since) >= SETTLED;
        for (peer, session) in &self.sessions {
            if !session.links.values().all(settled) {
                continue;
            }
            // Circuits and datagrams may go through it, or datagrams in it.
            let carries = session.relays || self.middle.serves(peer) || session.needs_stream();
            let used = carries || self.farewells.contains_key(peer);
            let unwanted = !used && !self.plan.wants(peer) && session.links.values().all(|link| link.dialled);
            let best = session.links.iter().max_by_key(|(key, link)| (link.udp, link.movable, *key));
            let Some((best, kept)) = best else { continue };
            // Datagrams may go in one of several TCP connections.
            let doubled = kept.udp && self.own < *peer;
            for key in session.links.keys() {
                if unwanted || (doubled && key != best) {
                    self.outputs.push_back(Output::Close(*key));
                }
            }
        }
    }
}

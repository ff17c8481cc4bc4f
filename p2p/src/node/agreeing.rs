//! Relay sessions: between the agreement of three members and what a node knows of them.

use super::{Event, Node, Now, Output, Paces, STREAM_AGAIN};
use crate::{
    identity::{DeviceId, Identity},
    record::MeshId,
    relay::{self, Candidate, Message},
};

impl Node {
    /// Packets wait for a member and no way to it is known: asks members that relay to carry them.
    pub fn want_relay(&mut self, peer: DeviceId, now: Now) {
        if peer != self.own && self.roster().is_member(&peer) && self.roster().sees(&self.own, &peer) {
            self.ends.want(peer);
            self.review_sessions(now);
        }
    }

    /// The path of a member's packets falls silent. A router may have forgotten our mappings, and then nobody reaches us before
    /// we have said something. QUIC follows that where we had called; to others we must call again.
    pub fn handle_path_silent(&mut self, peer: DeviceId, now: Now) {
        self.doubt_all(now);
        self.want_relay(peer, now);
    }

    /// There is a better way to a member than through others, or nothing to say to it.
    pub fn relay_unneeded(&mut self, peer: DeviceId, now: Now) {
        let mut out = Vec::new();
        self.ends.unneeded(&peer, &mut out);
        self.carry_out_relaying(out, now);
    }

    /// A member says something about relaying.
    pub fn handle_relaying(&mut self, from: DeviceId, message: Message, now: Now) {
        if !self.roster().is_member(&from) || !self.sessions.contains_key(&from) {
            return;
        }
        let paces = self.paces.entry(from).or_insert_with(|| Paces::new(now.instant));
        if paces.relaying_theirs.take(now.instant).is_err() {
            return self.handle_violation(from, "wishes for relaying without end", now);
        }
        let mut out = Vec::new();
        let at = now.instant;
        match message {
            Message::Open { peer } => {
                let roster = self.log.roster();
                let known = roster.is_member(&peer) && peer != self.own && roster.sees(&from, &peer);
                let connected = self.is_direct(&peer) && self.is_direct(&from);
                self.middle.open(
                    (from, peer),
                    relay::Fitness { relaying: self.relays, known, connected },
                    at,
                    &mut out,
                );
            }
            Message::Offer { .. } if !self.may_offer(&from) => {
                tracing::debug!(from = %from.short(), "an offer to relay by one that does not");
            }
            Message::Offer { peer, session } => {
                let roster = self.log.roster();
                let known = peer != self.own && roster.is_member(&peer) && roster.sees(&self.own, &peer);
                self.ends.offer(relay::Offered { relay: from, peer, session }, known, at, &mut out);
            }
            Message::Accept { session } => self.middle.accept(from, session, at, &mut out),
            Message::Refuse { peer, why } => {
                // It may be an end that declines our offer, or a relay that declines our wish.
                self.middle.decline(from, peer, &mut out);
                self.ends.refused(from, peer, why, at, &mut out);
            }
            Message::Close { session } => {
                // One of the two at most; a session that is over already is neither.
                let _ = self.middle.close(from, session, &mut out)
                    || self.ends.closed(from, session, at, &mut out);
            }
        }
        self.carry_out_relaying(out, now);
        self.review_sessions(now);
    }

    /// What we said about relaying went down with its connection: there may be another.
    pub fn handle_relaying_lost(&mut self, peer: DeviceId, message: Message, now: Now) {
        let is_wanted = match message {
            Message::Open { peer } => self.ends.is_wanted(&peer),
            Message::Offer { .. }
            | Message::Accept { .. }
            | Message::Refuse { .. }
            | Message::Close { .. } => true,
        };
        if is_wanted && self.is_direct(&peer) {
            self.carry_out_relaying(vec![relay::Output::Send(peer, message)], now);
        }
    }

    /// The first direct connection with a member stands, or one that replaces those before.
    pub(super) fn relaying_connected(&mut self, peer: DeviceId, now: Now) {
        let mut out = Vec::new();
        self.middle.connected(peer, now.instant, &mut out);
        self.ends.connected(&peer, now.instant);
        self.carry_out_relaying(out, now);
        self.review_sessions(now);
    }

    /// The last one ended.
    pub(super) fn relaying_disconnected(&mut self, peer: DeviceId, now: Now) {
        self.middle.disconnected(peer, now.instant);
        self.ends.disconnected(&peer, now.instant);
        self.review_sessions(now);
    }

    /// The roster changed, or whether we relay: revoked members are cut at once.
    pub(super) fn relaying_follows(&mut self, now: Now) {
        let mut out = Vec::new();
        let (roster, own) = (self.log.roster(), self.own);
        let out_ourselves = !roster.is_member(&own);
        let relays = self.relays && !out_ourselves;
        self.middle.retain(
            |a, b| relays && roster.is_member(a) && roster.is_member(b) && roster.sees(a, b),
            &mut out,
        );
        self.ends
            .retain(|peer| !out_ourselves && roster.is_member(peer) && roster.sees(&own, peer), &mut out);
        self.carry_out_relaying(out, now);
        self.review_sessions(now);
    }

    /// Asks relays that are due to be asked, and ends what is over.
    pub(super) fn review_sessions(&mut self, now: Now) {
        let candidates: Vec<_> = self
            .sessions
            .iter()
            .filter(|(relay, session)| {
                session.relays && !session.links.is_empty() && !self.conduct.is_cut_off(relay)
            })
            .map(|(relay, session)| Candidate { relay: *relay, round_trip: session.round_trip })
            .collect();
        let mut out = Vec::new();
        self.ends.review(&candidates, now.instant, &mut out);
        self.middle.timeout(now.instant, &mut out);
        self.carry_out_relaying(out, now);
    }

    /// Opens streams of datagrams where only TCP gets through.
    pub(super) fn open_streams(&mut self, now: Now) {
        let own = self.own;
        for (peer, session) in &mut self.sessions {
            if session.needs_stream(own < *peer) && session.stream_at.is_some_and(|at| at <= now.instant) {
                session.stream_at = None;
                self.outputs.push_back(Output::OpenStream(*peer));
            }
        }
    }

    /// A stream of datagrams with a member ended, or could not be opened.
    pub fn handle_stream_ended(&mut self, peer: &DeviceId, now: Now) {
        if let Some(session) = self.sessions.get_mut(peer) {
            // Unless a new connection brings one sooner.
            session.stream_at.get_or_insert(now.instant + STREAM_AGAIN);
        }
    }

    /// Where the TCP connection with a member goes, over which its datagrams go.
    pub fn stream_address(&self, peer: &DeviceId) -> Option<std::net::SocketAddr> {
        let session = self.sessions.get(peer).filter(|_| self.roster().is_member(peer))?;
        let link = session.links.values().find(|link| !link.udp).or_else(|| session.links.values().next());
        link.map(|link| link.address)
    }

    /// Whoever relays has told us so; unless it has not told us anything yet.
    fn may_offer(&self, relay: &DeviceId) -> bool {
        self.sessions.get(relay).is_some_and(|session| session.relays || !session.greeted)
    }

    pub(super) fn is_direct(&self, peer: &DeviceId) -> bool {
        self.sessions.get(peer).is_some_and(|session| !session.links.is_empty())
    }

    fn carry_out_relaying(&mut self, out: Vec<relay::Output>, now: Now) {
        for output in out {
            self.outputs.push_back(match output {
                relay::Output::Send(peer, message) => {
                    if !self.sessions.contains_key(&peer) {
                        // It will ask again when it is back.
                        continue;
                    }
                    let paces = self.paces.entry(peer).or_insert_with(|| Paces::new(now.instant));
                    if paces.relaying_ours.take(now.instant).is_err() {
                        // Counts as lost.
                        continue;
                    }
                    Output::Relaying { peer, message }
                }
                relay::Output::Begun { peer, relay, session } => {
                    Output::Event(Event::RelaySession { peer, relay, session })
                }
                relay::Output::Ended { peer, relay, session } => {
                    Output::Event(Event::RelaySessionEnded { peer, relay, session })
                }
                relay::Output::Forward { session, between } => {
                    Output::Event(Event::Forward { session, between })
                }
                relay::Output::ForwardEnded { session } => Output::Event(Event::ForwardEnded { session }),
            });
        }
    }
}

/// What makes the numbers of relay sessions: known to us alone, and another in each run.
pub(super) fn session_secret(identity: &Identity, mesh: &MeshId, seed: u64) -> [u8; 32] {
    let secret = identity.wireguard_secret(mesh, 0);
    let mut hasher = blake3::Hasher::new_derive_key("warren relay session numbers v1");
    *hasher.update(&*secret).update(&seed.to_le_bytes()).finalize().as_bytes()
}

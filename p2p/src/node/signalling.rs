//! Saying hello and hearing it.

use std::net::SocketAddr;

use super::{Event, Node, Now, Output, Paces, SessionId, relaying::RESERVATIONS, timers::PRESENCE};
use crate::{
    discovery::{Presence, Presences, Source},
    identity::DeviceId,
    record::{Grants, RecordId, Relation, Timestamp, Verified},
    signal::{CANDIDATES, Hello, PRESENCES},
};

/// Clocks that differ by more are reported: invites expire and records are dated by them.
const SKEW_MS: i64 = 10 * 60 * 1000;

impl Node {
    /// A peer said hello; the answer is ours. `None` when it broke a limit, or is no member any more.
    pub fn handle_hello(&mut self, peer: DeviceId, hello: Hello, now: Now) -> Option<Hello> {
        if !self.roster().is_member(&peer) {
            return None;
        }
        let paces = self.paces.entry(peer).or_insert_with(|| Paces::new(now.instant));
        if paces.greetings_theirs.take(now.instant).is_err() {
            self.handle_violation(peer, "greetings without end", now);
            return None;
        }
        self.take_hello(peer, hello, now).then(|| self.hello_for(&peer, now))
    }

    /// A peer answered our hello, or did not.
    pub fn handle_hello_answer(&mut self, peer: DeviceId, id: SessionId, answer: Option<Hello>, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.id == id) else { return };
        session.greeting = false;
        if answer.is_none() {
            // Perhaps it has not heard what we told it.
            session.told.clear();
        }
        // It may have gone down with one of several connections.
        let again = answer.is_none() && !session.links.is_empty();
        if std::mem::take(&mut session.greet_again) || again {
            self.say_hello(peer, now);
        }
        if let Some(hello) = answer {
            self.sessions.entry(peer).and_modify(|session| session.doubted = None);
            self.take_hello(peer, hello, now);
        }
    }

    /// What we grant a member: what was set, else what its invite says, else the usual.
    pub fn grants(&self, peer: &DeviceId) -> Grants {
        if let Some(grants) = self.grants.get(peer) {
            return grants.clone();
        }
        let roster = self.roster();
        match (roster.relation(&self.own, peer), roster.member(peer)) {
            (Relation::Own, Some(_)) => Grants::usual(),
            (Relation::Guest, Some(member)) if member.invite.is_some() => {
                // An own device of somebody else comes by an invite that grants what own devices get; to us it is a
                // guest, and a guest gets no more than the usual.
                let arrival = &member.grants_on_arrival;
                Grants { routing: false, lan: false, ..arrival.clone() }
            }
            (Relation::Guest, Some(_)) => Grants::usual(),
            (Relation::Own | Relation::Guest, None) => Grants::default(),
        }
    }

    pub(super) fn say_hello_to_all(&mut self, now: Now) {
        let peers: Vec<DeviceId> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.say_hello(peer, now);
        }
    }

    /// Says hello to whoever has not heard from us for long.
    pub(super) fn renew_presence(&mut self, now: Now) {
        let long = |session: &super::Session| {
            session.spoke.is_none_or(|at| now.instant.duration_since(at) >= PRESENCE / 2)
        };
        let peers = self.sessions.iter().filter(|(_, session)| long(session));
        for peer in peers.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.say_hello(peer, now);
        }
    }

    /// Says hello, unless one is on its way (then once more behind it) or it is too soon (then later).
    pub(super) fn say_hello(&mut self, peer: DeviceId, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        if session.greeting {
            session.greet_again = true;
            session.greet_at = None;
            return;
        }
        let paces = self.paces.entry(peer).or_insert_with(|| Paces::new(now.instant));
        session.greet_at = paces.greetings_ours.take(now.instant).err();
        if session.greet_at.is_some() {
            return;
        }
        session.greeting = true;
        let session = session.id;
        let hello = self.hello_for(&peer, now);
        self.outputs.push_back(Output::Hello { peer, session, hello });
    }

    fn hello_for(&mut self, peer: &DeviceId, now: Now) -> Hello {
        let near = self.sessions.get(peer).is_some_and(super::Session::on_loopback);
        let mut candidates = self.candidates.clone();
        candidates.truncate(CANDIDATES);
        let mut addresses: Vec<SocketAddr> = self.candidates.clone();
        addresses.extend(self.listening.iter().filter(|address| !self.candidates.contains(address)));
        addresses.retain(|address| near || !address.ip().is_loopback());
        let own = Presences::own(&self.identity, self.mesh, addresses, self.relaying.held(), now.wall);
        let mut presences: Vec<Vec<u8>> = own.iter().map(|presence| presence.bytes().to_vec()).collect();
        if let Some(session) = self.sessions.get_mut(peer) {
            session.spoke = Some(now.instant);
            session.told.retain(|id| self.presences.has(id));
            for presence in self.presences.for_peer(peer, &session.told, PRESENCES - 1) {
                presences.push(presence.bytes().to_vec());
                session.told.insert(presence.id());
            }
        }
        let (nat, relay) = (self.nat, self.relays);
        Hello { now: now.wall, candidates, nat, relay, grants: self.grants(peer), presences }
    }

    /// Takes in what a peer says; `false` when it broke a limit.
    fn take_hello(&mut self, peer: DeviceId, hello: Hello, now: Now) -> bool {
        if !hello.within_limits() {
            self.handle_violation(peer, "a greeting beyond its limits", now);
            return false;
        }
        let near = self.sessions.get(&peer).is_some_and(super::Session::on_loopback);
        let told = |address: &SocketAddr| near || !address.ip().is_loopback();
        let candidates: Vec<SocketAddr> = hello
            .candidates
            .iter()
            .filter(|address| told(address) && !self.inside_tunnel(&address.ip()))
            .copied()
            .collect();
        let skew = skew(hello.now, now.wall);
        let Some(session) = self.sessions.get_mut(&peer) else { return true };
        session.clock_skew_ms = Some(skew);
        if skew.abs() > SKEW_MS && !std::mem::replace(&mut session.skew_told, true) {
            self.outputs.push_back(Output::Event(Event::ClockSkew { peer, ms: skew }));
        }
        let first = !std::mem::replace(&mut session.greeted, true);
        let relayed = session.links.is_empty();
        let relays_before = std::mem::replace(&mut session.relays, hello.relay);
        let nat_before = std::mem::replace(&mut session.nat, hello.nat);
        if session.candidates != candidates || nat_before != hello.nat {
            session.candidates.clone_from(&candidates);
            let (addresses, nat) = (candidates.clone(), hello.nat);
            self.outputs.push_back(Output::Event(Event::Candidates { peer, addresses, nat }));
        }
        if session.grants_theirs.as_ref() != Some(&hello.grants) {
            session.grants_theirs = Some(hello.grants.clone());
            self.outputs.push_back(Output::Event(Event::GrantsOfPeer { peer, grants: hello.grants }));
        }
        for address in candidates {
            self.handle_address(peer, address, Source::Itself, now);
        }
        if relays_before != hello.relay {
            self.keep_reservations(now);
            if hello.relay {
                self.relay_came(now);
                self.review_sessions(now);
            }
        }
        if first && relayed {
            // The other side hears of us at about the same time: now both call.
            self.plan.handle_news(&peer, now.instant);
        }
        for bytes in &hello.presences {
            let id = RecordId::from_bytes(*blake3::hash(bytes).as_bytes());
            if let Some(session) = self.sessions.get_mut(&peer) {
                session.told.insert(id);
            }
            if self.presences.has(&id) {
                continue;
            }
            match Verified::<Presence>::from_bytes(bytes) {
                Ok(presence) => self.take_presence(&presence, near, now),
                Err(error) => {
                    self.handle_violation(peer, &format!("a presence that is none: {error}"), now);
                    return false;
                }
            }
        }
        true
    }

    /// Whoever brought it, the device itself has signed it.
    fn take_presence(&mut self, presence: &Verified<Presence>, near: bool, now: Now) {
        let device = presence.value().device;
        let known = device != self.own && self.roster().is_member(&device);
        let relays = self.presences.relays(&device).to_vec();
        if known && self.presences.insert(presence, &self.mesh, now.wall) {
            if presence.value().relays.iter().any(|relay| !relays.contains(relay)) {
                self.relays_changed(device, now);
                if self.relaying.open() < RESERVATIONS {
                    self.set_targets(now);
                }
            }
            for address in &presence.value().addresses {
                if near || !address.ip().is_loopback() {
                    self.handle_address(device, *address, Source::Itself, now);
                }
            }
        }
    }
}

/// Milliseconds by which `theirs` is ahead of `ours`.
fn skew(theirs: Timestamp, ours: Timestamp) -> i64 {
    let distance = i64::try_from(theirs.distance(ours).as_millis()).unwrap_or(i64::MAX);
    if theirs < ours { -distance } else { distance }
}

//! Peers that are reached through other members, and in streams.
//!
//! A relay is a peer with a path of its own. As long as it has one with no relay on it (its *leg*), every session through
//! it is an open pair of the peer it leads to. Whoever needs the session calls the relay, so that its path is found and kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::Engine;
use super::command::CommandError;
use super::remote::Call;
use super::via::{Via, Way};
use crate::path::{Detour, Kind, Route};
use crate::wg::{PeerId, PublicKey};

/// Sessions and streams of one peer at most. Two relays are asked for, a third while one is replaced.
const MAX_PER_PEER: usize = 8;

/// What leads to a relay now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leg {
    via: Via,
    endpoint: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) peer: PeerId,
    pub(super) relay: PeerId,
}

/// Who is reached by which session and stream.
#[derive(Debug, Default)]
pub(super) struct Detours {
    sessions: BTreeMap<u64, Session>,
    streams: BTreeMap<u64, PeerId>,
    /// Of every peer that relays for us.
    legs: BTreeMap<PeerId, Option<Leg>>,
}

impl Detours {
    pub(super) fn session(&self, session: u64) -> Option<Session> {
        self.sessions.get(&session).copied()
    }

    pub(super) fn has_stream(&self, id: u64) -> bool {
        self.streams.contains_key(&id)
    }

    /// Whether what comes by a route may be from this peer. Anybody may be behind an address.
    pub(super) fn leads_to(&self, route: Route, peer: PeerId) -> bool {
        match route {
            Route::Udp { .. } => true,
            Route::Relay { session } => {
                self.sessions.get(&session).is_some_and(|session| session.peer == peer)
            }
            Route::Stream { id } => self.streams.get(&id) == Some(&peer),
        }
    }

    fn count(&self, peer: PeerId) -> usize {
        let sessions = self.sessions.values().filter(|session| session.peer == peer).count();
        sessions + self.streams.values().filter(|of| **of == peer).count()
    }

    /// Forget the legs of those that relay no more.
    fn prune_legs(&mut self) {
        let sessions = &self.sessions;
        self.legs.retain(|relay, _| sessions.values().any(|session| session.relay == *relay));
    }
}

impl Engine {
    pub(super) fn add_relay(
        &mut self,
        peer: &PublicKey,
        relay: &PublicKey,
        session: u64,
        now: Instant,
    ) -> Result<(), CommandError> {
        let id = self.peers.by_key(peer).ok_or(CommandError::UnknownPeer)?;
        let relay = self.peers.by_key(relay).ok_or(CommandError::UnknownPeer)?;
        if id == relay {
            return Err(CommandError::NotThreeDevices);
        }
        match self.detours.sessions.get(&session) {
            Some(known) if known.peer == id && known.relay == relay => {
                // Somebody still wants it.
                self.call(relay, Call::Now, now);
                return Ok(());
            }
            Some(_) => return Err(CommandError::SessionTaken(session)),
            None if self.forwards.ends(session).is_some() => return Err(CommandError::SessionTaken(session)),
            None if self.detours.count(id) >= MAX_PER_PEER => return Err(CommandError::TooManySessions),
            None => {}
        }
        self.detours.sessions.insert(session, Session { peer: id, relay });
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            remote.relays_mut().push((session, relay, None));
        }
        self.detours.legs.entry(relay).or_default();
        self.set_leg(relay, session, self.detours.legs.get(&relay).copied().flatten(), now);
        self.call(relay, Call::Now, now);
        Ok(())
    }

    pub(super) fn remove_relay(&mut self, peer: &PublicKey, session: u64, now: Instant) {
        let id = self.peers.by_key(peer);
        if self.detours.sessions.get(&session).map(|session| session.peer) == id && id.is_some() {
            self.end_session(session, now);
        }
    }

    fn end_session(&mut self, session: u64, now: Instant) {
        let Some(Session { peer, .. }) = self.detours.sessions.remove(&session) else { return };
        self.detours.prune_legs();
        if let Some(remote) = self.remotes.get_mut(peer.slot()).and_then(Option::as_mut) {
            remote.relays_mut().retain(|(known, ..)| *known != session);
            remote.path.remove_detour(Route::Relay { session }, now);
            self.touch(peer);
        }
    }

    /// A peer can be reached in a stream: whoever drives the engine will carry what goes to [`Via::Stream`] with this
    /// number, which must never be used again. `address` is where the stream leads.
    pub fn add_stream(
        &mut self,
        peer: &PublicKey,
        stream: u64,
        address: SocketAddr,
        now: Instant,
    ) -> Result<(), CommandError> {
        let id = self.peers.by_key(peer).ok_or(CommandError::UnknownPeer)?;
        if self.detours.streams.contains_key(&stream) || self.detours.count(id) >= MAX_PER_PEER {
            return Err(CommandError::TooManySessions);
        }
        self.detours.streams.insert(stream, id);
        let detour = Detour { kind: Kind::Stream, endpoint: address, via: None };
        self.remote(peer)?.path.set_detour(Route::Stream { id: stream }, Some(detour), now);
        self.touch(id);
        self.pump_touched(now);
        Ok(())
    }

    /// A stream has ended. Drain the `poll_*` methods afterwards.
    pub fn remove_stream(&mut self, stream: u64, now: Instant) {
        let Some(id) = self.detours.streams.remove(&stream) else { return };
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            remote.path.remove_detour(Route::Stream { id: stream }, now);
            self.touch(id);
        }
        self.pump_touched(now);
    }

    /// A peer is gone: so are its sessions, and those it relayed.
    pub(super) fn forget_detours(&mut self, gone: PeerId, now: Instant) {
        let sessions = self.detours.sessions.iter();
        let ended = sessions.filter(|(_, session)| session.peer == gone || session.relay == gone);
        let ended: Vec<u64> = ended.map(|(session, _)| *session).collect();
        ended.into_iter().for_each(|session| self.end_session(session, now));
        self.detours.streams.retain(|_, peer| *peer != gone);
    }

    /// How an answer gets back to where something came from.
    pub(super) fn way_back(&self, from: Route) -> Option<Way> {
        match from {
            Route::Udp { .. } | Route::Stream { .. } => Some(Way { via: Via::of(from)?, session: None }),
            Route::Relay { session } => {
                let peer = self.detours.session(session)?.peer;
                self.remotes.get(peer.slot())?.as_ref()?.way(from)
            }
        }
    }

    /// After a peer was pumped: call the relays it needs, and if it is one, tell those it relays to of its leg.
    pub(super) fn follow_detours(&mut self, id: PeerId, now: Instant) {
        let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) else { return };
        let mut calls = std::mem::take(remote.calls_mut());
        if let Some(before) = self.detours.legs.get(&id).copied() {
            let leg = remote.path.leg(now);
            let leg = leg.and_then(|(route, endpoint)| Some(Leg { via: Via::of(route)?, endpoint }));
            if leg != before {
                self.detours.legs.insert(id, leg);
                let through: Vec<u64> = self
                    .detours
                    .sessions
                    .iter()
                    .filter(|(_, session)| session.relay == id)
                    .map(|(session, _)| *session)
                    .collect();
                through.into_iter().for_each(|session| self.set_leg(id, session, leg, now));
            }
        }
        for (relay, call) in calls.drain(..) {
            self.call(relay, call, now);
        }
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            // The buffer is used again.
            *remote.calls_mut() = calls;
        }
    }

    /// A relay is needed.
    fn call(&mut self, relay: PeerId, call: Call, now: Instant) {
        if let Some(remote) = self.remotes.get_mut(relay.slot()).and_then(Option::as_mut) {
            remote.call(call, now);
            self.touch(relay);
        }
    }

    /// What leads to the relay of a session changed.
    fn set_leg(&mut self, relay: PeerId, session: u64, leg: Option<Leg>, now: Instant) {
        let Some(Session { peer, .. }) = self.detours.session(session) else { return };
        let key = self.remotes.get(relay.slot()).and_then(Option::as_ref).map(|remote| remote.peer.key);
        let Some(remote) = self.remotes.get_mut(peer.slot()).and_then(Option::as_mut) else { return };
        for known in remote.relays_mut().iter_mut().filter(|(known, ..)| *known == session) {
            known.2 = leg.map(|leg| leg.via);
        }
        let detour = leg.map(|leg| Detour {
            kind: if leg.via.address().is_some() { Kind::Relay } else { Kind::Stream },
            endpoint: leg.endpoint,
            via: key,
        });
        remote.path.set_detour(Route::Relay { session }, detour, now);
        self.touch(peer);
    }
}

//! Whose ports are guessed, and the sockets that takes.
//!
//! [`crate::path`] says how ports are guessed and when that would help one peer. Here is what concerns all of them: one at
//! a time, a pause after each that failed, for its 2048 pings stay in the router's table for half a minute, and a few such
//! failures between two changes of the network. Half of these are kept for peers with whom packets are exchanged.
//!
//! Sockets are numbered here and opened by whoever drives the engine ([`SocketRequest`]). They belong to the peer they
//! were opened for, and datagrams of others that arrive on them are dropped. Those that no pair of it needs are closed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::Engine;
use super::timers::Timer;
use crate::path::{Agent, Nat, Role, Route, SOCKETS};
use crate::wg::PeerId;

/// Peers that wait for their attempt. Further ones have better luck when they are signalled again.
const MAX_QUEUE: usize = 64;
/// Time after an attempt that failed.
const PAUSE: Duration = Duration::from_secs(30);
/// Attempts that may fail between two changes of the network.
const MAX_FAILURES: u32 = 8;
/// How many of them peers that nobody exchanges packets with may use up.
const UNASKED_FAILURES: u32 = 4;

/// What is asked of whoever drives the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketRequest {
    /// Open UDP sockets for IPv4 under these numbers, each on a port that the system chooses, and tell with
    /// [`Engine::handle_sockets`] which of them could be opened.
    Open(Vec<u16>),
    /// Close these.
    Close(Vec<u16>),
}

/// Who guesses, who would like to, and which sockets there are.
#[derive(Debug, Default)]
pub(super) struct Guessing {
    /// Ours.
    pub(super) nat: Nat,
    current: Option<PeerId>,
    queue: VecDeque<PeerId>,
    failures: u32,
    pause_until: Option<Instant>,
    owners: BTreeMap<u16, PeerId>,
    last_number: u16,
    requests: VecDeque<SocketRequest>,
}

impl Guessing {
    /// Something happened to a peer.
    pub(super) fn attend(&mut self, id: PeerId, path: &Agent, now: Instant) {
        if self.current == Some(id) && !path.is_guessing() {
            self.current = None;
            if !path.is_direct(now) {
                self.failures += 1;
                self.pause_until = Some(now + PAUSE);
            }
        }
        if self.current != Some(id) && !self.owners.is_empty() {
            let used: BTreeSet<u16> = path.sockets_in_use().collect();
            self.close(|socket, owner| owner == id && !used.contains(&socket));
        }
        if path.wants_guess(now) && self.queue.len() < MAX_QUEUE && !self.queue.contains(&id) {
            self.queue.push_back(id);
        }
    }

    /// A peer has gone.
    pub(super) fn forget(&mut self, id: PeerId) {
        self.current = self.current.filter(|current| *current != id);
        self.queue.retain(|waiting| *waiting != id);
        self.close(|_, owner| owner == id);
    }

    /// Another network: what failed may succeed now.
    pub(super) fn network_changed(&mut self) {
        self.current = None;
        self.failures = 0;
        self.pause_until = None;
    }

    /// Whether a datagram that came by this route may be the peer's.
    pub(super) fn accepts(&self, from: Route, id: PeerId) -> bool {
        match from {
            Route::Udp { socket: 0, .. } | Route::Relay { .. } | Route::Stream { .. } => true,
            Route::Udp { socket, .. } => self.owners.get(&socket) == Some(&id),
        }
    }

    fn close(&mut self, chosen: impl Fn(u16, PeerId) -> bool) {
        let closed: Vec<u16> =
            self.owners.iter().filter(|(socket, owner)| chosen(**socket, **owner)).map(|(s, _)| *s).collect();
        if !closed.is_empty() {
            closed.iter().for_each(|socket| {
                self.owners.remove(socket);
            });
            self.requests.push_back(SocketRequest::Close(closed));
        }
    }

    fn open(&mut self, id: PeerId) {
        let mut numbers = Vec::new();
        // Numbers are used again as late as possible: a datagram may still be on its way to the last bearer.
        for _ in 0..u16::MAX {
            self.last_number = self.last_number.checked_add(1).unwrap_or(1);
            if !self.owners.contains_key(&self.last_number) {
                self.owners.insert(self.last_number, id);
                numbers.push(self.last_number);
            }
            if numbers.len() >= usize::from(SOCKETS) {
                break;
            }
        }
        self.requests.push_back(SocketRequest::Open(numbers));
    }

    fn may_begin(&self, path: &Agent, now: Instant) -> bool {
        let limit = if path.is_in_demand(now) { MAX_FAILURES } else { UNASKED_FAILURES };
        self.failures < limit && path.wants_guess(now)
    }
}

impl Engine {
    /// The next thing to do about sockets.
    pub fn poll_socket(&mut self) -> Option<SocketRequest> {
        self.guessing.requests.pop_front()
    }

    /// What was asked for is done: these sockets are open. Drain the `poll_*` methods afterwards.
    pub fn handle_sockets(&mut self, opened: &[u16], now: Instant) {
        let Some(id) = self.guessing.current else { return };
        let ours: Vec<u16> =
            opened.iter().copied().filter(|n| self.guessing.owners.get(n) == Some(&id)).collect();
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            remote.path.add_sockets(&ours, now);
            self.touch(id);
        }
        self.pump_touched(now);
    }

    pub(super) fn set_nat(&mut self, nat: Nat, now: Instant) {
        self.guessing.nat = nat;
        let ids: Vec<PeerId> = self.peers.iter().map(|(_, id)| id).collect();
        for id in ids {
            if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
                remote.path.set_our_nat(nat, now);
                self.touch(id);
            }
        }
    }

    /// Begin the next attempt, if it is its time.
    pub(super) fn begin_guess(&mut self, now: Instant) {
        let guessing = &mut self.guessing;
        let pauses = guessing.pause_until.filter(|until| *until > now);
        let again = pauses.filter(|_| !guessing.queue.is_empty());
        self.timers.set(Timer::Guessing, None, again);
        while guessing.current.is_none() && pauses.is_none() {
            let Some(id) = guessing.queue.pop_front() else { break };
            let remote = self.remotes.get_mut(id.slot()).and_then(Option::as_mut);
            let Some(remote) = remote.filter(|r| r.id == id && guessing.may_begin(&r.path, now)) else {
                continue;
            };
            let role = remote.path.start_guess(now);
            guessing.current = role.map(|_| id);
            if role.is_some_and(Role::opens_sockets) {
                guessing.open(id);
            }
            self.touch(id);
            break;
        }
    }
}

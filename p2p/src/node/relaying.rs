//! Control connections through other members: whether we relay, who relays to us, whom we call through whom.
//!
//! A member that nobody can call keeps reservations with up to two connected members that relay, and says so in its
//! presence. If none of its neighbours relays it connects with those that others name there. Whoever does not get through to a member directly calls it through those, or, if nothing is known of its
//! relays, through the relays it is itself connected with. Over such a circuit the two say hello as on any connection,
//! so each learns where the other's sockets are, and both call directly at about the same time: that opens the holes in
//! the routers of both. When the direct connection stands, the circuit is closed. Where it never does (two symmetric
//! NATs), the calls go on with long pauses, and the circuit serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{ConnectionKey, Event, Node, Now, Output, Session, Via, pace::Pace, session::Circuit};
use crate::{identity::DeviceId, signal::NatKind};

/// Reservations that we keep: one, and one for when that relay goes.
pub(super) const RESERVATIONS: usize = 2;
/// Relays through which a member is called at once.
const RELAYS_AT_ONCE: usize = 3;
/// How long a direct call may take before a circuit is tried beside it: as TCP waits for QUIC.
pub(super) const CIRCUIT_AFTER: Duration = Duration::from_millis(250);
/// The pause after a call through others has failed, which doubles, and the longest one. Such a call costs no router
/// anything, and a reservation may be made any moment.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// So often relays are tried that the member has not named.
const GUESSES: u32 = 4;
/// Until a relay that refused is asked again: at first, and at most.
const REFUSED: Duration = Duration::from_secs(15);
const REFUSED_MAX: Duration = Duration::from_secs(600);

/// When to relay for other members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelayPolicy {
    /// When we can be reached from outside.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// What a relay has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reservation {
    Asked { refusals: u32 },
    Held,
    Refused { until: Instant, refusals: u32 },
}

/// The state of relaying.
#[derive(Debug)]
pub(super) struct Relaying {
    policy: RelayPolicy,
    reservations: BTreeMap<DeviceId, Reservation>,
    /// Whom to call through others, and when.
    calls: BTreeMap<DeviceId, Instant>,
    /// How often in a row that failed.
    failures: BTreeMap<DeviceId, u32>,
    /// Relays of members, as Kademlia says.
    rumours: BTreeMap<DeviceId, Vec<DeviceId>>,
    /// How fast members are called through others,
    pace: Pace,
    /// and when the next may be, if it is used up.
    paused_until: Option<Instant>,
}

impl Relaying {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            policy: RelayPolicy::default(),
            reservations: BTreeMap::new(),
            calls: BTreeMap::new(),
            failures: BTreeMap::new(),
            rumours: BTreeMap::new(),
            pace: Pace::circuits(now),
            paused_until: None,
        }
    }

    /// Relays with which we have reservations.
    pub(super) fn held(&self) -> Vec<DeviceId> {
        let held = self.reservations.iter().filter(|(_, state)| **state == Reservation::Held);
        held.map(|(relay, _)| *relay).collect()
    }

    /// Reservations that we have or are about to.
    pub(super) fn open(&self) -> usize {
        let open = |state: &&Reservation| !matches!(state, Reservation::Refused { .. });
        self.reservations.values().filter(open).count()
    }

    /// A member is connected.
    pub(super) fn answered(&mut self, peer: &DeviceId) {
        self.calls.remove(peer);
        self.failures.remove(peer);
    }

    /// When somebody is due to be called through others.
    pub(super) fn next_call(&self) -> Option<Instant> {
        self.calls.values().min().copied().max(self.paused_until.filter(|_| !self.calls.is_empty()))
    }

    /// When a relay that has refused may be asked again.
    pub(super) fn next_reservation(&self) -> Option<Instant> {
        let until = |state: &Reservation| match state {
            Reservation::Refused { until, .. } => Some(*until),
            Reservation::Asked { .. } | Reservation::Held => None,
        };
        if self.open() >= RESERVATIONS {
            return None;
        }
        self.reservations.values().filter_map(until).min()
    }

    pub(super) fn forget(&mut self, gone: impl Fn(&DeviceId) -> bool) {
        self.calls.retain(|device, _| !gone(device));
        self.failures.retain(|device, _| !gone(device));
        self.rumours.retain(|device, _| !gone(device));
    }
}

impl Node {
    /// Decides whether we relay.
    pub fn set_relay_policy(&mut self, policy: RelayPolicy, now: Now) {
        self.relaying.policy = policy;
        self.review_relaying(now);
    }

    /// What stands between our dataplane and the Internet, as it has found out.
    pub fn set_nat(&mut self, nat: NatKind, now: Now) {
        if self.nat != nat {
            self.nat = nat;
            self.say_hello_to_all(now);
            self.review_relaying(now);
        }
    }

    /// Whether we relay control connections and datagrams between members.
    pub fn relays(&self) -> bool {
        self.relays
    }

    /// A connection with a peer stands, through another member.
    pub fn handle_circuit(
        &mut self,
        peer: DeviceId,
        key: ConnectionKey,
        relay: DeviceId,
        dialled: bool,
        now: Now,
    ) {
        if !self.roster().is_member(&peer) {
            return;
        }
        let next = &mut self.next_session;
        let session = self.sessions.entry(peer).or_insert_with(|| {
            next.0 += 1;
            Session::new(*next)
        });
        let first = session.is_over();
        let old = session.supersede(None, now.instant);
        // Both our calls were answered: the direct one is better. When the peer calls, it may have lost the direct one and we
        // do not know yet; so it decides.
        let needless = dialled && session.links.keys().any(|link| !old.contains(link));
        self.outputs.extend(old.into_iter().map(Output::Close));
        if needless {
            self.outputs.push_back(Output::Close(key));
        }
        session.circuits.insert(key, Circuit { relay, since: now.instant });
        self.relaying.answered(&peer);
        if first {
            self.outputs.push_back(Output::Event(Event::ConnectedThrough { peer, relay }));
            self.ends.is_back(&peer);
            self.start_exchange(peer, now);
            // Whoever of us wanted the connection, both call directly.
            self.set_targets(now);
        }
        if dialled {
            self.say_hello(peer, now);
        }
    }

    /// We are listening through a member that relays, or are not any more, or were refused.
    pub fn handle_reservation(&mut self, relay: DeviceId, held: bool, now: Now) {
        let Some(state) = self.relaying.reservations.get_mut(&relay) else { return };
        let before = *state;
        *state = match (held, before) {
            (true, _) => Reservation::Held,
            // Lost with its connection, perhaps for another one.
            (false, Reservation::Held) => Reservation::Refused { until: now.instant, refusals: 0 },
            (false, Reservation::Asked { refusals } | Reservation::Refused { refusals, .. }) => {
                let pause = REFUSED.saturating_mul(1u32.checked_shl(refusals).unwrap_or(u32::MAX));
                let until = now.instant + pause.min(REFUSED_MAX);
                Reservation::Refused { until, refusals: refusals.saturating_add(1) }
            }
        };
        if (before == Reservation::Held) != held {
            self.say_hello_to_all(now);
        }
        self.keep_reservations(now);
    }

    /// Somebody says that a member can be called through another.
    pub fn handle_relay_of(&mut self, peer: DeviceId, relay: DeviceId, now: Now) {
        let roster = self.log.roster();
        if peer == self.own || relay == self.own || !roster.is_member(&peer) || !roster.is_member(&relay) {
            return;
        }
        let relays = self.relaying.rumours.entry(peer).or_default();
        if !relays.contains(&relay) {
            relays.insert(0, relay);
            relays.truncate(RESERVATIONS);
            self.relays_changed(peer, now);
        }
    }

    /// A member may be reached by a relay that has just turned up.
    pub(super) fn relays_changed(&mut self, peer: DeviceId, now: Now) {
        if !self.sessions.contains_key(&peer) && self.plan.wants(&peer) {
            self.relaying.failures.remove(&peer);
            self.relaying.calls.insert(peer, now.instant);
        }
    }

    /// A connected member relays from now on: whoever is missing may be behind it.
    pub(super) fn relay_came(&mut self, now: Now) {
        for peer in self.plan.missing() {
            self.relays_changed(peer, now);
        }
    }

    /// No relay had a way to the peer.
    pub fn handle_circuit_failed(&mut self, peer: DeviceId, now: Now) {
        if self.sessions.contains_key(&peer) || !self.plan.wants(&peer) {
            return;
        }
        let failures = self.relaying.failures.entry(peer).or_default();
        *failures = failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1u32.checked_shl(*failures - 1).unwrap_or(u32::MAX));
        let again = now.instant + pause.min(LONGEST_PAUSE);
        if *failures < GUESSES || self.names_relays(&peer) {
            self.relaying.calls.insert(peer, again);
        }
    }

    /// Calls a member through others at `at`, unless it is connected by then. What has failed goes on at its own pace.
    pub(super) fn call_through(&mut self, peer: DeviceId, at: Instant) {
        if !self.sessions.contains_key(&peer) && !self.relaying.failures.contains_key(&peer) {
            let due = self.relaying.calls.entry(peer).or_insert(at);
            *due = (*due).min(at);
        }
    }

    fn names_relays(&self, peer: &DeviceId) -> bool {
        !self.presences.relays(peer).is_empty() || self.relaying.rumours.contains_key(peer)
    }

    /// The next call through others that is due.
    pub(super) fn next_call_through(&mut self, now: Now) -> Option<Output> {
        loop {
            let due = self.relaying.calls.iter().filter(|(_, at)| **at <= now.instant);
            let peer = *due.min_by_key(|(_, at)| **at)?.0;
            let relays = self.relays_of(&peer);
            let absent = !self.sessions.contains_key(&peer) && self.roster().is_member(&peer);
            let worth = absent && !relays.is_empty() && !self.conduct.is_cut_off(&peer);
            if worth {
                self.relaying.paused_until = self.relaying.pace.take(now.instant).err();
                if self.relaying.paused_until.is_some() {
                    return None;
                }
            }
            self.relaying.calls.remove(&peer);
            if worth {
                return Some(Output::DialThrough { peer, relays });
            }
        }
    }

    /// Through whom a member may be called: those it names, those others name, those that we are connected with.
    fn relays_of(&self, peer: &DeviceId) -> Vec<Via> {
        let named = self.presences.relays(peer).iter();
        let rumoured = self.relaying.rumours.get(peer).into_iter().flatten();
        let guesses = self.relaying.failures.get(peer).is_none_or(|failures| *failures < GUESSES);
        let ours = self.sessions.iter().filter(|(_, session)| guesses && session.relays);
        let ours = ours.map(|(device, _)| device);
        let mut relays: Vec<Via> = Vec::new();
        for relay in named.chain(rumoured).chain(ours) {
            let known = relays.iter().any(|via| via.relay == *relay);
            let fit = relay != peer && *relay != self.own && self.roster().is_member(relay);
            if !known
                && fit
                && !self.conduct.is_cut_off(relay)
                && let Some(via) = self.via(relay)
            {
                relays.push(via);
            }
        }
        relays.truncate(RELAYS_AT_ONCE);
        relays
    }

    /// A relay and where it is; `None` for one that is itself behind another, since circuits do not chain.
    fn via(&self, relay: &DeviceId) -> Option<Via> {
        let address = match self.sessions.get(relay) {
            Some(session) => session.links.values().map(|link| link.address).next(),
            None => self.book.addresses(relay).into_iter().find(|address| !self.inside_tunnel(&address.ip())),
        };
        address.map(|address| Via { relay: *relay, address })
    }

    /// Relays to be connected with, because among these members are too few: those we have, then those others name.
    pub(super) fn relays_to_find(&self, targets: &BTreeSet<DeviceId>) -> Vec<DeviceId> {
        let roster = self.log.roster();
        let relays = |device: &&DeviceId| self.sessions.get(device).is_some_and(|session| session.relays);
        let missing = RESERVATIONS.saturating_sub(targets.iter().filter(relays).count());
        let known = self.relaying.held().into_iter().chain(self.presences.named_relays(&self.own));
        let fit = known.filter(|device| {
            *device != self.own
                && roster.is_member(device)
                && roster.sees(&self.own, device)
                && !targets.contains(device)
        });
        let mut found: Vec<DeviceId> = Vec::new();
        for device in fit {
            if found.len() < missing && !found.contains(&device) {
                found.push(device);
            }
        }
        found
    }

    /// Follows what decides whether we relay and need relays.
    pub(super) fn review_relaying(&mut self, now: Now) {
        let relays = match self.relaying.policy {
            RelayPolicy::Auto => self.is_reachable(now),
            RelayPolicy::On => true,
            RelayPolicy::Off => false,
        };
        if self.relays != relays {
            self.relays = relays;
            self.outputs.push_back(Output::Relay(relays));
            self.say_hello_to_all(now);
            self.relaying_follows(now);
        }
        self.keep_reservations(now);
    }

    /// Asks for reservations and gives them back, so that we have as many as we need with those who are there.
    pub(super) fn keep_reservations(&mut self, now: Now) {
        let needed = !self.is_reachable(now) && self.roster().is_member(&self.own);
        let sessions = &self.sessions;
        let there = |relay: &DeviceId| {
            sessions.get(relay).is_some_and(|session| session.relays && !session.links.is_empty())
        };
        let mut released = false;
        // What was asked for is given back when it has been answered, not before: libp2p-relay 0.22 panics when the
        // answer comes for a listener that is gone (`priv_client.rs`, "Relay connection exist").
        let over = |relay: &DeviceId, state: &mut Reservation| {
            !matches!(state, Reservation::Asked { .. }) && (!needed || !there(relay))
        };
        for (relay, state) in self.relaying.reservations.extract_if(.., over) {
            if state == Reservation::Held {
                self.outputs.push_back(Output::Release(relay));
                released = true;
            }
        }
        if needed {
            let mut fit: Vec<_> = sessions.iter().filter(|(relay, _)| there(relay)).collect();
            fit.sort_by_key(|(relay, session)| (session.round_trip.unwrap_or(Duration::MAX), **relay));
            for (relay, session) in fit {
                if self.relaying.open() >= RESERVATIONS {
                    break;
                }
                let reservations = &mut self.relaying.reservations;
                let refusals = match reservations.get(relay) {
                    None => 0,
                    Some(Reservation::Refused { until, refusals }) if *until <= now.instant => *refusals,
                    Some(_) => continue,
                };
                let Some(link) = session.links.values().next() else { continue };
                reservations.insert(*relay, Reservation::Asked { refusals });
                self.outputs.push_back(Output::Reserve(Via { relay: *relay, address: link.address }));
            }
        }
        if released {
            self.say_hello_to_all(now);
        }
    }
}

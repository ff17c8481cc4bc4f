//! What we know about one connected member.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{ConnectionKey, SessionId};
use crate::{
    identity::DeviceId,
    membership::Message,
    record::{Grants, RecordId},
    signal::NatKind,
};

/// A connection older than this is not the other half of a simultaneous call, since handshakes are given 5 s (QUIC)
/// and the peer called again: for the peer it is dead.
const OLD: Duration = Duration::from_secs(5);

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) since: Instant,
    /// We called.
    pub(super) dialled: bool,
    /// Somebody else could call the peer there: we did, or it calls from its shared socket.
    pub(super) callable: bool,
    /// It may go on when our own address changes: QUIC lets the side that called move.
    pub(super) movable: bool,
    /// It is QUIC.
    pub(super) udp: bool,
}

/// One connection through another member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit {
    pub(super) relay: DeviceId,
    pub(super) since: Instant,
}

/// From the first connection with a member to the last.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// Connections to the peer itself.
    pub(super) links: BTreeMap<ConnectionKey, Link>,
    /// Connections through other members; they go when there is a link.
    pub(super) circuits: BTreeMap<ConnectionKey, Circuit>,
    /// When to open a stream of datagrams, as long as UDP does not work: not before QUIC had its chance. None while one
    /// stands or is being opened.
    pub(super) stream_at: Option<Instant>,
    /// A `Hello` is on its way.
    pub(super) greeting: bool,
    /// Something changed while it was.
    pub(super) greet_again: bool,
    /// It may be dead: if there is no answer by then, the peer is called again,
    pub(super) doubted: Option<Instant>,
    /// as it was: the connections from before are dead.
    pub(super) called_again: bool,
    /// Too fast for now: when to say hello, and when to send what is queued.
    pub(super) greet_at: Option<Instant>,
    pub(super) tell_at: Option<Instant>,
    /// A message of the record exchange that is on its way.
    pub(super) telling: Option<Message>,
    /// How often in a row that failed.
    pub(super) failures: u32,
    /// Those that follow.
    pub(super) queue: VecDeque<Message>,
    pub(super) round_trip: Option<Duration>,
    /// Where it saw us last.
    pub(super) observed: Option<SocketAddr>,
    pub(super) candidates: Vec<SocketAddr>,
    /// What stands between its dataplane and the Internet.
    pub(super) nat: NatKind,
    /// It forwards for members.
    pub(super) relays: bool,
    /// It has said hello.
    pub(super) greeted: bool,
    /// When we last said hello, or answered.
    pub(super) spoke: Option<Instant>,
    /// Presences that it has heard from us, or we from it.
    pub(super) told: BTreeSet<RecordId>,
    pub(super) grants_theirs: Option<Grants>,
    pub(super) clock_skew_ms: Option<i64>,
    pub(super) skew_told: bool,
}

impl Session {
    pub(super) fn new(id: SessionId) -> Self {
        Self {
            id,
            links: BTreeMap::new(),
            circuits: BTreeMap::new(),
            stream_at: None,
            greeting: false,
            greet_again: false,
            doubted: None,
            called_again: false,
            greet_at: None,
            tell_at: None,
            telling: None,
            failures: 0,
            queue: VecDeque::new(),
            round_trip: None,
            observed: None,
            candidates: Vec::new(),
            nat: NatKind::Unknown,
            relays: false,
            greeted: false,
            spoke: None,
            told: BTreeSet::new(),
            grants_theirs: None,
            clock_skew_ms: None,
            skew_told: false,
        }
    }

    /// The connections that a new one replaces; `from` is where its packets come from, if it is QUIC. All QUIC of a peer
    /// comes from one socket, so two ports of one address are two mappings of its router, of which the first is gone.
    pub(super) fn supersede(&self, from: Option<SocketAddr>, now: Instant) -> Vec<ConnectionKey> {
        let old = |since: Instant| now.duration_since(since) >= OLD;
        let remapped = |link: &Link| {
            let port = from.filter(|from| link.udp && from.ip() == link.address.ip()).map(|from| from.port());
            port.is_some_and(|port| port != link.address.port())
        };
        let links = self.links.iter().filter(|(_, link)| old(link.since) || remapped(link));
        let circuits = self.circuits.iter().filter(|(_, circuit)| old(circuit.since));
        links.map(|(key, _)| *key).chain(circuits.map(|(key, _)| *key)).collect()
    }

    /// Whether the only connections are TCP, and we called: then a stream of datagrams is ours to open. When both called,
    /// one of the two leads: two streams that replace each other would end both.
    pub(super) fn needs_stream(&self, leads: bool) -> bool {
        let called = self.links.values().any(|link| link.callable);
        let was_called = self.links.values().any(|link| !link.callable);
        called && (leads || !was_called) && self.links.values().all(|link| !link.udp)
    }

    /// Nothing connects us any more.
    pub(super) fn is_over(&self) -> bool {
        self.links.is_empty() && self.circuits.is_empty()
    }

    /// Through whom we are connected, when it is not directly.
    pub(super) fn via(&self) -> Option<DeviceId> {
        let newest = self.circuits.values().max_by_key(|circuit| circuit.since);
        newest.filter(|_| self.links.is_empty()).map(|circuit| circuit.relay)
    }

    /// Whether a connection goes on when our own address changes. Routers let nobody in at an address that their side has not
    /// called, not even whom it has called elsewhere.
    pub(super) fn follows(&self, link: &Link) -> bool {
        link.movable && self.nat == NatKind::Open
    }

    /// Whether it will be dead without our calling again, when the address of this machine has changed. One that has
    /// just begun may already be the new one.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let stays = |link: &Link| link.movable || now.duration_since(link.since) < OLD;
        !self.links.values().any(stays)
    }

    /// When something that waits for its pace is due.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.greet_at, self.tell_at, self.doubted].into_iter().flatten().min()
    }

    /// Whether the peer is on this very machine, as far as we see.
    pub(super) fn on_loopback(&self) -> bool {
        self.links.values().any(|link| link.address.ip().is_loopback())
    }
}

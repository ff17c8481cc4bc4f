//! Who may connect, and for which protocols.
//!
//! A finished TLS handshake proves the peer's key. Then there are three kinds of peers:
//!
//! - members: every protocol;
//! - holders of the key of a known invite: the join protocol alone, whatever the state of the invite (they may ask and
//!   be told why not);
//! - anybody else: the connection is refused before any protocol starts.
//!
//! Through a relay come members alone. [`Gate`] refuses and counts; [`MembersOnly`] hides one behaviour from everybody who is not a member. Both look at
//! one [`Guests`] list, which the driver renews with every change of the roster. Who is no longer on it is
//! disconnected at once.

mod members_only;

pub(crate) use members_only::MembersOnly;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, Waker},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::{address::ip, circuit::is_circuit};

/// Connections a member may have with us: QUIC, TCP and a circuit from both sides at once, and spare ones for a reconnect.
const PER_MEMBER: usize = 8;
/// Connections that holders of one invite key may have with us: many devices may join by one code at the same time.
const PER_INVITE: usize = 32;
/// Connections of invite holders in all: joining takes a second, more at once is an attack.
const INVITEES: usize = 64;
/// Handshakes in flight from everybody, and from one network: an IPv4 address (a household behind one NAT) or an IPv6
/// prefix of 64 bits, all of whose addresses one host may have.
const PENDING: usize = 128;
const PENDING_PER_NETWORK: usize = 16;

/// Who stands on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member of the mesh.
    Member,
    /// A holder of the key of an invite that we know.
    Invitee,
}

/// The list, shared by the gate and the behaviours behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guests(Arc<RwLock<BTreeMap<PeerId, Standing>>>);

impl Guests {
    /// Where a peer stands; `None` is a stranger.
    pub(crate) fn standing(&self, peer: &PeerId) -> Option<Standing> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(peer).copied()
    }

    fn replace(&self, list: BTreeMap<PeerId, Standing>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = list;
    }
}

/// Why a connection was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither a member nor a holder of a known invite.
    #[error("the peer is neither a member of this mesh nor holds an invite to it")]
    Stranger,
    /// Cut off for its conduct.
    #[error("the peer is cut off for its conduct")]
    CutOff,
    /// Too many connections of this peer.
    #[error("the peer has too many connections")]
    TooMany,
    /// Too many handshakes at once.
    #[error("too many handshakes at once")]
    Busy,
}

/// A peer's packets come from another address now.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) address: Multiaddr,
}

/// The first behaviour of the swarm: what it refuses, no other behaviour sees.
pub(crate) struct Gate {
    guests: Guests,
    cut_off: BTreeSet<PeerId>,
    established: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    pending: BTreeMap<ConnectionId, Option<IpAddr>>,
    actions: VecDeque<ToSwarm<Moved, Infallible>>,
    waker: Option<Waker>,
}

impl Gate {
    pub(crate) fn new(guests: Guests) -> Self {
        Self {
            guests,
            cut_off: BTreeSet::new(),
            established: BTreeMap::new(),
            pending: BTreeMap::new(),
            actions: VecDeque::new(),
            waker: None,
        }
    }

    /// Renews the list; whoever lost the standing it connected with is disconnected.
    pub(crate) fn admit(&mut self, list: BTreeMap<PeerId, Standing>) {
        let changed = |peer: &&PeerId| self.guests.standing(peer) != list.get(peer).copied();
        let closing: Vec<PeerId> = self.established.keys().filter(changed).copied().collect();
        self.guests.replace(list);
        for peer in closing {
            self.close(peer);
        }
    }

    /// Disconnects a peer and refuses it until [`Self::forgive`].
    pub(crate) fn cut_off(&mut self, peer: PeerId) {
        self.cut_off.insert(peer);
        self.close(peer);
    }

    /// Lets a peer in again that was cut off.
    pub(crate) fn forgive(&mut self, peer: &PeerId) {
        self.cut_off.remove(peer);
    }

    fn close(&mut self, peer_id: PeerId) {
        self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Tells the other behaviours where a peer sees us, as it is.
    pub(crate) fn offer(&mut self, address: Multiaddr) {
        self.actions.push_back(ToSwarm::NewExternalAddrCandidate(address));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Members may come through other members, whoever is to join comes itself.
    fn check_circuit(&self, peer: &PeerId, address: &Multiaddr) -> Result<(), Refusal> {
        let member = self.guests.standing(peer) == Some(Standing::Member);
        if is_circuit(address) && !member { Err(Refusal::Stranger) } else { self.check(peer) }
    }

    fn check(&self, peer: &PeerId) -> Result<(), Refusal> {
        if self.cut_off.contains(peer) {
            return Err(Refusal::CutOff);
        }
        let limit = match self.guests.standing(peer) {
            Some(Standing::Member) => PER_MEMBER,
            Some(Standing::Invitee) if self.invitees() >= INVITEES => return Err(Refusal::Busy),
            Some(Standing::Invitee) => PER_INVITE,
            None => return Err(Refusal::Stranger),
        };
        match self.established.get(peer) {
            Some(connections) if connections.len() >= limit => Err(Refusal::TooMany),
            Some(_) | None => Ok(()),
        }
    }

    fn invitees(&self) -> usize {
        let invitee = |(peer, _): &(&PeerId, _)| self.guests.standing(peer) == Some(Standing::Invitee);
        self.established.iter().filter(invitee).map(|(_, connections)| connections.len()).sum()
    }
}

/// The network of an address, as far as one host can have all of it.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Moved;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = ip(remote).map(network);
        let same_network = self.pending.values().filter(|pending| **pending == ip).count();
        if self.pending.len() >= PENDING || same_network >= PENDING_PER_NETWORK {
            return Err(ConnectionDenied::new(Refusal::Busy));
        }
        self.pending.insert(connection, ip);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.check_circuit(&peer, local).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let refusal = match peer {
            // We dial members, never addresses of whoever may answer there.
            None => Refusal::Stranger,
            Some(peer) => match self.check(&peer) {
                Ok(()) => return Ok(Vec::new()),
                Err(refusal) => refusal,
            },
        };
        Err(ConnectionDenied::new(refusal))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_circuit(&peer, address).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionEstablished(established) = event {
            self.established.entry(established.peer_id).or_default().insert(established.connection_id);
        } else if let FromSwarm::ConnectionClosed(closed) = event {
            if let Some(connections) = self.established.get_mut(&closed.peer_id) {
                connections.remove(&closed.connection_id);
                if connections.is_empty() {
                    self.established.remove(&closed.peer_id);
                }
            }
        } else if let FromSwarm::AddressChange(change) = event {
            self.actions.push_back(ToSwarm::GenerateEvent(Moved {
                peer: change.peer_id,
                connection: change.connection_id,
                address: change.new.get_remote_address().clone(),
            }));
        } else if let FromSwarm::ListenFailure(failure) = event {
            self.pending.remove(&failure.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Moved, THandlerInEvent<Self>>> {
        if let Some(action) = self.actions.pop_front() {
            return Poll::Ready(action);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_to_join_does_not_come_through_a_member() {
        let (member, invitee) = (PeerId::random(), PeerId::random());
        let mut gate = Gate::new(Guests::default());
        gate.admit([(member, Standing::Member), (invitee, Standing::Invitee)].into());
        let direct: Multiaddr = "/ip4/192.0.2.1/udp/1/quic-v1".parse().unwrap();
        let circuit = super::super::circuit::through(member, "192.0.2.1:1".parse().unwrap());
        let mut enters = |peer, local: &Multiaddr| {
            let connection = ConnectionId::new_unchecked(1);
            gate.handle_established_inbound_connection(connection, peer, local, &Multiaddr::empty()).is_ok()
        };
        assert!(enters(member, &direct) && enters(member, &circuit));
        assert!(enters(invitee, &direct) && !enters(invitee, &circuit));
        assert!(!enters(PeerId::random(), &circuit));
    }

    #[test]
    fn one_host_with_a_whole_prefix_counts_once() {
        let network = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}

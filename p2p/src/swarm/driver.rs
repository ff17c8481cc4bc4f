//! The only task of a member: libp2p's swarm on one side, the node on the other, the daemon's commands in between.

mod ending;
mod protocols;
mod reach;
mod relaying;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use libp2p::{
    PeerId, Swarm,
    core::{ConnectedPoint, transport::ListenerId},
    kad, mdns, ping,
    request_response::OutboundRequestId,
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

pub(super) use reach::Reach;

use super::{
    address::{socket_address, tcp},
    behaviour::{Behaviour, BehaviourEvent},
    circuit::{is_circuit, relay},
    codec::Frame,
    datagrams::{Happened, Streams},
    gate::Standing,
    handle::Command,
    quic::{self, Closer},
    rendezvous,
    tunnel_guard::TunnelAddresses,
};
use crate::{
    discovery::{Source, rendezvous::Subject},
    identity::DeviceId,
    membership::Roster,
    node::{ConnectionKey, Event, LinkInfo, Node, Now, Output, SessionId},
    record::Timestamp,
};

/// Events that may wait for the daemon; while there are more, nothing new is read from the network.
const WAITING_EVENTS: usize = 1024;
/// How long a farewell may take to reach those who are connected.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// How long the holder of an invite key may stay connected; people read the terms before they agree.
const VISIT: Duration = Duration::from_secs(60);
/// How long it may stay once it is let in: enough for the records of a large mesh on a slow link. It leaves by itself,
/// unless it died; then its place is wanted for the next.
const LEAVING: Duration = Duration::from_secs(10);
/// What a newcomer may ask on one connection: the terms, then to be let in under one name after the other.
const VISIT_REQUESTS: u32 = 128;
/// Addresses of one member that an answer of Kademlia may bring, and that we tell of in ours.
const KAD_ADDRESSES: usize = 8;

/// Both clocks, now.
pub(super) fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "the shell reads the clocks for the node")]
    let (instant, wall) = (Instant::now(), SystemTime::now());
    let millis = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Now { instant, wall: Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) }
}

/// A connection of somebody who holds an invite key.
pub(super) struct Visit {
    /// Joining takes a second; then the door closes.
    until: Instant,
    /// Where the newcomer's shared socket is, if it came by QUIC.
    address: Option<SocketAddr>,
    /// What it has asked so far.
    requests: u32,
}

/// The state of the task.
pub(super) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) node: Node,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) roster: watch::Sender<Arc<Roster>>,
    pub(super) tunnel: TunnelAddresses,
    pub(super) closer: Closer,
    pub(super) waiting: VecDeque<Event>,
    pub(super) connections: BTreeMap<ConnectionId, ConnectionKey>,
    pub(super) next_connection: u64,
    pub(super) visits: BTreeMap<ConnectionId, Visit>,
    pub(super) exchanges: BTreeMap<OutboundRequestId, SessionId>,
    pub(super) hellos: BTreeMap<OutboundRequestId, SessionId>,
    pub(super) relayings: BTreeMap<OutboundRequestId, crate::relay::Message>,
    /// Our own calls, and whether they go through others; the rest is libp2p's.
    pub(super) dials: BTreeMap<ConnectionId, bool>,
    /// The relays that we listen through.
    pub(super) reservations: HashMap<ListenerId, DeviceId>,
    pub(super) relaying: bool,
    /// Where we listen for TCP alone: nobody can conclude them from where our sockets are.
    pub(super) extra_ports: BTreeSet<u16>,
    pub(super) reach: Reach,
    pub(super) streams: Streams,
    pub(super) flushing: Vec<(Instant, oneshot::Sender<()>)>,
    /// None unless a public rendezvous is configured.
    pub(super) rendezvous: Option<rendezvous::Line>,
}

impl Driver {
    /// Runs until it is told to shut down or every handle is gone.
    pub(super) async fn run(mut self) {
        let events = self.events.clone();
        let done = loop {
            self.carry_out();
            let timeout = self.next_timeout();
            tokio::select! {
                biased;
                permit = events.reserve(), if !self.waiting.is_empty() => match (permit, self.waiting.pop_front()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    (Ok(_), None) => {}
                    // Nobody listens; the handle may still be in use.
                    (Err(_), _) => self.waiting.clear(),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Call(call)) => call(&mut self.node, now()),
                    Some(Command::Probe(done)) => self.probe(done),
                    Some(Command::Flush(done)) => self.flushing.push((now().instant + FLUSH_PATIENCE, done)),
                    Some(Command::Shutdown(done)) => break Some(done),
                    None => break None,
                },
                event = self.swarm.select_next_some(), if self.waiting.len() < WAITING_EVENTS => {
                    self.handle_swarm_event(event);
                }
                tested = self.reach.next() => self.handle_tested(tested),
                happened = self.streams.next(), if self.waiting.len() < WAITING_EVENTS => self.handle_stream(happened),
                presence = rendezvous::found(self.rendezvous.as_mut()) => {
                    self.node.handle_presence_found(&presence, now());
                }
                () = tokio::time::sleep_until(timeout.into()) => {
                    self.node.handle_timeout(now());
                    self.end_visits();
                }
            }
        };
        self.node.keep_everything(now());
        self.be_silent();
        self.closer.close().await;
        drop(self.swarm);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn end_visits(&mut self) {
        let now = now().instant;
        for (connection, _) in self.visits.extract_if(.., |_, visit| visit.until <= now) {
            self.swarm.close_connection(connection);
        }
    }

    fn next_timeout(&self) -> Instant {
        let node = self.node.poll_timeout().map(|(at, _)| at);
        let flush = self.flushing.iter().map(|(at, _)| *at).min();
        let idle = now().instant + Duration::from_secs(3600);
        let visit = self.visits.values().map(|visit| visit.until).min();
        node.into_iter().chain(flush).chain(visit).min().unwrap_or(idle)
    }

    /// Does everything the node wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output(now()) {
            match output {
                Output::Dial { peer, addresses, streams } => {
                    let addresses = addresses.into_iter().map(quic::to_multiaddr);
                    let addresses = addresses.chain(streams.into_iter().map(tcp)).collect();
                    let opts = DialOpts::peer_id(peer.to_peer_id())
                        .addresses(addresses)
                        // The plan says when; a call to old addresses must not hold up one to a new address.
                        .condition(PeerCondition::Always)
                        .build();
                    let connection = opts.connection_id();
                    if let Err(error) = self.swarm.dial(opts) {
                        tracing::debug!(peer = %peer.short(), %error, "did not call");
                        self.node.handle_dial_failed(peer, now());
                    } else {
                        self.dials.insert(connection, false);
                    }
                }
                Output::DialThrough { peer, relays } => self.dial_through(peer, &relays),
                Output::Reserve(via) => self.reserve(via),
                Output::Release(relay) => self.release(relay),
                Output::Relay(on) => self.relay(on),
                Output::AskReach { peer, addresses } => {
                    self.ask(peer, addresses);
                }
                Output::Lookup(peer) => {
                    // Kademlia asks those who are connected.
                    if !self.connections.is_empty() {
                        self.swarm.behaviour_mut().kad.inner().get_closest_peers(peer.to_peer_id());
                    }
                    if let Some(line) = &self.rendezvous {
                        line.look_up(Subject::Member(peer));
                    }
                }
                Output::Exchange { peer, session, message } => {
                    let exchange = self.swarm.behaviour_mut().exchange.inner();
                    let request = exchange.send_request(&peer.to_peer_id(), Frame::Message(message));
                    self.exchanges.insert(request, session);
                }
                Output::Hello { peer, session, hello } => {
                    let signal = self.swarm.behaviour_mut().signal.inner();
                    let request = signal.send_request(&peer.to_peer_id(), Frame::Message(hello));
                    self.hellos.insert(request, session);
                }
                Output::Relaying { peer, message } => {
                    let relaying = self.swarm.behaviour_mut().relaying.inner();
                    let request = relaying.send_request(&peer.to_peer_id(), Frame::Message(message));
                    self.relayings.insert(request, message);
                }
                Output::OpenStream(peer) => self.streams.open(peer),
                Output::Close(key) => {
                    let found = self.connections.iter().find(|(_, known)| **known == key);
                    if let Some((connection, _)) = found {
                        self.swarm.close_connection(*connection);
                    }
                }
                Output::CutOff(peer) => self.swarm.behaviour_mut().gate.cut_off(peer.to_peer_id()),
                Output::Forgive(peer) => self.swarm.behaviour_mut().gate.forgive(&peer.to_peer_id()),
                Output::Admit { members, invitees } => {
                    let invitees = invitees.iter().map(|key| (key.to_peer_id(), Standing::Invitee));
                    let members = members.iter().map(|device| (device.to_peer_id(), Standing::Member));
                    let list = invitees.chain(members).collect();
                    self.swarm.behaviour_mut().admit(list);
                }
                Output::Tunnel(addresses) => self.tunnel.replace(addresses),
                Output::Event(event) => {
                    if let Event::RosterChanged(roster) = &event {
                        self.roster.send_replace(Arc::clone(roster));
                        self.streams.retain(|peer| roster.is_member(peer));
                    }
                    self.waiting.push_back(event);
                }
            }
        }
        if let Some(line) = &mut self.rendezvous {
            line.follow(&self.node, now().wall);
        }
        let flushed = self.node.is_flushed();
        let now = now().instant;
        let ready = |(until, _): &mut (Instant, _)| flushed || *until <= now;
        for (_, done) in self.flushing.extract_if(.., ready) {
            let _ = done.send(());
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what strangers try is none of the node's business")]
    fn handle_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.handle_established(&peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, num_established, .. } => {
                if num_established == 0 {
                    // Kademlia would call it by itself, and tell others of it.
                    self.swarm.behaviour_mut().kad.inner().remove_peer(&peer_id);
                }
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.visits.remove(&connection_id);
                let key = self.connections.remove(&connection_id);
                if let (Some(peer), Some(key)) = (DeviceId::from_peer_id(&peer_id), key) {
                    self.node.handle_disconnected(peer, key, now());
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, connection_id } => {
                tracing::debug!(%peer, %error, "no address answered");
                let through = self.dials.remove(&connection_id);
                match (DeviceId::from_peer_id(&peer), through) {
                    (Some(peer), Some(false)) => self.node.handle_dial_failed(peer, now()),
                    (Some(peer), Some(true)) => self.node.handle_circuit_failed(peer, now()),
                    (None, _) | (_, None) => {}
                }
            }
            SwarmEvent::NewListenAddr { address, listener_id } => {
                if !self.handle_reservation(listener_id, true) {
                    self.handle_listening(&address, true);
                    self.name_relay();
                }
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.handle_listening(&address, false),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let reservation = self.handle_reservation(listener_id, false);
                match reason {
                    Err(error) if reservation => tracing::debug!(%error, "a relay is gone"),
                    Err(error) => tracing::error!(%error, "a listener is gone"),
                    Ok(()) => {}
                }
            }
            other => tracing::trace!(?other, "not of interest"),
        }
    }

    fn handle_listening(&mut self, address: &libp2p::Multiaddr, listening: bool) {
        let Some((address, udp)) = socket_address(address) else { return };
        // Each address is called by QUIC and TCP, so one with the port of our sockets is told of once.
        if udp || self.extra_ports.contains(&address.port()) {
            self.node.handle_listening(address, listening, now());
        }
    }

    fn handle_established(&mut self, peer: &PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(device) = DeviceId::from_peer_id(peer) else { return };
        self.dials.remove(&connection);
        let remote = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address,
            ConnectedPoint::Listener { local_addr, .. } => local_addr,
        };
        if is_circuit(remote) {
            self.handle_circuit(device, connection, relay(remote), endpoint.is_dialer());
            return;
        }
        let Some((address, udp)) = socket_address(endpoint.get_remote_address()) else { return };
        if !self.node.roster().is_member(&device) {
            // The gate let it in, so it holds an invite key.
            let until = now().instant + VISIT;
            self.visits.insert(connection, Visit { until, address: udp.then_some(address), requests: 0 });
            return;
        }
        self.next_connection += 1;
        let key = ConnectionKey(self.next_connection);
        self.connections.insert(connection, key);
        let dialled = endpoint.is_dialer();
        if dialled {
            let behaviour = self.swarm.behaviour_mut();
            behaviour.kad.inner().add_address(peer, endpoint.get_remote_address().clone());
        }
        self.node.handle_connected(device, key, LinkInfo { address, dialled, udp }, now());
    }

    fn handle_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gate(moved) => {
                let key = self.connections.get(&moved.connection).copied();
                let address = socket_address(&moved.address);
                if let (Some(peer), Some(key), Some((address, _))) =
                    (DeviceId::from_peer_id(&moved.peer), key, address)
                {
                    self.node.handle_moved(peer, key, address, now());
                }
            }
            BehaviourEvent::Join(event) => self.handle_join(event),
            BehaviourEvent::Exchange(event) => self.handle_exchange(event),
            BehaviourEvent::Signal(event) => self.handle_signal(event),
            BehaviourEvent::Relaying(event) => self.handle_relaying(event),
            BehaviourEvent::Datagrams(()) => {}
            BehaviourEvent::Identify(event) => self.handle_identify(event),
            BehaviourEvent::Reach(event) => self.handle_reach(event),
            BehaviourEvent::Ping(ping::Event { peer, connection, result })
            | BehaviourEvent::Pulse(ping::Event { peer, connection, result }) => match result {
                Ok(round_trip) => {
                    if let Some(peer) = DeviceId::from_peer_id(&peer) {
                        self.node.handle_round_trip(peer, round_trip);
                    }
                }
                Err(ping::Failure::Timeout) => {
                    self.swarm.close_connection(connection);
                }
                Err(ping::Failure::Unsupported | ping::Failure::Other { .. }) => {}
            },
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(Ok(found)),
                ..
            }) => {
                for info in found.peers {
                    for address in info.addrs.iter().take(KAD_ADDRESSES) {
                        self.heard(&info.peer_id, address, Source::Hearsay);
                    }
                }
            }
            BehaviourEvent::Kad(_) => {}
            BehaviourEvent::Relay(event) => tracing::trace!(?event, "relaying"),
            BehaviourEvent::RelayClient(event) => tracing::trace!(?event, "relayed"),
            BehaviourEvent::Dcutr(event) => tracing::debug!(?event, "hole punching"),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.heard(&peer, &address, Source::Lan);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) => {}
        }
    }
}

//! Joining: a swarm whose identity is the invite key, until some member has let this device in.
//!
//! Every door of the code is called by QUIC and TCP, together with whoever multicast DNS finds on the LAN. Each that
//! answers is asked for the terms; the first good terms win, and their member is asked to let us in. If it cannot,
//! the next that gave good terms is asked. A clear refusal (expired, used up, …) stands unless somebody says better
//! within a second. Nothing listens meanwhile. If the code says so and this device has one configured, the public
//! rendezvous is asked for more doors.

mod error;
mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::ConnectedPoint,
    mdns,
    request_response::{self, OutboundRequestId, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle, dial_opts::DialOpts},
};
use quinn::AsyncUdpSocket;
use tokio::sync::mpsc;

pub use error::JoinError;
use search::{Action, Search};

use super::{
    address::{socket_address, ways},
    behaviour,
    codec::Frame,
    driver::now,
    rendezvous, transport,
    tunnel_guard::TunnelAddresses,
};
use crate::{
    discovery::rendezvous::Meeting,
    identity::{DeviceId, Identity},
    invite::{InviteCode, Request, Response, TermsShown, Wish},
    membership::Log,
    node::Now,
    record::{Record, Verified},
    store::Addresses,
};

/// How long to look for somebody who lets us in. Covers a member that restarts, and three QUIC handshakes.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The pause before an address is called again.
const REDIAL: Duration = Duration::from_secs(1);
/// Addresses called at once; more than that on one LAN are not all of one mesh.
const ADDRESSES: usize = 64;

/// What a newcomer starts with.
pub struct JoinSettings {
    /// The code that was pasted.
    pub code: InviteCode,
    /// What this device will be in the mesh.
    pub identity: Identity,
    /// Its name and operating system.
    pub wish: Wish,
    /// The shared sockets, at most one per address family; they stay open afterwards.
    pub sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    /// Whether to look for members on the LAN.
    pub mdns: bool,
    /// Addresses of tunnels of this machine, never to be called.
    pub tunnel: BTreeSet<IpAddr>,
    /// How long to try; [`PATIENCE`] is usual.
    pub patience: Duration,
    /// The public network in which members leave their addresses for us, if the code says that they do; usually none.
    pub rendezvous: Option<rendezvous::Config>,
}

/// What happens on the way in.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Calling doors, looking around.
    Searching,
    /// What the code leads to.
    Terms(Box<TermsShown>),
    /// In.
    Admitted,
}

/// The way in was found.
#[derive(Debug)]
pub struct JoinedMesh {
    /// The records of the mesh, for the store, each after what it builds on.
    pub records: Vec<Verified<Record>>,
    /// The same as a log, for [`start_member`](super::start_member).
    pub log: Log,
    /// The terms we joined on.
    pub terms: TermsShown,
    /// The member that let us in.
    pub witness: DeviceId,
    /// Its address; QUIC and TCP share the port.
    pub address: SocketAddr,
}

impl JoinedMesh {
    /// The witness' address as the store keeps addresses, so that it is called first.
    pub fn addresses(&self) -> Addresses {
        let mut addresses = Addresses::default();
        let now = now().wall;
        addresses.note(self.address, now);
        addresses
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    join: behaviour::Join,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Joins the mesh of a code. `progress` is told what happens as far as it has room.
pub async fn join(settings: JoinSettings, progress: mpsc::Sender<Progress>) -> Result<JoinedMesh, JoinError> {
    let JoinSettings { code, identity, wish, sockets, mdns, tunnel, patience, rendezvous } = settings;
    let key = code.invite_identity();
    let keypair = key.libp2p_keypair();
    let own = keypair.public().to_peer_id();
    let avoided = TunnelAddresses::default();
    avoided.replace(tunnel);
    let rendezvous = rendezvous.filter(|_| code.rendezvous()).map(|config| {
        let Now { instant, wall } = now();
        let meeting = Meeting::newcomer(code.mesh(), key.device_id(), instant, wall);
        rendezvous::Line::open(config, meeting, avoided.clone())
    });
    let (transport, _closer) = transport::build(&keypair, sockets, avoided, None)?;
    let behaviour = Behaviour {
        join: behaviour::join(&code.mesh(), ProtocolSupport::Outbound),
        mdns: mdns.then(|| behaviour::mdns_behaviour(own)).flatten().into(),
    };
    let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let start = now().instant;
    let mut newcomer = Newcomer {
        swarm: Swarm::new(transport, behaviour, own, config),
        search: Search::new(code.clone(), identity, wish),
        calls: BTreeMap::new(),
        requests: BTreeMap::new(),
        reached: BTreeMap::new(),
        deadline: start + patience,
        progress,
        public: code.rendezvous(),
        rendezvous,
        found: false,
    };
    newcomer.tell(Progress::Searching);
    for door in code.doors() {
        for way in ways(*door) {
            newcomer.add(None, way, start);
        }
    }
    newcomer.run().await
}

/// One address that we call.
struct Call {
    peer: Option<PeerId>,
    /// When to call (again); `None` while a call or a connection stands.
    due: Option<Instant>,
}

struct Newcomer {
    swarm: Swarm<Behaviour>,
    search: Search,
    calls: BTreeMap<Multiaddr, Call>,
    requests: BTreeMap<OutboundRequestId, PeerId>,
    /// Where those answered to whom we got through.
    reached: BTreeMap<PeerId, Multiaddr>,
    deadline: Instant,
    progress: mpsc::Sender<Progress>,
    /// Whether the code names the rendezvous as a door.
    public: bool,
    rendezvous: Option<rendezvous::Line>,
    /// Whether a member was found there.
    found: bool,
}

impl Newcomer {
    async fn run(mut self) -> Result<JoinedMesh, JoinError> {
        loop {
            let now = now();
            self.dial_due(now.instant);
            match self.search.poll(now.instant) {
                Some(Action::Send { peer, request }) => {
                    self.send(peer, request);
                    continue;
                }
                Some(Action::Shown(terms)) => {
                    self.tell(Progress::Terms(Box::new(terms)));
                    continue;
                }
                Some(Action::Done { log, terms, witness }) => {
                    if let Some(joined) = self.joined(*log, *terms, witness) {
                        self.tell(Progress::Admitted);
                        return Ok(joined);
                    }
                    continue;
                }
                Some(Action::Failed(error)) => return Err(error),
                None => {}
            }
            if now.instant >= self.deadline || self.is_hopeless() {
                return Err(self.failed());
            }
            let due = self.calls.values().filter_map(|call| call.due).min();
            let wake = due.into_iter().chain(self.search.poll_timeout()).min().unwrap_or(self.deadline);
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle(event),
                presence = rendezvous::found(self.rendezvous.as_mut()) => {
                    self.found = true;
                    for way in presence.value().addresses.iter().flat_map(|address| ways(*address)) {
                        self.add(None, way, now.instant);
                    }
                }
                () = tokio::time::sleep_until(wake.min(self.deadline).into()) => {}
            }
        }
    }

    /// Everybody we got through to does not know the invite, and nobody else is being called or looked for.
    fn is_hopeless(&self) -> bool {
        if self.rendezvous.is_some() && !self.found {
            return false;
        }
        let reached: BTreeSet<_> =
            self.reached.values().filter_map(socket_address).map(|(ip, _)| ip).collect();
        let all_reached =
            self.calls.keys().filter_map(socket_address).all(|(address, _)| reached.contains(&address));
        all_reached && self.search.is_hopeless()
    }

    /// Why nobody let us in until the time was over.
    fn failed(self) -> JoinError {
        let addresses = |addresses: &mut dyn Iterator<Item = &Multiaddr>| {
            let addresses: BTreeSet<_> =
                addresses.filter_map(socket_address).map(|(address, _)| address).collect();
            addresses.into_iter().collect()
        };
        match self.search.into_error() {
            Some(error) => error,
            None if self.reached.is_empty() && self.public && !self.found => JoinError::NoRendezvous {
                tried: addresses(&mut self.calls.keys()),
                why: rendezvous::why_not(self.rendezvous.as_ref()),
            },
            None if self.reached.is_empty() => {
                JoinError::NobodyReachable { tried: addresses(&mut self.calls.keys()) }
            }
            None => JoinError::NobodyKnowsInvite { reached: addresses(&mut self.reached.values()) },
        }
    }

    /// `None` if the peer is no device, which the joiner has ruled out: it found the witness in the roster.
    fn joined(&self, log: Log, terms: TermsShown, witness: PeerId) -> Option<JoinedMesh> {
        let (address, _) = socket_address(self.reached.get(&witness)?)?;
        let witness = DeviceId::from_peer_id(&witness)?;
        Some(JoinedMesh { records: log.records().cloned().collect(), log, terms, witness, address })
    }

    fn tell(&self, progress: Progress) {
        // Whoever does not listen misses it.
        let _ = self.progress.try_send(progress);
    }

    fn add(&mut self, peer: Option<PeerId>, address: Multiaddr, now: Instant) {
        if self.calls.len() < ADDRESSES {
            self.calls.entry(address).or_insert(Call { peer, due: Some(now) });
        }
    }

    fn dial_due(&mut self, now: Instant) {
        for (address, call) in &mut self.calls {
            if call.due.is_none_or(|due| due > now) {
                continue;
            }
            let opts = match call.peer {
                Some(peer) => DialOpts::peer_id(peer)
                    .addresses(vec![address.clone()])
                    .condition(libp2p::swarm::dial_opts::PeerCondition::Always)
                    .build(),
                None => DialOpts::unknown_peer_id().address(address.clone()).build(),
            };
            call.due = match self.swarm.dial(opts) {
                Ok(()) => None,
                Err(error) => {
                    tracing::debug!(%address, %error, "did not call");
                    Some(now + REDIAL)
                }
            };
        }
    }

    fn send(&mut self, peer: PeerId, request: Request) {
        if self.swarm.is_connected(&peer) {
            let id = self.swarm.behaviour_mut().join.send_request(&peer, Frame::Message(request));
            self.requests.insert(id, peer);
        } else {
            self.search.handle_lost(peer, now().instant);
        }
    }

    fn redial(&mut self, address: &Multiaddr, now: Instant) {
        // A dial by peer has the peer in its address, our list has not.
        let bare: Multiaddr =
            address.iter().filter(|part| !matches!(part, libp2p::multiaddr::Protocol::P2p(_))).collect();
        if let Some(call) = self.calls.get_mut(&bare) {
            call.due = Some(now + REDIAL);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest of the many events changes nothing")]
    fn handle(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let time = now();
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                endpoint: ConnectedPoint::Dialer { address, .. },
                ..
            } => {
                self.reached.entry(peer_id).or_insert(address);
                self.search.handle_reached(peer_id, time);
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, num_established, .. } => {
                if num_established == 0 {
                    self.search.handle_lost(peer_id, time.instant);
                }
                self.redial(endpoint.get_remote_address(), time.instant);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                tracing::debug!(%error, "a door did not open");
                if let libp2p::swarm::DialError::Transport(failed) = &error {
                    for (address, _) in failed {
                        self.redial(address, time.instant);
                    }
                } else if let libp2p::swarm::DialError::WrongPeerId { address, .. } = &error {
                    self.redial(address, time.instant);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(found))) => {
                for (peer, address) in found {
                    if socket_address(&address).is_some() {
                        let bare: Multiaddr = address
                            .iter()
                            .filter(|part| !matches!(part, libp2p::multiaddr::Protocol::P2p(_)))
                            .collect();
                        self.add(Some(peer), bare, time.instant);
                    }
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Join(event)) => self.handle_answer(event),
            other => tracing::trace!(?other, "not of interest"),
        }
    }

    fn handle_answer(&mut self, event: request_response::Event<Frame<Request>, Frame<Response>>) {
        let time = now();
        match event {
            request_response::Event::Message {
                message: request_response::Message::Response { request_id, response },
                ..
            } => {
                if let Some(peer) = self.requests.remove(&request_id) {
                    match response {
                        Frame::Message(response) => self.search.handle_response(peer, &response, time),
                        Frame::Broken(why) => {
                            tracing::debug!(%peer, why, "a member sent nonsense");
                            self.search.handle_lost(peer, time.instant);
                        }
                    }
                }
            }
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                if let Some(peer) = self.requests.remove(&request_id) {
                    tracing::debug!(%peer, %error, "a member did not answer");
                    self.search.handle_lost(peer, time.instant);
                }
            }
            request_response::Event::Message { .. }
            | request_response::Event::InboundFailure { .. }
            | request_response::Event::ResponseSent { .. } => {}
        }
    }
}

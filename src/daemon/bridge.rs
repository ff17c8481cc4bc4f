//! The dataplane as the control plane sees it: the only room that names both `p2p` and `dataplane`.
//!
//! It converts and decides nothing: members become WireGuard peers, device ids become public keys and
//! back, grants become filter rules, and the dataplane's sockets become the sockets of the control plane's
//! QUIC, so that both share one UDP port a family.

mod carrying;
mod convert;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore as _;
use tokio::sync::mpsc;
use warren_dataplane::engine::{self, Command, Engine, PeerConfig};
use warren_dataplane::io::{Driver, Handle, SharedUdp, TunDevice, TunGone};
use warren_dataplane::path::PathInfo;
use warren_dataplane::wg::{PrivateKey, PublicKey};
use warren_p2p::identity::DeviceId;
use warren_p2p::membership::Member;
use warren_p2p::record::Grants;
use warren_p2p::signal::NatKind;
use warren_p2p::swarm::socket::AsyncUdpSocket;

use self::convert::{nat, pair, rules, view};
use self::socket::QuicSocket;
use super::relaying::Traffic;
use super::{ports, refusals};
use crate::config::Port;
use crate::control::{self, Cause, Failure, Result};
use warren_dataplane::io::clock;

/// The dataplane, its sockets, and who is who in it.
pub(super) struct Bridge {
    handle: Handle,
    events: mpsc::Receiver<engine::Event>,
    quic: Vec<Arc<dyn AsyncUdpSocket>>,
    port: u16,
    /// The network interface, while it is ours.
    tunnel: Option<(String, TunGone)>,
    peers: BTreeMap<DeviceId, Peer>,
    devices: BTreeMap<PublicKey, DeviceId>,
}

/// What the dataplane was told of a member.
struct Peer {
    config: PeerConfig,
    /// What people call it.
    name: String,
    /// What the member itself says, and where its control connections come from.
    told: Vec<SocketAddr>,
    nat: NatKind,
    connected: Vec<SocketAddr>,
}

/// What the dataplane has to say, in the words of the mesh.
#[derive(Debug)]
pub(super) enum Event {
    /// A member is reached by another path, or by none.
    PathChanged { peer: DeviceId, path: Option<control::Path> },
    /// The path of a member misses answers.
    PathSilent { peer: DeviceId },
    /// Packets wait for a member and no path is known.
    WantCandidates { peer: DeviceId },
    /// A member sees our dataplane at this address.
    Observed { peer: DeviceId, address: SocketAddr },
    /// A ping was answered.
    Pong { peer: DeviceId, token: u64, rtt: Duration },
    /// A ping was not answered.
    PingTimedOut { token: u64 },
    /// Another program removed the network interface.
    TunnelGone { name: String, error: io::Error },
    /// The dataplane has died.
    Died,
}

/// How a member is reached now.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// The path in use.
    pub(super) path: Option<control::Path>,
    /// Bytes of packets received.
    pub(super) rx_bytes: u64,
    /// Bytes of packets sent.
    pub(super) tx_bytes: u64,
    /// Every way that is known.
    pub(super) pairs: Vec<control::Pair>,
    /// How long ago the session was made.
    pub(super) last_handshake: Option<Duration>,
}

impl Link {
    /// What decides whether the member still needs its relays.
    pub(super) fn traffic(&self) -> Traffic {
        let direct =
            |path: &&control::Path| matches!(path.kind, control::PathKind::Lan | control::PathKind::Direct);
        let direct = self.path.as_ref().filter(direct).map(|path| Duration::from_secs(path.since_s));
        Traffic { direct, bytes: self.rx_bytes.saturating_add(self.tx_bytes) }
    }
}

/// Control connections whose addresses are worth a try for packets too.
const CONNECTED: usize = 4;

impl Bridge {
    /// Binds the one port, for IPv4 and IPv6, and begins to move packets.
    pub(super) fn start(port: Port) -> Result<Self> {
        let (sockets, port) = ports::bind(port)?;
        let lanes: Vec<_> = sockets.iter().map(SharedUdp::quic_lane).collect();
        let (handle, events) = Driver::start(sockets)
            .map_err(|error| Failure::new(Cause::Failed, format!("cannot start the dataplane: {error}")))?;
        let quic =
            lanes.into_iter().map(|lane| Arc::new(QuicSocket(lane)) as Arc<dyn AsyncUdpSocket>).collect();
        Ok(Self {
            handle,
            events,
            quic,
            port,
            tunnel: None,
            peers: BTreeMap::new(),
            devices: BTreeMap::new(),
        })
    }

    /// The port everything goes through.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The sockets for the control plane's QUIC: the same port, other packets.
    pub(super) fn quic_sockets(&self) -> Vec<Arc<dyn AsyncUdpSocket>> {
        self.quic.clone()
    }

    /// Makes the network interface and puts WireGuard behind it. Returns the interface's name.
    pub(super) async fn raise_tunnel(
        &mut self,
        name: &str,
        mtu: u16,
        secret: &[u8; 32],
        me: &Member,
    ) -> Result<String> {
        let device = TunDevice::create(Some(name), mtu).map_err(|error| refusals::tun(&error))?;
        let name = device.name().to_owned();
        #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that draws randomness")]
        let seed = rand::rng().next_u64();
        let private_key = PrivateKey::from_bytes(*secret);
        let config = engine::Config { private_key, ipv4: me.ipv4, ipv6: me.ipv6, mtu, seed };
        let engine = Engine::new(config, clock::now());
        let gone = self.handle.attach(engine, device).await.map_err(|error| {
            Failure::new(Cause::Failed, format!("cannot put WireGuard behind {name}: {error}"))
        })?;
        self.tunnel = Some((name.clone(), gone));
        Ok(name)
    }

    /// Ends all WireGuard sessions and removes the network interface.
    pub(super) async fn lower_tunnel(&mut self) {
        if let Err(error) = self.handle.detach().await {
            tracing::debug!(%error, "the dataplane has ended already");
        }
        self.tunnel = None;
        // What the engine said last is of no mesh any more.
        while self.events.try_recv().is_ok() {}
        self.peers.clear();
        self.devices.clear();
    }

    /// Ends the dataplane and closes the sockets.
    pub(super) async fn shutdown(self) {
        self.handle.shutdown().await;
    }

    /// Adds a member, or changes what has changed.
    pub(super) async fn set_peer(&mut self, member: &Member, grants: &Grants) -> Result<()> {
        let key = PublicKey(*member.wireguard.as_bytes());
        let config = PeerConfig {
            key,
            allowed_ips: vec![(member.ipv4.into(), 32), (member.ipv6.into(), 128)],
            preshared_key: None,
            rules: rules(grants),
        };
        if let Some(peer) = self.peers.get(&member.id) {
            if peer.config.allowed_ips == config.allowed_ips
                && peer.config.key == key
                && peer.config.rules == config.rules
                && peer.name == member.name.to_string()
            {
                return Ok(());
            }
            if peer.config.key != key {
                self.remove_peer(&member.id).await;
            }
        }
        self.command(Command::SetPeer(config.clone())).await?;
        self.devices.insert(key, member.id);
        let peer = self.peers.entry(member.id).or_insert_with(|| Peer {
            config: config.clone(),
            name: member.name.to_string(),
            told: Vec::new(),
            nat: NatKind::Unknown,
            connected: Vec::new(),
        });
        peer.config = config;
        peer.name = member.name.to_string();
        Ok(())
    }

    /// Removes a member with its sessions.
    pub(super) async fn remove_peer(&mut self, device: &DeviceId) {
        let Some(peer) = self.peers.remove(device) else { return };
        self.devices.remove(&peer.config.key);
        if let Err(failure) = self.command(Command::RemovePeer(peer.config.key)).await {
            tracing::warn!(%failure, "a peer could not be removed from the dataplane");
        }
    }

    /// Changes what a member may open here.
    pub(super) async fn set_grants(&mut self, device: &DeviceId, grants: &Grants) -> Result<()> {
        let Some(peer) = self.peers.get_mut(device) else { return Ok(()) };
        peer.config.rules = rules(grants);
        let command = Command::SetRules { peer: peer.config.key, rules: rules(grants) };
        self.command(command).await
    }

    /// The addresses a member says it may be reached at, and the NAT it says it is behind.
    pub(super) async fn set_candidates(
        &mut self,
        device: &DeviceId,
        addresses: Vec<SocketAddr>,
        nat: NatKind,
    ) {
        if let Some(peer) = self.peers.get_mut(device) {
            peer.nat = nat;
            peer.told = addresses;
            self.send_candidates(device).await;
        }
    }

    /// An address a control connection to the member stands with. QUIC and WireGuard share the port, so
    /// packets probably get through there as well.
    pub(super) async fn add_candidate(&mut self, device: &DeviceId, address: SocketAddr) {
        if let Some(peer) = self.peers.get_mut(device)
            && !peer.connected.contains(&address)
        {
            peer.connected.insert(0, address);
            peer.connected.truncate(CONNECTED);
            self.send_candidates(device).await;
        }
    }

    async fn send_candidates(&self, device: &DeviceId) {
        let Some(peer) = self.peers.get(device) else { return };
        let candidates = peer.connected.iter().chain(&peer.told).copied().collect();
        let nat = nat(peer.nat);
        let command = Command::SetCandidates { peer: peer.config.key, candidates, nat };
        if let Err(failure) = self.command(command).await {
            tracing::warn!(%failure, "the dataplane did not take a peer's addresses");
        }
    }

    /// What our own NAT turned out to be.
    pub(super) async fn set_nat(&self, kind: NatKind) {
        if let Err(failure) = self.command(Command::SetNat(nat(kind))).await {
            tracing::debug!(%failure, "the dataplane does not know our NAT");
        }
    }

    /// The networks this machine's interfaces are in: an address and its prefix length in bits.
    pub(super) async fn set_local_networks(&self, networks: Vec<(IpAddr, u8)>) {
        if let Err(failure) = self.command(Command::SetLocalNetworks(networks)).await {
            tracing::debug!(%failure, "the dataplane does not know who is on the LAN");
        }
    }

    /// An interface or an address came or went.
    pub(super) async fn network_changed(&self) {
        if let Err(failure) = self.command(Command::NetworkChanged).await {
            tracing::debug!(%failure, "the dataplane has ended already");
        }
    }

    /// Sends a ping through the tunnel; an [`Event`] tells what came of it.
    pub(super) async fn ping(&self, device: &DeviceId, token: u64) -> Result<()> {
        let Some(peer) = self.peers.get(device) else {
            return Err(Failure::new(Cause::NotConnected, "the peer is not part of the dataplane"));
        };
        self.command(Command::Ping { peer: peer.config.key, token }).await
    }

    /// How every member is reached now, and the packets dropped by reason.
    pub(super) async fn links(&self) -> (BTreeMap<DeviceId, Link>, BTreeMap<String, u64>) {
        let Ok(Some(snapshot)) = self.handle.snapshot().await else { return Default::default() };
        let now = clock::now();
        let links = snapshot.peers.iter().filter_map(|peer| {
            let link = Link {
                path: peer.path.as_ref().map(|path| view(path, self.name(path.via), now)),
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                pairs: peer.pairs.iter().map(|pair| self::pair(pair, self.name(pair.via))).collect(),
                last_handshake: peer.last_handshake.map(|at| now.saturating_duration_since(at)),
            };
            Some((*self.devices.get(&peer.key)?, link))
        });
        let drops = snapshot.drops.iter().map(|(reason, count)| (reason.to_owned(), count));
        (links.collect(), drops.collect())
    }

    /// The next thing the dataplane has to say about a member.
    pub(super) async fn next_event(&mut self) -> Event {
        loop {
            let event = tokio::select! {
                biased;
                (name, error) = taken_away(&mut self.tunnel) => return Event::TunnelGone { name, error },
                event = self.events.recv() => event,
            };
            let Some(event) = event else { return Event::Died };
            if let Some(event) = self.convert(event) {
                return event;
            }
        }
    }

    /// Nothing when it is about a peer that was removed meanwhile.
    fn convert(&self, event: engine::Event) -> Option<Event> {
        let device = |key: &PublicKey| self.devices.get(key).copied();
        Some(match event {
            engine::Event::PathChanged { peer, path } => {
                let shown = |path: PathInfo| view(&path, self.name(path.via), clock::now());
                Event::PathChanged { peer: device(&peer)?, path: path.map(shown) }
            }
            engine::Event::PathSilent { peer } => Event::PathSilent { peer: device(&peer)? },
            engine::Event::WantCandidates { peer } => Event::WantCandidates { peer: device(&peer)? },
            engine::Event::Observed { peer, address } => Event::Observed { peer: device(&peer)?, address },
            engine::Event::Pong { peer, token, rtt } => Event::Pong { peer: device(&peer)?, token, rtt },
            engine::Event::PingTimedOut { token, .. } => Event::PingTimedOut { token },
        })
    }

    /// What people call the peer with this key.
    fn name(&self, key: Option<PublicKey>) -> Option<String> {
        let peer = self.peers.get(self.devices.get(&key?)?)?;
        Some(peer.name.clone())
    }

    async fn command(&self, command: Command) -> Result<()> {
        self.handle.command(command).await.map_err(|error| refusals::command(&error))
    }
}

/// Waits until another program removes the network interface, and says so once.
async fn taken_away(tunnel: &mut Option<(String, TunGone)>) -> (String, io::Error) {
    if let Some((name, gone)) = tunnel {
        let outcome = gone.await.map(|error| (std::mem::take(name), error));
        *tunnel = None;
        if let Ok(told) = outcome {
            return told;
        }
    }
    std::future::pending().await
}

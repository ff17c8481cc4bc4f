//! How libp2p is assembled here: the shell around the [`Node`].
//!
//! ```text
//! shared UDP sockets ─ quic ─┐                  ┌─ gate ─ join                      (invite holders: this alone)
//! own TCP listener ─ tls ────┼─ tunnel guard ───┤
//! circuits ─ tls ────────────┘                  └─ members only: exchange, signal, reach, identify, ping, kad, relay, dcutr
//! ```
//!
//! [`fn@join`] makes a swarm whose identity is the invite key and ends with the records of the mesh. [`start_member`] makes
//! a swarm whose identity is the device, on the same sockets. One task (`driver.rs`) carries everything between swarm,
//! node and daemon; the store is written by it alone.
//!
//! Protocols are named `/warren/<first characters of the mesh id>/<name>/1`, so two meshes never talk by mistake.
//!
//! Multicast DNS names every libp2p peer on the LAN, and nothing in it tells ours from others before a handshake. Members
//! heed only what it says of members. A newcomer calls them all; our ALPN (`tls.rs`) ends the handshake with other
//! software before it learns the invite's public key. Three things are libp2p's and stay as they are: it also asks on the
//! tunnel's interface (a query every five minutes that no peer takes; tunnel addresses are never in an answer), it speaks
//! IPv4 alone, and it keeps whatever a LAN full of answers makes it keep. Where the LAN itself is hostile, switch it off.
//!
//! Members that cannot call each other meet through a third (`circuit.rs`): libp2p's circuit relay, for members at both
//! ends and in the middle, without the limits that libp2p has for strangers. Inside a circuit run our TLS and the gate's
//! rules, so the relay only copies bytes. The node then has both ends call directly, and closes the circuit when one
//! got through; libp2p's DCUtR does the same with its own timing, and is told the addresses that peers saw, raw.
//!
//! Whether we can be reached from outside is not libp2p's AutoNAT v2, though its idea, a call from a fresh port. That asks
//! only peers that we have called, never twice, and not when a person wants to know; and its call back is a connection
//! of a member, which would take the place of the session that stands. Ours (`quic/dial_back.rs`) is a stranger's, and
//! the handshake is the proof.
//!
//! [`rendezvous`] is a swarm of its own, without the device's key, off unless configured: there members meet that know no
//! address of each other, in a public network of strangers.
//!
//! Absent: agent versions, metrics; circuits for those who are to join (they need a door).

mod address;
mod behaviour;
mod circuit;
mod codec;
pub mod datagrams;
mod driver;
mod gate;
mod handle;
mod head_start;
mod join;
mod keep;
pub mod quic;
pub mod rendezvous;
pub mod socket;
mod tls;
mod transport;
mod tunnel_guard;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use libp2p::{Swarm, relay};
use tokio::sync::{mpsc, watch};

pub use handle::{Handle, Probe};
pub use join::{JoinError, JoinSettings, JoinedMesh, PATIENCE, Progress, join};

use crate::{
    discovery::rendezvous::Meeting,
    identity::Identity,
    membership::Log,
    node::{Event, Node, NodeConfig},
    store::{Store, StoreError},
};
use behaviour::Behaviour;
use driver::{Driver, now};
use gate::Guests;
use rendezvous::RendezvousState;
use socket::AsyncUdpSocket;
use tunnel_guard::TunnelAddresses;

/// Commands that may wait for the driver.
const COMMANDS: usize = 64;
/// Events that may wait in the channel; more wait in the driver.
const EVENTS: usize = 64;
/// Connections of members stay until one side closes them; libp2p wants a number.
const IDLE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// All remembered addresses of a member, by QUIC and TCP, are called at once.
const DIALS_AT_ONCE: u8 = 16;
/// Streams of one connection that may negotiate their protocol at once.
const NEGOTIATING: usize = 32;

/// What a member starts with.
pub struct Settings {
    /// Who we are in this mesh.
    pub identity: Identity,
    /// The shared sockets, at most one per address family.
    pub sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    /// Where to listen for TCP as well: usually the sockets' port first, then those that strict networks let out.
    pub tcp_ports: Vec<u16>,
    /// Whether to look for members on the LAN, and be found there.
    pub mdns: bool,
    /// Addresses of tunnels of this machine, as far as they are known; see [`Handle::set_tunnel`].
    pub tunnel: BTreeSet<IpAddr>,
    /// The public network in which to meet members whose addresses nobody knows; usually none.
    pub rendezvous: Option<rendezvous::Config>,
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sockets or our certificate are no good.
    #[error("control connections cannot be made: {0}")]
    Transport(#[from] quic::Error),
    /// A socket cannot be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What libp2p says.
        why: String,
    },
    /// What the store remembers cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Starts a member on its own task, which ends with [`Handle::shutdown`] or the last handle. Must be called inside a
/// tokio runtime. The first event is the roster.
pub fn start_member(
    settings: Settings,
    store: Store,
    log: Log,
) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
    let Settings { identity, sockets, tcp_ports, mdns, tunnel, rendezvous } = settings;
    let keypair = identity.libp2p_keypair();
    let avoided = TunnelAddresses::default();
    let locals: Vec<SocketAddr> = sockets
        .iter()
        .map(|socket| socket.local_addr())
        .collect::<Result<_, _>>()
        .map_err(quic::Error::Io)?;
    let (circuits, relay_client) = relay::client::new(keypair.public().to_peer_id());
    let (transport, closer) = transport::build(&keypair, sockets, avoided.clone(), Some(circuits))?;
    let guests = Guests::default();
    let mut behaviour = Behaviour::new(&keypair, &log.mesh(), mdns, &guests, relay_client);
    let streams = behaviour.streams(&log.mesh());
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE)
        .with_dial_concurrency_factor(DIALS_AT_ONCE.try_into().expect("16 is not zero"))
        .with_max_negotiating_inbound_streams(NEGOTIATING);
    let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
    listen(&mut swarm, &locals, &tcp_ports)?;
    let shared = |port: &u16| locals.iter().any(|local| local.port() == *port);
    let extra_ports = tcp_ports.into_iter().filter(|port| !shared(port)).collect();

    #[expect(
        clippy::disallowed_methods,
        reason = "shell: jitter needs no secret, but a different seed each run"
    )]
    let seed: u64 = rand::Rng::random(&mut rand::rng());
    let rendezvous = rendezvous.map(|config| {
        let meeting = Meeting::member(log.mesh(), identity.clone(), seed);
        rendezvous::Line::open(config, meeting, avoided.clone())
    });
    let state =
        rendezvous.as_ref().map_or_else(|| watch::channel(RendezvousState::Off).1, rendezvous::Line::state);
    let addresses = store.addresses()?.into_iter();
    let config = NodeConfig {
        identity,
        log,
        addresses: addresses.map(|(device, kept)| (device, keep::restore(&kept))).collect(),
        grants: store.all_grants()?.into_iter().collect(),
        keep: Box::new(keep::StoreKeeper(store)),
        seed,
    };
    let mut node = Node::new(config, now());
    node.set_tunnel(tunnel);

    let (commands, commands_rx) = mpsc::channel(COMMANDS);
    let (events, events_rx) = mpsc::channel(EVENTS);
    let (roster, roster_rx) = watch::channel(Arc::clone(node.roster()));
    let driver = Driver {
        swarm,
        node,
        commands: commands_rx,
        events,
        roster,
        tunnel: avoided,
        closer,
        waiting: VecDeque::new(),
        connections: BTreeMap::new(),
        next_connection: 0,
        visits: BTreeMap::new(),
        exchanges: BTreeMap::new(),
        hellos: BTreeMap::new(),
        relayings: BTreeMap::new(),
        dials: BTreeMap::new(),
        reservations: HashMap::new(),
        relaying: false,
        extra_ports,
        reach: driver::Reach::default(),
        streams,
        flushing: Vec::new(),
        rendezvous,
    };
    tokio::spawn(driver.run());
    Ok((Handle { commands, roster: roster_rx, rendezvous: state }, events_rx))
}

/// Listens on every socket, and beside each for TCP. A TCP port that somebody else has is a pity, not an error.
fn listen(swarm: &mut Swarm<Behaviour>, locals: &[SocketAddr], tcp_ports: &[u16]) -> Result<(), StartError> {
    for local in locals {
        let listening = swarm.listen_on(quic::to_multiaddr(*local));
        listening.map_err(|error| StartError::Listen { address: *local, why: error.to_string() })?;
        for port in tcp_ports {
            let address = SocketAddr::new(local.ip(), *port);
            if let Err(error) = swarm.listen_on(address::tcp(address)) {
                tracing::warn!(%address, %error, "not listening for TCP");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

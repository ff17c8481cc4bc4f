//! The swarm that asks strangers: a client of a public Kademlia network, and nothing else.

use std::time::{Duration, Instant};

use libp2p::{
    PeerId, Swarm, Transport as _,
    connection_limits::{self, ConnectionLimits},
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns,
    identity::Keypair,
    kad::{self, store::RecordStore as _},
    noise,
    swarm::NetworkBehaviour,
    tcp, yamux,
};

use super::{config::Config, reach::Reach};
use crate::{
    discovery::rendezvous::{Ask, VALUE_BYTES},
    swarm::tunnel_guard::{TunnelAddresses, TunnelGuard},
};

/// How long the network keeps a value.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long one question may take: some hops among nodes of which a few are gone.
const QUERY: Duration = Duration::from_secs(20);
/// Name, TCP, Noise and yamux together.
const HANDSHAKE: Duration = Duration::from_secs(8);
/// How long a connection stays that nobody uses: as long as the next step of a question may take.
const IDLE: Duration = Duration::from_secs(10);
/// Connections at once: a question goes to 20 nodes in the end.
const CONNECTIONS: u32 = 48;

type Kademlia = kad::Behaviour<kad::store::MemoryStore>;

/// What it speaks.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) kad: Kademlia,
}

/// Under a key that nobody has seen before.
pub(super) fn build(config: &Config, tunnel: TunnelAddresses) -> Result<Swarm<Behaviour>, String> {
    let keypair = Keypair::generate_ed25519();
    let own = keypair.public().to_peer_id();
    let limits = ConnectionLimits::default()
        .with_max_established_incoming(Some(0))
        .with_max_established_outgoing(Some(CONNECTIONS))
        .with_max_pending_outgoing(Some(CONNECTIONS));
    let behaviour =
        Behaviour { limits: connection_limits::Behaviour::new(limits), kad: kademlia(own, config) };
    let transport = transport(&keypair, config, tunnel).map_err(|error| error.to_string())?;
    let swarm = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
    Ok(Swarm::new(transport, behaviour, own, swarm))
}

fn transport(
    keypair: &Keypair,
    config: &Config,
    tunnel: TunnelAddresses,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = || {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        TunnelGuard::new(tcp, tunnel.clone())
    };
    let configured: Vec<_> = config.bootstrap().iter().map(|(_, address)| address.clone()).collect();
    // A machine without name servers still reaches nodes by address.
    let named = match dns::tokio::Transport::system(tcp()) {
        Ok(named) => Reach::new(named, configured).map(|stream, _| stream).boxed(),
        Err(error) => {
            tracing::debug!(%error, "no name server for the rendezvous");
            Reach::new(tcp(), configured).boxed()
        }
    };
    Ok(named
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .timeout(HANDSHAKE)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

/// A client that keeps nothing for anybody and repeats nothing by itself.
fn kademlia(own: PeerId, config: &Config) -> Kademlia {
    let mut settings = kad::Config::new(config.protocol().clone());
    settings
        .set_query_timeout(QUERY)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_caching(kad::Caching::Disabled)
        .set_periodic_bootstrap_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_provider_publication_interval(None)
        .set_max_packet_size(16 * 1024);
    let mut kademlia = Kademlia::with_config(own, kad::store::MemoryStore::new(own), settings);
    kademlia.set_mode(Some(kad::Mode::Client));
    kademlia
}

/// Asks the network; `None` if it cannot even be asked.
pub(super) fn ask(
    swarm: &mut Swarm<Behaviour>,
    config: &Config,
    ask: &Ask,
    now: Instant,
) -> Option<kad::QueryId> {
    let kad = &mut swarm.behaviour_mut().kad;
    // Those that did not answer once have been forgotten.
    for (peer, address) in config.bootstrap() {
        kad.add_address(peer, address.clone());
    }
    match ask {
        Ask::Get { place, .. } => Some(kad.get_record(kad::RecordKey::new(place.key()))),
        Ask::Put { place, value, .. } => {
            debug_assert_eq!(value.len(), VALUE_BYTES, "all values look alike");
            let key = kad::RecordKey::new(place.key());
            let record = kad::Record {
                key: key.clone(),
                value: value.clone(),
                publisher: None,
                expires: Some(now + KEPT),
            };
            let query = kad.put_record(record, kad::Quorum::One);
            // libp2p keeps a copy for others, who never ask us.
            kad.store_mut().remove(&key);
            query.inspect_err(|error| tracing::debug!(%error, "nothing was left at the rendezvous")).ok()
        }
    }
}

//! The protocols of a member: the gate first, then what everybody behind it may use.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, dcutr, identify,
    identity::Keypair,
    kad, mdns, ping, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    circuit::is_circuit,
    codec::Codec,
    datagrams::Streams,
    gate::{Gate, Guests, MembersOnly, Standing},
    quic,
};
use crate::{
    invite,
    limits::{EXCHANGE_BYTES, JOIN_REQUEST_BYTES, JOIN_RESPONSE_BYTES},
    membership::Message,
    record::MeshId,
    signal::{self, Hello, ReachAnswer, ReachRequest},
};

/// A request that is not answered by then has failed; a slow line carries the largest message in half of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests of one protocol in flight on one connection.
const STREAMS: usize = 16;
/// Joining is one question after the other, and an answer may have megabytes.
const JOIN_STREAMS: usize = 2;
/// QUIC notices dead peers by itself: it is pinged to tell the round trip.
const PING_INTERVAL: Duration = Duration::from_secs(1800);
/// TCP and circuits do not.
const PULSE_INTERVAL: Duration = Duration::from_secs(25);
/// Changes are pushed; this is for a router that has given us another address meanwhile.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(3600);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Members that may be called through us, and circuits through us, at once: each circuit may hold 16 KiB.
const RESERVATIONS: usize = 1024;
const CIRCUITS: usize = 256;
/// Of one member: it has about 16 control connections, and takes at most 64 streams of one connection for them.
const CIRCUITS_PER_MEMBER: usize = 32;
/// A member asks again when a reservation was lost with its connection, and looks for others through us.
const RESERVATIONS_A_MINUTE: u32 = 30;
const CIRCUITS_A_MINUTE: u32 = 120;
/// A reservation ends with its connection anyway. It is dated by the clock, and clocks may differ by a day.
const RESERVATION: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest that a circuit may stand.
const CIRCUIT: Duration = Duration::from_secs(30 * 24 * 3600);

type RequestResponse<Request, Response> = request_response::Behaviour<Codec<Request, Response>>;
pub(super) type Join = RequestResponse<invite::Request, invite::Response>;
pub(super) type Exchange = RequestResponse<Message, ()>;
pub(super) type Signal = RequestResponse<Hello, Hello>;
pub(super) type Reach = RequestResponse<ReachRequest, ReachAnswer>;
pub(super) type Relaying = RequestResponse<crate::relay::Message, ()>;
pub(super) type Kademlia = kad::Behaviour<kad::store::MemoryStore>;

/// What a member speaks. The gate stands first: what it denies, no other behaviour hears of.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) gate: Gate,
    pub(super) join: Join,
    pub(super) exchange: MembersOnly<Exchange>,
    pub(super) signal: MembersOnly<Signal>,
    pub(super) identify: MembersOnly<identify::Behaviour>,
    pub(super) reach: MembersOnly<Reach>,
    pub(super) ping: MembersOnly<ping::Behaviour>,
    pub(super) pulse: MembersOnly<ping::Behaviour>,
    pub(super) kad: MembersOnly<Kademlia>,
    pub(super) relay: MembersOnly<relay::Behaviour>,
    pub(super) relay_client: MembersOnly<relay::client::Behaviour>,
    pub(super) dcutr: MembersOnly<dcutr::Behaviour>,
    pub(super) relaying: MembersOnly<Relaying>,
    pub(super) datagrams: MembersOnly<libp2p_stream::Behaviour>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    pub(super) fn new(
        keypair: &Keypair,
        mesh: &MeshId,
        mdns: bool,
        guests: &Guests,
        relay_client: relay::client::Behaviour,
    ) -> Self {
        let own = keypair.public().to_peer_id();
        let members_only = guests.clone();
        Self {
            gate: Gate::new(guests.clone()),
            join: join(mesh, ProtocolSupport::Inbound),
            exchange: MembersOnly::new(
                request_response(
                    protocol(mesh, "exchange"),
                    Codec::new(EXCHANGE_BYTES, 0),
                    ProtocolSupport::Full,
                ),
                members_only.clone(),
            ),
            signal: MembersOnly::new(
                request_response(
                    protocol(mesh, "signal"),
                    Codec::new(signal::BYTES, signal::BYTES),
                    ProtocolSupport::Full,
                ),
                members_only.clone(),
            ),
            identify: MembersOnly::new(identify(keypair), members_only.clone()),
            reach: MembersOnly::new(
                request_response(
                    protocol(mesh, "reach"),
                    Codec::new(signal::REACH_BYTES, signal::REACH_BYTES),
                    ProtocolSupport::Full,
                ),
                members_only.clone(),
            ),
            ping: MembersOnly::new(pings(PING_INTERVAL), members_only.clone()),
            pulse: MembersOnly::new(pings(PULSE_INTERVAL), members_only.clone()).but_not(is_quic),
            kad: MembersOnly::new(kademlia(own, mesh), members_only.clone()),
            // Circuits do not chain; and libp2p-relay 0.22 tells them too whether it relays from now on, which their handler
            // does not expect: its task panics, and the connection is never said to be gone.
            relay: MembersOnly::new(relaying(own), members_only.clone()).but_not(is_circuit),
            relay_client: MembersOnly::new(relay_client, members_only.clone()),
            dcutr: MembersOnly::new(dcutr::Behaviour::new(own), members_only.clone()),
            relaying: MembersOnly::new(
                request_response(
                    protocol(mesh, "relaying"),
                    Codec::new(crate::relay::BYTES, 0),
                    ProtocolSupport::Full,
                ),
                members_only.clone(),
            ),
            datagrams: MembersOnly::new(libp2p_stream::Behaviour::new(), members_only),
            mdns: mdns.then(|| mdns_behaviour(own)).flatten().into(),
        }
    }
}

impl Behaviour {
    /// The streams of datagrams. Once.
    pub(super) fn streams(&mut self, mesh: &MeshId) -> Streams {
        Streams::new(self.datagrams.inner().new_control(), protocol(mesh, "datagrams"))
    }

    /// Renews the list of who may connect; who is off it is not told of by Kademlia either.
    pub(super) fn admit(&mut self, list: BTreeMap<PeerId, Standing>) {
        let kad = self.kad.inner();
        let known: Vec<PeerId> = kad
            .kbuckets()
            .flat_map(|bucket| bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>())
            .collect();
        for peer in known.iter().filter(|peer| list.get(peer) != Some(&Standing::Member)) {
            kad.remove_peer(peer);
        }
        self.gate.admit(list);
    }
}

fn pings(interval: Duration) -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(interval).with_timeout(PING_TIMEOUT))
}

fn is_quic(address: &Multiaddr) -> bool {
    quic::from_multiaddr(address).is_some()
}

/// Relaying between members, off until the node says otherwise. Circuits carry control connections, which stand as long
/// as nothing better does: libp2p's limits, made for strangers (two minutes, 128 KiB), would cut them all the time.
fn relaying(own: PeerId) -> relay::Behaviour {
    let rate = |per_minute: u32| NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
    let config = relay::Config {
        max_reservations: RESERVATIONS,
        max_reservations_per_peer: 4,
        reservation_duration: RESERVATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: CIRCUITS,
        max_circuits_per_peer: CIRCUITS_PER_MEMBER,
        max_circuit_duration: CIRCUIT,
        // As many as it takes.
        max_circuit_bytes: 0,
        circuit_src_rate_limiters: Vec::new(),
    };
    let minute = Duration::from_secs(60);
    let config = config
        .reservation_rate_per_peer(rate(RESERVATIONS_A_MINUTE), minute)
        .circuit_src_per_peer(rate(CIRCUITS_A_MINUTE), minute);
    let mut relay = relay::Behaviour::new(own, config);
    relay.set_status(Some(relay::Status::Disable));
    relay
}

/// The join protocol, for members and newcomers.
pub(super) fn join(mesh: &MeshId, support: ProtocolSupport) -> Join {
    let config = config().with_max_concurrent_streams(JOIN_STREAMS);
    let codec = Codec::new(JOIN_REQUEST_BYTES, JOIN_RESPONSE_BYTES);
    request_response::Behaviour::with_codec(codec, [(protocol(mesh, "join"), support)], config)
}

/// Multicast DNS, or `None` (with a warning) where there is no multicast.
pub(super) fn mdns_behaviour(own: PeerId) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), own)
        .inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}

/// `/warren/<first characters of the mesh id>/<name>/1`.
fn protocol(mesh: &MeshId, name: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/warren/{}/{name}/1", mesh.short()))
        .expect("begins with a slash, the only rule for protocol names")
}

fn request_response<Request, Response>(
    protocol: StreamProtocol,
    codec: Codec<Request, Response>,
    support: ProtocolSupport,
) -> RequestResponse<Request, Response>
where
    Codec<Request, Response>: request_response::Codec<Protocol = StreamProtocol> + Send,
{
    request_response::Behaviour::with_codec(codec, [(protocol, support)], config())
}

fn config() -> request_response::Config {
    request_response::Config::default()
        .with_request_timeout(REQUEST_TIMEOUT)
        .with_max_concurrent_streams(STREAMS)
}

/// Says nothing about the software but what a peer needs: that it is this protocol.
fn identify(keypair: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("warren/1".to_owned(), keypair.public())
        .with_agent_version("warren".to_owned())
        .with_cache_size(0)
        .with_interval(IDENTIFY_INTERVAL)
        .with_push_listen_addr_updates(true);
    identify::Behaviour::new(config)
}

/// The mesh's own Kademlia: it finds addresses of members, and keeps nothing for anybody.
fn kademlia(own: PeerId, mesh: &MeshId) -> Kademlia {
    let mut config = kad::Config::new(protocol(mesh, "kad"));
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(Duration::from_secs(10))
        .set_max_packet_size(16 * 1024);
    let mut kademlia = Kademlia::with_config(own, kad::store::MemoryStore::new(own), config);
    kademlia.set_mode(Some(kad::Mode::Server));
    kademlia
}

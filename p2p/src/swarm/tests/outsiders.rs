//! What stock libp2p software, strangers and holders of an invite get of relaying: nothing.

use std::{net::SocketAddr, sync::Arc};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    core::upgrade::Version,
    identify, kad,
    multiaddr::Protocol,
    noise, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};

use super::{
    newcomers::uses,
    rig::{DEADLINE, Device, identity, socket},
    villain::Raw,
};
use crate::{
    identity::Identity,
    node::RelayPolicy,
    swarm::{circuit, transport, tunnel_guard::TunnelAddresses},
};

/// libp2p's relay client over our transport.
fn relay_client(identity: &Identity) -> Swarm<relay::client::Behaviour> {
    let keypair = identity.libp2p_keypair();
    let own = keypair.public().to_peer_id();
    let (circuits, behaviour) = relay::client::new(own);
    let sockets = vec![Arc::clone(&socket())];
    let (transport, _) =
        transport::build(&keypair, sockets, TunnelAddresses::default(), Some(circuits)).unwrap();
    Swarm::new(transport, behaviour, own, libp2p::swarm::Config::with_tokio_executor())
}

/// Whether a member relays to the holder of this key.
async fn reserves(identity: &Identity, at: &Device) -> bool {
    let mut swarm = relay_client(identity);
    swarm.listen_on(circuit::through(at.id().to_peer_id(), at.address())).unwrap();
    let outcome = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { .. } => return true,
                SwarmEvent::ListenerClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                    return false;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, outcome).await.expect("it is told in time")
}

/// Whether somebody gets through one member to another.
async fn gets_through(identity: &Identity, relay: &Device, to: PeerId) -> bool {
    let mut swarm = relay_client(identity);
    let way = circuit::through(relay.id().to_peer_id(), relay.address());
    swarm.dial(DialOpts::peer_id(to).addresses(vec![way]).build()).unwrap();
    let outcome = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == to => return true,
                SwarmEvent::OutgoingConnectionError { .. } => return false,
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, outcome).await.expect("it is told in time")
}

/// A founder that relays and a member that is listening through it.
async fn relayed() -> (Device, Device, crate::invite::InviteCode) {
    let mut founder = Device::founder(1);
    founder.handle().set_relay_policy(RelayPolicy::On).await.unwrap();
    let code = founder.invite(uses(5)).await;
    let mut laptop = Device::new(2);
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    (founder, laptop, code)
}

#[tokio::test]
async fn only_members_are_relayed() {
    let (mut founder, laptop, code) = relayed().await;
    let mut phone = Device::new(3);
    phone.join(&code, "phone").await;
    founder.connected(phone.id()).await;
    phone.stop().await;
    founder.disconnected(phone.id()).await;

    let (invitee, stranger) = (code.invite_identity(), identity(66));
    assert!(reserves(&phone.identity, &founder).await);
    assert!(gets_through(&phone.identity, &founder, laptop.id().to_peer_id()).await);
    for outsider in [&invitee, &stranger] {
        assert!(!reserves(outsider, &founder).await);
        assert!(!gets_through(outsider, &founder, laptop.id().to_peer_id()).await);
    }
    // Nor to somebody who is no member, or is one but has not asked for it.
    assert!(!gets_through(&phone.identity, &founder, stranger.device_id().to_peer_id()).await);
}

#[tokio::test]
async fn a_member_that_does_not_relay_grants_no_reservation() {
    let (mut founder, _laptop, code) = relayed().await;
    let mut phone = Device::new(3);
    phone.join(&code, "phone").await;
    founder.connected(phone.id()).await;
    phone.stop().await;
    founder.handle().set_relay_policy(RelayPolicy::Off).await.unwrap();
    assert!(!reserves(&phone.identity, &founder).await);
}

#[derive(NetworkBehaviour)]
struct Stock {
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    relay: relay::client::Behaviour,
    messages: request_response::Behaviour<Raw>,
}

/// libp2p as it comes, TCP with TLS or Noise, and the names of our protocols.
fn stock(identity: &Identity, mesh: &str, tls: bool) -> Swarm<Stock> {
    let keypair = identity.libp2p_keypair();
    let own = keypair.public().to_peer_id();
    let (circuits, relay) = relay::client::new(own);
    let base = libp2p::core::transport::OrTransport::new(
        circuits,
        tcp::tokio::Transport::new(tcp::Config::default()),
    )
    .upgrade(Version::V1);
    let transport = if tls {
        let security = libp2p::tls::Config::new(&keypair).unwrap();
        base.authenticate(security).multiplex(yamux::Config::default()).boxed()
    } else {
        let security = noise::Config::new(&keypair).unwrap();
        base.authenticate(security).multiplex(yamux::Config::default()).boxed()
    };
    let name = |name: &str| StreamProtocol::try_from_owned(format!("/warren/{mesh}/{name}/1")).unwrap();
    let messages =
        ["join", "exchange", "signal", "reach"].map(|wanted| (name(wanted), ProtocolSupport::Full));
    let behaviour = Stock {
        identify: identify::Behaviour::new(identify::Config::new("warren/1".to_owned(), keypair.public())),
        kad: kad::Behaviour::with_config(
            own,
            kad::store::MemoryStore::new(own),
            kad::Config::new(name("kad")),
        ),
        relay,
        messages: request_response::Behaviour::with_codec(Raw, messages, request_response::Config::default()),
    };
    Swarm::new(transport, behaviour, own, libp2p::swarm::Config::with_tokio_executor())
}

/// Uses everything it has: the first word of the other side about any of it, or `None` when the door stays shut.
async fn first_word(mut swarm: Swarm<Stock>, peer: PeerId, at: SocketAddr) -> Option<String> {
    let address = Multiaddr::empty().with(at.ip().into()).with(Protocol::Tcp(at.port()));
    swarm.behaviour_mut().kad.add_address(&peer, address.clone());
    swarm.behaviour_mut().kad.get_closest_peers(peer);
    swarm.listen_on(address.clone().with(Protocol::P2p(peer)).with(Protocol::P2pCircuit)).unwrap();
    swarm.behaviour_mut().messages.send_request_with_addresses(&peer, vec![1], vec![address]);
    let word = async {
        loop {
            match swarm.select_next_some().await {
                // Whoever of them calls, it is the same handshake.
                SwarmEvent::OutgoingConnectionError { .. } => return None,
                event @ SwarmEvent::ConnectionEstablished { .. } => return Some(format!("{event:?}")),
                event @ SwarmEvent::NewListenAddr { .. } => return Some(format!("{event:?}")),
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, word).await.expect("it is told in time")
}

#[tokio::test]
async fn stock_libp2p_that_is_no_member_uses_neither_join_nor_exchange_nor_relay_nor_kademlia() {
    let (founder, _laptop, code) = relayed().await;
    let mesh = founder.handle().roster().borrow().mesh().short();
    for key in [identity(66), code.invite_identity()] {
        for tls in [true, false] {
            let swarm = stock(&key, &mesh.to_string(), tls);
            let word = first_word(swarm, founder.id().to_peer_id(), founder.address()).await;
            assert_eq!(word, None, "tls: {tls}");
        }
    }
}

//! Finding a member by asking a neighbour.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Swarm, kad,
    swarm::{SwarmEvent, dial_opts::DialOpts},
};

use super::{
    newcomers::uses,
    rig::{DEADLINE, Device, socket},
};
use crate::swarm::{
    address::socket_address,
    behaviour::{Behaviour, BehaviourEvent},
    gate::{Guests, Standing},
    quic, transport,
    tunnel_guard::TunnelAddresses,
};

/// A member's protocols without the node behind them: it is told nothing but what it asks for by lookup.
fn bare(device: &Device, others: &[&Device]) -> Swarm<Behaviour> {
    let keypair = device.identity.libp2p_keypair();
    let (circuits, relay_client) = libp2p::relay::client::new(keypair.public().to_peer_id());
    let sockets = vec![Arc::clone(&socket())];
    let (transport, _) =
        transport::build(&keypair, sockets, TunnelAddresses::default(), Some(circuits)).unwrap();
    let mesh = others[0].handle().roster().borrow().mesh();
    let mut behaviour = Behaviour::new(&keypair, &mesh, false, &Guests::default(), relay_client);
    behaviour.admit(others.iter().map(|other| (other.id().to_peer_id(), Standing::Member)).collect());
    let config =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config)
}

#[tokio::test]
async fn who_knows_one_neighbour_finds_a_third_member_by_lookup() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(2)).await;
    let (mut neighbour, mut asking) = (Device::new(2), Device::new(3));
    asking.join(&code, "asking").await;
    founder.connected(asking.id()).await;
    asking.stop().await;
    // It calls the founder, and so knows where the founder is.
    neighbour.join(&code, "neighbour").await;
    neighbour.connected(founder.id()).await;
    neighbour.roster(&["asking", "founder", "neighbour"]).await;

    let mut swarm = bare(&asking, &[&founder, &neighbour]);
    let wanted = founder.id().to_peer_id();
    let dial = DialOpts::peer_id(neighbour.id().to_peer_id());
    swarm.dial(dial.addresses(vec![quic::to_multiaddr(neighbour.address())]).build()).unwrap();
    let found = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if peer_id != wanted => {
                    let kad = swarm.behaviour_mut().kad.inner();
                    kad.add_address(&peer_id, endpoint.get_remote_address().clone());
                    kad.get_closest_peers(wanted);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                    result: kad::QueryResult::GetClosestPeers(Ok(found)),
                    ..
                })) => return found.peers,
                _ => {}
            }
        }
    };
    let found = tokio::time::timeout(DEADLINE, found).await.unwrap();
    let addresses: Vec<_> = found
        .iter()
        .filter(|info| info.peer_id == wanted)
        .flat_map(|info| info.addrs.iter().filter_map(socket_address))
        .collect();
    assert!(addresses.iter().any(|(address, _)| *address == founder.address()), "{found:?}");
}

#[tokio::test]
async fn a_stranger_looks_up_nobody() {
    let founder = Device::founder(1);
    founder.invite(uses(1)).await;
    let stranger = Device::new(66);
    let mut swarm = bare(&stranger, &[&founder]);
    let peer = founder.id().to_peer_id();
    let dial = DialOpts::peer_id(peer).addresses(vec![quic::to_multiaddr(founder.address())]).build();
    swarm.dial(dial).unwrap();
    let closed = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { endpoint, .. } => {
                    let kad = swarm.behaviour_mut().kad.inner();
                    kad.add_address(&peer, endpoint.get_remote_address().clone());
                    kad.get_closest_peers(peer);
                }
                SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("the gate refuses");
}

//! Members that meet through others, and what strangers cannot do.

use std::{net::SocketAddr, time::Duration};

use super::{newcomers::uses, rig::Device};
use crate::{
    identity::DeviceId,
    node::{Event, RelayPolicy, Renumbered},
};

/// A founder that relays, and two members with walls between them: they have met nobody but the founder.
async fn three(policy: RelayPolicy) -> (Device, Device, Device) {
    let mut founder = Device::founder(1);
    founder.handle().set_relay_policy(policy).await.unwrap();
    let code = founder.invite(uses(2)).await;
    let (mut one, mut other) = (Device::walled(2), Device::walled(3));
    one.wall.block(other.address());
    other.wall.block(one.address());
    one.join(&code, "one").await;
    other.join(&code, "other").await;
    founder.connected(one.id()).await;
    founder.connected(other.id()).await;
    (founder, one, other)
}

async fn met_through(device: &mut Device, peer: DeviceId) -> DeviceId {
    device
        .event(|event| match event {
            Event::ConnectedThrough { peer: who, relay } => (who == peer).then_some(relay),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn two_that_cannot_call_each_other_meet_through_a_third() {
    let (founder, mut one, mut other) = three(RelayPolicy::On).await;
    assert_eq!(met_through(&mut one, other.id()).await, founder.id());
    met_through(&mut other, one.id()).await;
    let candidates: Vec<SocketAddr> = vec!["192.0.2.7:41820".parse().unwrap()];
    one.handle().set_candidates(candidates.clone()).await.unwrap();
    let one_id = one.id();
    let told = other.event(|event| match event {
        Event::Candidates { peer, addresses, .. } => {
            (peer == one_id && !addresses.is_empty()).then_some(addresses)
        }
        _ => None,
    });
    assert_eq!(told.await, candidates);
    let peers = other.handle().peers().await.unwrap();
    assert!(peers[&one.id()].connected);
    assert_eq!(peers[&one.id()].via, Some(founder.id()));
    assert!(!peers[&one.id()].addresses.contains(&founder.address()), "the relay is not the peer");
    assert!(peers[&founder.id()].relays);
}

#[tokio::test]
async fn a_circuit_outlives_that_one_of_its_ends_begins_to_relay() {
    let (_founder, mut one, mut other) = three(RelayPolicy::On).await;
    met_through(&mut one, other.id()).await;
    met_through(&mut other, one.id()).await;
    one.handle().set_relay_policy(RelayPolicy::On).await.unwrap();
    other.handle().set_relay_policy(RelayPolicy::On).await.unwrap();
    let candidates: Vec<SocketAddr> = vec!["192.0.2.7:41820".parse().unwrap()];
    one.handle().set_candidates(candidates.clone()).await.unwrap();
    let one_id = one.id();
    let told = other.event(|event| match event {
        Event::Candidates { peer, addresses, .. } => {
            (peer == one_id && !addresses.is_empty()).then_some(addresses)
        }
        _ => None,
    });
    assert_eq!(told.await, candidates);
}

#[tokio::test]
async fn a_direct_connection_ends_the_circuit() {
    let (_founder, mut one, mut other) = three(RelayPolicy::On).await;
    met_through(&mut one, other.id()).await;
    met_through(&mut other, one.id()).await;
    one.wall.open();
    other.wall.open();
    // As if a router had been set up; they call again by themselves, but not at once.
    one.handle().network_changed(Renumbered::default()).await.unwrap();
    other.handle().network_changed(Renumbered::default()).await.unwrap();
    one.connected(other.id()).await;
    other.connected(one.id()).await;
    for (device, peer) in [(&one, &other), (&other, &one)] {
        let peers = device.handle().peers().await.unwrap();
        assert_eq!(peers[&peer.id()].via, None);
        assert!(peers[&peer.id()].connected);
    }
}

#[tokio::test]
async fn a_member_that_does_not_relay_lets_nobody_through() {
    let (founder, mut one, other) = three(RelayPolicy::Off).await;
    let other_id = other.id();
    let met = one.event(|event| {
        matches!(event, Event::ConnectedThrough { peer, .. } if peer == other_id).then_some(())
    });
    assert!(tokio::time::timeout(Duration::from_secs(3), met).await.is_err());
    assert!(!founder.handle().relays().await.unwrap());
    assert!(!one.handle().peers().await.unwrap()[&founder.id()].relays);
}

#[tokio::test]
async fn a_removed_member_is_cut_off_through_others_as_well() {
    let (founder, mut one, mut other) = three(RelayPolicy::On).await;
    met_through(&mut one, other.id()).await;
    met_through(&mut other, one.id()).await;
    founder.handle().remove(other.id()).await.unwrap();
    one.disconnected(other.id()).await;
    one.roster(&["founder", "one"]).await;
    assert!(!one.handle().peers().await.unwrap().contains_key(&other.id()));
}

#[tokio::test]
async fn members_tell_whether_they_can_reach_us_from_outside() {
    let mut founder = Device::founder(1);
    let code = founder.invite(uses(1)).await;
    let mut laptop = Device::new(2);
    laptop.join(&code, "laptop").await;
    founder.connected(laptop.id()).await;
    laptop.connected(founder.id()).await;
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    laptop.handle().set_candidates(vec![laptop.address(), nobody]).await.unwrap();
    let founder_id = founder.id();
    founder
        .event(|event| {
            matches!(event, Event::Candidates { addresses, .. } if addresses.len() == 2).then_some(())
        })
        .await;
    let mut probes = laptop.handle().probe_me().await.unwrap();
    probes.sort_by_key(|probe| probe.address != laptop.address());
    let found: Vec<_> = probes.iter().map(|probe| (probe.by, probe.address, probe.reachable)).collect();
    assert_eq!(found, [(founder_id, laptop.address(), true), (founder_id, nobody, false)]);
    // Loopback says nothing about outside.
    assert!(!laptop.handle().is_reachable().await.unwrap());
    // The calls were a stranger's: the connection goes on.
    assert!(laptop.handle().peers().await.unwrap()[&founder_id].connected);
}

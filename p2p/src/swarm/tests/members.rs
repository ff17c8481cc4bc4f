//! Members among themselves.

use std::{net::SocketAddr, time::Duration};

use super::{
    newcomers::uses,
    rig::{DEADLINE, Device},
};
use crate::{node::Event, record::Grants};

/// A founder and another member, connected.
async fn two() -> (Device, Device) {
    let mut founder = Device::founder(1);
    let mut laptop = Device::new(2);
    laptop.join(&founder.invite(uses(1)).await, "laptop").await;
    founder.connected(laptop.id()).await;
    laptop.connected(founder.id()).await;
    (founder, laptop)
}

#[tokio::test]
async fn a_restarted_member_finds_the_other_by_remembered_addresses() {
    let (mut founder, mut laptop) = two().await;
    founder.stop().await;
    laptop.disconnected(founder.id()).await;
    laptop.stop().await;
    founder.start();
    laptop.start();
    laptop.connected(founder.id()).await;
    founder.connected(laptop.id()).await;
}

#[test]
fn a_killed_member_is_connected_again_within_seconds() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (alive, doomed) = (runtime(), runtime());
    let mut founder = alive.block_on(async { Device::founder(1) });
    let code = alive.block_on(founder.invite(uses(1)));
    let mut laptop = doomed.block_on(async {
        let mut laptop = Device::new(2);
        laptop.join(&code, "laptop").await;
        laptop.connected(founder.id()).await;
        laptop
    });
    alive.block_on(founder.connected(laptop.id()));
    let port = laptop.address().port();
    // Its runtime ends: nothing is said, as with kill -9.
    laptop.running = None;
    doomed.shutdown_background();
    let reborn = runtime();
    reborn.block_on(async {
        laptop.rebind(port).await;
        laptop.start();
        let again = tokio::time::timeout(Duration::from_secs(5), laptop.connected(founder.id()));
        again.await.expect("connected again before the old connection has timed out");
    });
    reborn.shutdown_background();
}

#[tokio::test]
async fn candidates_and_grants_reach_the_other_side_as_they_change() {
    let (mut founder, mut laptop) = two().await;
    let candidates: Vec<SocketAddr> = vec!["192.0.2.7:41820".parse().unwrap()];
    founder.handle().set_candidates(candidates.clone()).await.unwrap();
    let told = laptop.event(|event| match event {
        Event::Candidates { addresses, .. } => (!addresses.is_empty()).then_some(addresses),
        _ => None,
    });
    assert_eq!(told.await, candidates);

    let grants = Grants { routing: true, ..Grants::usual() };
    laptop.handle().set_grants(founder.id(), grants.clone()).await.unwrap();
    let told = founder.event(|event| match event {
        Event::GrantsOfPeer { grants, .. } => grants.routing.then_some(grants),
        _ => None,
    });
    assert_eq!(told.await, grants);
    assert_eq!(laptop.handle().grants(founder.id()).await.unwrap(), grants);
}

#[tokio::test]
async fn members_see_each_other_at_the_address_of_the_shared_socket() {
    let (mut founder, laptop) = two().await;
    let observed = founder.event(|event| match event {
        Event::Observed { address, .. } => Some(address),
        _ => None,
    });
    assert_eq!(observed.await, founder.address());
    drop(laptop);
}

#[tokio::test]
async fn a_removed_member_hears_of_it_and_is_out() {
    let (mut founder, mut laptop) = two().await;
    founder.handle().remove(laptop.id()).await.unwrap();
    laptop.event(|event| matches!(event, Event::Removed).then_some(())).await;
    founder.disconnected(laptop.id()).await;
    founder.roster(&["founder"]).await;
    // It may call as often as it likes.
    laptop.stop().await;
    laptop.start();
    let back = tokio::time::timeout(Duration::from_millis(500), founder.connected(laptop.id())).await;
    assert!(back.is_err());
}

#[tokio::test]
async fn whoever_leaves_is_gone_for_the_others() {
    let (founder, laptop) = two().await;
    laptop.handle().leave().await.unwrap();
    laptop.handle().shutdown().await;
    founder.roster(&["founder"]).await;
}

#[tokio::test]
async fn a_new_name_is_known_everywhere() {
    let (founder, laptop) = two().await;
    laptop.handle().rename("desk".parse().unwrap()).await.unwrap();
    founder.roster(&["desk", "founder"]).await;
    assert!(laptop.handle().rename("founder".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn shutting_down_is_seen_at_once_and_frees_the_store() {
    let (mut founder, mut laptop) = two().await;
    laptop.stop().await;
    let seen = tokio::time::timeout(Duration::from_secs(2), founder.disconnected(laptop.id())).await;
    assert!(seen.is_ok(), "not by the idle timeout");
    let store = laptop.store();
    assert_eq!(store.addresses().unwrap().len(), 1);
    assert!(tokio::time::timeout(DEADLINE, async {}).await.is_ok());
}

#[tokio::test]
async fn two_that_call_each_other_at_once_stay_connected() {
    let (mut founder, mut laptop) = two().await;
    for _ in 0..3 {
        founder.stop().await;
        laptop.stop().await;
        founder.start();
        laptop.start();
        let (one, other) = (founder.id(), laptop.id());
        tokio::join!(founder.connected(other), laptop.connected(one));
        let peers = founder.handle().peers().await.unwrap();
        assert!(peers[&laptop.id()].connected);
    }
}

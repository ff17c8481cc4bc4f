//! Networks that change under a connection: addresses, routers, partitions, sleep.

use std::time::Duration;

use warren_dataplane::path::Kind;
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{INTERNET, Network, RealmId};
use warren_sim::{ms, secs};

/// Two homes, a device in each, connected.
fn homes() -> (Mesh, [RealmId; 2]) {
    let mut network = Network::new(3);
    let homes = [0, 1].map(|_| network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED));
    let hosts = homes.map(|home| network.add_host(home));
    let mut mesh = Mesh::new(network, &hosts, 5);
    assert!(mesh.ping(0, 1).is_some());
    (mesh, homes)
}

/// Both send each 50 ms.
fn talk(mesh: &mut Mesh, time: Duration) {
    let until = mesh.now + time;
    while mesh.now < until {
        mesh.send_udp(0, 1, (1, 2));
        mesh.send_udp(1, 0, (2, 1));
        mesh.run(ms(50));
    }
}

/// Time without a packet from 0 at 1, while both talk.
fn outage(mesh: &mut Mesh) -> Duration {
    let start = mesh.now;
    let before = mesh.devices[1].received.len();
    // What is in flight does not count.
    while mesh.devices[1].received.len() < before + 3 {
        talk(mesh, ms(50));
        assert!(mesh.now < start + secs(60), "no packet in a minute");
    }
    mesh.now - start
}

#[test]
fn a_new_address_costs_less_than_three_seconds() {
    let (mut mesh, _) = homes();
    talk(&mut mesh, secs(5));
    let elsewhere = mesh.network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT);
    mesh.network.move_host(mesh.devices[0].host, elsewhere);
    mesh.network_changed(0);
    let outage = outage(&mut mesh);
    assert!(outage <= secs(3), "{outage:?}");
}

#[test]
fn coming_home_moves_to_the_lan_and_leaving_moves_back() {
    let (mut mesh, homes) = homes();
    let kind = |mesh: &Mesh| mesh.devices[0].path(mesh.devices[1].key()).map(|path| path.kind);
    talk(&mut mesh, secs(5));
    assert_eq!(kind(&mesh), Some(Kind::Direct));
    mesh.network.move_host(mesh.devices[0].host, homes[1]);
    mesh.network_changed(0);
    assert!(outage(&mut mesh) <= secs(3));
    talk(&mut mesh, secs(5));
    assert_eq!(kind(&mesh), Some(Kind::Lan));
    mesh.network.move_host(mesh.devices[0].host, homes[0]);
    mesh.network_changed(0);
    assert!(outage(&mut mesh) <= secs(3));
    talk(&mut mesh, secs(5));
    assert_eq!(kind(&mesh), Some(Kind::Direct));
}

#[test]
fn a_rebooted_router_is_survived_with_signalling() {
    let (mut mesh, homes) = homes();
    talk(&mut mesh, secs(5));
    for home in homes {
        mesh.network.router(home).expect("a router").reboot();
    }
    let outage = outage(&mut mesh);
    assert!(outage <= secs(5), "{outage:?}");
}

#[test]
fn a_partition_is_noticed_and_healed() {
    let (mut mesh, _) = homes();
    talk(&mut mesh, secs(5));
    mesh.signalling = false;
    mesh.network.set_side(mesh.devices[0].host, 1);
    talk(&mut mesh, secs(10));
    let peer = mesh.devices[1].key();
    assert_eq!(mesh.devices[0].path(peer), None, "told, not hoped for");
    mesh.network.set_side(mesh.devices[0].host, 0);
    mesh.signalling = true;
    let outage = outage(&mut mesh);
    assert!(outage <= secs(5), "{outage:?}");
}

#[test]
fn an_idle_connection_stays_and_says_nothing() {
    let (mut mesh, _) = homes();
    mesh.run(secs(5));
    let events = mesh.devices[0].events.len();
    let before = mesh.traffic();
    mesh.run(secs(600));
    assert_eq!(mesh.devices[0].events.len(), events, "no event on a quiet link");
    for (host, bytes) in mesh.traffic() {
        // 1 MB a day.
        assert!(bytes - before[&host] <= 1_000_000 / 144, "{host:?} sent {} bytes", bytes - before[&host]);
    }
    let time = mesh.ping(1, 0);
    assert!(time.is_some_and(|time| time <= ms(50)), "{time:?}");
}

#[test]
fn a_peer_that_was_left_alone_for_a_day_is_reached_again() {
    let (mut mesh, _) = homes();
    mesh.run(secs(86_400));
    let time = mesh.ping_until_answered(0, 1, secs(20));
    assert!(time.is_some_and(|time| time <= secs(8)), "{time:?}");
}

#[test]
fn a_long_way_with_loss_carries_a_connection_without_flapping() {
    let (mut mesh, _) = homes();
    for n in 0..2 {
        mesh.network.set_access(mesh.devices[n].host, ms(150));
    }
    mesh.network.loss = 5;
    mesh.network.jitter = ms(40);
    talk(&mut mesh, secs(120));
    let changes = mesh.devices[0].path_changes(mesh.devices[1].key());
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(mesh.devices[1].received.len() > 2000);
}

//! Members between members: what a relay makes possible, and how soon it is left or replaced.

use std::time::Duration;

use warren_dataplane::path::Kind;
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{INTERNET, Network};
use warren_sim::{ms, secs};

/// Two devices behind routers, and relays on the Internet, which everybody has met.
fn behind(behaviours: [Behaviour; 2], relays: usize) -> Mesh {
    let mut network = Network::new(3);
    let mut hosts = Vec::new();
    for behaviour in behaviours {
        let home = network.add_realm(INTERNET, behaviour);
        hosts.push(network.add_host(home));
    }
    hosts.extend((0..relays).map(|_| network.add_host(INTERNET)).collect::<Vec<_>>());
    let mut mesh = Mesh::new(network, &hosts, 5);
    mesh.carriage.relays.extend(2..2 + relays);
    mesh
}

fn kind(mesh: &Mesh, from: usize, to: usize) -> Option<Kind> {
    mesh.devices[from].path(mesh.devices[to].key()).map(|path| path.kind)
}

/// Both send each 50 ms; returns how many packets arrived at 1.
fn talk(mesh: &mut Mesh, time: Duration) -> usize {
    let until = mesh.now + time;
    let before = mesh.devices[1].received.len();
    while mesh.now < until {
        mesh.send_udp(0, 1, (1, 2));
        mesh.send_udp(1, 0, (2, 1));
        mesh.run(ms(50));
    }
    mesh.devices[1].received.len() - before
}

/// Time until packets arrive at 1 again.
fn outage(mesh: &mut Mesh) -> Duration {
    let start = mesh.now;
    // What is in flight does not count.
    talk(mesh, ms(100));
    while talk(mesh, ms(50)) == 0 {
        assert!(mesh.now < start + secs(60), "no packet in a minute");
    }
    mesh.now - start
}

#[test]
fn two_symmetric_routers_are_no_obstacle_with_a_relay() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 1);
    let time = mesh.ping_until_answered(0, 1, secs(5));
    assert!(time.is_some_and(|time| time <= ms(1000)), "{time:?}");
    assert_eq!(kind(&mesh, 0, 1), Some(Kind::Relay));
    let changes = mesh.devices[0].path_changes(mesh.devices[1].key()).len();
    talk(&mut mesh, secs(120));
    assert_eq!(mesh.devices[0].path_changes(mesh.devices[1].key()).len(), changes, "it never flaps");
}

#[test]
fn a_device_without_udp_is_reached_in_a_stream_through_a_relay() {
    for other in [Behaviour::FULL_CONE, Behaviour::SYMMETRIC, Behaviour::BLOCKED] {
        let mut mesh = behind([Behaviour::BLOCKED, other], 1);
        let time = mesh.ping_until_answered(0, 1, secs(10));
        assert!(time.is_some_and(|time| time <= ms(1500)), "{other:?}: {time:?}");
        assert_eq!(kind(&mesh, 0, 1), Some(Kind::Stream));
        let expected = if other.blocks_udp { Kind::Stream } else { Kind::Relay };
        assert_eq!(kind(&mesh, 1, 0), Some(expected));
        let arrived = talk(&mut mesh, secs(60));
        assert!(arrived >= 1190, "{other:?}: {arrived}");
    }
}

#[test]
fn a_relay_that_dies_is_replaced_within_three_seconds() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 2);
    talk(&mut mesh, secs(10));
    let peer = mesh.devices[1].key();
    let first = mesh.devices[0].path(peer).and_then(|path| path.via).expect("a relay");
    let dead = mesh.devices.iter().position(|device| device.key() == first).expect("one of ours");
    mesh.network.set_side(mesh.devices[dead].host, 1);
    let outage = outage(&mut mesh);
    assert!(outage <= secs(3), "{outage:?}");
    talk(&mut mesh, secs(5));
    let second = mesh.devices[0].path(peer).and_then(|path| path.via);
    assert!(second.is_some_and(|second| second != first));
}

#[test]
fn the_only_relay_that_comes_back_is_used_again() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 1);
    talk(&mut mesh, secs(10));
    let relay = mesh.devices[2].host;
    mesh.network.set_side(relay, 1);
    talk(&mut mesh, secs(20));
    assert_eq!(kind(&mesh, 0, 1), None, "told, not hoped for");
    mesh.network.set_side(relay, 0);
    let outage = outage(&mut mesh);
    assert!(outage <= secs(5), "{outage:?}");
}

#[test]
fn a_change_of_network_goes_on_over_the_relay_and_becomes_direct_again() {
    let mut mesh = behind([Behaviour::PORT_RESTRICTED; 2], 1);
    talk(&mut mesh, secs(10));
    assert_eq!(kind(&mesh, 0, 1), Some(Kind::Direct));
    let elsewhere = mesh.network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT);
    mesh.network.move_host(mesh.devices[0].host, elsewhere);
    mesh.network_changed(0);
    let outage = outage(&mut mesh);
    assert!(outage <= secs(3), "{outage:?}");
    talk(&mut mesh, secs(10));
    assert_eq!(kind(&mesh, 0, 1), Some(Kind::Direct));
}

#[test]
fn a_relayed_connection_that_is_idle_stays_and_says_little() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 2);
    talk(&mut mesh, secs(5));
    let events = mesh.devices[0].events.len();
    let before = mesh.traffic();
    mesh.run(secs(500));
    assert_eq!(mesh.devices[0].events.len(), events, "no event on a quiet link");
    for (n, device) in mesh.devices.iter().enumerate() {
        let bytes = mesh.traffic()[&device.host] - before[&device.host];
        // 1 MB a day and peer: there are three. A relay carries the keep-alives of others as well.
        let peers = if n < 2 { 3 } else { 6 };
        assert!(bytes <= peers * 1_000_000 / 172, "{n} sent {bytes} bytes");
    }
    let time = mesh.ping(1, 0);
    assert!(time.is_some_and(|time| time <= ms(90)), "{time:?}");
}

#[test]
fn a_long_way_with_loss_over_relays_does_not_flap() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 2);
    mesh.network.loss = 5;
    mesh.network.jitter = ms(20);
    for device in 0..4 {
        mesh.network.set_access(mesh.devices[device].host, ms(40));
    }
    talk(&mut mesh, secs(200));
    let changes = mesh.devices[0].path_changes(mesh.devices[1].key());
    assert!(changes.len() <= 3, "{changes:?}");
}

#[test]
fn a_relayed_peer_that_was_left_alone_for_a_day_is_reached_again() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 1);
    talk(&mut mesh, secs(5));
    mesh.run(secs(86_400));
    let time = mesh.ping_until_answered(0, 1, secs(20));
    assert!(time.is_some_and(|time| time <= secs(8)), "{time:?}");
}

#[test]
fn sleep_costs_a_relayed_connection_no_burst() {
    let mut mesh = behind([Behaviour::SYMMETRIC; 2], 1);
    talk(&mut mesh, secs(5));
    // The routers forget meanwhile.
    mesh.now += secs(3600);
    let outage = outage(&mut mesh);
    assert!(outage <= secs(10), "{outage:?}");
    let probes = mesh.devices[0].probes;
    talk(&mut mesh, secs(10));
    assert!(mesh.devices[0].probes - probes <= 30, "{} probes", mesh.devices[0].probes - probes);
}

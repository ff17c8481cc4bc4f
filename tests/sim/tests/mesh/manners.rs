//! What peers that cannot be reached cost the network that one is a guest on.

use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{HostId, INTERNET, Network};
use warren_sim::secs;

/// A device at home and a hundred others behind walls.
fn lonely() -> (Mesh, warren_sim::network::RealmId) {
    let mut network = Network::new(9);
    let home = network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED);
    let mut hosts = vec![network.add_host(home)];
    let far = network.add_realm(INTERNET, Behaviour::SYMMETRIC);
    let blocked = network.add_realm(far, Behaviour::BLOCKED);
    hosts.extend((0..100).map(|_| network.add_host(blocked)).collect::<Vec<HostId>>());
    (Mesh::new(network, &hosts, 1), home)
}

#[test]
fn a_hundred_unreachable_peers_are_soon_left_alone() {
    let (mut mesh, home) = lonely();
    (1..=100).for_each(|peer| mesh.signal(0, peer));
    mesh.run(secs(120));
    let before = mesh.devices[0].probes;
    mesh.run(secs(600));
    assert_eq!(mesh.devices[0].probes, before, "nobody wants them: silence");
    let now = mesh.now;
    assert_eq!(mesh.network.router(home).expect("a router").entries(now), 0);
}

#[test]
fn a_hundred_unreachable_peers_that_are_wanted_all_the_time_cost_few_probes() {
    let (mut mesh, _) = lonely();
    let mut counts = Vec::new();
    for _ in 0..180 {
        (1..=100).for_each(|peer| mesh.send_udp(0, peer, (1, 2)));
        let before = mesh.devices[0].probes;
        mesh.run(secs(1));
        counts.push(mesh.devices[0].probes - before);
    }
    let last_minute: u64 = counts[120..].iter().sum();
    // The budget over all peers is 50 packets a second; one candidate each in this world.
    assert!(last_minute <= 50 * 60, "{last_minute} probes in a minute");
}

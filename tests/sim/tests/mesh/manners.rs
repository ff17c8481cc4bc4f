//! What peers that cannot be reached cost the network that one is a guest on.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use warren_dataplane::engine::Command;
use warren_dataplane::path::Nat;
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{HostId, INTERNET, Network, RealmId};
use warren_sim::{ms, secs};

/// A router that remembers an unanswered datagram for as long as Linux does.
const HOME: Behaviour = Behaviour { expiry: secs(30), ..Behaviour::PORT_RESTRICTED };

/// A device at home, a hundred others behind walls, and one that can be reached.
fn lonely() -> (Mesh, RealmId) {
    let mut network = Network::new(9);
    let home = network.add_realm(INTERNET, HOME);
    let mut hosts = vec![network.add_host(home)];
    let far = network.add_realm(INTERNET, Behaviour::SYMMETRIC);
    let blocked = network.add_realm(far, Behaviour::BLOCKED);
    hosts.extend((0..100).map(|_| network.add_host(blocked)).collect::<Vec<HostId>>());
    let near = network.add_realm(INTERNET, Behaviour::PORT_RESTRICTED_NEW_PORT);
    hosts.push(network.add_host(near));
    (Mesh::new(network, &hosts, 1), home)
}

const REACHABLE: usize = 101;

/// Three addresses at which a peer is not.
fn told(mesh: &mut Mesh, peer: usize) {
    let address = |n| SocketAddr::from((Ipv4Addr::new(198, 51, n, peer as u8), 41820));
    let (peer, candidates) = (mesh.devices[peer].key(), vec![address(1), address(2), address(3)]);
    mesh.command(0, Command::SetCandidates { peer, candidates, nat: Nat::Easy });
}

/// What the home router sees.
#[derive(Default)]
struct Seen {
    /// Probes by the second.
    counts: Vec<u64>,
    /// The most entries at once.
    entries: usize,
    /// All that was ever sent to.
    destinations: BTreeSet<SocketAddr>,
}

/// Packets for all of them each second, addresses each ten.
fn pester(mesh: &mut Mesh, home: RealmId, seconds: u64) -> Seen {
    let mut seen = Seen::default();
    mesh.signalling = false;
    for second in 0..seconds {
        for peer in 1..=100 {
            mesh.send_udp(0, peer, (1, 2));
            if second % 10 == peer as u64 % 10 {
                told(mesh, peer);
            }
        }
        let before = mesh.devices[0].probes;
        mesh.run(secs(1));
        seen.counts.push(mesh.devices[0].probes - before);
        let now = mesh.now;
        let router = mesh.network.router(home).expect("a router");
        seen.entries = seen.entries.max(router.entries(now));
        if second % 10 == 0 {
            seen.destinations.extend(router.destinations(now));
        }
    }
    seen
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
fn a_hundred_unreachable_peers_that_are_wanted_all_the_time_stay_within_the_budget() {
    let (mut mesh, home) = lonely();
    (1..=100).for_each(|peer| told(&mut mesh, peer));
    let Seen { counts, entries, destinations } = pester(&mut mesh, home, 600);
    assert!(entries <= 64, "{entries} entries in the router");
    assert!(counts[0] <= 128 + 16, "{} probes in the first second", counts[0]);
    let most = counts[4..].windows(10).map(|ten| ten.iter().sum::<u64>()).max().unwrap_or_default();
    assert!(most <= 200, "{most} probes in ten seconds");
    let last: u64 = counts[300..].iter().sum();
    assert!(last < 10 * 300, "they back off: {last} probes in the last five minutes");
    assert!(last > 0, "but are not given up while they are wanted");
    assert_eq!(destinations.len(), 300, "each of three addresses of a hundred peers got its turn");
}

#[test]
fn a_reachable_peer_does_not_wait_for_the_unreachable() {
    for quiet in [1, 45, 120] {
        let (mut mesh, home) = lonely();
        pester(&mut mesh, home, quiet);
        mesh.signalling = true;
        mesh.signal(0, REACHABLE);
        mesh.signalling = false;
        let time = mesh.ping_until_answered(0, REACHABLE, secs(10));
        assert!(time.is_some_and(|time| time <= ms(1000)), "after {quiet} s: {time:?}");
    }
}

#[test]
fn a_wanted_peer_comes_before_a_hundred_that_merely_told_their_addresses() {
    let (mut mesh, _) = lonely();
    (1..=100).for_each(|peer| told(&mut mesh, peer));
    mesh.run(secs(1));
    let time = mesh.ping_until_answered(0, REACHABLE, secs(10));
    assert!(time.is_some_and(|time| time <= ms(1000)), "{time:?}");
}

#[test]
fn nobody_is_called_when_nobody_is_wanted() {
    let (mut mesh, home) = lonely();
    pester(&mut mesh, home, 5);
    // Discovery is blocked from now on, and nothing is sent.
    mesh.signalling = false;
    mesh.run(secs(60));
    let before = mesh.devices[0].probes;
    mesh.run(secs(5));
    let sent = mesh.devices[0].probes - before;
    assert!(sent < 20, "{sent} probes in 5 s");
    mesh.run(secs(115));
    let before = mesh.devices[0].probes;
    mesh.run(secs(600));
    assert_eq!(mesh.devices[0].probes, before, "silent for 180 s and not wanted");
}

#[test]
fn idle_peers_with_a_direct_path_are_kept_alive_and_no_more() {
    let mut network = Network::new(9);
    let hosts: Vec<HostId> = (0..21)
        .map(|_| {
            let home = network.add_realm(INTERNET, HOME);
            network.add_host(home)
        })
        .collect();
    let mut mesh = Mesh::new(network, &hosts, 1);
    (1..21).for_each(|peer| assert!(mesh.ping(0, peer).is_some()));
    mesh.run(secs(70));
    let before = mesh.devices[0].probes;
    mesh.run(secs(300));
    // A ping or its pong each 25 s, with each of twenty; and one of them was silent for longer, to see whether the routers
    // allow it. These do not, so that one was searched for again.
    let sent = mesh.devices[0].probes - before;
    assert!(sent <= 20 * 13 + 64, "{sent} probes in five minutes");
    mesh.run(secs(300));
    let before = mesh.devices[0].probes;
    mesh.run(secs(300));
    assert_eq!(mesh.devices[0].probes, before, "ten minutes after the last packet even that ends");
}

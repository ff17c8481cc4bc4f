//! Symmetric NATs: whose ports are guessed, how soon that succeeds, what it costs and what is left of it.

use std::time::Duration;

use warren_dataplane::engine::Command;
use warren_dataplane::path::{Kind, Route};
use warren_sim::mesh::Mesh;
use warren_sim::nat::Behaviour;
use warren_sim::network::{HostId, INTERNET, Network};
use warren_sim::{ms, secs};

/// The usual home: its devices can be found only by those they sent to.
const EASY: Behaviour = Behaviour::PORT_RESTRICTED_NEW_PORT;
const HARD: Behaviour = Behaviour::SYMMETRIC_RANDOM;

fn mesh(behaviours: &[Behaviour], seed: u64) -> Mesh {
    let mut network = Network::new(seed);
    let hosts: Vec<HostId> = behaviours
        .iter()
        .map(|behaviour| {
            let home = network.add_realm(INTERNET, *behaviour);
            network.add_host(home)
        })
        .collect();
    Mesh::new(network, &hosts, seed)
}

/// Pings until an answer comes and says when both sides had a direct path.
fn connect(mesh: &mut Mesh, from: usize, to: usize) -> Option<Duration> {
    let time = mesh.ping_until_answered(from, to, secs(10))?;
    let kind = |a: usize, b: usize| mesh.devices[a].path(mesh.devices[b].key()).map(|path| path.kind);
    assert_eq!(kind(from, to), Some(Kind::Direct));
    Some(time)
}

#[test]
fn a_cone_and_a_symmetric_nat_find_each_other_whoever_begins() {
    for behaviours in [[EASY, HARD], [HARD, EASY]] {
        let mut times: Vec<Option<Duration>> =
            (0..10).map(|seed| connect(&mut mesh(&behaviours, 100 + seed), 0, 1)).collect();
        times.sort();
        let found = times.iter().flatten().count();
        assert!(found >= 9, "{found} of 10: {times:?}");
    }
}

#[test]
fn they_find_each_other_under_loss_and_with_a_slow_side() {
    for seed in 0..5 {
        let mut mesh = mesh(&[EASY, HARD], seed);
        mesh.network.loss = 10;
        mesh.network.set_access(mesh.devices[0].host, ms(150));
        let time = connect(&mut mesh, 0, 1);
        assert!(time.is_some(), "seed {seed}");
    }
}

#[test]
fn a_router_that_counts_upwards_is_guessed_at_once() {
    let time = connect(&mut mesh(&[EASY, Behaviour::SYMMETRIC], 3), 0, 1);
    assert!(time.is_some_and(|time| time <= ms(1500)), "{time:?}");
}

#[test]
fn the_winning_socket_serves_wireguard_and_the_others_are_closed() {
    let mut mesh = mesh(&[EASY, HARD], 5);
    assert!(connect(&mut mesh, 1, 0).is_some());
    mesh.run(secs(12));
    assert_eq!(mesh.devices[1].sockets.len(), 1);
    assert_eq!(mesh.devices[0].sockets.len(), 0);
    let path = mesh.devices[1].path(mesh.devices[0].key()).expect("a path");
    assert!(matches!(path.route, Route::Udp { socket: 1.., .. }), "{path:?}");
    let before = mesh.devices[0].received.len();
    for _ in 0..300 {
        mesh.send_udp(1, 0, (1, 2));
        mesh.run(secs(1));
    }
    assert_eq!(mesh.devices[0].received.len() - before, 300, "not a packet lost in five minutes");
    mesh.run(secs(3600));
    assert!(
        mesh.ping(1, 0).is_none_or(|time| time < secs(2)),
        "an hour later the mapping is gone, not the wits"
    );
    let key = mesh.devices[0].key();
    mesh.command(1, Command::RemovePeer(key));
    mesh.run(secs(1));
    assert_eq!(mesh.devices[1].sockets.len(), 0, "they die with the peer");
}

#[test]
fn two_symmetric_nats_do_not_even_try() {
    let mut mesh = mesh(&[HARD, HARD], 5);
    assert_eq!(mesh.ping_until_answered(0, 1, secs(30)), None);
    assert!(mesh.devices.iter().all(|device| device.sockets.is_empty()));
    let probes: Vec<u64> = mesh.devices.iter().map(|device| device.probes).collect();
    assert!(probes.iter().all(|probes| *probes < 200), "{probes:?}");
}

#[test]
fn in_vain_is_tried_once_until_the_network_changes() {
    let mut mesh = mesh(&[EASY, HARD], 5);
    // The hard side's router lets nothing back in.
    mesh.network.set_side(mesh.devices[1].host, 1);
    let united = mesh.devices[1].host;
    let key = mesh.devices[1].key();
    let told = vec!["203.0.113.2:31000".parse().expect("an address")];
    for round in 0..2 {
        let before = mesh.devices[0].probes;
        for _ in 0..60 {
            let nat = mesh.network.nat(united);
            mesh.command(0, Command::SetCandidates { peer: key, candidates: told.clone(), nat });
            mesh.send_udp(0, 1, (1, 2));
            mesh.run(secs(2));
        }
        let sent = mesh.devices[0].probes - before;
        assert!((2048..2048 + 250).contains(&sent), "{sent} in round {round}");
        mesh.command(0, Command::NetworkChanged);
    }
}

#[test]
fn several_symmetric_peers_are_guessed_one_after_the_other() {
    let mut mesh = mesh(&[EASY, HARD, HARD, HARD], 5);
    for _ in 0..100 {
        (1..4).for_each(|peer| mesh.send_udp(0, peer, (1, 2)));
        mesh.run(ms(100));
    }
    let direct = (1..4).filter(|peer| mesh.devices[0].path(mesh.devices[*peer].key()).is_some()).count();
    assert_eq!(direct, 3);
}

#[test]
fn a_relay_carries_until_the_port_is_guessed() {
    for seed in 0..5 {
        let mut network = Network::new(seed);
        let hosts: Vec<HostId> = [EASY, HARD]
            .into_iter()
            .map(|behaviour| {
                let home = network.add_realm(INTERNET, behaviour);
                network.add_host(home)
            })
            .collect();
        let hosts = [hosts[0], hosts[1], network.add_host(INTERNET)];
        let mut mesh = Mesh::new(network, &hosts, seed);
        mesh.carriage.relays.insert(2);
        let time = mesh.ping_until_answered(0, 1, secs(5));
        assert!(time.is_some_and(|time| time <= ms(1000)), "seed {seed}: {time:?}");
        for _ in 0..90 {
            mesh.send_udp(0, 1, (1, 2));
            mesh.run(ms(100));
        }
        let kinds = [(0, 1), (1, 0)].map(|(a, b)| {
            let path = mesh.devices[a].path(mesh.devices[b].key());
            path.map(|path| path.kind)
        });
        assert_eq!(kinds, [Some(Kind::Direct); 2], "seed {seed}");
    }
}

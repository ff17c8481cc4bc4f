//! Whom a node calls how often, through whom, and who relays to it.

use super::*;
use crate::{
    discovery::{Presences, neighbours},
    node::RelayPolicy,
    signal::REACH_ADDRESSES,
};

fn public(last: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, last], 41820))
}

fn direct(node: &mut Node, peer: DeviceId, key: u64, at: SocketAddr, now: Now) {
    node.handle_connected(peer, ConnectionKey(key), LinkInfo { address: at, dialled: true, udp: true }, now);
}

pub(super) fn relaying(now: Now) -> Hello {
    Hello { relay: true, ..hello(now.wall) }
}

/// A founder in whose mesh are these others, each with `count` addresses that it was told of.
pub(super) fn mesh_of(others: std::ops::Range<u8>, count: u8, now: Now) -> Node {
    let mut node = founder(&Disk::default(), now);
    for seed in others {
        member(&mut node, seed, &format!("device{seed}"), now);
        for port in 0..count {
            let at = SocketAddr::from(([198, 51, 100, seed], 1000 + u16::from(port)));
            node.handle_address(identity(seed).device_id(), at, Source::Itself, now);
        }
    }
    node
}

fn reserved(outputs: &[Output]) -> Vec<DeviceId> {
    let reserved = outputs
        .iter()
        .filter_map(|output| if let Output::Reserve(via) = output { Some(via.relay) } else { None });
    reserved.collect()
}

fn through(outputs: &[Output]) -> Vec<(DeviceId, Vec<DeviceId>)> {
    let calls = outputs.iter().filter_map(|output| {
        let Output::DialThrough { peer, relays } = output else { return None };
        Some((*peer, relays.iter().map(|via| via.relay).collect()))
    });
    calls.collect()
}

#[test]
fn a_hundred_members_that_are_off_are_called_at_a_pace_that_a_router_bears() {
    let mut now = start();
    let mut node = mesh_of(2..102, 3, now);
    // QUIC works: somebody of another mesh, so to speak.
    node.udp_works = true;
    let begin = now.instant;
    let mut called: Vec<(Duration, SocketAddr, bool)> = Vec::new();
    let (mut wakes, mut again) = (0, Duration::ZERO);
    while now.instant.duration_since(begin) < Duration::from_secs(600) {
        let at = now.instant.duration_since(begin);
        if at >= again {
            // A user who opens everything, again and again.
            again += Duration::from_secs(240);
            (2..102).for_each(|seed| node.want(identity(seed).device_id(), now));
        }
        for output in outputs(&mut node, now) {
            if let Output::Dial { peer, addresses, streams } = output {
                called.extend(addresses.iter().map(|address| (at, *address, false)));
                called.extend(streams.iter().map(|address| (at, *address, true)));
                node.handle_dial_failed(peer, now);
            }
        }
        let (next, timer) = node.poll_timeout().unwrap();
        wakes += 1;
        assert!(wakes < 20_000, "awake all the time for {timer:?}");
        now = later(now, next.saturating_duration_since(now.instant).max(Duration::from_millis(1)));
        node.handle_timeout(now);
    }
    let within = |from: u64, to: u64, tcp: bool| {
        let range = Duration::from_secs(from)..Duration::from_secs(to);
        let found = called.iter().filter(|(at, _, stream)| range.contains(at) && *stream == tcp);
        found.map(|(_, address, _)| *address).collect::<BTreeSet<_>>().len()
    };
    assert!(within(0, 1, false) >= 24, "the first round is larger");
    assert!(within(0, 30, false) <= 24 + 4 + 10);
    for from in (30..570).step_by(30) {
        assert!(within(from, from + 30, false) <= 14, "{from}: {}", within(from, from + 30, false));
        assert!(within(from, from + 30, true) <= 4, "{from}");
    }
    let all: BTreeSet<_> = called.iter().map(|(_, address, _)| address.ip()).collect();
    assert!(all.len() > 90, "everybody gets a turn: {}", all.len());
}

#[test]
fn where_udp_may_be_blocked_the_first_call_is_by_tcp_as_well_and_later_ones_only_when_quic_has_failed() {
    let mut now = start();
    let mut node = mesh_of(2..4, 1, now);
    let (one, other) = (identity(2).device_id(), identity(3).device_id());
    let calls = |node: &mut Node, now| {
        let calls = outputs(node, now).into_iter().filter_map(|output| {
            if let Output::Dial { peer, streams, .. } = output { Some((peer, streams.len())) } else { None }
        });
        calls.collect::<BTreeMap<_, _>>()
    };
    assert!(calls(&mut node, now).values().all(|streams| *streams > 0));
    direct(&mut node, one, 1, public(2), now);
    let mut by_tcp = Vec::new();
    while by_tcp.len() < 4 {
        node.handle_dial_failed(other, now);
        outputs(&mut node, now);
        now = later(now, Duration::from_secs(130));
        node.handle_timeout(now);
        by_tcp.extend(calls(&mut node, now).get(&other).map(|streams| *streams > 0));
    }
    assert_eq!(by_tcp, [false, false, true, true]);
}

#[test]
fn reservations_are_kept_with_two_that_relay_and_replaced_when_lost() {
    let now = start();
    let mut node = mesh_of(2..6, 1, now);
    let ids: Vec<_> = (2..6).map(|seed| identity(seed).device_id()).collect();
    for (number, peer) in (1u8..).zip(&ids) {
        direct(&mut node, *peer, number.into(), public(number), now);
        outputs(&mut node, now);
    }
    assert!(node.relaying.held().is_empty());
    for peer in &ids[..3] {
        node.handle_hello(*peer, relaying(now), now).unwrap();
    }
    let asked = reserved(&outputs(&mut node, now));
    assert_eq!(asked.len(), 2);
    for relay in &asked {
        node.handle_reservation(*relay, true, now);
    }
    assert_eq!(node.relaying.held().len(), 2);
    assert!(reserved(&outputs(&mut node, now)).is_empty());
    // One goes: the third takes its place.
    let gone = ids.iter().position(|id| *id == asked[0]).unwrap();
    node.handle_disconnected(asked[0], ConnectionKey(gone as u64 + 1), now);
    let outputs_now = outputs(&mut node, now);
    assert!(outputs_now.iter().any(|output| matches!(output, Output::Release(relay) if *relay == asked[0])));
    let third = reserved(&outputs_now);
    assert!(third.len() == 1 && !asked.contains(&third[0]) && ids[..3].contains(&third[0]));
    // It refuses: it is not asked again at once.
    node.handle_reservation(third[0], false, now);
    assert!(reserved(&outputs(&mut node, now)).is_empty());
    let (at, _) = node.poll_timeout().unwrap();
    assert!(at > now.instant);
}

#[test]
fn whoever_can_be_reached_keeps_no_reservation_and_relays() {
    let now = start();
    let mut node = mesh_of(2..3, 1, now);
    let nas = identity(2).device_id();
    direct(&mut node, nas, 1, public(2), now);
    node.handle_hello(nas, relaying(now), now).unwrap();
    assert_eq!(reserved(&outputs(&mut node, now)), [nas]);
    node.handle_reservation(nas, true, now);
    node.set_candidates(vec![public(7), "192.168.1.7:41820".parse().unwrap()], now);
    let now = later(now, Duration::from_secs(6));
    node.handle_timeout(now);
    let asked: Vec<_> = outputs(&mut node, now)
        .into_iter()
        .filter_map(
            |output| if let Output::AskReach { addresses, .. } = output { Some(addresses) } else { None },
        )
        .collect();
    assert_eq!(asked, [vec![public(7)]], "private addresses mean something else outside");
    node.handle_reach_answer(nas, Some(vec![(public(7), true), (public(9), true)]), now);
    let said = outputs(&mut node, now);
    assert!(node.is_reachable(now) && node.relays());
    assert!(said.iter().any(|output| matches!(output, Output::Release(relay) if *relay == nas)));
    assert!(said.iter().any(|output| matches!(output, Output::Relay(true))));
    let verdicts = said.iter().filter(|output| matches!(output, Output::Event(Event::Reachable { .. })));
    assert_eq!(verdicts.count(), 1, "of our own addresses only");
    // Not for ever.
    let mut late = now;
    for _ in 0..70 {
        late = later(late, Duration::from_secs(60));
        node.handle_timeout(late);
    }
    outputs(&mut node, late);
    assert!(!node.is_reachable(late) && !node.relays());
}

#[test]
fn the_policy_decides_before_reachability() {
    let now = start();
    let mut node = mesh_of(2..3, 1, now);
    node.set_nat(NatKind::Open, now);
    assert!(node.relays());
    node.set_relay_policy(RelayPolicy::Off, now);
    assert!(!node.relays());
    node.set_nat(NatKind::Hard, now);
    node.set_relay_policy(RelayPolicy::On, now);
    assert!(node.relays());
    node.set_relay_policy(RelayPolicy::Auto, now);
    assert!(!node.relays());
}

#[test]
fn who_does_not_answer_is_called_through_the_relays_it_names_and_directly_when_it_has_said_hello() {
    let now = start();
    let mut node = mesh_of(2..5, 1, now);
    let (nas, relay, far) = (identity(2).device_id(), identity(3).device_id(), identity(4).device_id());
    outputs(&mut node, now);
    direct(&mut node, nas, 1, public(2), now);
    outputs(&mut node, now);
    // The relay is not connected; the nas brings word of who is behind it.
    let mesh = node.mesh;
    let presence = Presences::own(&identity(4), mesh, vec![public(4)], vec![relay], now.wall).unwrap();
    let greeting = Hello { presences: vec![presence.bytes().to_vec()], ..hello(now.wall) };
    node.handle_hello(nas, greeting, now).unwrap();
    let calls = through(&outputs(&mut node, now));
    assert_eq!(calls, [(far, vec![relay])]);

    node.handle_circuit(far, ConnectionKey(9), relay, true, now);
    let said = outputs(&mut node, now);
    assert!(said.iter().any(
        |output| matches!(output, Output::Event(Event::ConnectedThrough { peer, relay: via }) if *peer == far && *via == relay)
    ));
    assert!(said.iter().any(|output| matches!(output, Output::Hello { peer, .. } if *peer == far)));
    assert_eq!(node.peers()[&far].via, Some(relay));
    assert!(node.peers()[&far].connections.is_empty());

    let soon = later(now, Duration::from_millis(250));
    let candidates = vec![public(44)];
    node.handle_hello(far, Hello { candidates, ..hello(soon.wall) }, soon).unwrap();
    let dialled = outputs(&mut node, soon).into_iter().find_map(|output| {
        let Output::Dial { peer, addresses, .. } = output else { return None };
        (peer == far).then_some(addresses)
    });
    assert!(dialled.unwrap().contains(&public(44)), "now both call");
    direct(&mut node, far, 10, public(44), soon);
    let closed: Vec<_> = outputs(&mut node, soon)
        .into_iter()
        .filter_map(|output| if let Output::Close(key) = output { Some(key) } else { None })
        .collect();
    assert_eq!(closed, [ConnectionKey(9)]);
    node.handle_disconnected(far, ConnectionKey(9), soon);
    assert!(node.peers()[&far].connected);
    assert_eq!(node.peers()[&far].via, None);
}

#[test]
fn a_circuit_that_comes_beside_a_fresh_direct_connection_is_closed_again() {
    let now = start();
    let mut node = mesh_of(2..4, 1, now);
    let (far, relay) = (identity(2).device_id(), identity(3).device_id());
    direct(&mut node, far, 1, public(2), now);
    outputs(&mut node, now);
    node.handle_circuit(far, ConnectionKey(2), relay, true, now);
    assert!(outputs(&mut node, now).iter().any(|output| matches!(output, Output::Close(ConnectionKey(2)))));
    node.handle_disconnected(far, ConnectionKey(2), now);
    assert!(events(&mut node, now).is_empty());
    // The peer may have lost the direct one; else it closes this one.
    node.handle_circuit(far, ConnectionKey(4), relay, false, now);
    assert!(!outputs(&mut node, now).iter().any(|output| matches!(output, Output::Close(_))));
    // Later it certainly has.
    let now = later(now, Duration::from_secs(60));
    node.handle_circuit(far, ConnectionKey(3), relay, false, now);
    assert!(outputs(&mut node, now).iter().any(|output| matches!(output, Output::Close(ConnectionKey(1)))));
}

#[test]
fn two_behind_symmetric_nats_stay_on_the_circuit_without_a_storm() {
    let mut now = start();
    let mut node = mesh_of(2..4, 2, now);
    let (far, relay) = (identity(2).device_id(), identity(3).device_id());
    direct(&mut node, relay, 1, public(3), now);
    node.handle_circuit(far, ConnectionKey(2), relay, true, now);
    node.handle_hello(far, hello(now.wall), now).unwrap();
    let begin = now.instant;
    let mut calls = Vec::new();
    while now.instant.duration_since(begin) < Duration::from_secs(1800) {
        for output in outputs(&mut node, now) {
            assert!(!matches!(output, Output::DialThrough { .. } | Output::Lookup(_)), "it is connected");
            if let Output::Dial { peer, .. } = output {
                calls.push(now.instant.duration_since(begin).as_secs());
                node.handle_dial_failed(peer, now);
            }
        }
        let (next, _) = node.poll_timeout().unwrap();
        now = later(now, next.saturating_duration_since(now.instant).max(Duration::from_millis(1)));
        node.handle_timeout(now);
    }
    assert!(calls.iter().filter(|at| **at < 60).count() >= 4, "{calls:?}");
    assert!(calls.len() < 30, "{}", calls.len());
    assert!(node.peers()[&far].connected);
}

#[test]
fn a_call_through_others_that_fails_is_repeated_less_and_less_and_ends_when_nobody_names_a_relay() {
    let mut now = start();
    let mut node = mesh_of(2..4, 0, now);
    let (far, relay) = (identity(2).device_id(), identity(3).device_id());
    direct(&mut node, relay, 1, public(3), now);
    node.handle_hello(relay, relaying(now), now).unwrap();
    let begin = now.instant;
    let mut calls = Vec::new();
    while now.instant.duration_since(begin) < Duration::from_secs(900) {
        for output in outputs(&mut node, now) {
            if let Output::DialThrough { peer, .. } = output {
                calls.push(now.instant.duration_since(begin).as_millis());
                node.handle_circuit_failed(peer, now);
            } else if let Output::Dial { peer, .. } = output {
                node.handle_dial_failed(peer, now);
            }
        }
        let (next, _) = node.poll_timeout().unwrap();
        now = later(now, next.saturating_duration_since(now.instant).max(Duration::from_millis(1)));
        node.handle_timeout(now);
    }
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(*calls.last().unwrap() < 10_000);
    // Kademlia knows better.
    node.handle_relay_of(far, relay, now);
    assert_eq!(through(&outputs(&mut node, now)), [(far, vec![relay])]);
}

#[test]
fn a_member_is_tested_only_where_it_says_that_it_is_and_not_all_the_time() {
    let now = start();
    let mut node = mesh_of(2..3, 1, now);
    let nas = identity(2).device_id();
    direct(&mut node, nas, 1, public(2), now);
    let candidates = vec![public(2), public(3)];
    node.handle_hello(nas, Hello { candidates, ..hello(now.wall) }, now).unwrap();
    let inside = SocketAddr::from((node.roster().member(&nas).unwrap().ipv4, 41820));
    let other_port = SocketAddr::new(public(2).ip(), 7);
    let asked = [public(3), public(99), inside, other_port];
    assert_eq!(node.handle_reach_request(nas, &asked, now), [public(3), other_port]);
    let many = vec![other_port; 100];
    assert_eq!(node.handle_reach_request(nas, &many, now).len(), REACH_ADDRESSES);
    let answered = (0..100).filter(|_| !node.handle_reach_request(nas, &asked, now).is_empty()).count();
    assert_eq!(answered, 1);
    assert!(node.handle_reach_request(identity(9).device_id(), &asked, now).is_empty(), "a stranger");
}

#[test]
fn connections_that_nobody_needs_are_let_go_by_whoever_made_them() {
    let now = start();
    let mut node = mesh_of(2..42, 0, now);
    outputs(&mut node, now);
    let wanted = neighbours(&node.own, (2..42).map(|seed| identity(seed).device_id()));
    assert_eq!(wanted.len(), 14, "of 40");
    for seed in 2..42u8 {
        // Half of them called us.
        let link = LinkInfo { address: public(seed), dialled: seed % 2 == 0, udp: true };
        node.handle_connected(identity(seed).device_id(), ConnectionKey(seed.into()), link, now);
    }
    // The first of all is connected twice.
    let twice = *wanted.first().unwrap();
    node.handle_connected(
        twice,
        ConnectionKey(99),
        LinkInfo { address: public(99), dialled: true, udp: true },
        now,
    );
    let relay = (2..42u8).step_by(2).map(|seed| identity(seed).device_id());
    let relay = relay.into_iter().find(|peer| !wanted.contains(peer)).unwrap();
    node.handle_hello(relay, relaying(now), now).unwrap();
    outputs(&mut node, now);
    let now = later(now, Duration::from_secs(100));
    node.handle_timeout(now);
    let closed: BTreeSet<u64> = outputs(&mut node, now)
        .into_iter()
        .filter_map(|output| if let Output::Close(key) = output { Some(key.0) } else { None })
        .collect();
    for seed in (2..42u8).filter(|seed| identity(*seed).device_id() != twice) {
        let peer = identity(seed).device_id();
        let let_go = seed % 2 == 0 && !wanted.contains(&peer) && peer != relay;
        assert_eq!(closed.contains(&seed.into()), let_go, "{seed}");
    }
    let double = closed.iter().filter(|key| **key == 99 || wanted_key(**key) == Some(twice)).count();
    assert_eq!(double, usize::from(node.own < twice));
}

fn wanted_key(key: u64) -> Option<DeviceId> {
    u8::try_from(key).ok().map(|seed| identity(seed).device_id())
}

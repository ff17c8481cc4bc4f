//! Paths that move, break, heal, sleep and compete.

use std::time::Duration;

use proptest::prelude::*;

use super::pipe::{Pipe, address, ms, route};
use super::{A_LAN, A_PUBLIC, B_LAN, B_PUBLIC, connected_pair, lan_pair, natted_pair};
use crate::path::Kind;

/// Time until end 0 has a verified path, while both talk.
fn time_to_path(pipe: &mut Pipe, accept: impl Fn(&Pipe) -> bool) -> Duration {
    let start = pipe.now;
    while !accept(pipe) {
        assert!(pipe.now < start + ms(60_000), "no path in a minute");
        pipe.talk(ms(100));
    }
    pipe.now - start
}

#[test]
fn an_authenticated_packet_from_elsewhere_moves_the_path_at_once() {
    let mut pipe = connected_pair();
    pipe.talk(ms(1000));
    let moved = "192.0.2.50:41820";
    pipe.ends[0].interfaces[0].0 = address(moved);
    pipe.send_data(0);
    pipe.run(ms(21));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(moved)), "before any probe could return");
    assert_eq!(pipe.ends[1].agent.info().unwrap().endpoint, address(A_PUBLIC), "not verified yet");
    pipe.run(ms(100));
    assert_eq!(pipe.ends[1].agent.info().unwrap().endpoint, address(moved));
    pipe.talk(ms(60_000));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(moved)));
}

#[test]
fn a_packet_resent_from_elsewhere_by_an_eavesdropper_costs_little() {
    let mut pipe = connected_pair();
    pipe.talk(ms(1000));
    let before = pipe.ends[1].paths().len();
    pipe.with(1, |agent, now| agent.handle_authenticated_packet(route("192.0.2.66:1"), now));
    pipe.talk(ms(3000));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(A_PUBLIC)));
    pipe.with(1, |agent, now| agent.handle_authenticated_packet(route("192.0.2.66:1"), now));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(A_PUBLIC)), "not fooled twice");
    assert_eq!(pipe.ends[1].paths().len(), before, "never told as a path");
}

#[test]
fn a_first_packet_from_an_unknown_peer_is_enough_to_answer() {
    let mut pipe = super::public_pair();
    pipe.with(1, |agent, now| agent.handle_authenticated_packet(route(A_PUBLIC), now));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(A_PUBLIC)));
    assert_eq!(pipe.ends[1].agent.info(), None);
    pipe.run(ms(50));
    assert!(pipe.ends[1].agent.info().is_some());
}

#[test]
fn a_lan_that_breaks_silently_gives_way_to_the_internet_and_returns() {
    let mut pipe = lan_pair();
    pipe.talk(ms(5000));
    assert_eq!(pipe.ends[0].agent.info().unwrap().kind, Kind::Lan);
    pipe.walls.extend([address(A_LAN), address(B_LAN)]);
    let outage = time_to_path(&mut pipe, |pipe| {
        pipe.ends.iter().all(|end| end.agent.info().is_some_and(|info| info.kind == Kind::Direct))
    });
    assert!(outage <= ms(4000), "{outage:?}");
    pipe.walls.clear();
    let back = time_to_path(&mut pipe, |pipe| pipe.ends[0].agent.info().unwrap().kind == Kind::Lan);
    assert!(back <= ms(40_000), "{back:?}");
    assert!(pipe.ends[0].paths().len() <= 4, "{:?}", pipe.ends[0].paths());
}

#[test]
fn a_dead_path_without_alternative_is_told_and_searched() {
    let mut pipe = connected_pair();
    pipe.talk(ms(2000));
    pipe.walls.extend([address(A_PUBLIC), address(B_PUBLIC)]);
    let start = pipe.now;
    while pipe.ends[0].agent.best().is_some() {
        pipe.talk(ms(100));
    }
    assert!(pipe.now - start <= ms(5000), "{:?}", pipe.now - start);
    assert_eq!(pipe.ends[0].paths().last(), Some(&None));
    pipe.talk(ms(20_000));
    pipe.walls.clear();
    let outage = time_to_path(&mut pipe, |pipe| pipe.ends[0].agent.info().is_some());
    assert!(outage <= ms(31_000), "{outage:?}");
}

#[test]
fn an_idle_path_that_dies_is_noticed_by_its_keep_alive() {
    let mut pipe = connected_pair();
    pipe.send_data(0);
    pipe.run(ms(1000));
    pipe.walls.extend([address(A_PUBLIC), address(B_PUBLIC)]);
    pipe.run(ms(45_000));
    assert_eq!(pipe.ends[0].agent.info(), None);
}

#[test]
fn a_rebooted_router_costs_a_second_or_two() {
    let mut pipe = natted_pair(false, false);
    pipe.talk(ms(3000));
    pipe.ends[0].nat.as_mut().unwrap().reboot();
    let data = pipe.ends[1].data;
    pipe.talk(ms(3000));
    // The other NAT lets our new port in only once it was told of it, by signalling.
    let inside = pipe.ends[0].interfaces[0].0;
    let outside = pipe.ends[0].nat.as_mut().unwrap().out(inside, address("192.0.2.1:41820"));
    pipe.with(1, |agent, now| agent.set_candidates(&[outside], now));
    let outage = time_to_path(&mut pipe, |pipe| pipe.ends[1].data > data + 5);
    assert!(outage <= ms(2000), "{outage:?}");
    assert!(pipe.ends.iter().all(|end| end.agent.best().is_some()));
}

#[test]
fn a_change_of_our_network_tries_everything_at_once() {
    let mut pipe = lan_pair();
    pipe.talk(ms(5000));
    pipe.ends[0].interfaces.retain(|(at, _)| *at != address(A_LAN));
    pipe.with(0, |agent, now| agent.network_changed(now));
    let outage = time_to_path(&mut pipe, |pipe| {
        pipe.ends[0].agent.info().is_some_and(|info| info.kind == Kind::Direct)
    });
    assert!(outage <= ms(1000), "{outage:?}");
}

#[test]
fn a_change_of_the_peers_network_is_followed_as_soon_as_its_first_ping_tells() {
    let mut pipe = lan_pair();
    pipe.talk(ms(5000));
    pipe.ends[0].interfaces.retain(|(at, _)| *at != address(A_LAN));
    let data = pipe.ends[0].data;
    pipe.with(0, |agent, now| agent.network_changed(now));
    let outage = time_to_path(&mut pipe, |pipe| pipe.ends[0].data > data + 2);
    assert!(outage <= ms(700), "{outage:?}");
    assert_eq!(pipe.ends[1].agent.info().unwrap().kind, Kind::Direct);
}

#[test]
fn a_change_that_changes_nothing_is_not_told() {
    let mut pipe = connected_pair();
    pipe.talk(ms(1000));
    pipe.with(0, |agent, now| agent.network_changed(now));
    pipe.talk(ms(5000));
    assert!(pipe.ends.iter().all(|end| end.paths().len() == 1));
}

#[test]
fn a_change_that_changes_nothing_costs_no_better_path() {
    let mut pipe = lan_pair();
    pipe.talk(ms(5000));
    pipe.with(0, |agent, now| agent.network_changed(now));
    pipe.talk(ms(5000));
    assert!(pipe.ends.iter().all(|end| end.agent.info().unwrap().kind == Kind::Lan));
    assert!(pipe.ends.iter().all(|end| end.paths().len() <= 2), "{:?}", pipe.ends[0].paths());
}

#[test]
fn waking_from_suspend_sends_one_round() {
    let mut pipe = lan_pair();
    pipe.talk(ms(5000));
    pipe.sleep(Duration::from_secs(3600));
    let before = pipe.ends[0].sent.len();
    pipe.with(0, |agent, now| agent.handle_timeout(now));
    assert!(pipe.ends[0].sent.len() - before <= 2, "one ping to each of the two candidates");
    pipe.talk(ms(5000));
    assert_eq!(pipe.ends[0].paths().len(), 1, "and the path is where it was");
    assert!(pipe.ends[0].sent.len() - before <= 30);
}

#[test]
fn a_round_trip_measured_over_a_nap_does_not_make_us_wait_for_a_dead_path() {
    let mut pipe = connected_pair();
    pipe.with(0, |agent, now| agent.network_changed(now));
    // The pong waits in the socket while the machine sleeps.
    pipe.now += ms(8000);
    pipe.run(ms(30));
    assert!(pipe.ends[0].agent.info().unwrap().rtt >= ms(2000));
    pipe.walls.extend([address(A_PUBLIC), address(B_PUBLIC)]);
    pipe.talk(ms(8000));
    assert_eq!(pipe.ends[0].agent.info(), None);
}

#[test]
fn a_clearly_faster_path_takes_over_once() {
    let mut pipe = lan_pair();
    let slow = |pipe: &mut Pipe, a: &str, b: &str, delay| {
        pipe.delays.insert(address(a), ms(delay));
        pipe.delays.insert(address(b), ms(delay));
    };
    // Make both direct, so that only the round trip differs.
    for (end, lan) in [(0, "203.0.113.10:41820"), (1, "198.51.100.11:41820")] {
        pipe.ends[end].interfaces[0] = (address(lan), 1);
    }
    let (a, b) = ("203.0.113.10:41820", "198.51.100.11:41820");
    slow(&mut pipe, a, b, 10);
    pipe.introduce(&[address(A_PUBLIC), address(a)], &[address(B_PUBLIC), address(b)]);
    pipe.talk(ms(40_000));
    assert_eq!(pipe.ends[0].agent.best(), Some(route(b)));
    slow(&mut pipe, a, b, 100);
    pipe.talk(ms(200_000));
    assert_eq!(pipe.ends[0].agent.best(), Some(route(B_PUBLIC)), "{:?}", pipe.ends[0].paths());
    assert_eq!(pipe.ends[0].paths().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn paths_of_nearly_equal_worth_never_flap(
        delays in prop::collection::vec(15..25_u64, 4),
        loss in 0..8_u64,
        jitter in prop::collection::vec((0..2_usize, 15..25_u64), 30),
    ) {
        let mut pipe = lan_pair();
        pipe.loss = loss;
        let (a, b) = ("203.0.113.10:41820", "198.51.100.11:41820");
        pipe.ends[0].interfaces[0] = (address(a), 1);
        pipe.ends[1].interfaces[0] = (address(b), 1);
        let all = [a, b, A_PUBLIC, B_PUBLIC];
        for (at, delay) in all.iter().zip(&delays) {
            pipe.delays.insert(address(at), ms(*delay));
        }
        pipe.introduce(&[address(A_PUBLIC), address(a)], &[address(B_PUBLIC), address(b)]);
        for (at, delay) in jitter {
            pipe.delays.insert(address(all[at * 2]), ms(delay));
            pipe.talk(ms(10_000));
        }
        for end in &pipe.ends {
            // In five minutes: found, and moved a few times at most, never back and forth.
            prop_assert!(end.paths().len() <= 6, "{:?}", end.paths());
            prop_assert!(end.paths().iter().all(Option::is_some));
        }
    }
}

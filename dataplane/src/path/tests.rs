//! What an agent promises, on virtual time.

mod keeping;
mod pipe;
mod probing;
mod roaming;
mod sizes;

use pipe::{End, INTERNET, Nat, Pipe, address, agent, ms, route};

use super::{Event, Kind, MAX_CANDIDATES};

const A_LAN: &str = "192.168.1.10:41820";
const B_LAN: &str = "192.168.1.11:41820";
const A_PUBLIC: &str = "203.0.113.1:41820";
const B_PUBLIC: &str = "198.51.100.2:41820";

/// Two public hosts.
fn public_pair() -> Pipe {
    Pipe::new(
        |now| End::new(agent(true, 1, now), &[(A_PUBLIC, INTERNET)], None),
        |now| End::new(agent(false, 2, now), &[(B_PUBLIC, INTERNET)], None),
    )
}

fn connected_pair() -> Pipe {
    let mut pipe = public_pair();
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(3000));
    assert!(pipe.ends.iter().all(|end| end.agent.info().is_some()));
    pipe
}

/// Two hosts on one LAN, which are also reachable from outside.
fn lan_pair() -> Pipe {
    let mut pipe = Pipe::new(
        |now| End::new(agent(true, 1, now), &[(A_LAN, 1), (A_PUBLIC, INTERNET)], None),
        |now| End::new(agent(false, 2, now), &[(B_LAN, 1), (B_PUBLIC, INTERNET)], None),
    );
    pipe.introduce(&[address(A_PUBLIC), address(A_LAN)], &[address(B_PUBLIC), address(B_LAN)]);
    pipe
}

/// Two hosts behind NATs whose outside addresses are known, as observers tell them.
fn natted_pair(a_symmetric: bool, b_symmetric: bool) -> Pipe {
    let a_nat = Nat::new("203.0.113.1", a_symmetric);
    let b_nat = Nat::new("198.51.100.2", b_symmetric);
    let mut pipe = Pipe::new(
        |now| End::new(agent(true, 1, now), &[("10.1.0.2:41820", 1)], Some(a_nat)),
        |now| End::new(agent(false, 2, now), &[("10.2.0.2:41820", 2)], Some(b_nat)),
    );
    let observer = address("192.0.2.1:41820");
    let mut outside = |end: usize| {
        let inside = pipe.ends[end].interfaces[0].0;
        pipe.ends[end].nat.as_mut().unwrap().out(inside, observer)
    };
    let (a, b) = (outside(0), outside(1));
    pipe.introduce(&[address("10.1.0.2:41820"), a], &[address("10.2.0.2:41820"), b]);
    pipe
}

#[test]
fn two_public_hosts_connect_in_one_round_trip() {
    let mut pipe = public_pair();
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(41));
    for end in &pipe.ends {
        let info = end.agent.info().unwrap();
        assert_eq!(info.kind, Kind::Direct);
        assert_eq!(info.rtt, ms(40));
    }
    assert_eq!(pipe.ends[0].agent.best(), Some(route(B_PUBLIC)));
}

#[test]
fn one_side_that_knows_an_address_is_enough() {
    let mut pipe = public_pair();
    pipe.with(0, |agent, now| agent.set_candidates(&[address(B_PUBLIC)], now));
    pipe.run(ms(200));
    assert_eq!(pipe.ends[1].agent.best(), Some(route(A_PUBLIC)), "learned from the ping");
}

#[test]
fn the_pong_says_how_we_are_seen() {
    let pipe = connected_pair();
    assert!(pipe.ends[0].events.iter().any(|(_, event)| *event == Event::Observed(address(A_PUBLIC))));
    let observed = |(_, event): &&(_, Event)| matches!(event, Event::Observed(_));
    assert_eq!(pipe.ends[0].events.iter().filter(observed).count(), 1, "told once");
}

#[test]
fn a_lan_is_chosen_before_the_internet() {
    let mut pipe = lan_pair();
    pipe.run(ms(100));
    for end in &pipe.ends {
        assert_eq!(end.agent.info().unwrap().kind, Kind::Lan);
    }
    let before = pipe.ends[0].sent.len();
    pipe.run(ms(20_000));
    assert!(pipe.ends[0].sent.len() < before + 4, "nothing is better than a LAN: the search ends");
}

#[test]
fn an_address_in_a_network_of_our_own_is_lan_however_public_it_looks() {
    let mut pipe = public_pair();
    pipe.with(0, |agent, _| agent.set_local_networks([(address(B_PUBLIC).ip(), 24)].into()));
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(3000));
    assert_eq!(pipe.ends[0].agent.info().unwrap().kind, Kind::Lan);
    assert_eq!(pipe.ends[1].agent.info().unwrap().kind, Kind::Direct, "each knows its own interfaces");
    pipe.with(0, |agent, now| {
        agent.set_local_networks([].into());
        agent.want(now);
    });
    pipe.run(ms(60_000));
    assert_eq!(pipe.ends[0].agent.info().unwrap().kind, Kind::Direct, "the interface is gone");
}

#[test]
fn a_lan_that_answers_late_is_taken_after_a_while() {
    let mut pipe = lan_pair();
    pipe.delays.insert(address(A_LAN), ms(60));
    pipe.delays.insert(address(B_LAN), ms(60));
    pipe.run(ms(1000));
    assert_eq!(pipe.ends[0].agent.info().unwrap().kind, Kind::Direct, "first answer, first used");
    pipe.run(ms(5000));
    assert_eq!(pipe.ends[0].agent.info().unwrap().kind, Kind::Lan);
    assert_eq!(pipe.ends[0].paths().len(), 2);
}

#[test]
fn two_port_restricted_nats_open_each_other() {
    let mut pipe = natted_pair(false, false);
    pipe.run(ms(300));
    for end in &pipe.ends {
        assert_eq!(end.agent.info().unwrap().kind, Kind::Direct);
    }
}

#[test]
fn two_symmetric_nats_do_not_and_the_search_slows_down_and_ends() {
    let mut pipe = natted_pair(true, true);
    pipe.run(ms(2000));
    let burst = pipe.ends[0].sent.len();
    pipe.run(ms(58_000));
    let backed_off = pipe.ends[0].sent.len();
    assert!(backed_off - burst < 25, "{burst} then {backed_off}");
    pipe.run(ms(600_000));
    assert_eq!(pipe.ends[0].sent.len(), backed_off, "quiet");
    assert_eq!(pipe.ends[0].agent.best(), None);
    assert_eq!(pipe.ends[0].agent.poll_timeout(), None);
}

#[test]
fn traffic_that_wants_an_unreachable_peer_keeps_a_slow_search_alive() {
    let mut pipe = natted_pair(true, true);
    pipe.talk(ms(120_000));
    let before = pipe.ends[0].sent.len();
    pipe.talk(ms(60_000));
    let pings = pipe.ends[0].sent.len() - before;
    assert!((2..=8).contains(&pings), "{pings}");
}

#[test]
fn a_want_wakes_a_quiet_agent() {
    let mut pipe = public_pair();
    pipe.walls.insert(address(A_PUBLIC));
    pipe.with(0, |agent, now| agent.set_candidates(&[address(B_PUBLIC)], now));
    pipe.run(ms(600_000));
    assert_eq!(pipe.ends[0].agent.poll_timeout(), None);
    pipe.walls.clear();
    pipe.send_data(0);
    pipe.run(ms(100));
    assert!(pipe.ends[0].agent.info().is_some());
}

#[test]
fn connecting_survives_loss() {
    for loss in [10, 30, 50] {
        let mut pipe = natted_pair(false, false);
        pipe.loss = loss;
        pipe.run(ms(3000));
        assert!(pipe.ends.iter().all(|end| end.agent.info().is_some()), "{loss} %");
    }
}

#[test]
fn a_far_peer_is_reached_too() {
    let mut pipe = public_pair();
    for end in [A_PUBLIC, B_PUBLIC] {
        pipe.delays.insert(address(end), ms(800));
    }
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(1700));
    assert_eq!(pipe.ends[0].agent.info().unwrap().rtt, ms(1600));
    pipe.talk(ms(120_000));
    assert_eq!(pipe.ends[0].paths().len(), 1, "slow is not dead");
}

#[test]
fn a_quiet_path_is_kept_by_one_ping_and_no_event() {
    let mut pipe = connected_pair();
    pipe.send_data(0);
    pipe.run(ms(1000));
    let (probes, events) = (pipe.ends.each_ref().map(|e| e.sent.len()), pipe.ends[0].events.len());
    pipe.run(ms(300_000));
    let sent = |end: usize| pipe.ends[end].sent.len() - probes[end];
    assert!((11..=13).contains(&sent(0)), "a ping each 25 s, not {}", sent(0));
    assert!(sent(1) <= 15, "hardly more than pongs, not {}", sent(1));
    assert_eq!(pipe.ends[0].events.len(), events);
}

#[test]
fn a_path_that_nobody_used_for_long_costs_nothing_and_wakes_at_once() {
    let mut pipe = connected_pair();
    pipe.send_data(0);
    pipe.run(ms(1_000_000));
    let before = pipe.ends[0].sent.len();
    pipe.run(ms(1_000_000));
    assert_eq!(pipe.ends[0].sent.len(), before);
    let data = pipe.ends[1].data;
    pipe.send_data(0);
    pipe.run(ms(21));
    assert_eq!(pipe.ends[1].data, data + 1, "sent at once over the last path");
    assert_eq!(pipe.ends[0].paths().len(), 1);
}

#[test]
fn traffic_both_ways_needs_few_probes() {
    let mut pipe = connected_pair();
    let before = pipe.ends[0].sent.len();
    pipe.talk(ms(60_000));
    assert!(pipe.ends[0].sent.len() - before <= 6);
}

#[test]
fn traffic_one_way_is_probed_twice_a_second() {
    let mut pipe = connected_pair();
    let before = pipe.ends[0].sent.len();
    for _ in 0..600 {
        pipe.send_data(0);
        pipe.run(ms(100));
    }
    let probes = pipe.ends[0].sent.len() - before;
    assert!((90..=125).contains(&probes), "{probes}");
    assert_eq!(pipe.ends[0].paths().len(), 1);
}

#[test]
fn loss_alone_does_not_move_a_path() {
    let mut pipe = connected_pair();
    pipe.loss = 12;
    pipe.talk(ms(600_000));
    assert_eq!(pipe.ends[0].paths().len(), 1);
}

#[test]
fn candidates_are_capped_and_junk_is_never_probed() {
    let mut pipe = public_pair();
    let mut many: Vec<_> = (1..=100).map(|n| address(&format!("192.0.2.{n}:41820"))).collect();
    many.insert(0, address("224.0.0.1:41820"));
    many.insert(0, address("0.0.0.0:41820"));
    many.insert(0, address("192.0.2.200:0"));
    many.insert(0, address("[::]:41820"));
    pipe.with(0, |agent, now| agent.set_candidates(&many, now));
    pipe.run(ms(100_000));
    let mut probed: Vec<_> = pipe.ends[0].sent.iter().map(|(_, to)| *to).collect();
    probed.sort();
    probed.dedup();
    assert_eq!(probed.len(), MAX_CANDIDATES);
    assert!(probed.iter().all(|to| many[4..].contains(to)));
}

#[test]
fn thirty_two_candidates_share_the_budget() {
    let mut pipe = public_pair();
    let mut many: Vec<_> = (1..=31).map(|n| address(&format!("192.0.2.{n}:41820"))).collect();
    many.push(address(B_PUBLIC));
    pipe.introduce(&[], &many);
    pipe.with(1, |agent, now| agent.set_candidates(&[], now));
    pipe.run(ms(1000));
    assert_eq!(pipe.ends[0].agent.best(), Some(route(B_PUBLIC)));
    let count = |to: &str| pipe.ends[0].sent.iter().filter(|(_, t)| *t == address(to)).count();
    assert!(count("192.0.2.1:41820").abs_diff(count("192.0.2.30:41820")) <= 1, "each gets its share");
}

#[test]
fn new_candidates_replace_old_ones_but_not_the_path_in_use() {
    let mut pipe = connected_pair();
    pipe.with(0, |agent, now| agent.set_candidates(&[address("192.0.2.7:1")], now));
    pipe.run(ms(5000));
    assert_eq!(pipe.ends[0].agent.best(), Some(route(B_PUBLIC)));
    assert!(pipe.ends[0].sent.iter().any(|(_, to)| *to == address("192.0.2.7:1")), "the new one was tried");
}

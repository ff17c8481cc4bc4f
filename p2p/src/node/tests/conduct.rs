//! How a node treats others who misbehave, and keeps others from thinking that it does.

use super::*;
use crate::node::Renumbered;

fn admitted(node: &mut Node, now: Now) -> Option<BTreeSet<DeviceId>> {
    let admits = outputs(node, now)
        .into_iter()
        .filter_map(|output| if let Output::Admit { members, .. } = output { Some(members) } else { None });
    admits.last()
}

#[test]
fn a_removed_member_that_hangs_up_before_it_was_told_is_not_let_in_again() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    outputs(&mut node, now);
    node.remove(&nas, now).unwrap();
    assert!(admitted(&mut node, now).unwrap().contains(&nas), "it is still to hear of it");
    node.handle_disconnected(nas, ConnectionKey(1), now);
    assert!(!admitted(&mut node, now).unwrap().contains(&nas));
}

#[test]
fn coming_back_refills_no_greetings() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let mut answered = 0;
    for key in 0..10 {
        connect(&mut node, nas, key, false, now);
        answered += (0..20).take_while(|_| node.handle_hello(nas, hello(now.wall), now).is_some()).count();
        node.handle_disconnected(nas, ConnectionKey(key), now);
    }
    assert_eq!(answered, 60);
}

/// Carries everything between two connected nodes, for a minute in which `stir` is called every 10 ms.
fn a_minute_of(mut stir: impl FnMut(&mut Node, u64, Now)) -> (Node, Node, Now) {
    let mut now = start();
    let mut one = founder(&Disk::default(), now);
    let mut two = member(&mut one, 2, "nas", now);
    let (one_id, two_id) = (one.own, two.own);
    connect(&mut one, two_id, 1, false, now);
    connect(&mut two, one_id, 1, true, now);
    for round in 0..6_000 {
        now = later(now, Duration::from_millis(10));
        stir(&mut one, round, now);
        for from_one in [true, false] {
            let (from, to) = if from_one { (&mut one, &mut two) } else { (&mut two, &mut one) };
            let (from_id, to_id) = (from.own, to.own);
            from.handle_timeout(now);
            for output in outputs(from, now) {
                if let Output::Exchange { session, message, .. } = output {
                    to.handle_exchange(from_id, message, now);
                    from.handle_exchange_answer(to_id, session, true, now);
                } else if let Output::Hello { session, hello, .. } = output {
                    let answer = to.handle_hello(from_id, hello, now);
                    from.handle_hello_answer(to_id, session, answer, now);
                }
            }
        }
    }
    (one, two, now)
}

#[test]
fn whoever_passes_on_a_flood_of_news_is_not_taken_for_its_source() {
    let mut names = 0;
    let (one, two, _) = a_minute_of(|node, _, now| {
        // As if others had just told it: a hundred records a second, each valid and new.
        names += 1;
        node.rename(format!("name{names}").parse().unwrap(), now).unwrap();
    });
    assert_eq!((two.peers()[&one.own].cut_offs, one.peers()[&two.own].cut_offs), (0, 0));
    let lag = two.roster().member(&one.own).unwrap().name.to_string();
    assert!(lag.starts_with("name59") || lag == "name6000", "{lag}");
}

#[test]
fn candidates_that_change_all_the_time_are_told_at_a_pace_that_others_accept() {
    let (one, two, now) = a_minute_of(|node, round, now| {
        // A NAT, or a liar among our observers, that shows another port each time.
        node.set_candidates(vec![address(u16::try_from(1000 + round).unwrap())], now);
    });
    assert_eq!(two.peers()[&one.own].cut_offs, 0);
    let heard = two.peers()[&one.own].candidates[0].port();
    assert!(heard > 6_800, "and yet they are known a second later: {heard}");
    assert!(one.poll_timeout().is_some_and(|(at, _)| at > now.instant));
}

#[test]
fn a_change_of_network_calls_those_whose_connection_cannot_follow() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    for (seed, name) in [(2, "nas"), (3, "phone"), (4, "desk"), (5, "off")] {
        member(&mut node, seed, name, now);
    }
    let id = |seed| identity(seed).device_id();
    outputs(&mut node, now);
    let link = |port, dialled, udp| LinkInfo { address: address(port), dialled, udp };
    node.handle_connected(id(2), ConnectionKey(2), link(2, true, true), now);
    node.handle_connected(id(3), ConnectionKey(3), link(3, false, true), now);
    node.handle_connected(id(4), ConnectionKey(4), link(4, true, false), now);
    node.handle_dial_failed(id(5), now);
    outputs(&mut node, now);
    let now = later(now, Duration::from_secs(60));
    node.handle_network_changed(Renumbered::default(), now);
    let called: BTreeSet<DeviceId> = outputs(&mut node, now)
        .into_iter()
        .filter_map(|output| if let Output::Dial { peer, .. } = output { Some(peer) } else { None })
        .collect();
    assert_eq!(called, BTreeSet::from([id(3), id(4), id(5)]));
}

#[test]
fn what_cannot_follow_us_to_another_address_is_closed() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    for (seed, name) in [(2, "nas"), (3, "phone"), (4, "desk"), (5, "attic"), (6, "late")] {
        member(&mut node, seed, name, now);
    }
    let id = |seed| identity(seed).device_id();
    let link = |port, dialled, udp| LinkInfo { address: address(port), dialled, udp };
    node.handle_connected(id(2), ConnectionKey(2), link(2, true, true), now);
    node.handle_hello(id(2), Hello { nat: NatKind::Open, ..hello(now.wall) }, now).unwrap();
    // Behind a router, which knows our old address alone.
    node.handle_connected(id(3), ConnectionKey(3), link(3, true, true), now);
    node.handle_hello(id(3), Hello { nat: NatKind::Easy, ..hello(now.wall) }, now).unwrap();
    node.handle_connected(id(4), ConnectionKey(4), link(4, true, false), now);
    node.handle_connected(id(5), ConnectionKey(5), link(5, false, true), now);
    let now = later(now, Duration::from_secs(2));
    // Perhaps from the new address already.
    node.handle_connected(id(6), ConnectionKey(6), link(6, false, true), now);
    outputs(&mut node, now);
    let mut closed = |renumbered| -> BTreeSet<ConnectionKey> {
        node.handle_network_changed(renumbered, now);
        let closed = outputs(&mut node, now).into_iter();
        closed.filter_map(|output| if let Output::Close(key) = output { Some(key) } else { None }).collect()
    };
    assert_eq!(closed(Renumbered { v4: false, v6: true }), BTreeSet::new());
    let renumbered = Renumbered { v4: true, v6: false };
    assert_eq!(closed(renumbered), BTreeSet::from([3, 4, 5].map(ConnectionKey)));
}

#[test]
fn a_connection_from_another_port_replaces_a_young_one_and_the_other_half_of_two_calls_does_not() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let mut closed = |key, port, dialled, udp| -> Vec<ConnectionKey> {
        let link = LinkInfo { address: address(port), dialled, udp };
        node.handle_connected(nas, ConnectionKey(key), link, now);
        let closed = outputs(&mut node, now).into_iter();
        closed.filter_map(|output| if let Output::Close(key) = output { Some(key) } else { None }).collect()
    };
    assert_eq!(closed(1, 41820, true, true), []);
    assert_eq!(closed(2, 41820, false, true), []);
    assert_eq!(closed(3, 5000, false, false), [], "each TCP has a port of its own");
    assert_eq!(closed(4, 6000, false, true), [1, 2].map(ConnectionKey));
}

#[test]
fn a_member_that_calls_through_the_tunnel_is_not_remembered_there() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    let inside = SocketAddr::from((node.roster().member(&nas).unwrap().ipv4, 41820));
    node.handle_moved(nas, ConnectionKey(1), inside, now);
    assert!(!node.peers()[&nas].addresses.contains(&inside));
}

#[test]
fn an_observer_that_changes_its_mind_all_the_time_is_not_listened_to() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    connect(&mut node, nas, 1, false, now);
    outputs(&mut node, now);
    for port in [7, 7, 7] {
        node.handle_observed(nas, address(port), now);
    }
    assert_eq!(events(&mut node, now).len(), 1);
    for port in 1000..2000 {
        node.handle_observed(nas, address(port), now);
    }
    assert_eq!(events(&mut node, now).len(), 9);
}

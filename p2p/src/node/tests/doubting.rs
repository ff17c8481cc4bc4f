//! Routers that forget: which connections are kept, closed and made again.

use super::*;
use crate::relay::Message;

/// A founder and a member with the larger key, connected twice: what it called has key 1, the other 2.
fn doubled(now: Now) -> (Node, DeviceId) {
    let mut node = founder(&Disk::default(), now);
    let seed = (2..).find(|seed| node.own < identity(*seed).device_id()).unwrap();
    member(&mut node, seed, "peer", now);
    let peer = identity(seed).device_id();
    connect(&mut node, peer, 1, true, now);
    connect(&mut node, peer, 2, false, now);
    outputs(&mut node, now);
    (node, peer)
}

fn closed(outputs: &[Output]) -> Vec<u64> {
    let closed =
        outputs.iter().filter_map(|output| if let Output::Close(key) = output { Some(key.0) } else { None });
    closed.collect()
}

fn called(outputs: &[Output]) -> Vec<DeviceId> {
    let called = outputs
        .iter()
        .filter_map(|output| if let Output::Dial { peer, .. } = output { Some(*peer) } else { None });
    called.collect()
}

#[test]
fn of_two_connections_that_stays_which_the_side_behind_a_router_called() {
    let now = start();
    for (ours, theirs, lesser) in [
        (NatKind::Unknown, NatKind::Open, 2),
        (NatKind::Hard, NatKind::Easy, 2),
        (NatKind::Open, NatKind::Open, 2),
        (NatKind::Open, NatKind::Easy, 1),
        (NatKind::Open, NatKind::Unknown, 1),
    ] {
        let (mut node, peer) = doubled(now);
        node.set_nat(ours, now);
        node.handle_hello(peer, Hello { nat: theirs, ..hello(now.wall) }, now).unwrap();
        outputs(&mut node, now);
        let now = later(now, Duration::from_millis(999));
        node.handle_timeout(now);
        assert!(closed(&outputs(&mut node, now)).is_empty());
        let now = later(now, Duration::from_millis(1));
        node.handle_timeout(now);
        assert_eq!(closed(&outputs(&mut node, now)), [lesser], "{ours:?} {theirs:?}");
        assert!(node.poll_timeout().unwrap().0 > now.instant);
    }
}

#[test]
fn a_connection_that_we_called_at_an_address_that_moved_is_closed() {
    let now = start();
    let (mut node, peer) = doubled(now);
    node.handle_moved(peer, ConnectionKey(2), address(9), now);
    assert_eq!(closed(&outputs(&mut node, now)), [1]);
}

#[test]
fn when_a_path_falls_silent_whoever_does_not_answer_is_called_again() {
    let (begin, silent) = (start(), Duration::from_secs(10));
    for answers in [true, false] {
        let (mut node, peer) = doubled(begin);
        let now = later(begin, silent);
        node.handle_timeout(now);
        let session = node.sessions[&peer].id;
        let relays = Hello { relay: true, ..hello(now.wall) };
        node.handle_hello_answer(peer, session, Some(relays), now);
        outputs(&mut node, now);
        node.handle_path_silent(peer, now);
        if answers {
            node.handle_hello_answer(peer, session, Some(hello(now.wall)), now);
        }
        let now = later(now, Duration::from_millis(300));
        node.handle_timeout(now);
        assert_eq!(called(&outputs(&mut node, now)), if answers { vec![] } else { vec![peer] });
        connect(&mut node, peer, 3, true, now);
        assert_eq!(closed(&outputs(&mut node, now)).len(), 1);
    }
}

#[test]
fn what_was_said_on_a_connection_that_closed_is_said_again_while_it_is_wanted() {
    let now = start();
    let (mut node, relay) = doubled(now);
    member(&mut node, 99, "other", now);
    let (other, open) = (identity(99).device_id(), Message::Open { peer: identity(99).device_id() });
    let said = |node: &mut Node| {
        outputs(node, now)
            .iter()
            .any(|output| matches!(output, Output::Relaying { message, .. } if *message == open))
    };
    node.handle_relaying_lost(relay, open, now);
    assert!(!said(&mut node), "nobody wants it");
    node.want_relay(other, now);
    node.handle_relaying_lost(relay, open, now);
    assert!(said(&mut node));
}

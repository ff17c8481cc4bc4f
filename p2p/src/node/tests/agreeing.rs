//! What a node lets others do with relaying, and which of two opens a stream.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick one output out of many")]

use super::*;
use crate::relay::Message;

const RELAY: u8 = 2;
const OTHER: u8 = 3;

/// A founder connected with two members, and who they are.
fn three(now: Now) -> (Node, DeviceId, DeviceId) {
    let mut node = founder(&Disk::default(), now);
    for (seed, name) in [(RELAY, "relay"), (OTHER, "other")] {
        member(&mut node, seed, name, now);
        connect(&mut node, identity(seed).device_id(), seed.into(), false, now);
    }
    outputs(&mut node, now);
    (node, identity(RELAY).device_id(), identity(OTHER).device_id())
}

fn said(outputs: &[Output], to: DeviceId) -> Vec<Message> {
    let said = outputs.iter().filter_map(|output| match output {
        Output::Relaying { peer, message } if *peer == to => Some(*message),
        _ => None,
    });
    said.collect()
}

fn greet(node: &mut Node, peer: DeviceId, relay: bool, now: Now) {
    node.handle_hello(peer, Hello { relay, ..hello(now.wall) }, now).unwrap();
    outputs(node, now);
}

#[test]
fn an_offer_counts_only_from_a_member_that_relays() {
    let now = start();
    let (mut node, relay, other) = three(now);
    let offer = Message::Offer { peer: other, session: 9 };
    greet(&mut node, relay, false, now);
    node.handle_relaying(relay, offer, now);
    assert!(outputs(&mut node, now).is_empty(), "it does not relay");

    greet(&mut node, relay, true, now);
    let stranger = Message::Offer { peer: identity(77).device_id(), session: 9 };
    node.handle_relaying(relay, stranger, now);
    let refused = outputs(&mut node, now);
    assert!(matches!(said(&refused, relay)[..], [Message::Refuse { .. }]), "{refused:?}");

    node.handle_relaying(relay, offer, now);
    let taken = outputs(&mut node, now);
    assert_eq!(said(&taken, relay), [Message::Accept { session: 9 }]);
    assert!(taken.iter().any(|output| matches!(output, Output::Event(Event::RelaySession { .. }))));
}

#[test]
fn a_relay_that_is_found_later_is_asked_at_once() {
    let now = start();
    let (mut node, relay, other) = three(now);
    greet(&mut node, relay, false, now);
    node.want_relay(other, now);
    assert!(said(&outputs(&mut node, now), relay).is_empty());
    node.handle_hello(relay, relaying(now), now).unwrap();
    assert_eq!(said(&outputs(&mut node, now), relay), [Message::Open { peer: other }]);
}

fn relaying(now: Now) -> Hello {
    Hello { relay: true, ..hello(now.wall) }
}

/// One that opens and closes without end is cut off itself, and cannot make us say more to another than that one bears.
#[test]
fn a_flood_is_cut_off_and_not_passed_on() {
    let now = start();
    let (mut node, liar, victim) = three(now);
    node.relays = true;
    let mut offered = 0;
    let mut cut = false;
    for _ in 0..1000 {
        node.handle_relaying(liar, Message::Open { peer: victim }, now);
        let mut all = outputs(&mut node, now);
        let session = said(&all, victim).iter().find_map(|message| match message {
            Message::Offer { session, .. } => Some(*session),
            _ => None,
        });
        if let Some(session) = session {
            node.handle_relaying(liar, Message::Close { session }, now);
            all.extend(outputs(&mut node, now));
        }
        offered += said(&all, victim).len();
        cut |= all.iter().any(|output| matches!(output, Output::CutOff(peer) if *peer == liar));
        assert!(!all.iter().any(|output| matches!(output, Output::CutOff(peer) if *peer == victim)));
    }
    assert!(cut);
    assert!(offered <= 128, "{offered} messages to the other, who bears 256");
}

#[test]
fn of_two_that_called_each_other_one_opens_the_stream() {
    let now = start();
    let opens = |own_seed: u8| {
        // The founder's place is taken by its key: the others are above and below it.
        let mut node = founder(&Disk::default(), now);
        member(&mut node, own_seed, "peer", now);
        let peer = identity(own_seed).device_id();
        for (key, dialled) in [(1, true), (2, false)] {
            let link = LinkInfo { address: address(1), dialled, udp: false };
            node.handle_connected(peer, ConnectionKey(key), link, now);
        }
        let then = later(now, Duration::from_millis(301));
        node.handle_timeout(then);
        let opened = outputs(&mut node, then).iter().any(|output| matches!(output, Output::OpenStream(_)));
        (node.own < peer, opened)
    };
    let both: BTreeSet<bool> = (2..12)
        .map(|seed| {
            let (leads, opened) = opens(seed);
            assert_eq!(leads, opened);
            leads
        })
        .collect();
    assert_eq!(both.len(), 2, "keys of both kinds");
}

#[test]
fn a_stream_follows_to_the_connection_that_replaces_its_own() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let nas = identity(2).device_id();
    let opened = |node: &mut Node, at: Now| {
        node.handle_timeout(at);
        outputs(node, at).iter().filter(|output| matches!(output, Output::OpenStream(_))).count()
    };
    let link = LinkInfo { address: address(1), dialled: true, udp: false };
    node.handle_connected(nas, ConnectionKey(1), link, now);
    assert_eq!(opened(&mut node, later(now, Duration::from_millis(301))), 1);
    let again = later(now, Duration::from_secs(60));
    node.handle_connected(nas, ConnectionKey(2), link, again);
    node.handle_disconnected(nas, ConnectionKey(1), again);
    node.handle_stream_ended(&nas, again);
    assert_eq!(opened(&mut node, again), 0);
    assert_eq!(opened(&mut node, later(again, Duration::from_millis(301))), 1);
    assert_eq!(opened(&mut node, later(again, Duration::from_secs(20))), 0, "one is enough");
}

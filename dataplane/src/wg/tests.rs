//! Keys, tables and tunnels on their own.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

#[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
fn start() -> Instant {
    Instant::now()
}

fn key(byte: u8) -> PrivateKey {
    PrivateKey::from_bytes([byte; 32])
}

/// Two tunnels facing each other.
struct Pair {
    now: Instant,
    left: Tunnel,
    right: Tunnel,
}

type Messages = Vec<Vec<u8>>;

impl Pair {
    fn new() -> Self {
        let (left, right) = (Device::new(&key(1)), Device::new(&key(2)));
        Self {
            now: start(),
            left: Tunnel::new(&left, &key(2).public(), None, 1),
            right: Tunnel::new(&right, &key(1).public(), None, 2),
        }
    }

    fn initiate(&mut self) -> Messages {
        let mut answers = Vec::new();
        self.left.initiate(&mut answers, self.now);
        answers
    }

    /// A complete handshake, begun by the left side.
    fn connect(&mut self) {
        let initiation = self.initiate();
        let response = deliver(&mut self.right, &initiation, self.now).1;
        let confirmation = deliver(&mut self.left, &response, self.now).1;
        deliver(&mut self.right, &confirmation, self.now);
        assert!(self.left.is_ready() && self.right.is_ready());
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.left.seal(packet, &mut out, &mut Vec::new(), self.now).unwrap();
        out
    }
}

fn deliver(to: &mut Tunnel, messages: &Messages, now: Instant) -> (Vec<Result<Opened, OpenError>>, Messages) {
    let mut answers = Vec::new();
    let open = |message: &Vec<u8>| {
        let mut plain = vec![0; message.len().max(WORKSPACE)];
        to.open(SOMEWHERE, message, &mut plain, &mut answers, now)
    };
    let opened = messages.iter().map(open).collect();
    (opened, answers)
}

fn packet(length: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(length)];
    bytes[0] = 0x45;
    bytes[3] = length;
    bytes
}

#[test]
fn a_handshake_takes_one_round_trip_and_then_packets_pass_both_ways() {
    let mut pair = Pair::new();
    assert!(!pair.left.is_ready());
    pair.connect();
    assert!(pair.left.established().is_some() && pair.right.established().is_some());
    let sealed = pair.seal(&packet(40));
    assert_eq!(sealed.len(), 40 + OVERHEAD);
    assert_eq!(deliver(&mut pair.right, &vec![sealed], pair.now).0, [Ok(Opened::Packet(40))]);
    let mut back = Vec::new();
    pair.right.seal(&packet(21), &mut back, &mut Vec::new(), pair.now).unwrap();
    assert_eq!(deliver(&mut pair.left, &vec![back], pair.now).0, [Ok(Opened::Packet(21))]);
}

#[test]
fn sealing_without_a_session_is_refused_and_leaves_nothing_behind() {
    let mut pair = Pair::new();
    let mut out = vec![1, 2, 3];
    assert!(pair.left.seal(&packet(40), &mut out, &mut Vec::new(), pair.now).is_err());
    assert_eq!(out, [1, 2, 3]);
    assert!(Kind::of(&pair.initiate()[0]) == Kind::Initiation, "the tunnel kept no packet for itself");
}

#[test]
fn every_message_is_taken_once() {
    let mut pair = Pair::new();
    let initiation = pair.initiate();
    let response = deliver(&mut pair.right, &initiation, pair.now).1;
    assert_eq!(deliver(&mut pair.right, &initiation, pair.now).0, [Err(OpenError::Unexpected)]);
    let confirmation = deliver(&mut pair.left, &response, pair.now).1;
    assert_eq!(deliver(&mut pair.left, &response, pair.now).0, [Err(OpenError::Unexpected)]);
    deliver(&mut pair.right, &confirmation, pair.now);
    assert_eq!(deliver(&mut pair.right, &confirmation, pair.now).0, [Err(OpenError::Replayed)]);
    let sealed = vec![pair.seal(&packet(40))];
    assert_eq!(deliver(&mut pair.right, &sealed, pair.now).0, [Ok(Opened::Packet(40))]);
    assert_eq!(deliver(&mut pair.right, &sealed, pair.now).0, [Err(OpenError::Replayed)]);
    assert!(pair.left.is_ready() && pair.right.is_ready());
}

#[test]
fn packets_may_overtake_each_other() {
    let mut pair = Pair::new();
    pair.connect();
    let mut sealed: Messages = (0..100).map(|_| pair.seal(&packet(40))).collect();
    sealed.reverse();
    assert!(
        deliver(&mut pair.right, &sealed, pair.now).0.iter().all(|opened| *opened == Ok(Opened::Packet(40)))
    );
}

#[test]
fn a_late_response_to_an_earlier_initiation_is_still_good() {
    let mut pair = Pair::new();
    let first = pair.initiate();
    let late = deliver(&mut pair.right, &first, pair.now).1;
    pair.now += Duration::from_secs(2);
    assert_eq!(pair.initiate().len(), 1, "repeated after a second");
    let confirmation = deliver(&mut pair.left, &late, pair.now).1;
    deliver(&mut pair.right, &confirmation, pair.now);
    assert!(pair.left.is_ready() && pair.right.is_ready());
}

#[test]
fn an_initiation_is_not_repeated_within_a_second() {
    let mut pair = Pair::new();
    assert_eq!(pair.initiate().len(), 1);
    pair.now += Duration::from_millis(900);
    assert_eq!(pair.initiate().len(), 0);
    pair.now += Duration::from_millis(200);
    assert_eq!(pair.initiate().len(), 1);
}

#[test]
fn truncated_and_altered_messages_are_refused_without_harm() {
    let mut pair = Pair::new();
    let initiation = pair.initiate();
    let check = |to: &mut Tunnel, message: &Vec<u8>, now: Instant| {
        for length in 0..message.len() {
            let cut = vec![message[..length].to_vec()];
            assert!(deliver(to, &cut, now).0[0].is_err(), "{length} bytes");
        }
        for at in 0..message.len() {
            let mut altered = message.clone();
            altered[at] ^= 0x10;
            // The last 16 bytes of a handshake message are its second MAC, which only counts under load.
            let unused = message[0] < 4 && at >= message.len() - 16;
            assert!(unused || deliver(to, &vec![altered], now).0[0].is_err(), "byte {at}");
        }
    };
    check(&mut pair.right, &initiation[0], pair.now);
    let response = deliver(&mut pair.right, &initiation, pair.now).1;
    check(&mut pair.left, &response[0], pair.now);
    let confirmation = deliver(&mut pair.left, &response, pair.now).1;
    deliver(&mut pair.right, &confirmation, pair.now);
    let sealed = pair.seal(&packet(40));
    check(&mut pair.right, &sealed, pair.now);
    assert_eq!(deliver(&mut pair.right, &vec![sealed], pair.now).0, [Ok(Opened::Packet(40))]);
}

#[test]
fn both_sides_may_initiate_at_once() {
    let mut pair = Pair::new();
    let from_left = pair.initiate();
    let mut from_right = Vec::new();
    pair.right.initiate(&mut from_right, pair.now);
    let answer_of_right = deliver(&mut pair.right, &from_left, pair.now).1;
    let answer_of_left = deliver(&mut pair.left, &from_right, pair.now).1;
    let confirmation_of_left = deliver(&mut pair.left, &answer_of_right, pair.now).1;
    let confirmation_of_right = deliver(&mut pair.right, &answer_of_left, pair.now).1;
    deliver(&mut pair.right, &confirmation_of_left, pair.now);
    deliver(&mut pair.left, &confirmation_of_right, pair.now);
    let sealed = pair.seal(&packet(40));
    assert_eq!(deliver(&mut pair.right, &vec![sealed], pair.now).0, [Ok(Opened::Packet(40))]);
    let mut back = Vec::new();
    pair.right.seal(&packet(40), &mut back, &mut Vec::new(), pair.now).unwrap();
    assert_eq!(deliver(&mut pair.left, &vec![back], pair.now).0, [Ok(Opened::Packet(40))]);
}

#[test]
fn a_counter_beyond_the_limit_is_refused_before_it_can_overflow() {
    let mut pair = Pair::new();
    pair.connect();
    let mut sealed = pair.seal(&packet(40));
    sealed[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(deliver(&mut pair.right, &vec![sealed], pair.now).0, [Err(OpenError::Exhausted)]);
}

#[test]
fn an_initiation_tells_who_sent_it_to_whom_it_was_made_for() {
    let mut pair = Pair::new();
    let initiation = pair.initiate().remove(0);
    let mut reply = Vec::new();
    assert_eq!(
        Device::new(&key(2)).screen(SOMEWHERE, &initiation, &mut reply),
        Screened::From(key(1).public())
    );
    assert_eq!(Device::new(&key(3)).screen(SOMEWHERE, &initiation, &mut reply), Screened::Refused);
    assert!(reply.is_empty());
}

#[test]
fn too_many_initiations_are_answered_with_a_cookie_and_it_lets_one_through() {
    let mut pair = Pair::new();
    let right = Device::new(&key(2));
    pair.right = Tunnel::new(&right, &key(1).public(), None, 2);
    let initiation = pair.initiate();
    let mut reply = Vec::new();
    let flood = (0..1000).map(|_| right.screen(SOMEWHERE, &initiation[0], &mut reply));
    assert!(flood.filter(|outcome| *outcome == Screened::Challenged).count() > 700);
    reply.truncate(64);
    assert_eq!(deliver(&mut pair.left, &vec![reply], pair.now).0, [Ok(Opened::Cookie)]);
    pair.now += Duration::from_secs(2);
    let again = pair.initiate();
    assert_eq!(right.screen(SOMEWHERE, &again[0], &mut Vec::new()), Screened::From(key(1).public()));
    assert_eq!(deliver(&mut pair.right, &again, pair.now).0, [Ok(Opened::Handshake)]);
}

#[test]
fn an_idle_tunnel_never_wants_to_be_woken() {
    let mut pair = Pair::new();
    assert_eq!(pair.left.poll_timeout(), None);
    pair.connect();
    let busy = pair.left.poll_timeout().unwrap();
    assert!(busy - pair.now <= Duration::from_millis(250));
    pair.now += Duration::from_secs(60);
    pair.left.handle_timeout(&mut Vec::new(), pair.now);
    assert!(pair.left.poll_timeout().unwrap() - pair.now >= Duration::from_secs(5));
}

#[test]
fn a_key_of_low_order_agrees_on_nothing() {
    for low in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(key(1).probe_key(&PublicKey(low)), Err(LowOrderKey));
    }
}

#[test]
fn both_sides_derive_the_same_probe_key_and_a_third_another() {
    let ours = key(1).probe_key(&key(2).public()).unwrap();
    assert_eq!(ours, key(2).probe_key(&key(1).public()).unwrap());
    assert_ne!(ours, key(3).probe_key(&key(1).public()).unwrap());
}

#[test]
fn secrets_do_not_show() {
    assert_eq!(format!("{:?}", key(7)), "PrivateKey(..)");
}

#[test]
fn the_first_bytes_tell_what_a_datagram_is() {
    let mut initiation = vec![0; 148];
    initiation[0] = 1;
    assert_eq!(Kind::of(&initiation), Kind::Initiation);
    assert_eq!(Kind::of(&initiation[..147]), Kind::Unknown);
    assert_eq!(Kind::of(&[4; 32]), Kind::Unknown, "reserved bytes are zero");
    assert_eq!(Kind::of(&[5, 1, 2]), Kind::Probe);
    assert_eq!(Kind::of(&[6]), Kind::Relayed);
    assert_eq!((Kind::of(&[0x40]), Kind::of(&[0xff; 1200])), (Kind::Quic, Kind::Quic));
    assert_eq!(
        (Kind::of(&[]), Kind::of(&[0]), Kind::of(&[0x3f; 99])),
        (Kind::Unknown, Kind::Unknown, Kind::Unknown)
    );
}

#[test]
fn an_index_of_a_removed_peer_finds_nobody_even_when_its_place_is_taken() {
    let mut peers = Peers::new(7);
    let gone = peers.insert(PublicKey([1; 32])).unwrap();
    let index = peers.tunnel_index(gone) << 8 | 5;
    assert_eq!(peers.by_receiver_index(index), Some(gone));
    peers.remove(&PublicKey([1; 32]));
    assert_eq!(peers.by_receiver_index(index), None);
    let next = peers.insert(PublicKey([2; 32])).unwrap();
    assert_eq!(next, gone, "the place is used again");
    assert_eq!(peers.by_receiver_index(index), None);
    assert_eq!(peers.by_receiver_index(peers.tunnel_index(next) << 8), Some(next));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Prefix, u8),
    Retain(u8, BTreeSet<Prefix>),
}

fn prefix() -> impl Strategy<Value = Prefix> {
    // Few addresses and many lengths, so that prefixes meet.
    let v4 = (any::<[bool; 6]>(), 0u8..=32).prop_map(|(bits, length)| {
        let address = bits.iter().enumerate().map(|(at, bit)| u32::from(*bit) << (at * 6)).sum();
        Prefix::new(Ipv4Addr::from_bits(address).into(), length).unwrap()
    });
    let v6 = (any::<[bool; 6]>(), 0u8..=128).prop_map(|(bits, length)| {
        let address = bits.iter().enumerate().map(|(at, bit)| u128::from(*bit) << (at * 25)).sum();
        Prefix::new(Ipv6Addr::from_bits(address).into(), length).unwrap()
    });
    prop_oneof![v4, v6]
}

fn contains(prefix: &Prefix, address: IpAddr) -> bool {
    let same_family = prefix.address().is_ipv4() == address.is_ipv4();
    same_family && Prefix::new(address, prefix.length()) == Some(*prefix)
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_list_searched_from_end_to_end(
        steps in proptest::collection::vec(prop_oneof![
            4 => (prefix(), 0u8..4).prop_map(|(prefix, peer)| Step::Insert(prefix, peer)),
            1 => (0u8..4, proptest::collection::btree_set(prefix(), 0..4)).prop_map(|(peer, keep)| Step::Retain(peer, keep)),
        ], 0..40),
        addresses in proptest::collection::vec(prefix(), 1..20),
    ) {
        let mut peers = Peers::new(0);
        let ids: Vec<PeerId> = (0..4).map(|n| peers.insert(PublicKey([n; 32])).unwrap()).collect();
        let (mut table, mut model) = (AllowedIps::default(), Vec::<(Prefix, PeerId)>::new());
        for step in steps {
            match step {
                Step::Insert(prefix, peer) => {
                    let peer = ids[usize::from(peer)];
                    let before = model.iter().position(|(known, _)| *known == prefix).map(|at| model.remove(at).1);
                    prop_assert_eq!(table.insert(prefix, peer), before);
                    model.push((prefix, peer));
                }
                Step::Retain(peer, keep) => {
                    let peer = ids[usize::from(peer)];
                    table.retain(peer, &keep);
                    model.retain(|(prefix, owner)| *owner != peer || keep.contains(prefix));
                }
            }
        }
        for address in addresses.iter().map(Prefix::address) {
            let best = model.iter().filter(|(prefix, _)| contains(prefix, address));
            let best = best.max_by_key(|(prefix, _)| prefix.length()).map(|(_, peer)| *peer);
            prop_assert_eq!(table.find(address), best);
        }
    }

    #[test]
    fn no_datagram_makes_the_tables_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), first in 0u8..8) {
        let mut bytes = bytes;
        if let [kind, a, b, c, ..] = bytes.as_mut_slice() {
            (*kind, *a, *b, *c) = (first, 0, 0, 0);
        }
        let _ = Kind::of(&bytes);
        let index = receiver_index(&bytes).unwrap_or_default();
        let _ = Peers::new(1).by_receiver_index(index);
        let device = Device::new(&key(1));
        prop_assert_ne!(device.screen(SOMEWHERE, &bytes, &mut Vec::new()), Screened::Challenged);
        let mut tunnel = Tunnel::new(&device, &key(2).public(), None, 1);
        let mut plain = vec![0; bytes.len().max(WORKSPACE)];
        prop_assert!(tunnel.open(SOMEWHERE, &bytes, &mut plain, &mut Vec::new(), start()).is_err());
    }
}

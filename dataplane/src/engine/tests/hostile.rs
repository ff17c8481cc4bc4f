//! What must not work.

use super::*;
use crate::relay::frame;

#[test]
fn a_packet_whose_inner_source_is_not_the_peers_goes_nowhere() {
    let mut world = World::new(3);
    world.connect();
    world.send(1, &[packet(v4(3), v4(2), 100), packet(v6(3), v6(2), 100), packet(v4(2), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 0);
    assert_eq!(world.drops(2, Drop::InboundForeignSource), 3);
}

#[test]
fn a_more_specific_prefix_moves_to_another_key_and_the_old_keys_packets_drop_at_once() {
    let mut world = World::new(3);
    let mut wide = peer(1);
    wide.allowed_ips = vec![(v4(0), 24)];
    world.command(2, Command::SetPeer(wide)).unwrap();
    let mut third = peer(3);
    third.allowed_ips = vec![(v6(3), 128)];
    world.command(2, Command::SetPeer(third)).unwrap();
    world.send(1, &[packet(v4(50), v4(2), 100)]);
    world.run(Duration::from_millis(300));
    assert_eq!(world.received(2).len(), 1, "50 is within the prefix of 1");

    let mut third = peer(3);
    third.allowed_ips = vec![(v4(50), 32)];
    world.command(2, Command::SetPeer(third)).unwrap();
    world.send(1, &[packet(v4(50), v4(2), 100), packet(v4(51), v4(2), 100)]);
    world.send(3, &[packet(v4(50), v4(2), 200)]);
    world.run(Duration::from_millis(300));
    let lengths: Vec<usize> = world.received(2).iter().map(Vec::len).collect();
    assert_eq!(lengths, [100, 200], "51 from 1, 50 from 3");
    assert_eq!(world.drops(2, Drop::InboundForeignSource), 1);

    // And the way out follows.
    world.send(2, &[packet(v4(2), v4(50), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.drops(3, Drop::InboundNotForUs), 1, "3 got it, though it does not call itself 50");
}

#[test]
fn the_same_prefix_given_to_another_peer_leaves_the_first_without() {
    let mut world = World::new(3);
    let mut thief = peer(3);
    thief.allowed_ips.push((v4(1), 32));
    world.command(2, Command::SetPeer(thief)).unwrap();
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(300));
    assert_eq!(world.received(2).len(), 0);
    assert_eq!(world.drops(2, Drop::InboundForeignSource), 1);
}

#[test]
fn a_packet_for_somebody_else_is_not_passed_to_the_kernel() {
    let mut world = World::new(2);
    world.connect();
    let mut elsewhere = peer(2);
    elsewhere.allowed_ips.push((v4(99), 32));
    world.command(1, Command::SetPeer(elsewhere)).unwrap();
    world.send(1, &[packet(v4(1), v4(99), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 0);
    assert_eq!(world.drops(2, Drop::InboundNotForUs), 1);
}

#[test]
fn a_conversation_replayed_as_a_whole_changes_nothing() {
    let mut world = World::new(2);
    world.connect();
    world.send(1, &vec![packet(v4(1), v4(2), 300); 10]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 10);
    for datagram in world.record.clone() {
        world.inject(datagram);
    }
    world.run(Duration::from_millis(100));
    assert_eq!((world.received(1).len(), world.received(2).len()), (0, 0));
    assert!(world.drops(2, Drop::Replayed) >= 10);
    assert!(world.drops(2, Drop::HandshakeUnexpected) >= 1);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 1, "the session goes on");
}

#[test]
fn a_replay_from_another_address_moves_no_path() {
    let mut world = World::new(2);
    world.connect();
    for datagram in world.record.clone() {
        world.inject(Datagram { from: outside(66), ..datagram });
    }
    world.run(Duration::from_secs(2));
    for number in [1, 2] {
        let path = world.host(number).engine.snapshot().peers.remove(0).path.unwrap();
        assert_eq!(path.endpoint, outside(3 - number));
    }
    let strays = world.record.iter().filter(|datagram| datagram.to == outside(66));
    assert_eq!(strays.filter(|datagram| Kind::of(&datagram.bytes) == Kind::Session).count(), 0);
}

#[test]
fn truncated_datagrams_are_counted_and_open_nothing() {
    let mut world = World::new(2);
    world.connect();
    for datagram in world.record.clone() {
        for length in 0..datagram.bytes.len() {
            world.inject(Datagram { bytes: datagram.bytes[..length].to_vec(), ..datagram });
        }
    }
    world.run(Duration::from_millis(10));
    assert_eq!((world.received(1).len(), world.received(2).len()), (0, 0));
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 1);
}

#[test]
fn a_device_cannot_be_its_own_peer() {
    let mut world = World::new(2);
    assert_eq!(world.command(1, Command::SetPeer(peer(1))), Err(CommandError::OwnKey));
    let mut liar = peer(2);
    liar.allowed_ips.push((v4(1), 32));
    assert_eq!(world.command(1, Command::SetPeer(liar)), Err(CommandError::OwnAddress(v4(1))));

    // Somebody who has our key speaks to us: a second daemon on the same state, or a thief.
    let mut twin = Engine::new(config(3, 1), world.now);
    twin.handle_command(Command::SetPeer(peer(1)), world.now).unwrap();
    let device = Device::new(&private(1));
    let mut tunnel = crate::wg::Tunnel::new(&device, &key(1), None, 1);
    let mut initiation = Vec::new();
    tunnel.initiate(&mut initiation, world.now);
    world.inject(Datagram { from: outside(9), to: outside(1), bytes: initiation.remove(0) });
    world.run(Duration::from_millis(10));
    assert_eq!(world.drops(1, Drop::HandshakeOwnKey), 1);
}

#[test]
fn our_own_datagrams_reflected_at_us_do_nothing() {
    let mut world = World::new(2);
    world.connect();
    for datagram in world.record.clone() {
        world.inject(Datagram { from: datagram.to, to: datagram.from, bytes: datagram.bytes });
    }
    world.run(Duration::from_millis(20));
    assert_eq!((world.received(1).len(), world.received(2).len()), (0, 0));
}

#[test]
fn a_key_of_low_order_is_refused() {
    let mut world = World::new(1);
    let config = PeerConfig { key: PublicKey([0; 32]), ..peer(2) };
    assert_eq!(world.command(1, Command::SetPeer(config)), Err(CommandError::LowOrderKey));
    assert_eq!(world.host(1).engine.snapshot().peers.len(), 0);
}

#[test]
fn a_stranger_gets_no_answer_at_all() {
    let mut world = World::new(2);
    world.command(2, Command::RemovePeer(key(1))).unwrap();
    world.run(Duration::ZERO);
    world.record.clear();
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_secs(3));
    assert_eq!(world.record.iter().filter(|datagram| datagram.from == outside(2)).count(), 0);
    assert!(world.drops(2, Drop::ProbeUnknown) > 0);
}

#[test]
fn a_removed_peer_is_cut_off_in_the_middle_of_its_session() {
    let mut world = World::new(2);
    world.connect();
    world.command(2, Command::RemovePeer(key(1))).unwrap();
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 0);
    assert_eq!(world.drops(2, Drop::NoSession), 1);
}

#[test]
fn rules_apply_to_what_comes_in_and_answers_pass() {
    let mut world = World::new(2);
    world.command(1, Command::SetRules { peer: key(2), rules: Rules::none() }).unwrap();
    world.connect();
    world.send(2, &[packet(v4(2), v4(1), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(1).len(), 0);
    assert_eq!(world.drops(1, Drop::InboundFiltered), 1);
}

#[test]
fn nothing_is_sent_to_or_taken_from_an_address_inside_the_mesh() {
    let mut world = World::new(2);
    let inside = SocketAddr::new(v4(2), 41820);
    world
        .command(1, Command::SetCandidates { peer: key(2), candidates: vec![inside], nat: Nat::Unknown })
        .unwrap();
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_secs(2));
    assert!(world.record.iter().all(|datagram| datagram.to != inside));
    world.inject(Datagram { from: inside, to: outside(1), bytes: vec![5; 80] });
    world.run(Duration::from_millis(10));
    assert_eq!(world.drops(1, Drop::ThroughTunnel), 1);
}

#[test]
fn noise_of_every_kind_is_counted_by_name() {
    let mut world = World::new(2);
    for (bytes, reason) in [
        (vec![0; 40], Drop::Unknown),
        (vec![0x45; 40], Drop::Quic),
        (vec![6; 40], Drop::RelayMalformed),
        ([&frame::header(7)[..], &[5; 80]].concat(), Drop::Relayed),
        (vec![5; 80], Drop::ProbeUnknown),
        ([&[1, 0, 0, 0][..], &[9; 144]].concat(), Drop::HandshakeRefused),
        ([&[4, 0, 0, 0][..], &[9; 44]].concat(), Drop::NoSession),
    ] {
        world.inject(Datagram { from: outside(9), to: outside(1), bytes });
        world.run(Duration::from_millis(5));
        assert_eq!(world.drops(1, reason), 1, "{}", reason.name());
    }
}

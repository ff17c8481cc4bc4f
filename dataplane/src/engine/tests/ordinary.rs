//! What must work.

use super::*;

#[test]
fn the_first_packet_waits_for_a_path_and_a_session_and_then_arrives() {
    for address in [v4, v6] {
        let mut world = World::new(2);
        world.send(1, &[packet(address(1), address(2), 100)]);
        world.run(Duration::from_millis(200));
        assert_eq!(world.received(2), [packet(address(1), address(2), 100)]);
        let state = world.host(1).engine.snapshot().peers.remove(0);
        assert_eq!(state.tx_bytes, 100);
        assert!(state.path.is_some() && state.last_handshake.is_some());
        assert_eq!(world.host(2).engine.snapshot().peers[0].rx_bytes, 100);
    }
}

#[test]
fn a_batch_of_equal_packets_leaves_as_one_run_and_the_next_size_begins_another() {
    let mut world = World::new(2);
    world.connect();
    world.host(1).runs.clear();
    let mut batch = vec![packet(v4(1), v4(2), 1420); 40];
    batch.push(packet(v4(1), v4(2), 100));
    batch.push(packet(v4(1), v4(2), 1420));
    world.send(1, &batch);
    world.run(Duration::from_millis(50));
    assert_eq!(world.received(2), batch);
    let runs: Vec<usize> = world.host(1).runs.iter().map(|run| run.segments().count()).collect();
    assert_eq!(runs, [41, 1]);
}

#[test]
fn runs_stay_within_what_one_system_call_may_send() {
    let mut world = World::new(2);
    world.connect();
    for length in [1420, 400] {
        world.host(1).runs.clear();
        world.send(1, &vec![packet(v4(1), v4(2), length); 200]);
        world.run(Duration::from_millis(50));
        assert_eq!(world.received(2).len(), 200);
        assert!(
            world.host(1).runs.iter().all(|run| run.segments().count() <= 64 && run.contents.len() <= 65_000)
        );
    }
}

#[test]
fn sealed_packets_are_padded_but_never_beyond_the_mtu() {
    let mut world = World::new(2);
    world.connect();
    world.host(1).runs.clear();
    world.send(1, &[packet(v4(1), v4(2), 1419), packet(v4(1), v4(2), 101)]);
    world.run(Duration::from_millis(50));
    let sizes: Vec<usize> =
        world.host(1).runs.iter().flat_map(|run| run.segments().map(<[u8]>::len)).collect();
    assert_eq!(sizes[..2], [1420 + 32, 112 + 32]);
    assert_eq!(world.received(2)[1].len(), 101);
}

#[test]
fn packets_for_a_peer_without_path_are_kept_up_to_a_bound_and_the_daemon_is_asked() {
    let mut world = World::new(2);
    world.loses = |_| true;
    let batch: Vec<Vec<u8>> = (0..40).map(|n| packet(v4(1), v4(2), 100 + n)).collect();
    world.send(1, &batch);
    world.run(Duration::from_secs(1));
    assert!(world.host(1).events.contains(&Event::WantCandidates { peer: key(2) }));
    assert_eq!(world.drops(1, Drop::WaitingOverflow), 8);
    world.loses = |_| false;
    world.run(Duration::from_secs(4));
    assert_eq!(world.received(2), batch[8..], "the newest 32, in order");
}

#[test]
fn packets_that_waited_too_long_are_answered_with_unreachable() {
    let mut world = World::new(2);
    world.loses = |_| true;
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_secs(12));
    assert_eq!(world.drops(1, Drop::WaitingExpired), 1);
    let answer = world.received(1).remove(0);
    assert!(IpPacket::parse(&answer).unwrap().is_icmp_error());
    world.loses = |_| false;
    world.run(Duration::from_secs(40));
    assert_eq!(world.received(2).len(), 0, "what was answered is not sent as well");
}

#[test]
fn a_packet_to_nobody_is_answered_with_unreachable() {
    let mut world = World::new(1);
    world.send(1, &[packet(v4(1), v4(99), 100), packet(v6(1), v6(99), 100)]);
    world.run(Duration::from_secs(1));
    assert_eq!(world.drops(1, Drop::OutboundNoRoute), 2);
    let answers = world.received(1);
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| IpPacket::parse(answer).unwrap().is_icmp_error()));
}

#[test]
fn a_packet_beyond_the_mtu_is_answered_with_too_big() {
    let mut world = World::new(2);
    world.send(1, &[packet(v6(1), v6(2), 1421)]);
    world.run(Duration::from_millis(10));
    assert_eq!(world.drops(1, Drop::OutboundTooBig), 1);
    let answer = world.received(1).remove(0);
    let answer = IpPacket::parse(&answer).unwrap();
    assert_eq!((answer.protocol(), answer.payload()[0]), (Protocol::ICMPV6, 2));
}

#[test]
fn both_sides_may_speak_first_at_once() {
    let mut world = World::new(2);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.send(2, &[packet(v4(2), v4(1), 100)]);
    world.run(Duration::from_millis(500));
    assert_eq!((world.received(1).len(), world.received(2).len()), (1, 1));
    world.send(1, &[packet(v4(1), v4(2), 200)]);
    world.send(2, &[packet(v4(2), v4(1), 200)]);
    world.run(Duration::from_millis(100));
    assert_eq!((world.received(1).len(), world.received(2).len()), (1, 1));
}

#[test]
fn a_ping_is_answered_end_to_end_and_the_answer_stays_inside() {
    let mut world = World::new(2);
    world.command(1, Command::Ping { peer: key(2), token: 77 }).unwrap();
    world.run(Duration::from_millis(200));
    let request = world.received(2).remove(0);
    world.send(2, &[echo_back(&request)]);
    world.run(Duration::from_millis(200));
    let events = &world.host(1).events;
    let pong = events.iter().find_map(|event| {
        let Event::Pong { peer, token: 77, rtt } = event else { return None };
        Some((*peer, *rtt))
    });
    assert!(pong.is_some_and(|(peer, rtt)| peer == key(2) && rtt > Duration::ZERO));
    assert_eq!(world.received(1).len(), 0);
}

#[test]
fn a_peer_within_a_network_of_an_interface_is_on_the_lan_whenever_it_came() {
    let kinds = |world: &mut World| {
        let snapshot = world.host(1).engine.snapshot();
        snapshot.peers.iter().map(|peer| peer.path.map(|path| path.kind)).collect::<Vec<_>>()
    };
    let mut world = World::new(2);
    world.connect();
    assert_eq!(kinds(&mut world), [Some(crate::path::Kind::Direct)]);
    let here = world.host(2).address.ip();
    world.command(1, Command::SetLocalNetworks(vec![(here, 24)])).unwrap();
    world.command(1, Command::RemovePeer(key(2))).unwrap();
    world.introduce(1, 2);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_secs(2));
    assert_eq!(kinds(&mut world), [Some(crate::path::Kind::Lan)]);
}

#[test]
fn a_ping_without_answer_times_out() {
    let mut world = World::new(2);
    world.command(1, Command::Ping { peer: key(2), token: 5 }).unwrap();
    world.run(Duration::from_secs(6));
    assert!(world.host(1).events.contains(&Event::PingTimedOut { peer: key(2), token: 5 }));
    assert_eq!(world.command(1, Command::Ping { peer: key(9), token: 5 }), Err(CommandError::UnknownPeer));
}

#[test]
fn a_restarted_peer_is_reached_again_at_once_though_the_other_side_does_not_know() {
    let mut world = World::new(2);
    world.connect();
    // 2 starts again, with nothing but its key and what its daemon remembers.
    world.host(2).engine = Engine::new(config(2, 99), world.now);
    world.introduce(2, 1);
    world.run(Duration::from_millis(500));
    for _ in 0..20 {
        world.send(1, &[packet(v4(1), v4(2), 100)]);
        world.run(Duration::from_millis(50));
    }
    let received = world.received(2).len();
    assert!(received >= 15, "{received} of 20 packets");
}

#[test]
fn a_peer_that_moved_is_answered_at_its_new_address() {
    let mut world = World::new(2);
    world.connect();
    world.host(1).address = outside(77);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 1);
    world.send(2, &[packet(v4(2), v4(1), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(1).len(), 1);
}

#[test]
fn another_preshared_key_ends_the_session_and_the_next_packet_makes_one() {
    let mut world = World::new(2);
    world.connect();
    for (number, other) in [(1, 2), (2, 1)] {
        let config = PeerConfig { preshared_key: Some([9; 32]), ..peer(other) };
        world.command(number, Command::SetPeer(config)).unwrap();
    }
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(Duration::from_millis(100));
    assert_eq!(world.received(2).len(), 1);
}

#[test]
fn a_quiet_mesh_wakes_nobody_up_often() {
    let mut world = World::new(2);
    world.connect();
    world.run(Duration::from_secs(700));
    let sent = world.record.len();
    world.run(Duration::from_secs(3600));
    assert!(world.record.len() - sent < 300, "{} datagrams in an hour", world.record.len() - sent);
}

/// What a kernel does with an echo request.
fn echo_back(request: &[u8]) -> Vec<u8> {
    let request = IpPacket::parse(request).unwrap();
    let mut reply = request.bytes().to_vec();
    let source = reply[12..16].to_vec();
    let destination = reply[16..20].to_vec();
    reply[12..16].copy_from_slice(&destination);
    reply[16..20].copy_from_slice(&source);
    let header = request.header_length();
    reply[header] = 0;
    let sum = u32::from(u16::from_be_bytes([reply[header + 2], reply[header + 3]])) + 0x0800;
    let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
    reply[header + 2..header + 4].copy_from_slice(&sum.to_be_bytes());
    assert!(EchoReply::parse(&IpPacket::parse(&reply).unwrap()).is_some());
    reply
}

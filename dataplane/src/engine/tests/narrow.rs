//! Paths that are narrower than the mesh: found, obeyed, and noticed when they become so under way.

use super::*;

/// As the wire: datagrams longer than this are lost.
fn over_1300(datagram: &Datagram) -> bool {
    datagram.bytes.len() > 1300
}

fn over_1000(datagram: &Datagram) -> bool {
    datagram.bytes.len() > 1000
}

/// A world whose wire carries little from the beginning, once that is known.
fn narrow(loses: fn(&Datagram) -> bool) -> World {
    let mut world = World::new(2);
    world.loses = loses;
    world.connect();
    world.run(Duration::from_secs(5));
    world.host(1).runs.clear();
    world
}

/// What 1 or 2 knows of the path to the other.
fn mtu(world: &mut World, number: u8) -> Option<u16> {
    let snapshot = world.host(number).engine.snapshot();
    let peer = snapshot.peers.into_iter().find(|peer| peer.key == key(3 - number));
    peer.and_then(|peer| peer.path).and_then(|path| path.mtu)
}

/// Like [`packet`], but it may be fragmented.
fn loose(length: usize) -> Vec<u8> {
    let mut bytes = packet(v4(1), v4(2), length);
    bytes[6] = 0;
    bytes[10..12].copy_from_slice(&[0, 0]);
    bytes
}

/// The MTU that an error told the sender.
fn told(answer: &[u8]) -> u32 {
    let answer = IpPacket::parse(answer).unwrap();
    let message = answer.payload();
    let field = if answer.version() == crate::packet::Version::V4 {
        assert_eq!(message[..2], [3, 4]);
        [0, 0, message[6], message[7]]
    } else {
        assert_eq!(message[..2], [2, 0]);
        [message[4], message[5], message[6], message[7]]
    };
    u32::from_be_bytes(field)
}

#[test]
fn a_wide_path_is_measured_by_one_ping_each_way() {
    let mut world = World::new(2);
    world.connect();
    assert_eq!((mtu(&mut world, 1), mtu(&mut world, 2)), (Some(MTU), Some(MTU)));
    let long = world.record.iter().filter(|datagram| datagram.bytes.len() > 1000).count();
    assert_eq!(long, 2);
}

#[test]
fn a_packet_that_must_stay_whole_is_answered_with_what_fits() {
    let mut world = narrow(over_1000);
    let fits = mtu(&mut world, 1).unwrap();
    assert!((953..=968).contains(&fits), "{fits}");
    world.send(1, &[packet(v4(1), v4(2), 1000), packet(v6(1), v6(2), 1400)]);
    world.run(Duration::from_millis(50));
    let answers = world.received(1);
    assert_eq!(answers.iter().map(|answer| told(answer)).collect::<Vec<_>>(), [u32::from(fits), 1280]);
    assert_eq!(world.drops(1, Drop::OutboundTooBigForPath), 2);
    world.send(1, &[packet(v4(1), v4(2), usize::from(fits))]);
    world.run(Duration::from_millis(50));
    assert_eq!(world.received(2).len(), 1, "what fits passes");
}

#[test]
fn a_packet_that_may_be_cut_is() {
    let mut world = narrow(over_1300);
    let whole = loose(1420);
    world.send(1, std::slice::from_ref(&whole));
    world.run(Duration::from_millis(50));
    let pieces = world.received(2);
    assert_eq!(pieces.len(), 2);
    let payload: Vec<u8> =
        pieces.iter().flat_map(|piece| IpPacket::parse(piece).unwrap().payload().to_vec()).collect();
    assert_eq!(payload, whole[20..]);
}

#[test]
fn ipv6_of_its_minimum_size_goes_in_fragments_outside() {
    let mut world = narrow(over_1000);
    world.send(1, &[packet(v6(1), v6(2), 1280), packet(v6(1), v6(2), 500)]);
    world.run(Duration::from_millis(50));
    let runs = &world.host(1).runs;
    let marked: Vec<bool> =
        runs.iter().filter(|run| run.contents[0] == 4).map(|run| run.may_fragment).collect();
    assert_eq!(marked, [true, false]);
    assert_eq!(world.received(1).len(), 0, "and nobody is told of less than 1280");
}

#[test]
fn a_black_hole_in_the_middle_of_a_flow_is_found_and_left() {
    let mut world = World::new(2);
    world.connect();
    let mut size = 1420;
    let mut send = |world: &mut World, seconds: u64| {
        let mut arrived = 0;
        for _ in 0..seconds * 20 {
            world.send(1, &[packet(v4(1), v4(2), size)]);
            world.run(Duration::from_millis(50));
            arrived += world.received(2).len();
            // As TCP does, the sender obeys.
            for answer in world.received(1) {
                size = size.min(told(&answer) as usize);
            }
        }
        arrived
    };
    assert_eq!(send(&mut world, 10), 200);
    world.loses = over_1300;
    let hole = send(&mut world, 10);
    assert!(hole > 40, "{hole} of 200 arrived");
    assert_eq!(send(&mut world, 5), 100);
    let fits = mtu(&mut world, 1).unwrap();
    assert!((1253..=1268).contains(&fits), "{fits}");
    assert_eq!(mtu(&mut world, 2), Some(MTU), "the other direction is the other side's business");
    // A minute later larger ones are tried again.
    world.loses = |_| false;
    send(&mut world, 70);
    assert_eq!(mtu(&mut world, 1), Some(MTU));
}

#[test]
fn while_it_is_searched_packets_go_in_fragments_and_nobody_is_told_a_passing_size() {
    let mut world = World::new(2);
    world.connect();
    let destination = Via::from(outside(2));
    let refused = Transmit { destination, segment_size: 1452, contents: Vec::new(), may_fragment: false };
    let now = world.now;
    world.host(1).engine.handle_too_big(&refused, 1452, now);
    world.host(1).runs.clear();
    world.send(1, &[packet(v4(1), v4(2), 1420)]);
    world.run(Duration::from_millis(1));
    assert!(world.host(1).runs.iter().any(|run| run.may_fragment && run.contents.len() == 1452));
    world.run(Duration::from_secs(5));
    assert_eq!((world.received(1).len(), world.received(2).len()), (0, 1));
    let fits = mtu(&mut world, 1).unwrap();
    assert!((1405..1420).contains(&fits), "all that the link did not refuse: {fits}");
}

/// A SYN with a segment size of 1460 from one host to the other.
fn syn(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let mut bytes = packet(from, to, if from.is_ipv4() { 44 } else { 64 });
    let header = IpPacket::parse(&bytes).unwrap().header_length();
    bytes[if from.is_ipv4() { 9 } else { 6 }] = 6;
    bytes[header..].copy_from_slice(&[
        0, 99, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 180,
    ]);
    bytes
}

#[test]
fn the_segment_size_is_lowered_to_the_path_by_sender_and_receiver() {
    let size = |bytes: &[u8]| u16::from_be_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]);
    for (address, headers) in [(v4 as fn(u8) -> IpAddr, 40), (v6, 60)] {
        let mut world = World::new(2);
        world.connect();
        world.send(1, &[syn(address(1), address(2))]);
        world.run(Duration::from_millis(50));
        assert_eq!(size(&world.received(2)[0]), MTU - headers, "never more than the mesh carries");

        // Narrow towards 1 alone: 1 does not notice, 2 does, and its word holds for what it sends.
        let mut world = narrow(|datagram| datagram.to == outside(1) && datagram.bytes.len() > 1300);
        world.send(1, &[syn(address(1), address(2))]);
        world.run(Duration::from_millis(50));
        let narrow = mtu(&mut world, 2).unwrap();
        assert_eq!(mtu(&mut world, 1), Some(MTU));
        assert_eq!(size(&world.received(2)[0]), narrow - headers);
    }
}

/// 1 and 2 hear only 3, which relays, and whose part of the way to 2 is narrow.
fn relayed_and_narrow(datagram: &Datagram) -> bool {
    let ends = [outside(1), outside(2)];
    let is_direct = ends.contains(&datagram.from) && ends.contains(&datagram.to);
    is_direct || (datagram.to == outside(2) && datagram.bytes.len() > 1400)
}

#[test]
fn through_a_relay_the_narrowest_part_of_the_way_and_the_frame_count() {
    const SESSION: u64 = 5;
    let mut world = World::new(3);
    world.loses = relayed_and_narrow;
    world.command(3, Command::AddForward { session: SESSION, between: (key(1), key(2)) }).unwrap();
    for (number, other) in [(1, 2), (2, 1)] {
        let add = Command::AddRelay { peer: key(other), relay: key(3), session: SESSION };
        world.command(number, add).unwrap();
    }
    world.connect();
    world.run(Duration::from_secs(5));
    let fits = mtu(&mut world, 1).unwrap();
    assert!((1400 - 48 - 7..=1400 - 48).contains(&fits), "{fits}");
    assert_eq!(mtu(&mut world, 2), Some(MTU));
    world.send(1, &[loose(1420), packet(v4(1), v4(2), usize::from(fits))]);
    world.run(Duration::from_millis(50));
    assert_eq!(world.received(2).len(), 3);

    // Our own link refuses what we send to the relay: that is a matter of the relayed path too.
    let now = world.now;
    let refused =
        world.host(1).runs.iter().rev().find(|run| run.contents.first() == Some(&6)).unwrap().clone();
    world.host(1).engine.handle_too_big(&refused, refused.segment_size, now);
    world.run(Duration::from_secs(3));
    assert!(mtu(&mut world, 1).unwrap() < fits);
}

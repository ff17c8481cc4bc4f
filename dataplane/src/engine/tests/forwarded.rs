//! What a relay lets through, and what not.

use proptest::prelude::*;

use super::relayed::{SESSION, ms, relayed, secs};
use super::*;
use crate::relay::{Quota, frame};

#[test]
fn frames_of_strangers_and_of_foreign_sessions_go_nowhere() {
    let mut world = relayed(4);
    world.talk(secs(1));
    let before = world.host(3).engine.snapshot().forwarding.packets;
    let inject = |world: &mut World, from: u8, session: u64, inside: &[u8]| {
        let bytes = [&frame::header(session)[..], inside].concat();
        world.inject(Datagram { from: outside(from), to: outside(3), bytes });
        world.run(ms(5));
    };
    inject(&mut world, 99, SESSION, &[5; 80]);
    inject(&mut world, 4, SESSION, &[5; 80]);
    assert_eq!(world.drops(3, Drop::RelayUnproven), 2, "a stranger, and a peer that is no end");
    inject(&mut world, 1, 4711, &[5; 80]);
    assert_eq!(world.drops(3, Drop::Relayed), 1);
    inject(&mut world, 1, SESSION, &[6; 80]);
    inject(&mut world, 1, SESSION, &[0x45; 80]);
    inject(&mut world, 1, SESSION, &[5; 3000]);
    assert_eq!(world.drops(3, Drop::RelayMalformed), 3);
    assert_eq!(world.host(3).engine.snapshot().forwarding.packets, before);
    // And at an end: only what the relay sends is from the relay.
    let bytes = [&frame::header(SESSION)[..], &[5; 80]].concat();
    world.inject(Datagram { from: outside(99), to: outside(1), bytes });
    world.run(ms(5));
    assert_eq!(world.drops(1, Drop::RelayUnproven), 1);
}

#[test]
fn a_session_carries_one_peer_only() {
    let mut world = relayed(4);
    world.talk(secs(1));
    // 3, which relays, puts its own packets into the session of 2.
    world.send(3, &[packet(v4(3), v4(1), 100)]);
    world.run(ms(100));
    assert_eq!(world.received(1).iter().filter(|bytes| bytes[15] == 3).count(), 1);
    let of_three =
        world.record.iter().rev().find(|datagram| {
            datagram.from == outside(3) && datagram.to == outside(1) && datagram.bytes[0] == 4
        });
    let bytes = [&frame::header(SESSION)[..], &of_three.unwrap().bytes].concat();
    world.inject(Datagram { from: outside(3), to: outside(1), bytes });
    world.run(ms(5));
    assert_eq!(world.drops(1, Drop::ForeignDetour), 1);
}

#[test]
fn removing_the_forward_the_relay_or_a_peer_cuts_at_once() {
    for cut in [
        Command::RemoveForward { session: SESSION },
        Command::RemovePeer(key(1)),
        Command::RemovePeer(key(2)),
    ] {
        let mut world = relayed(3);
        world.talk(secs(1));
        let before = world.host(3).engine.snapshot().forwarding.packets;
        world.command(3, cut).unwrap();
        assert_eq!(world.talk(ms(500)), 0);
        let forwarding = world.host(3).engine.snapshot().forwarding;
        assert_eq!((forwarding.packets, forwarding.sessions.len()), (before, 0));
    }
    let mut world = relayed(3);
    world.talk(secs(1));
    world.command(1, Command::RemoveRelay { peer: key(2), session: SESSION }).unwrap();
    assert_eq!(world.path_to(1, 2), None);
    assert_eq!(world.talk(ms(500)), 0);
}

#[test]
fn a_quota_holds_for_each_sender() {
    let mut world = relayed(3);
    world.talk(secs(1));
    let quota = Quota { bytes_per_day: u64::MAX, packets_per_second: 50 };
    world.command(3, Command::SetQuota(quota)).unwrap();
    world.received(2);
    world.send(1, &vec![packet(v4(1), v4(2), 500); 60]);
    world.send(1, &vec![packet(v4(1), v4(2), 500); 60]);
    world.run(ms(100));
    let arrived = world.received(2).len();
    assert!((45..=60).contains(&arrived), "{arrived}");
    assert!(world.drops(3, Drop::RelayOverRate) >= 60);
    world.send(2, &vec![packet(v4(2), v4(1), 500); 20]);
    world.received(1);
    world.run(ms(100));
    assert!(world.received(1).len() >= 20, "the other has its own");
    world.command(3, Command::SetQuota(Quota { bytes_per_day: 0, ..quota })).unwrap();
    world.run(secs(2));
    assert_eq!(world.talk(ms(200)), 0);
    assert!(world.drops(3, Drop::RelayOverDay) > 0);
}

#[test]
fn a_session_has_three_devices_and_one_meaning() {
    let mut world = relayed(4);
    let add = |peer, relay, session| Command::AddRelay { peer: key(peer), relay: key(relay), session };
    assert_eq!(world.command(1, add(2, 2, 9)), Err(CommandError::NotThreeDevices));
    assert_eq!(world.command(1, add(2, 50, 9)), Err(CommandError::UnknownPeer));
    assert_eq!(world.command(1, add(2, 3, SESSION)), Ok(()), "told again");
    assert_eq!(world.command(1, add(4, 3, SESSION)), Err(CommandError::SessionTaken(SESSION)));
    let between = |a, b| Command::AddForward { session: SESSION, between: (key(a), key(b)) };
    assert_eq!(world.command(3, between(2, 1)), Ok(()), "told again");
    assert_eq!(world.command(3, between(1, 4)), Err(CommandError::SessionTaken(SESSION)));
    assert_eq!(world.command(1, between(2, 4)), Err(CommandError::SessionTaken(SESSION)));
    for session in 100..107 {
        assert_eq!(world.command(1, add(2, 4, session)), Ok(()));
    }
    assert_eq!(world.command(1, add(2, 4, 107)), Err(CommandError::TooManySessions));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_leaves_a_relay_is_what_came_and_nothing_more(
        frames in prop::collection::vec((0..3_u8, 0..8_u8, 1..4_u8), 1..60),
        stride in 60..200_usize,
        cut in 0..60_usize,
    ) {
        let mut world = relayed(3);
        world.talk(ms(200));
        let mut contents = Vec::new();
        for (session, first, reserved) in &frames {
            let mut frame = frame::header(if *session == 0 { 4711 } else { SESSION }).to_vec();
            frame[7] = u8::from(*reserved == 1);
            frame.push(*first);
            frame.resize(stride, 0);
            contents.extend(frame);
        }
        contents.truncate(contents.len() - cut);
        let now = world.now;
        let relay = &mut world.host(3).engine;
        relay.handle_datagrams(outside(1), &contents, stride, now);
        let expected: Vec<&[u8]> = contents
            .chunks(stride)
            .filter(|datagram| frame::parse(datagram).is_ok_and(|(session, _)| session == SESSION))
            .collect();
        let runs: Vec<Transmit> = std::iter::from_fn(|| relay.poll_transmit()).collect();
        prop_assert!(runs.iter().all(|run| run.destination == outside(2).into()));
        let left: Vec<&[u8]> = runs.iter().flat_map(Transmit::segments).collect();
        prop_assert_eq!(left, expected);
    }
}

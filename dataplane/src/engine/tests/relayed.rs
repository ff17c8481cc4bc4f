//! Three devices: 1 and 2, and 3 between them.

use super::*;
use crate::path::{Kind as PathKind, Outcome, PairFailure, PairSource, Route};
use crate::relay::frame;

pub(super) const SESSION: u64 = 0x1234_5678_9abc_def0;
const SECOND: u64 = 77;

/// 1 and 2 do not hear each other.
fn apart(datagram: &Datagram) -> bool {
    let ends = [outside(1), outside(2)];
    ends.contains(&datagram.from) && ends.contains(&datagram.to)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    fn relay(&mut self, relay: u8, session: u64) {
        self.command(relay, Command::AddForward { session, between: (key(1), key(2)) }).unwrap();
        for (number, other) in [(1, 2), (2, 1)] {
            let add = Command::AddRelay { peer: key(other), relay: key(relay), session };
            self.command(number, add).unwrap();
        }
    }

    fn kind(&mut self, number: u8, other: u8) -> Option<PathKind> {
        self.path_to(number, other).map(|path| path.kind)
    }

    pub(super) fn path_to(&mut self, number: u8, other: u8) -> Option<crate::path::PathInfo> {
        let snapshot = self.host(number).engine.snapshot();
        snapshot.peers.iter().find(|peer| peer.key == key(other)).and_then(|peer| peer.path)
    }

    /// Both send each 50 ms; returns how many packets arrived at 2.
    pub(super) fn talk(&mut self, time: Duration) -> usize {
        let until = self.now + time;
        let before = self.host(2).received.len();
        while self.now < until {
            self.send(1, &[packet(v4(1), v4(2), 200)]);
            self.send(2, &[packet(v4(2), v4(1), 200)]);
            self.run(ms(50));
        }
        self.host(2).received.len() - before
    }

    /// Time until 2 gets a packet of 1 again, while both send.
    fn outage(&mut self) -> Duration {
        let start = self.now;
        while self.talk(ms(50)) == 0 {
            assert!(self.now < start + secs(60), "nothing in a minute");
        }
        self.now - start
    }
}

/// 1 and 2 hear only 3 (and 4, if there is one), which relays.
pub(super) fn relayed(count: u8) -> World {
    let mut world = World::new(count);
    world.loses = apart;
    world.run(secs(1));
    world.relay(3, SESSION);
    world.run(ms(100));
    world
}

#[test]
fn the_first_packet_takes_the_relay_and_arrives() {
    let mut world = World::new(3);
    world.loses = apart;
    world.relay(3, SESSION);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    let start = world.now;
    while world.received(2).is_empty() {
        world.run(ms(10));
        assert!(world.now < start + ms(1000), "too late");
    }
    let path = world.path_to(1, 2).unwrap();
    assert_eq!((path.kind, path.via, path.endpoint), (PathKind::Relay, Some(key(3)), outside(3)));
    let forwarding = world.host(3).engine.snapshot().forwarding;
    assert_eq!(forwarding.sessions.len(), 1);
    assert!(forwarding.packets > 4 && forwarding.bytes > 400, "{forwarding:?}");
    assert_eq!(forwarding.sessions[0].bytes, forwarding.bytes);
    assert_eq!(world.host(3).received.len(), 0, "the relay opens nothing");
}

#[test]
fn a_batch_is_relayed_as_one_run_in_and_one_run_out() {
    let mut world = relayed(3);
    world.talk(secs(1));
    world.host(1).runs.clear();
    let batch = vec![packet(v4(1), v4(2), 1200); 30];
    world.send(1, &batch);
    let run = world.host(1).engine.poll_transmit().unwrap();
    assert_eq!((run.segments().count(), run.segment_size), (30, 1200 + 32 + frame::HEADER));
    let now = world.now;
    let relay = &mut world.host(3).engine;
    relay.handle_datagrams(outside(1), &run.contents, run.segment_size, now);
    let out = relay.poll_transmit().unwrap();
    assert_eq!((out.destination, &out.contents), (outside(2).into(), &run.contents));
    assert!(relay.poll_transmit().is_none());
    let before = world.host(2).received.len();
    world.host(2).engine.handle_datagrams(outside(3), &out.contents, out.segment_size, now);
    world.run(Duration::ZERO);
    assert_eq!(world.host(2).received.len() - before, 30);
}

#[test]
fn a_direct_path_takes_over_within_two_seconds_and_nothing_is_lost() {
    let mut world = relayed(3);
    assert_eq!(world.talk(secs(1)), 20);
    assert_eq!(world.kind(1, 2), Some(PathKind::Relay));
    // The NATs open: both are told so by signalling.
    world.loses = |_| false;
    for (number, other) in [(1, 2), (2, 1)] {
        let candidates = vec![outside(other), outside(200)];
        world
            .command(number, Command::SetCandidates { peer: key(other), candidates, nat: Nat::Unknown })
            .unwrap();
    }
    assert!(world.talk(secs(1)) >= 19);
    assert_eq!((world.kind(1, 2), world.kind(2, 1)), (Some(PathKind::Direct), Some(PathKind::Direct)));
    assert_eq!(world.talk(secs(60)), 1200);
    let changes = |event: &&Event| matches!(event, Event::PathChanged { peer, .. } if *peer == key(2));
    assert_eq!(world.host(1).events.iter().filter(changes).count(), 2, "relay, then direct, then quiet");
}

#[test]
fn a_relayed_pair_finds_a_direct_path_later_without_being_told() {
    let mut world = relayed(3);
    world.talk(secs(10));
    world.loses = |_| false;
    world.talk(secs(45));
    assert_eq!(world.kind(1, 2), Some(PathKind::Direct));
}

#[test]
fn a_direct_path_that_falls_silent_gives_way_to_the_relay_within_three_seconds_and_returns() {
    let mut world = World::new(3);
    world.run(secs(1));
    world.relay(3, SESSION);
    world.talk(secs(10));
    assert_eq!(world.kind(1, 2), Some(PathKind::Direct));
    world.loses = apart;
    world.talk(ms(100));
    let outage = world.outage();
    assert!(outage <= ms(3000), "{outage:?}");
    world.talk(secs(10));
    assert_eq!(world.kind(1, 2), Some(PathKind::Relay));
    world.loses = |_| false;
    world.talk(secs(60));
    assert_eq!(world.kind(1, 2), Some(PathKind::Direct));
}

#[test]
fn a_dead_relay_gives_way_to_the_other_within_three_seconds() {
    let mut world = relayed(4);
    world.relay(4, SECOND);
    world.talk(secs(10));
    let first = world.path_to(1, 2).unwrap().via.unwrap();
    world.loses = if first == key(3) {
        |datagram| apart(datagram) || [datagram.from, datagram.to].contains(&outside(3))
    } else {
        |datagram| apart(datagram) || [datagram.from, datagram.to].contains(&outside(4))
    };
    world.talk(ms(100));
    let outage = world.outage();
    assert!(outage <= ms(3000), "{outage:?}");
    world.talk(secs(5));
    assert!(world.path_to(1, 2).is_some_and(|path| path.kind == PathKind::Relay && path.via != Some(first)));
}

#[test]
fn a_quiet_relayed_path_stays_without_events_and_carries_at_once() {
    let mut world = relayed(3);
    world.talk(secs(1));
    let events = world.host(1).events.len();
    world.run(secs(500));
    assert_eq!(world.host(1).events.len(), events);
    world.received(2);
    world.send(1, &[packet(v4(1), v4(2), 100)]);
    world.run(ms(20));
    assert_eq!(world.received(2).len(), 1);
}

#[test]
fn a_relay_whose_path_is_lost_is_no_way_until_it_is_found_again() {
    let mut world = relayed(3);
    world.talk(secs(1));
    world.loses = |_| true;
    world.talk(secs(10));
    assert_eq!(world.path_to(1, 2), None);
    let pairs =
        world.host(1).engine.snapshot().peers.iter().find(|peer| peer.key == key(2)).unwrap().pairs.clone();
    assert!(pairs.iter().any(|pair| matches!(pair.outcome, Outcome::Failed(_))), "{pairs:?}");
    world.host(1).events.clear();
    world.talk(secs(5));
    assert!(
        world.host(1).events.contains(&Event::WantCandidates { peer: key(3) }),
        "the relay is wanted too"
    );
    world.loses = apart;
    let outage = world.outage();
    assert!(outage <= secs(31), "{outage:?}");
    assert_eq!(world.kind(1, 2), Some(PathKind::Relay));
}

#[test]
fn a_stream_carries_both_ways_and_its_end_is_noticed_at_once() {
    let mut world = World::new(2);
    world.loses = |_| true;
    world.streams.push((5, [1, 2]));
    let now = world.now;
    world.host(1).engine.add_stream(&key(2), 5, outside(2), now).unwrap();
    world.host(2).engine.add_stream(&key(1), 5, outside(1), now).unwrap();
    assert!(world.talk(secs(1)) >= 18);
    let path = world.path_to(1, 2).unwrap();
    assert_eq!((path.kind, path.via, path.endpoint), (PathKind::Stream, None, outside(2)));
    assert_eq!(path.route, Route::Stream { id: 5 });
    let now = world.now;
    world.host(1).engine.remove_stream(5, now);
    assert_eq!(world.path_to(1, 2), None);
    world.host(1).engine.handle_datagram(Via::Stream { id: 5 }, &[5; 80], now);
    assert_eq!(world.drops(1, Drop::StreamUnknown), 1);
}

#[test]
fn a_device_without_udp_reaches_another_through_a_relay_by_a_stream() {
    let mut world = World::new(3);
    world.loses = |datagram| [datagram.from, datagram.to].contains(&outside(1));
    world.streams.push((8, [1, 3]));
    let now = world.now;
    world.host(1).engine.add_stream(&key(3), 8, outside(3), now).unwrap();
    world.host(3).engine.add_stream(&key(1), 8, outside(1), now).unwrap();
    world.relay(3, SESSION);
    assert!(world.talk(secs(1)) >= 15);
    let ours = world.path_to(1, 2).unwrap();
    assert_eq!((ours.kind, ours.via, ours.endpoint), (PathKind::Stream, Some(key(3)), outside(3)));
    assert_eq!(world.kind(2, 1), Some(PathKind::Relay));
    let now = world.now;
    world.host(1).engine.remove_stream(8, now);
    assert_eq!(world.path_to(1, 2), None, "and with the stream goes what it carried");
}

#[test]
fn every_way_is_reported_with_what_came_of_it() {
    let mut world = relayed(4);
    world.talk(secs(3));
    let add = Command::AddRelay { peer: key(2), relay: key(4), session: 9 };
    world.command(1, add).unwrap();
    world.loses = |datagram| apart(datagram) || [datagram.from, datagram.to].contains(&outside(4));
    world.talk(secs(60));
    let snapshot = world.host(1).engine.snapshot();
    let pairs = &snapshot.peers.iter().find(|peer| peer.key == key(2)).unwrap().pairs;
    let of = |route: Route| pairs.iter().find(|pair| pair.route == route).unwrap();
    let direct = of(Route::udp(outside(2)));
    assert!(matches!(direct.outcome, Outcome::Unanswered { pings } if pings > 20), "{direct:?}");
    assert_eq!((direct.source, direct.kind, direct.rtt), (PairSource::Told, None, None));
    let relay = of(Route::Relay { session: SESSION });
    assert_eq!(
        (relay.outcome, relay.via, relay.kind),
        (Outcome::Verified, Some(key(3)), Some(PathKind::Relay))
    );
    assert!(relay.rtt.is_some_and(|rtt| rtt <= ms(10)));
    let lost = of(Route::Relay { session: 9 });
    assert_eq!((lost.outcome, lost.endpoint), (Outcome::Failed(PairFailure::NoPathToRelay), None));
}

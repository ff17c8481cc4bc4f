//! The search for what passes, between agents: each side its own direction.

use super::pipe::{Pipe, address, ms, route};
use super::{A_PUBLIC, B_PUBLIC, connected_pair, lan_pair, public_pair};
use crate::path::Room;

const FULL: usize = 1420 + 32;

fn mtus(pipe: &Pipe) -> [Option<u16>; 2] {
    pipe.ends.each_ref().map(|end| end.agent.info().and_then(|info| info.mtu))
}

/// Both ends send large packets for a while.
fn stream(pipe: &mut Pipe, seconds: u64) {
    for _ in 0..seconds * 10 {
        for end in 0..2 {
            pipe.send_data(end);
            pipe.with(end, |agent, now| agent.sent(FULL, now));
        }
        pipe.run(ms(100));
    }
}

#[test]
fn the_full_size_is_known_one_round_trip_after_the_path() {
    let mut pipe = public_pair();
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(41));
    assert_eq!(pipe.ends[0].agent.room(), Some(Room { mtu: 1420, settled: true }), "assumed");
    assert_eq!(mtus(&pipe), [None, None]);
    pipe.run(ms(60));
    assert_eq!(mtus(&pipe), [Some(1420), Some(1420)]);
}

#[test]
fn each_side_learns_of_its_own_direction() {
    let mut pipe = public_pair();
    pipe.limits.insert(address(B_PUBLIC), 1300);
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(800));
    assert!(pipe.ends[0].agent.room().is_some_and(|room| !room.settled));
    pipe.run(ms(5000));
    let [ours, theirs] = mtus(&pipe);
    assert!((1253..=1268).contains(&ours.unwrap()), "{ours:?}");
    assert_eq!(theirs, Some(1420));
    assert_eq!(pipe.ends[0].paths().len(), 1, "a narrow path is no reason for an event");
}

#[test]
fn pings_of_a_test_that_are_lost_do_not_make_a_path_doubtful() {
    let mut pipe = connected_pair();
    pipe.limits.extend([(address(A_PUBLIC), 100), (address(B_PUBLIC), 100)]);
    pipe.with(0, |agent, now| agent.network_changed(now));
    stream(&mut pipe, 60);
    assert_eq!(mtus(&pipe), [Some(576), Some(576)]);
    assert_eq!(pipe.ends[0].paths().len(), 1);
}

#[test]
fn a_black_hole_is_noticed_only_by_who_sends_large_packets() {
    let mut pipe = connected_pair();
    pipe.limits.extend([(address(A_PUBLIC), 1400), (address(B_PUBLIC), 1400)]);
    let before = pipe.ends[0].sent.len();
    pipe.talk(ms(60_000));
    assert_eq!(mtus(&pipe), [Some(1420), Some(1420)]);
    assert!(pipe.ends[0].sent.len() - before <= 6, "small packets cost no test");
    stream(&mut pipe, 12);
    assert!(mtus(&pipe).iter().all(|mtu| (1353..=1368).contains(&mtu.unwrap())), "{:?}", mtus(&pipe));
}

#[test]
fn a_stream_is_tested_each_five_seconds_and_loss_alone_changes_nothing() {
    let mut pipe = connected_pair();
    let before = pipe.ends[0].sent.len();
    stream(&mut pipe, 60);
    let probes = pipe.ends[0].sent.len() - before;
    assert!((12..=35).contains(&probes), "ours, and pongs to theirs: {probes}");
    pipe.loss = 2;
    stream(&mut pipe, 600);
    assert_eq!(mtus(&pipe), [Some(1420), Some(1420)]);
}

#[test]
fn heavy_loss_may_cost_some_bytes_and_never_more_for_long() {
    let mut pipe = connected_pair();
    pipe.loss = 12;
    stream(&mut pipe, 600);
    pipe.loss = 0;
    stream(&mut pipe, 130);
    assert_eq!(mtus(&pipe), [Some(1420), Some(1420)]);
}

#[test]
fn another_network_is_another_path() {
    let mut pipe = public_pair();
    pipe.limits.insert(address(B_PUBLIC), 1300);
    pipe.introduce(&[address(A_PUBLIC)], &[address(B_PUBLIC)]);
    pipe.run(ms(6000));
    pipe.limits.clear();
    pipe.with(0, |agent, now| agent.network_changed(now));
    pipe.run(ms(500));
    assert_eq!(mtus(&pipe)[0], Some(1420));
}

#[test]
fn a_refusal_by_the_machine_is_enough() {
    let mut pipe = connected_pair();
    pipe.limits.insert(address(B_PUBLIC), 1360);
    pipe.with(0, |agent, now| agent.handle_too_big(route(B_PUBLIC), FULL, now));
    assert_eq!(pipe.ends[0].agent.room(), Some(Room { mtu: 1200, settled: false }));
    pipe.run(ms(4000));
    assert!((1313..=1328).contains(&mtus(&pipe)[0].unwrap()), "{:?}", mtus(&pipe));
}

#[test]
fn the_standby_is_measured_while_there_is_traffic() {
    let mut pipe = lan_pair();
    pipe.limits.insert(address(B_PUBLIC), 1300);
    stream(&mut pipe, 20);
    assert_eq!(mtus(&pipe), [Some(1420), Some(1420)]);
    pipe.walls.extend([address(super::A_LAN), address(super::B_LAN)]);
    stream(&mut pipe, 5);
    let info = pipe.ends[0].agent.info().unwrap();
    assert_eq!(info.endpoint, address(B_PUBLIC));
    assert!((1253..=1268).contains(&info.mtu.unwrap()), "known when it takes over: {info:?}");
}

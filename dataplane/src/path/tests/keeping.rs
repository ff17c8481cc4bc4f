//! Idle paths: kept open as long as the routers need it, and no more often; clocks that stop.

use std::time::Duration;

use super::pipe::{End, INTERNET, Nat, Pipe, address, agent, ms};
use super::{B_PUBLIC, connected_pair, lan_pair};

const A_INSIDE: &str = "10.1.0.2:41820";

/// A device behind a NAT that forgets after `lifetime`, and a public one.
fn forgetful(a_is_smaller: bool, lifetime: Duration, moves: bool) -> Pipe {
    let mut nat = Nat::new("203.0.113.1", false);
    nat.lifetime = Some(lifetime);
    nat.moves = moves;
    let mut pipe = Pipe::new(
        |now| End::new(agent(a_is_smaller, 1, now), &[(A_INSIDE, 1)], Some(nat)),
        |now| End::new(agent(!a_is_smaller, 2, now), &[(B_PUBLIC, INTERNET)], None),
    );
    pipe.introduce(&[], &[address(B_PUBLIC)]);
    pipe.run(ms(1000));
    assert!(pipe.ends[1].agent.info().is_some());
    pipe
}

/// After a silence the public side sends for two seconds. Whether its first packet arrived.
fn is_reached_after(pipe: &mut Pipe, silence: Duration) -> bool {
    pipe.run(silence);
    let before = pipe.ends[0].data;
    pipe.send_data(1);
    pipe.run(ms(100));
    let arrived = pipe.ends[0].data > before;
    for _ in 0..20 {
        pipe.send_data(1);
        pipe.run(ms(100));
    }
    arrived
}

#[test]
fn behind_a_nat_that_forgets_in_two_seconds_a_device_ends_up_reachable() {
    for a_is_smaller in [true, false] {
        let mut pipe = forgetful(a_is_smaller, ms(2000), false);
        pipe.send_data(1);
        pipe.run(ms(1000));
        let rounds = (0..40).position(|_| is_reached_after(&mut pipe, ms(30_000))).unwrap();
        assert!(rounds <= 5, "{rounds} rounds");
        let reached = (0..20).filter(|_| is_reached_after(&mut pipe, ms(30_000))).count();
        assert_eq!(reached, 20, "and stays so");
        assert!(is_reached_after(&mut pipe, ms(3000)));
    }
}

#[test]
fn a_nat_that_gives_another_port_each_time_is_learned_by_who_is_behind_it() {
    let mut pipe = forgetful(true, ms(20_000), true);
    pipe.send_data(0);
    pipe.run(ms(250_000));
    let paths = pipe.ends[1].paths().len();
    pipe.run(ms(250_000));
    assert_eq!(pipe.ends[1].paths().len(), paths, "the port stays");
    assert!(paths <= 4, "{:?}", pipe.ends[1].paths());
}

#[test]
fn a_patient_nat_is_kept_open_by_a_ping_a_minute() {
    let mut pipe = forgetful(true, ms(120_000), false);
    pipe.send_data(0);
    pipe.run(ms(240_000));
    let before = pipe.ends.each_ref().map(|end| end.sent.len());
    pipe.run(ms(330_000));
    let sent: usize = (0..2).map(|end| pipe.ends[end].sent.len() - before[end]).sum();
    assert!((10..=16).contains(&sent), "pings and pongs: {sent}");
    assert_eq!(pipe.ends[1].paths().len(), 1);
}

#[test]
fn on_a_lan_there_is_no_router_to_be_reminded() {
    let mut pipe = lan_pair();
    pipe.send_data(0);
    pipe.run(ms(90_000));
    let before = pipe.ends[0].sent.len();
    pipe.run(ms(440_000));
    let sent = pipe.ends[0].sent.len() - before;
    assert!((7..=9).contains(&sent), "each 55 s: {sent}");
}

#[test]
fn loss_alone_does_not_shorten_the_interval() {
    let mut pipe = connected_pair();
    pipe.send_data(0);
    pipe.loss = 2;
    for _ in 0..6 {
        pipe.run(ms(500_000));
        pipe.send_data(0);
        pipe.run(ms(1000));
    }
    let before = pipe.ends[0].sent.len();
    pipe.run(ms(500_000));
    assert!(pipe.ends[0].sent.len() - before <= 16, "{}", pipe.ends[0].sent.len() - before);
}

#[test]
fn a_process_frozen_for_a_minute_sends_one_round_when_it_thaws() {
    for busy in [false, true] {
        let mut pipe = lan_pair();
        pipe.talk(ms(5000));
        if !busy {
            pipe.run(ms(100_000));
        }
        pipe.sleep(ms(60_000));
        let before = pipe.ends[0].sent.len();
        pipe.with(0, |agent, now| agent.handle_timeout(now));
        assert!(pipe.ends[0].sent.len() - before <= 3, "a ping to each candidate, and one large");
        let thawed = pipe.ends[0].sent.len();
        pipe.run(ms(1000));
        assert!(pipe.ends[0].sent.len() - thawed <= 4, "answers to the other side, which slept as well");
        pipe.talk(ms(5000));
        assert_eq!(pipe.ends[0].paths().len(), 1, "the path is where it was");
        assert!(pipe.ends[0].data > 0 && pipe.ends[0].agent.info().is_some());
    }
}

#[test]
fn a_search_frozen_for_a_minute_does_not_catch_up() {
    let mut pipe = super::natted_pair(true, true);
    pipe.run(ms(500));
    pipe.sleep(ms(60_000));
    let before = pipe.ends[0].sent.len();
    pipe.with(0, |agent, now| agent.handle_timeout(now));
    let candidates = 2;
    assert!(pipe.ends[0].sent.len() - before <= candidates, "{}", pipe.ends[0].sent.len() - before);
    pipe.run(ms(1000));
    // The back-off goes on where it was: rounds after 200 and 400 ms.
    assert!(pipe.ends[0].sent.len() - before <= candidates * 3, "{}", pipe.ends[0].sent.len() - before);
}

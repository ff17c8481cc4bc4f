//! Probes that are forged, replayed, reflected, or too many; and any order of inputs at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::pipe::{address, agent, epoch, ms, route};
use crate::path::probe::{LEN, peek};
use crate::path::{Agent, ProbeError, Route, Transmit};

const A: &str = "203.0.113.1:41820";
const B: &str = "198.51.100.2:41820";
const ELSEWHERE: &str = "192.0.2.66:666";

/// Two agents that know each other's address, and the pings they begin with.
fn agents() -> (Agent, Agent, Instant) {
    let now = epoch();
    let (mut a, mut b) = (agent(true, 1, now), agent(false, 2, now));
    a.set_candidates(&[address(B)], now);
    b.set_candidates(&[address(A)], now);
    (a, b, now)
}

fn drain(agent: &mut Agent) -> Vec<Transmit> {
    std::iter::from_fn(|| agent.poll_transmit()).collect()
}

/// Hands everything back and forth until nothing more is said; returns what `a` sent.
fn settle(a: &mut Agent, b: &mut Agent, now: Instant) -> Vec<Transmit> {
    let mut sent = Vec::new();
    loop {
        let (from_a, from_b) = (drain(a), drain(b));
        if from_a.is_empty() && from_b.is_empty() {
            return sent;
        }
        for probe in &from_a {
            b.handle_probe(route(A), &probe.datagram, now).unwrap();
        }
        for probe in &from_b {
            a.handle_probe(route(B), &probe.datagram, now).unwrap();
        }
        sent.extend(from_a);
    }
}

#[test]
fn tags_lead_each_probe_to_the_right_agent() {
    let (mut a, b, _) = agents();
    let ping = a.poll_transmit().unwrap();
    assert_eq!(peek(&ping.datagram), Some(b.tag_in()));
    assert_ne!(a.tag_in(), b.tag_in());
    assert_eq!(peek(&ping.datagram[1..]), None);
    assert_eq!(peek(&[]), None);
}

#[test]
fn every_changed_bit_is_noticed() {
    let (mut a, mut b, now) = agents();
    let ping = a.poll_transmit().unwrap();
    drain(&mut b);
    for bit in 0..LEN * 8 {
        let mut datagram = ping.datagram.clone();
        datagram[bit / 8] ^= 1 << (bit % 8);
        assert!(b.handle_probe(route(ELSEWHERE), &datagram, now).is_err(), "bit {bit}");
    }
    assert_eq!(b.poll_transmit(), None);
    assert_eq!(b.best(), None);
    for cut in 0..LEN {
        assert_eq!(b.handle_probe(route(A), &ping.datagram[..cut], now), Err(ProbeError::Malformed));
    }
}

#[test]
fn a_stranger_and_a_mirror_are_refused() {
    let (mut a, _, now) = agents();
    let own = a.poll_transmit().unwrap();
    assert_eq!(a.handle_probe(route(B), &own.datagram, now), Err(ProbeError::ForeignTag));
    let mut stranger = Agent::new(crate::path::ProbeKey([8; 32]), false, 3, now);
    stranger.set_candidates(&[address(A)], now);
    let mut forged = stranger.poll_transmit().unwrap().datagram;
    assert_eq!(a.handle_probe(route(B), &forged, now), Err(ProbeError::ForeignTag));
    forged[8..16].copy_from_slice(&a.tag_in());
    assert_eq!(a.handle_probe(route(B), &forged, now), Err(ProbeError::Forged));
}

#[test]
fn a_replayed_probe_changes_nothing() {
    let (mut a, mut b, now) = agents();
    let captured = settle(&mut a, &mut b, now);
    let best = b.best();
    let later = now + ms(50);
    let mut answers = 0;
    for probe in &captured {
        // What was sent before the two knew each other is answered, as a first contact would be, and that is all.
        answers += usize::from(b.handle_probe(route(ELSEWHERE), &probe.datagram, later).is_ok());
        let replies = drain(&mut b);
        assert!(replies.iter().all(|reply| reply.route == route(ELSEWHERE)));
        assert!(replies.len() <= 1);
    }
    assert!(answers < captured.len(), "pings with our challenge and pongs are refused");
    assert_eq!(b.best(), best);
    b.network_changed(later);
    assert!(drain(&mut b).iter().all(|probe| probe.route == route(A)), "elsewhere is no candidate");
}

#[test]
fn a_ping_of_an_earlier_run_changes_nothing() {
    let (mut a, mut b, now) = agents();
    let captured = settle(&mut a, &mut b, now);
    let mut a = agent(true, 77, now);
    a.set_candidates(&[address(B)], now);
    settle(&mut a, &mut b, now);
    for probe in &captured {
        let _ = b.handle_probe(route(ELSEWHERE), &probe.datagram, now);
    }
    b.network_changed(now + ms(200));
    let round: Vec<_> = drain(&mut b).into_iter().filter(|probe| probe.route == route(ELSEWHERE)).collect();
    assert!(round.len() <= captured.len(), "answers at most");
    assert!(a.handle_probe(route(B), &round[0].datagram, now).is_err());
    assert_eq!(b.best(), Some(route(A)));
}

#[test]
fn a_pong_must_come_from_where_the_ping_went() {
    let (mut a, mut b, now) = agents();
    let ping = a.poll_transmit().unwrap();
    drain(&mut b);
    b.handle_probe(route(A), &ping.datagram, now).unwrap();
    let pong = b.poll_transmit().unwrap();
    assert_eq!(a.handle_probe(route(ELSEWHERE), &pong.datagram, now), Err(ProbeError::Unsolicited));
    assert_eq!(a.best(), None);
    assert_eq!(a.handle_probe(route(B), &pong.datagram, now), Ok(()));
    assert_eq!(a.handle_probe(route(B), &pong.datagram, now), Err(ProbeError::Unsolicited), "once");
}

#[test]
fn answers_to_the_unproven_are_few() {
    let (mut a, mut b, now) = agents();
    let ping = a.poll_transmit().unwrap();
    drain(&mut b);
    let answered =
        (0..1000).filter(|_| b.handle_probe(route(ELSEWHERE), &ping.datagram, now).is_ok()).count();
    assert!(answered <= 48, "{answered}");
    assert_eq!(drain(&mut b).len(), answered);
}

#[test]
fn secrets_do_not_print() {
    let now = epoch();
    assert_eq!(format!("{:?}", crate::path::ProbeKey([9; 32])), "ProbeKey(..)");
    assert!(!format!("{:?}", agent(true, 1, now)).contains("key"));
}

#[derive(Clone, Debug)]
enum Input {
    Candidates(Vec<u8>),
    NetworkChanged,
    Want,
    Packet(u8),
    Deliver { from: u8, index: usize },
    Noise { from: u8, bytes: Vec<u8> },
    Timeout,
    Wait(u32),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Input::Candidates),
        1 => Just(Input::NetworkChanged),
        4 => Just(Input::Want),
        2 => any::<u8>().prop_map(Input::Packet),
        8 => (0..6_u8, 0..8_usize).prop_map(|(from, index)| Input::Deliver { from, index }),
        1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..100))
            .prop_map(|(from, bytes)| Input::Noise { from, bytes }),
        8 => Just(Input::Timeout),
        8 => prop_oneof![0..200_u32, 0..5000_u32, 0..100_000_u32].prop_map(Input::Wait),
    ]
}

fn host(n: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n], if n == 255 { 0 } else { 41820 }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_inputs_breaks_an_agent_or_its_budget(inputs in prop::collection::vec(input(), 0..300)) {
        let start = epoch();
        let mut now = start;
        let (mut ours, mut peer) = (agent(true, 1, now), agent(false, 2, now));
        peer.set_candidates(&[host(1)], now);
        let mut pings: Vec<Instant> = Vec::new();
        for input in inputs {
            match input {
                Input::Candidates(hosts) => {
                    ours.set_candidates(&hosts.into_iter().map(host).collect::<Vec<_>>(), now);
                }
                Input::NetworkChanged => ours.network_changed(now),
                Input::Want => ours.want(now),
                Input::Packet(from) => ours.handle_authenticated_packet(Route::udp(host(from)), now),
                Input::Deliver { from, index } => {
                    peer.handle_timeout(now);
                    if let Some(probe) = drain(&mut peer).get(index) {
                        let _ = ours.handle_probe(Route::udp(host(from)), &probe.datagram, now);
                    }
                }
                Input::Noise { from, bytes } => {
                    prop_assert!(ours.handle_probe(Route::udp(host(from)), &bytes, now).is_err());
                }
                Input::Timeout => ours.handle_timeout(now),
                Input::Wait(ms) => now += Duration::from_millis(u64::from(ms)),
            }
            for probe in drain(&mut ours) {
                prop_assert!(probe.route.address().is_some_and(|to| to.port() != 0));
                if probe.datagram[1] == 1 {
                    pings.push(now);
                }
                let _ = peer.handle_probe(Route::udp(host(1)), &probe.datagram, now);
            }
            prop_assert_eq!(ours.info().is_some() && ours.best().is_none(), false);
            if let Some(deadline) = ours.poll_timeout().filter(|deadline| *deadline <= now) {
                ours.handle_timeout(now);
                prop_assert!(ours.poll_timeout().is_none_or(|next| next > now), "spins at {:?}", deadline - start);
                pings.extend(drain(&mut ours).iter().filter(|probe| probe.datagram[1] == 1).map(|_| now));
            }
        }
        for (first, at) in pings.iter().enumerate() {
            let within = pings[first..].iter().take_while(|later| **later < *at + ms(1000)).count();
            prop_assert!(within <= 96 + 40 + 1, "{} pings within a second", within);
        }
    }
}

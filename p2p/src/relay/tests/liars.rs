//! Offers that lead packets astray, and sessions that nobody wants.

use super::*;

fn begun(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Begun { .. })).count()
}

#[test]
fn a_number_that_stands_for_another_session_is_refused() {
    let (a, b, r, s) = (device(A), device(B), device(R), device(S));
    let (mut ends, mut out) = (Ends::default(), Vec::new());
    ends.offer(Offered { relay: r, peer: a, session: 7 }, true, start(), &mut out);
    assert_eq!(begun(&out), 1);
    for (relay, peer) in [(s, a), (r, b), (s, b)] {
        out.clear();
        ends.offer(Offered { relay, peer, session: 7 }, true, start(), &mut out);
        assert_eq!(out, [Output::Send(relay, Message::Refuse { peer, why: Why::Unknown })]);
    }
    // The same again is no other.
    out.clear();
    ends.offer(Offered { relay: r, peer: a, session: 7 }, true, start(), &mut out);
    assert_eq!(out, [Output::Send(r, Message::Accept { session: 7 })]);
}

#[test]
fn a_session_that_only_the_other_end_wanted_is_not_kept_when_word_of_its_end_was_lost() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.pass(Duration::from_secs(1000));
    assert_eq!(world.relays(b, a), [r], "the other end keeps it");
    // Neither the relay nor we hear of it.
    let mut out = Vec::new();
    world.members.get_mut(&a).unwrap().ends.unneeded(&b, &mut out);
    world.do_all(a, out);
    world.wire.clear();
    world.pass(Duration::from_secs(1300));
    assert!(world.members[&r].forwards.is_empty());
    assert!(world.relays(b, a).is_empty());
    assert_eq!(world.members[&b].ends.poll_timeout(), None);
}

#[test]
fn a_relay_is_asked_less_and_less_for_whoever_is_off_and_at_once_when_it_is_back() {
    let (peer, relay, begin) = (device(1), device(2), start());
    let candidates = [Candidate { relay, round_trip: None }];
    let (mut ends, mut out, mut now) = (Ends::default(), Vec::new(), begin);
    ends.want(peer);
    while now < begin + Duration::from_secs(600) {
        let before = out.len();
        ends.review(&candidates, now, &mut out);
        if out.len() > before {
            ends.refused(relay, peer, Why::NotConnected, now, &mut out);
        }
        now += Duration::from_secs(1);
    }
    assert!((10..=14).contains(&out.len()), "asked {} times in ten minutes", out.len());
    let before = out.len();
    ends.is_back(&peer);
    ends.review(&candidates, now, &mut out);
    assert_eq!(out[before..], [Output::Send(relay, Message::Open { peer })]);
}

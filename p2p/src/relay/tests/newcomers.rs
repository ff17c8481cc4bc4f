//! Asking for somebody who is about to come.

use super::*;

#[test]
fn who_comes_soon_after_it_was_asked_for_is_offered_the_session_at_once() {
    let (a, b) = (device(A), device(B));
    let absent = Fitness { relaying: true, known: true, connected: false };
    let offered = |out: &[Output]| {
        out.iter().filter(|said| matches!(said, Output::Send(to, Message::Offer { peer, .. }) if (*to, *peer) == (b, a))).count()
    };
    for (pause, expected) in [(Duration::from_secs(9), 1), (Duration::from_secs(10), 0)] {
        let (mut middle, mut out, now) = (Middle::new([7; 32]), Vec::new(), start());
        middle.open((a, b), absent, now, &mut out);
        assert_eq!(out, [Output::Send(a, Message::Refuse { peer: b, why: Why::NotConnected })]);
        out.clear();
        middle.connected(a, now, &mut out);
        assert_eq!(offered(&out), 0, "whoever asked is there already");
        middle.connected(b, now + pause, &mut out);
        assert_eq!(offered(&out), expected, "{pause:?}: {out:?}");
    }
}

#[test]
fn who_is_out_is_not_offered_anything_when_the_other_comes() {
    let (a, b) = (device(A), device(B));
    let absent = Fitness { relaying: true, known: true, connected: false };
    let (mut middle, mut out, now) = (Middle::new([7; 32]), Vec::new(), start());
    middle.open((a, b), absent, now, &mut out);
    out.clear();
    middle.retain(|_, _| false, &mut out);
    middle.connected(b, now, &mut out);
    assert!(out.is_empty(), "{out:?}");
}

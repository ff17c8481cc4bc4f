//! Three members, and whoever else there is, on virtual time: messages arrive, get lost, or lie.

mod liars;
mod newcomers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{Candidate, Ends, Fitness, Message, Middle, Offered, Output, Session, Why};
use crate::identity::{DeviceId, Identity};

fn device(number: u8) -> DeviceId {
    Identity::generate([number; 32]).device_id()
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn start() -> Instant {
    Instant::now()
}

/// Every member is both an end and, if it relays, a middle.
struct Member {
    ends: Ends,
    middle: Middle,
    relays: bool,
    begun: BTreeMap<(DeviceId, DeviceId), Session>,
    forwards: BTreeMap<Session, [DeviceId; 2]>,
}

struct World {
    now: Instant,
    members: BTreeMap<DeviceId, Member>,
    /// Pairs without a direct control connection.
    apart: BTreeSet<[DeviceId; 2]>,
    wire: VecDeque<(DeviceId, DeviceId, Message)>,
    /// Which of the messages sent, by count, is lost.
    lost: BTreeSet<usize>,
    sent: usize,
}

fn pair(a: DeviceId, b: DeviceId) -> [DeviceId; 2] {
    if a < b { [a, b] } else { [b, a] }
}

impl World {
    fn new(ends: &[DeviceId], relays: &[DeviceId]) -> Self {
        let member = |device: &DeviceId| {
            let secret = *blake3::hash(device.as_bytes()).as_bytes();
            let member = Member {
                ends: Ends::default(),
                middle: Middle::new(secret),
                relays: relays.contains(device),
                begun: BTreeMap::new(),
                forwards: BTreeMap::new(),
            };
            (*device, member)
        };
        Self {
            now: start(),
            members: ends.iter().chain(relays).map(member).collect(),
            apart: BTreeSet::new(),
            wire: VecDeque::new(),
            lost: BTreeSet::new(),
            sent: 0,
        }
    }

    fn do_all(&mut self, who: DeviceId, out: Vec<Output>) {
        for output in out {
            let member = self.members.get_mut(&who).unwrap();
            match output {
                Output::Send(to, message) => {
                    self.sent += 1;
                    if !self.apart.contains(&pair(who, to)) && !self.lost.contains(&self.sent) {
                        self.wire.push_back((who, to, message));
                    }
                }
                Output::Begun { peer, relay, session } => {
                    assert_eq!(member.begun.insert((peer, relay), session), None, "begun twice");
                }
                Output::Ended { peer, relay, session } => {
                    assert_eq!(member.begun.remove(&(peer, relay)), Some(session), "ended what never began");
                }
                Output::Forward { session, between } => {
                    assert_eq!(member.forwards.insert(session, between), None);
                }
                Output::ForwardEnded { session } => assert!(member.forwards.remove(&session).is_some()),
            }
        }
    }

    fn review(&mut self, who: DeviceId) {
        let candidates: Vec<_> = self
            .members
            .iter()
            .filter(|(relay, member)| {
                member.relays && !self.apart.contains(&pair(who, **relay)) && **relay != who
            })
            .map(|(relay, _)| Candidate { relay: *relay, round_trip: None })
            .collect();
        let (now, mut out) = (self.now, Vec::new());
        let member = self.members.get_mut(&who).unwrap();
        member.ends.review(&candidates, now, &mut out);
        member.middle.timeout(now, &mut out);
        self.do_all(who, out);
    }

    fn want(&mut self, who: DeviceId, peer: DeviceId) {
        self.members.get_mut(&who).unwrap().ends.want(peer);
        self.review(who);
    }

    fn deliver(&mut self, from: DeviceId, to: DeviceId, message: Message) {
        let (now, mut out) = (self.now, Vec::new());
        let known = |device: DeviceId| self.members.contains_key(&device) && device != to;
        let (is_known, connected) = match message {
            Message::Open { peer } | Message::Offer { peer, .. } => {
                (known(peer), known(peer) && !self.apart.contains(&pair(to, peer)))
            }
            Message::Accept { .. } | Message::Refuse { .. } | Message::Close { .. } => (true, true),
        };
        let Some(member) = self.members.get_mut(&to) else { return };
        match message {
            Message::Open { peer } => {
                let fitness = Fitness { relaying: member.relays, known: is_known, connected };
                member.middle.open((from, peer), fitness, now, &mut out);
            }
            Message::Offer { peer, session } => {
                member.ends.offer(Offered { relay: from, peer, session }, is_known, now, &mut out);
            }
            Message::Accept { session } => member.middle.accept(from, session, now, &mut out),
            Message::Refuse { peer, why } => {
                member.middle.decline(from, peer, &mut out);
                member.ends.refused(from, peer, why, now, &mut out);
            }
            Message::Close { session } => {
                let _ = member.middle.close(from, session, &mut out)
                    || member.ends.closed(from, session, now, &mut out);
            }
        }
        self.do_all(to, out);
        self.review(to);
    }

    fn settle(&mut self) {
        while let Some((from, to, message)) = self.wire.pop_front() {
            self.deliver(from, to, message);
        }
    }

    /// Lets time pass, in which everybody does what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        loop {
            self.settle();
            let due = self.members.iter().filter_map(|(who, member)| {
                let due = member.ends.poll_timeout().into_iter().chain(member.middle.poll_timeout()).min()?;
                Some((due, *who))
            });
            let Some((due, who)) = due.min().filter(|(due, _)| *due <= end) else { break };
            self.now = self.now.max(due);
            turns += 1;
            assert!(turns < 10_000, "somebody is due for ever");
            self.review(who);
        }
        self.now = end;
    }

    fn relays(&self, who: DeviceId, peer: DeviceId) -> Vec<DeviceId> {
        let begun = self.members[&who].begun.keys();
        begun.filter(|(other, _)| *other == peer).map(|(_, relay)| *relay).collect()
    }

    /// What one end has, the other has, and the relay carries it.
    fn agrees(&self) -> bool {
        self.members.iter().all(|(who, member)| {
            member.begun.iter().all(|((peer, relay), session)| {
                self.members[peer].begun.get(&(*who, *relay)) == Some(session)
                    && self.members[relay].forwards.get(session) == Some(&pair(*who, *peer))
            })
        })
    }
}

const A: u8 = 1;
const B: u8 = 2;
const R: u8 = 3;
const S: u8 = 4;

#[test]
fn two_relays_are_agreed_on_by_all() {
    let (a, b, r, s) = (device(A), device(B), device(R), device(S));
    let mut world = World::new(&[a, b], &[r, s]);
    world.want(a, b);
    world.settle();
    assert_eq!(world.relays(a, b).len(), 2);
    assert_eq!(world.relays(b, a).len(), 2);
    assert!(world.agrees());
}

#[test]
fn both_may_ask_at_once_and_get_one_session() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.want(b, a);
    world.settle();
    assert_eq!(world.relays(a, b), [r]);
    assert_eq!(world.members[&r].forwards.len(), 1);
    assert!(world.agrees());
}

#[test]
fn a_session_lasts_while_it_is_wanted_and_ends_for_all_when_not() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.relays(b, a), [r]);
    let mut out = Vec::new();
    world.members.get_mut(&a).unwrap().ends.unneeded(&b, &mut out);
    world.do_all(a, out);
    world.settle();
    assert!(world.relays(a, b).is_empty() && world.relays(b, a).is_empty());
    assert!(world.members[&r].forwards.is_empty());
    assert_eq!(world.members[&b].ends.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn whoever_is_not_there_is_asked_for_again() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.apart.insert(pair(b, r));
    world.want(a, b);
    world.pass(Duration::from_secs(30));
    assert!(world.relays(a, b).is_empty());
    let before = world.sent;
    assert!(before < 20, "{before} messages in 30 s");
    world.apart.clear();
    world.pass(Duration::from_secs(10));
    assert_eq!(world.relays(a, b), [r]);
    assert!(world.agrees());
}

#[test]
fn an_end_that_restarted_learns_its_sessions_again() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.pass(Duration::from_secs(10));
    let member = world.members.get_mut(&b).unwrap();
    (member.ends, member.begun) = Default::default();
    let (now, mut out) = (world.now, Vec::new());
    let middle = &mut world.members.get_mut(&r).unwrap().middle;
    middle.disconnected(b, now);
    middle.connected(b, now, &mut out);
    world.do_all(r, out);
    world.settle();
    assert_eq!(world.relays(b, a), [r]);
    assert!(world.agrees());
}

#[test]
fn an_end_that_stays_away_loses_its_session() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.settle();
    let now = world.now;
    world.apart.insert(pair(b, r));
    world.members.get_mut(&r).unwrap().middle.disconnected(b, now);
    world.members.get_mut(&b).unwrap().ends.disconnected(&r, now);
    world.pass(Duration::from_secs(59));
    assert_eq!(world.members[&r].forwards.len(), 1, "a hiccup cuts nothing");
    world.pass(Duration::from_secs(2));
    assert!(world.members[&r].forwards.is_empty());
    assert!(world.relays(b, a).is_empty());
}

#[test]
fn a_removed_member_is_cut_at_once() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut world = World::new(&[a, b], &[r]);
    world.want(a, b);
    world.settle();
    let mut out = Vec::new();
    world.members.get_mut(&r).unwrap().middle.retain(|one, other| *one != b && *other != b, &mut out);
    assert!(out.iter().any(|output| matches!(output, Output::ForwardEnded { .. })));
    world.do_all(r, out);
    assert!(world.members[&r].forwards.is_empty());
}

#[test]
fn nobody_opens_what_it_may_not() {
    let (a, b, r) = (device(A), device(B), device(R));
    let mut middle = Middle::new([1; 32]);
    let good = Fitness { relaying: true, known: true, connected: true };
    let cases = [
        (a, Fitness { relaying: false, ..good }, Why::NotRelaying),
        (a, Fitness { known: false, ..good }, Why::Unknown),
        (b, good, Why::Unknown),
        (a, Fitness { connected: false, ..good }, Why::NotConnected),
    ];
    for (from, fitness, why) in cases {
        let mut out = Vec::new();
        middle.open((from, b), fitness, start(), &mut out);
        assert_eq!(out, [Output::Send(from, Message::Refuse { peer: b, why })]);
    }
    let mut out = Vec::new();
    middle.open((a, b), good, start(), &mut out);
    let Some(Output::Send(_, Message::Offer { session, .. })) = out.first().cloned() else {
        panic!("{out:?}")
    };
    // Neither an outsider nor the asker can agree for the other, or end what is not theirs.
    for liar in [a, r] {
        let mut out = Vec::new();
        middle.accept(liar, session, start(), &mut out);
        assert_eq!(out, []);
    }
    assert!(!middle.close(r, session, &mut Vec::new()));
    assert_eq!(middle.count(), 0);
}

#[test]
fn one_member_cannot_take_all_places() {
    let mut middle = Middle::new([1; 32]);
    let fitness = Fitness { relaying: true, known: true, connected: true };
    let (greedy, mut out) = (device(200), Vec::new());
    for number in 0..200 {
        middle.open((greedy, device(number)), fitness, start(), &mut out);
    }
    let full = |output: &&Output| matches!(output, Output::Send(_, Message::Refuse { why: Why::Full, .. }));
    assert_eq!(out.iter().filter(full).count(), 200 - 64);
    let before = out.len();
    middle.open((device(201), device(202)), fitness, start(), &mut out);
    assert!(matches!(out[before], Output::Send(_, Message::Offer { .. })));
}

#[test]
fn offers_are_taken_of_members_only_and_not_without_end() {
    let (a, mut ends) = (device(A), Ends::default());
    let mut out = Vec::new();
    ends.offer(Offered { relay: a, peer: device(B), session: 1 }, false, start(), &mut out);
    assert_eq!(out, [Output::Send(a, Message::Refuse { peer: device(B), why: Why::Unknown })]);
    out.clear();
    for number in 10..30 {
        ends.offer(
            Offered { relay: device(number), peer: a, session: number.into() },
            true,
            start(),
            &mut out,
        );
    }
    let begun = out.iter().filter(|output| matches!(output, Output::Begun { .. })).count();
    assert_eq!(begun, 4);
}

proptest! {
    /// Whatever is lost in the first exchange, all three agree soon after.
    #[test]
    fn lost_messages_delay_and_no_more(lost in proptest::collection::btree_set(1usize..12, 0..8), both in any::<bool>()) {
        let (a, b, r, s) = (device(A), device(B), device(R), device(S));
        let mut world = World::new(&[a, b], &[r, s]);
        world.lost = lost;
        world.want(a, b);
        if both {
            world.want(b, a);
        }
        world.pass(Duration::from_secs(600));
        prop_assert_eq!(world.relays(a, b).len(), 2);
        prop_assert!(world.agrees());
    }
}

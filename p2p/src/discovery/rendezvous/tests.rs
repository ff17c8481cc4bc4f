//! Who can open what, what looks like what, and when something is asked.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{Ask, Meeting, Own, Period, Place, SLOTS, Subject, VALUE_BYTES};
use crate::{
    discovery::{Presence, Presences},
    identity::{DeviceId, Identity},
    record::{MeshId, Timestamp, Verified},
};

const HOUR: u64 = 3600 * 1000;
/// Noon of some day.
const NOON: u64 = 22_000 * 24 * HOUR + 12 * HOUR;

fn identity(seed: u8) -> Identity {
    Identity::generate([seed; 32])
}

fn device(seed: u8) -> DeviceId {
    identity(seed).device_id()
}

fn mesh(number: u8) -> MeshId {
    MeshId::from_bytes([number; 32])
}

fn wall(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 41820))
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn start() -> Instant {
    Instant::now()
}

fn presence(seed: u8, addresses: Vec<SocketAddr>, at: u64) -> Verified<Presence> {
    Presences::own(&identity(seed), mesh(1), addresses, Vec::new(), wall(at)).unwrap()
}

fn place(number: u8, seed: u8, at: u64) -> Place {
    Place::of(mesh(number), Subject::Member(device(seed)), Period::at(wall(at)))
}

fn sealed(place: &Place, presence: &Verified<Presence>) -> Vec<u8> {
    place.seal(presence, [7; 12]).unwrap()
}

#[test]
fn what_is_left_opens_in_its_place_alone() {
    let here = place(1, 2, NOON);
    let left = presence(2, vec![address(1)], NOON);
    let value = sealed(&here, &left);
    assert_eq!(here.open(&value), Some(left));
    let invite = Subject::invite(device(2), &device(2));
    for other in [
        place(2, 2, NOON),
        place(1, 3, NOON),
        place(1, 2, NOON + 24 * HOUR),
        Place::of(mesh(1), invite, Period::at(wall(NOON))),
    ] {
        assert_eq!(other.open(&value), None, "{other:?}");
        assert_ne!(other.key(), here.key());
    }
}

#[test]
fn keys_of_meshes_devices_days_and_slots_all_differ() {
    let mut keys = BTreeSet::new();
    let mut count = 0;
    for number in 0..4 {
        for day in 0..4 {
            let period = Period::at(wall(NOON + day * 24 * HOUR));
            for seed in 0..4 {
                let subjects =
                    std::iter::once(Subject::Member(device(seed))).chain(Subject::slots(device(seed)));
                for subject in subjects {
                    keys.insert(*Place::of(mesh(number), subject, period).key());
                    count += 1;
                }
            }
        }
    }
    assert_eq!((keys.len(), count), (64 * (1 + usize::from(SLOTS)), keys.len()));
}

#[test]
fn a_member_cannot_leave_its_presence_in_anothers_place() {
    let theirs = place(1, 2, NOON);
    assert_eq!(theirs.open(&sealed(&theirs, &presence(3, vec![address(1)], NOON))), None);
    // In an invite's place anybody may.
    let invite = Place::of(mesh(1), Subject::invite(device(9), &device(3)), Period::at(wall(NOON)));
    assert!(invite.open(&sealed(&invite, &presence(3, vec![address(1)], NOON))).is_some());
}

#[test]
fn a_presence_of_another_mesh_is_refused() {
    let here = place(1, 2, NOON);
    let foreign = Presences::own(&identity(2), mesh(2), vec![address(1)], Vec::new(), wall(NOON)).unwrap();
    assert_eq!(here.open(&sealed(&here, &foreign)), None);
}

#[test]
fn the_longest_presence_fits() {
    let addresses =
        (0..20).map(|last| SocketAddr::from(([u16::MAX, 0, 0, 0, 0, 0, 0, last], u16::MAX))).collect();
    let value = sealed(&place(1, 2, NOON), &presence(2, addresses, u64::MAX));
    assert_eq!(value.len(), VALUE_BYTES);
}

#[test]
fn near_midnight_one_looks_on_both_sides() {
    let margin = Duration::from_secs(5400);
    let day = Period::at(wall(NOON));
    let around = |at| Period::around(wall(at), margin);
    assert_eq!(around(NOON), [day]);
    let (before, after) = (Period::at(wall(NOON - 24 * HOUR)), Period::at(wall(NOON + 24 * HOUR)));
    assert_eq!(around(NOON - 11 * HOUR), [day, before]);
    assert_eq!(around(NOON + 11 * HOUR), [day, after]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn all_values_have_one_size(addresses in prop::collection::vec(any::<SocketAddr>(), 0..20), nonce: [u8; 12]) {
        let value = place(1, 2, NOON).seal(&presence(2, addresses, NOON), nonce).unwrap();
        prop_assert_eq!(value.len(), VALUE_BYTES);
    }

    #[test]
    fn tampering_is_noticed(at in 0..VALUE_BYTES, bit in 0..8) {
        let here = place(1, 2, NOON);
        let mut value = sealed(&here, &presence(2, vec![address(1)], NOON));
        value[at] ^= 1u8 << bit;
        prop_assert_eq!(here.open(&value), None);
        prop_assert_eq!(here.open(&value[..at]), None);
    }

    #[test]
    fn any_bytes_are_bearable(bytes in prop::collection::vec(any::<u8>(), 0..2 * VALUE_BYTES)) {
        prop_assert_eq!(place(1, 2, NOON).open(&bytes), None);
    }
}

/// A member and its clocks.
struct Bench {
    meeting: Meeting,
    start: Instant,
    seconds: u64,
}

impl Bench {
    fn new() -> Self {
        let mut meeting = Meeting::member(mesh(1), identity(1), 0);
        meeting.set_own(Own { addresses: vec![address(1)], ..Own::default() });
        Self { meeting, start: start(), seconds: 0 }
    }

    fn now(&self) -> (Instant, Timestamp) {
        (self.start + Duration::from_secs(self.seconds), wall(NOON + self.seconds * 1000))
    }

    fn poll(&mut self) -> Option<Ask> {
        let (instant, wall) = self.now();
        self.meeting.poll(instant, wall, [1; 12])
    }

    /// Goes on until something is asked; how many seconds later that is.
    fn next(&mut self) -> (u64, Ask) {
        let from = self.seconds;
        loop {
            if let Some(ask) = self.poll() {
                return (self.seconds - from, ask);
            }
            let (instant, wall) = self.now();
            let due = self.meeting.poll_timeout(instant, wall).expect("something is due some day");
            let wait = due.duration_since(instant).as_secs().max(1);
            self.seconds += wait;
        }
    }

    fn done(&mut self, ask: &Ask, taken: bool) {
        let (instant, _) = self.now();
        self.meeting.handle_done(ask, taken, instant);
    }

    fn look(&mut self, seed: u8) {
        let (instant, wall) = self.now();
        self.meeting.look_up(Subject::Member(device(seed)), instant, wall);
    }
}

fn key(ask: &Ask) -> [u8; 32] {
    let (Ask::Put { place, .. } | Ask::Get { place, .. }) = ask;
    *place.key()
}

#[test]
fn the_presence_is_left_at_once_then_every_three_hours_and_anew_each_day() {
    let mut bench = Bench::new();
    let mut keys = Vec::new();
    for expected in [0, 3 * 3600, 3 * 3600, 3 * 3600] {
        let (after, ask) = bench.next();
        assert_eq!(after, expected);
        bench.done(&ask, true);
        keys.push(key(&ask));
    }
    assert_eq!(keys, [keys[0]; 4]);
    // Nine o'clock in the evening; midnight comes first or together with the next.
    let (after, ask) = bench.next();
    assert!(after <= 3 * 3600);
    assert_ne!(key(&ask), keys[0]);
    let Ask::Put { place, value, .. } = ask else { panic!("{ask:?}") };
    let found = place.open(&value).unwrap();
    assert_eq!(found.value().addresses, [address(1)]);
    assert_eq!(found.value().issued_at, bench.now().1);
}

#[test]
fn changes_of_addresses_are_left_at_most_every_ten_minutes_in_the_long_run() {
    let mut bench = Bench::new();
    let mut pauses = Vec::new();
    for change in 1..9 {
        let (after, ask) = bench.next();
        bench.done(&ask, true);
        pauses.push(after);
        bench.meeting.set_own(Own {
            addresses: vec![address(change)],
            relays: Vec::new(),
            invites: Vec::new(),
        });
        bench.meeting.set_own(Own {
            addresses: vec![address(change + 1)],
            relays: Vec::new(),
            invites: Vec::new(),
        });
    }
    assert_eq!(pauses, [0, 30, 60, 120, 240, 480, 600, 600]);
    // Once they have settled, the next is told soon again.
    for expected in [600, 3 * 3600] {
        let (after, ask) = bench.next();
        assert_eq!(after, expected);
        bench.done(&ask, true);
    }
    bench.meeting.set_own(Own { addresses: vec![address(99)], ..Own::default() });
    assert_eq!(bench.next().0, 30);
}

#[test]
fn nothing_is_left_while_there_is_nothing_to_say() {
    let mut bench = Bench::new();
    bench.meeting.set_own(Own::default());
    let (instant, wall) = bench.now();
    assert_eq!(bench.meeting.poll_timeout(instant, wall), None);
    assert!(bench.poll().is_none());
}

#[test]
fn an_open_invite_gets_a_presence_at_once_and_an_expired_one_none() {
    let mut bench = Bench::new();
    let (_, ask) = bench.next();
    bench.done(&ask, true);
    let (now, later) = (wall(NOON), wall(NOON + 9 * HOUR));
    let invites = vec![(device(8), now), (device(9), later)];
    bench.meeting.set_own(Own { addresses: vec![address(1)], invites, ..Own::default() });
    let (after, ask) = bench.next();
    let Ask::Put { subject, .. } = ask else { panic!("{ask:?}") };
    assert_eq!((after, subject), (1, Subject::invite(device(9), &device(1))));
    assert!(bench.poll().is_none());
}

#[test]
fn what_the_network_refuses_is_offered_again_less_and_less_often() {
    let mut bench = Bench::new();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let (after, ask) = bench.next();
        bench.done(&ask, false);
        pauses.push(after);
    }
    assert_eq!(pauses, [0, 30, 60, 120, 240, 480, 960, 1800, 1800]);
}

#[test]
fn a_member_is_looked_for_at_most_every_five_minutes_in_the_long_run() {
    let mut bench = Bench::new();
    bench.meeting.set_own(Own::default());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        bench.look(2);
        let (after, ask) = bench.next();
        bench.done(&ask, false);
        pauses.push(after);
    }
    assert_eq!(pauses, [0, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn many_are_looked_for_one_a_second_and_few_at_a_time() {
    let mut bench = Bench::new();
    bench.meeting.set_own(Own::default());
    for seed in 2..40 {
        bench.look(seed);
    }
    let mut asks = Vec::new();
    for expected in 0..8 {
        let (after, ask) = bench.next();
        assert_eq!(after, u64::from(expected > 0));
        asks.push(ask);
    }
    bench.seconds += 100;
    assert!(bench.poll().is_none(), "eight are under way");
    bench.done(&asks[0], false);
    assert!(bench.poll().is_some());
}

#[test]
fn what_nobody_answered_is_asked_again_at_once() {
    let mut bench = Bench::new();
    let (_, put) = bench.next();
    bench.look(2);
    let (_, get) = bench.next();
    let (instant, wall) = bench.now();
    bench.meeting.handle_lost(&put, instant, wall);
    bench.meeting.handle_lost(&get, instant, wall);
    assert_eq!((bench.next().0, key(&put)), (1, key(&put)));
    assert_eq!(key(&bench.next().1), key(&get));
}

#[test]
fn an_old_presence_that_is_left_again_loses_against_the_newer() {
    let mut bench = Bench::new();
    let here = place(1, 2, NOON);
    let (old, new) = (presence(2, vec![address(1)], NOON - HOUR), presence(2, vec![address(2)], NOON));
    let mut take = |presence: &Verified<Presence>| {
        let value = sealed(&here, presence);
        bench.meeting.handle_value(&here, &value, wall(NOON)).is_some()
    };
    assert!(take(&old), "nobody has seen a newer one");
    assert!(take(&new));
    assert!(!take(&old));
    assert!(!take(&new), "once is enough");
    assert!(!take(&presence(2, vec![address(3)], NOON - 26 * HOUR)));
    assert!(!take(&presence(2, vec![address(3)], NOON + 26 * HOUR)));
}

#[test]
fn clocks_an_hour_apart_meet_at_any_time_of_day() {
    for quarter in 0..96 {
        let now = NOON + quarter * HOUR / 4;
        for late in [false, true] {
            // Fourteen minutes late by jitter, or not at all.
            let seed = if late { 14 * 60 * 1000 } else { 0 };
            let mut there = Meeting::member(mesh(1), identity(1), seed);
            there.set_own(Own { addresses: vec![address(1)], ..Own::default() });
            let begin = start();
            for (theirs, ours) in [(now, now + HOUR), (now + HOUR, now), (now, now)] {
                let put = there.poll(begin, wall(theirs), [1; 12]);
                let Some(Ask::Put { place: left, value, .. }) = put else { break };
                let mut here = Meeting::member(mesh(1), identity(2), 0);
                here.look_up(Subject::Member(device(1)), begin, wall(ours));
                let mut found = false;
                let mut moment = begin;
                while let Some(Ask::Get { place, .. }) = here.poll(moment, wall(ours), [1; 12]) {
                    moment += Duration::from_secs(1);
                    found |=
                        place.key() == left.key() && here.handle_value(&place, &value, wall(ours)).is_some();
                }
                assert!(found, "at quarter {quarter}, late: {late}");
                there = Meeting::member(mesh(1), identity(1), seed);
                there.set_own(Own { addresses: vec![address(1)], ..Own::default() });
            }
        }
    }
}

#[test]
fn a_newcomer_looks_into_every_slot_again_and_again() {
    let begin = start();
    let mut newcomer = Meeting::newcomer(mesh(1), device(9), begin, wall(NOON));
    let mut looked = Vec::new();
    let mut moment = begin;
    while moment < begin + Duration::from_secs(6) {
        if let Some(ask) = newcomer.poll(moment, wall(NOON), [1; 12]) {
            looked.push(key(&ask));
            newcomer.handle_done(&ask, false, moment);
        }
        moment += Duration::from_millis(100);
    }
    let slots: BTreeSet<_> = looked.iter().collect();
    assert_eq!((looked.len(), slots.len()), (2 * usize::from(SLOTS), usize::from(SLOTS)));
}

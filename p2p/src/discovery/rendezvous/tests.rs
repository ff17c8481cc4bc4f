//! Who can open what, and what looks like what.

mod schedule;

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

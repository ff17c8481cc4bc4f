//! Remembering, calling, and whom to stay connected with.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{AddressBook, DialBudget, DialPlan, Presence, Presences, Source, neighbours};
use crate::{
    identity::{DeviceId, Identity},
    record::{MeshId, Timestamp, Verified},
};

fn identity(number: u32) -> Identity {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Identity::generate(seed)
}

fn device(number: u32) -> DeviceId {
    identity(number).device_id()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000 + seconds * 1000)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 41820))
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn what_worked_stays_and_rumours_give_way() {
    let mut book = AddressBook::default();
    book.succeeded(device(1), address(1), at(0));
    for last in 2..40 {
        book.heard(device(1), address(last), Source::Hearsay, at(u64::from(last)));
    }
    let addresses = book.addresses(&device(1));
    assert_eq!(addresses.len(), 8);
    assert_eq!(addresses[0], address(1));
    assert_eq!(addresses[1], address(39));
}

#[test]
fn addresses_that_name_no_host_are_not_kept() {
    let mut book = AddressBook::default();
    for useless in [
        "0.0.0.0:1",
        "192.0.2.1:0",
        "224.0.0.251:5353",
        "255.255.255.255:9",
        "[fe80::1]:41820",
        "[::]:7",
        "169.254.3.4:1",
    ] {
        assert!(!book.heard(device(1), useless.parse().unwrap(), Source::Itself, at(0)), "{useless}");
    }
    assert!(book.heard(device(1), "[::ffff:192.0.2.1]:7".parse().unwrap(), Source::Itself, at(0)));
    assert_eq!(book.addresses(&device(1)), ["192.0.2.1:7".parse().unwrap()]);
}

#[test]
fn a_change_is_kept_once() {
    let mut book = AddressBook::default();
    assert!(book.heard(device(1), address(1), Source::Lan, at(0)));
    assert_eq!(book.poll_changed(), Some(device(1)));
    assert!(!book.heard(device(1), address(1), Source::Lan, at(1)));
    assert_eq!(book.poll_changed(), None);
}

#[test]
fn everybody_is_called_at_once_at_the_start() {
    let now = start();
    let mut plan = DialPlan::new(1);
    plan.set_targets(&(0..8).map(device).collect(), |_| false, now);
    assert_eq!(std::iter::from_fn(|| plan.poll_dial(now)).count(), 8);
    assert_eq!(plan.poll_timeout(), None, "all are being called");
}

#[test]
fn pauses_grow_to_two_minutes_and_differ_between_devices() {
    let mut now = start();
    let mut plan = DialPlan::new(1);
    plan.set_targets(&[device(1)].into(), |_| false, now);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        assert_eq!(plan.poll_dial(now), Some(device(1)));
        plan.handle_failed(&device(1), now);
        let due = plan.poll_timeout().unwrap();
        pauses.push(due - now);
        now = due;
    }
    assert!(pauses[0] >= Duration::from_millis(750) && pauses[0] <= Duration::from_millis(1250));
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(150)));
    assert!(pauses[11] >= Duration::from_secs(90));

    let mut other = DialPlan::new(1);
    other.set_targets(&[device(2)].into(), |_| false, now);
    other.poll_dial(now);
    other.handle_failed(&device(2), now);
    assert_ne!(other.poll_timeout().unwrap() - now, pauses[0]);
}

#[test]
fn news_a_lost_connection_and_another_network_cut_the_pause_short() {
    let now = start();
    let mut plan = DialPlan::new(1);
    plan.set_targets(&[device(1)].into(), |_| false, now);
    for _ in 0..6 {
        plan.handle_network_changed(now);
        assert_eq!(plan.poll_dial(now), Some(device(1)));
        plan.handle_failed(&device(1), now);
    }
    plan.handle_news(&device(1), now);
    assert!(plan.poll_timeout().unwrap() - now <= Duration::from_millis(250));
    let then = now + Duration::from_secs(1);
    assert_eq!(plan.poll_dial(then), Some(device(1)));
    plan.handle_connected(&device(1));
    assert_eq!(plan.poll_timeout(), None);
    plan.handle_disconnected(&device(1), then + Duration::from_secs(60));
    assert_eq!(plan.poll_dial(then + Duration::from_secs(60)), Some(device(1)));
}

#[test]
fn an_address_heard_during_a_call_is_tried_beside_it() {
    let now = start();
    let mut plan = DialPlan::new(1);
    plan.set_targets(&[device(1)].into(), |_| false, now);
    assert_eq!(plan.poll_dial(now), Some(device(1)));
    plan.handle_news(&device(1), now);
    assert_eq!(plan.poll_dial(now), None, "one call after the other, not a burst");
    assert_eq!(plan.poll_dial(now + Duration::from_millis(250)), Some(device(1)));
}

#[test]
fn a_small_mesh_is_fully_connected() {
    let all: BTreeSet<DeviceId> = (0..17).map(device).collect();
    for own in &all {
        assert_eq!(neighbours(own, all.iter().copied()).len(), 16);
    }
}

#[test]
fn a_large_mesh_is_connected_by_few_mutual_links_in_few_steps() {
    for (size, most_steps) in [(18, 2), (100, 3), (1000, 6)] {
        check_ring(size, most_steps);
    }
}

fn check_ring(size: u32, most_steps: usize) {
    let all: Vec<DeviceId> = (0..size).map(device).collect();
    let links: BTreeMap<DeviceId, BTreeSet<DeviceId>> =
        all.iter().map(|own| (*own, neighbours(own, all.iter().copied()))).collect();
    for (own, chosen) in &links {
        assert!(chosen.len() <= 16, "{}", chosen.len());
        assert!(chosen.iter().all(|peer| links[peer].contains(own)), "the wish is mutual");
    }
    let mut reached = BTreeSet::from([all[0]]);
    let mut steps = 0;
    while reached.len() < all.len() {
        reached = reached.iter().flat_map(|device| links[device].iter().copied().chain([*device])).collect();
        steps += 1;
        assert!(steps <= most_steps, "{size}: {steps}");
    }
}

#[test]
fn of_two_presences_the_later_counts_and_stale_or_foreign_ones_do_not() {
    let mesh = MeshId::from_bytes([1; 32]);
    let own =
        |seconds| Presences::own(&identity(1), mesh, vec![address(1)], Vec::new(), at(seconds)).unwrap();
    let mut presences = Presences::default();
    assert!(presences.insert(&own(100), &mesh, at(100)));
    assert!(!presences.insert(&own(90), &mesh, at(100)));
    assert!(!presences.insert(&own(100), &mesh, at(100)));
    assert!(presences.insert(&own(110), &mesh, at(100)), "clocks may differ");
    assert!(!presences.insert(&own(200), &MeshId::from_bytes([2; 32]), at(200)));
    assert!(!presences.insert(&own(300), &mesh, at(300 + 21_601)));
    assert_eq!(presences.for_peer(&device(2), &BTreeSet::new(), 10).len(), 1);
    assert!(presences.for_peer(&device(1), &BTreeSet::new(), 10).is_empty(), "it knows where it is");
    presences.retain(|_| true, at(110 + 21_601));
    assert!(presences.for_peer(&device(2), &BTreeSet::new(), 10).is_empty());
}

#[test]
fn a_presence_that_somebody_else_signed_is_none() {
    let mesh = MeshId::from_bytes([1; 32]);
    let claim =
        Presence { mesh, device: device(1), issued_at: at(0), addresses: Vec::new(), relays: Vec::new() };
    assert!(Verified::sign(claim, &identity(2)).is_err());
}

#[test]
fn a_device_that_has_been_in_many_places_is_found_in_the_next() {
    let mut book = AddressBook::default();
    for last in 1..=20 {
        book.succeeded(device(1), address(last), at(u64::from(last)));
    }
    assert!(book.heard(device(1), address(100), Source::Itself, at(100)));
    assert!(book.heard(device(1), address(101), Source::Lan, at(101)));
    let addresses = book.addresses(&device(1));
    assert_eq!(addresses.len(), 8);
    assert_eq!(addresses[0], address(20));
    assert!(addresses.contains(&address(100)) && addresses.contains(&address(101)));
}

#[test]
fn made_up_addresses_do_not_crowd_out_what_a_device_says_itself() {
    let mut book = AddressBook::default();
    book.heard(device(1), address(1), Source::Itself, at(0));
    book.heard(device(1), address(2), Source::Door, at(0));
    for last in 10..60 {
        book.heard(device(1), address(last), Source::Hearsay, at(u64::from(last)));
    }
    let addresses = book.addresses(&device(1));
    assert!(addresses.contains(&address(1)) && addresses.contains(&address(2)), "{addresses:?}");
    assert!(addresses.contains(&address(59)), "the latest is tried all the same");
}

#[test]
fn a_presence_names_at_most_two_relays_and_whoever_names_more_is_refused() {
    let mesh = MeshId::from_bytes([1; 32]);
    let presence = |relays: u32, addresses: u8| Presence {
        mesh,
        device: device(1),
        issued_at: at(0),
        addresses: (0..addresses).map(address).collect(),
        relays: (10..10 + relays).map(device).collect(),
    };
    let full = Verified::sign(presence(2, 16), &identity(1)).unwrap();
    assert!(Verified::<Presence>::from_bytes(full.bytes()).is_ok());
    assert!(Verified::sign(presence(3, 0), &identity(1)).is_err());
    assert!(Verified::sign(presence(0, 17), &identity(1)).is_err());
    let relays = (10..20).map(device).collect();
    let own = Presences::own(&identity(1), mesh, Vec::new(), relays, at(0)).unwrap();
    assert_eq!(own.value().relays.len(), 2, "we keep to it");
    let mut presences = Presences::default();
    presences.insert(&own, &mesh, at(0));
    assert_eq!(presences.relays(&device(1)), [device(10), device(11)]);
    assert!(presences.relays(&device(2)).is_empty());
}

#[test]
fn calls_that_are_answered_cost_nothing_and_the_rest_wait_for_their_turn() {
    let now = start();
    let mut budget = DialBudget::new(now);
    assert_eq!(budget.share(4, false, now), 6);
    for _ in 0..100 {
        let taken = budget.take(8, 6, now);
        assert_eq!(taken.streams, 6);
        budget.give_back(taken);
    }
    budget.take(24, 6, now);
    assert_eq!(budget.share(1, false, now), 0);
    assert_eq!(budget.share(1, true, now), 4, "somebody waits for it");
    assert_eq!(budget.take(1, 1, now).streams, 0);
    let ready = budget.ready_at();
    assert_eq!(budget.share(1, false, ready), 1);
    assert!(ready - now <= Duration::from_secs(7));
    budget.renew(now + Duration::from_secs(20));
    assert_eq!(budget.share(1, false, now + Duration::from_secs(20)), 4, "it is in the same table still");
    let rested = now + Duration::from_secs(3600);
    assert_eq!(budget.share(1, false, rested), 4, "no second burst");
    budget.renew(rested);
    assert_eq!(budget.share(1, false, rested), 24, "another network");
}

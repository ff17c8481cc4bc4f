//! Verdicts about NATs, by who sees what.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A NAT in front of 192.168.1.7/24, and a clock.
struct Scene {
    nat: Nat,
    now: Instant,
}

fn device(number: u8) -> DeviceId {
    warren_p2p::identity::Identity::generate([number; 32]).device_id()
}

impl Scene {
    fn new() -> Self {
        Self::at("192.168.1.7")
    }

    fn at(own: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        let now = Instant::now();
        let mut nat = Nat::default();
        nat.network_changed(vec![(own.parse().unwrap(), 24)], &[], now);
        Self { nat, now }
    }

    fn sees(&mut self, who: u8, from: &str, address: &str) -> &mut Self {
        self.nat.met(device(who), from.parse().unwrap());
        self.nat.observed(device(who), address.parse().unwrap(), self.now);
        self
    }

    fn wait(&mut self, seconds: u32) -> &mut Self {
        self.now += SECOND * seconds;
        self
    }

    #[track_caller]
    fn is(&mut self, kind: Kind) -> &mut Self {
        assert_eq!(self.nat.main_kind(), kind);
        self
    }
}

#[test]
fn one_member_is_not_enough_and_two_that_agree_are() {
    Scene::new()
        .sees(1, "198.51.100.1", "203.0.113.9:4000")
        .is(Kind::Unknown)
        .sees(2, "198.51.100.2", "203.0.113.9:4000")
        .is(Kind::Easy);
}

#[test]
fn two_members_that_see_different_ports_or_addresses_mean_a_hard_nat() {
    for other in ["203.0.113.9:4001", "203.0.113.10:4000"] {
        Scene::new()
            .sees(1, "198.51.100.1", "203.0.113.9:4000")
            .sees(2, "198.51.100.2", other)
            .is(Kind::Hard);
    }
}

#[test]
fn two_members_behind_one_address_count_as_one() {
    Scene::new()
        .sees(1, "198.51.100.1", "203.0.113.9:4000")
        .sees(2, "198.51.100.1", "203.0.113.9:4000")
        .is(Kind::Unknown)
        .sees(3, "198.51.100.1", "203.0.113.9:4001")
        .is(Kind::Unknown);
}

#[test]
fn members_in_our_network_or_behind_our_router_do_not_count() {
    Scene::new()
        .sees(1, "192.168.1.8", "192.168.1.7:41820")
        .is(Kind::Unknown)
        .sees(2, "198.51.100.2", "203.0.113.9:4000")
        // Through our own router and back.
        .sees(3, "203.0.113.9", "203.0.113.9:5000")
        .is(Kind::Unknown)
        // A carrier's network.
        .sees(4, "100.64.3.2", "100.64.0.9:4000")
        .is(Kind::Unknown)
        .sees(5, "198.51.100.5", "203.0.113.9:4000")
        .is(Kind::Easy);
}

#[test]
fn an_interface_address_seen_from_outside_means_no_nat() {
    Scene::at("203.0.113.9").sees(1, "198.51.100.1", "203.0.113.9:41820").is(Kind::Open);
    // By a neighbour it says nothing: there may be a NAT behind both.
    Scene::at("203.0.113.9").sees(1, "203.0.113.8", "203.0.113.9:41820").is(Kind::Unknown);
    Scene::at("10.0.0.9").sees(1, "10.1.0.1", "10.0.0.9:41820").is(Kind::Unknown);
}

#[test]
fn a_nat_that_maps_anew_is_not_hard() {
    Scene::new()
        .sees(1, "198.51.100.1", "203.0.113.9:4000")
        .sees(2, "198.51.100.2", "203.0.113.9:4000")
        .wait(300)
        .sees(1, "198.51.100.1", "203.0.113.9:7000")
        .is(Kind::Easy)
        .sees(2, "198.51.100.2", "203.0.113.9:7000")
        .is(Kind::Easy);
}

#[test]
fn members_that_change_their_minds_apart_are_believed_once_both_have() {
    Scene::new()
        .sees(1, "198.51.100.1", "203.0.113.9:4000")
        .sees(2, "198.51.100.2", "203.0.113.9:4000")
        .wait(300)
        .sees(1, "198.51.100.1", "203.0.113.9:7000")
        .wait(60)
        .sees(2, "198.51.100.2", "203.0.113.9:7001")
        .is(Kind::Easy)
        .wait(1)
        .sees(1, "198.51.100.1", "203.0.113.9:7000")
        .is(Kind::Hard);
}

#[test]
fn an_old_report_of_a_member_out_of_contact_does_not_count() {
    let mut scene = Scene::new();
    scene.sees(1, "198.51.100.1", "203.0.113.9:4000");
    scene.nat.lost(&device(1));
    scene.wait(200).sees(2, "198.51.100.2", "203.0.113.9:4001").is(Kind::Unknown);
    // Of one in contact it does, however long ago it was said.
    let mut scene = Scene::new();
    scene.sees(1, "198.51.100.1", "203.0.113.9:4000").wait(2000);
    scene.sees(2, "198.51.100.2", "203.0.113.9:4001").is(Kind::Hard);
}

#[test]
fn another_network_forgets_and_a_mere_flap_does_not() {
    let mut scene = Scene::new();
    scene.sees(1, "198.51.100.1", "203.0.113.9:4000").sees(2, "198.51.100.2", "203.0.113.9:4000");
    let networks = |own: &str| vec![(own.parse().unwrap(), 24)];
    let now = scene.now;
    scene.nat.network_changed(networks("192.168.1.7"), &[], now);
    scene.is(Kind::Easy);
    scene.nat.network_changed(networks("10.0.0.3"), &[Family::V4], now);
    scene.is(Kind::Unknown);
    assert_eq!(scene.nat.seen(), []);
}

#[test]
fn the_families_are_judged_apart() {
    let mut scene = Scene::new();
    scene.sees(1, "198.51.100.1", "203.0.113.9:4000").sees(2, "198.51.100.2", "203.0.113.9:4001");
    let networks = vec![("192.168.1.7".parse().unwrap(), 24), ("2001:db8::7".parse().unwrap(), 64)];
    let now = scene.now;
    scene.nat.network_changed(networks, &[], now);
    scene.sees(3, "2001:db8:1::1", "[2001:db8::7]:41820");
    assert_eq!(scene.nat.kind(Family::V6), Kind::Open);
    assert_eq!(scene.nat.kind(Family::V4), Kind::Hard);
    scene.is(Kind::Hard);
}

#[test]
fn behind_a_hard_nat_only_the_latest_two_are_announced() {
    let mut scene = Scene::new();
    for who in 1..8 {
        let (from, address) = (format!("198.51.100.{who}"), format!("203.0.113.9:400{who}"));
        scene.sees(who, &from, &address).wait(1);
    }
    let expected: Vec<SocketAddr> =
        ["203.0.113.9:4007", "203.0.113.9:4006"].map(|text| text.parse().unwrap()).into();
    assert_eq!(scene.nat.announced(), expected);
}

#[test]
fn without_a_nat_nothing_is_announced_beside_the_interfaces() {
    let mut scene = Scene::at("203.0.113.9");
    scene.sees(1, "198.51.100.1", "203.0.113.9:41820").sees(2, "198.51.100.2", "203.0.113.9:64403");
    scene.is(Kind::Open);
    assert_eq!(scene.nat.announced(), []);
    assert_eq!(scene.nat.seen().len(), 2);
}

#[test]
fn what_is_said_again_is_no_news() {
    let mut scene = Scene::new();
    let address = "203.0.113.9:4000".parse().unwrap();
    scene.nat.met(device(1), "198.51.100.1".parse().unwrap());
    assert!(scene.nat.observed(device(1), address, scene.now));
    assert!(!scene.nat.observed(device(1), address, scene.now + SECOND));
}

#[test]
fn sightings_say_which_of_them_count() {
    let mut scene = Scene::new();
    scene.sees(1, "198.51.100.1", "203.0.113.9:4000").sees(2, "192.168.1.8", "192.168.1.7:41820");
    let counts: Vec<_> =
        scene.nat.sightings(scene.now).iter().map(|sighting| (sighting.by, sighting.counts)).collect();
    assert!(counts.contains(&(device(1), true)) && counts.contains(&(device(2), false)), "{counts:?}");
}

#[test]
fn with_one_member_peers_are_told_what_is_likely() {
    for (seen, likely) in [("203.0.113.9:41820", Kind::Easy), ("203.0.113.9:4000", Kind::Unknown)] {
        let mut scene = Scene::new();
        assert_eq!(scene.nat.presumed(41820), Kind::Unknown);
        scene.sees(1, "198.51.100.1", seen).is(Kind::Unknown);
        assert_eq!(scene.nat.presumed(41820), likely);
        // A second one decides, whatever the port.
        scene.sees(2, "198.51.100.2", seen).is(Kind::Easy);
        assert_eq!(scene.nat.presumed(41820), Kind::Easy);
    }
}

//! Advice, as a table: what was found out, and what is said.

use super::*;
use crate::control::{Pair, Path, PortMapping, Probed, RelayCheck, Sighting};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A device at home behind a NAT of this kind.
fn home(nat: &str) -> Netcheck {
    Netcheck {
        device: "laptop".into(),
        port: 41820,
        udp: Some(true),
        ipv4: FamilyCheck {
            addresses: vec!["192.168.1.7".parse().unwrap()],
            outward: Some("192.168.1.7".parse().unwrap()),
            nat: nat.into(),
            seen: vec![Sighting { by: "nas".into(), address: at("203.0.113.9:41820"), counts: true }],
        },
        port_mapping: MappingState::Refused,
        ..Netcheck::default()
    }
}

fn lent(external: &str) -> Netcheck {
    let mapping = PortMapping {
        protocol: "UPnP".into(),
        transport: "udp".into(),
        external: at(external),
        lease_s: 3600,
        confirmed_s: 3,
    };
    Netcheck { mappings: vec![mapping], port_mapping: MappingState::Held, ..home("easy") }
}

fn peer(kind: Option<PathKind>, nat: &str) -> PeerCheck {
    let path = kind.map(|kind| Path {
        kind,
        endpoint: at("198.51.100.1:41820"),
        via: (kind == PathKind::Relay).then(|| "nas".to_owned()),
        rtt_ms: Some(40.0),
        since_s: 5,
        mtu: None,
    });
    PeerCheck { name: "desk".into(), connected: true, path, nat: nat.into(), ..PeerCheck::default() }
}

fn pair(endpoint: &str, outcome: Outcome) -> Pair {
    Pair { kind: None, endpoint: Some(at(endpoint)), via: None, source: "told".into(), outcome }
}

fn silent(mut peer: PeerCheck) -> PeerCheck {
    peer.pairs.push(pair("198.51.100.7:41820", Outcome::Unanswered { pings: 12 }));
    peer
}

#[track_caller]
fn network(check: &Netcheck, expected: &[(&str, &str)]) {
    compare(&of_network(check), expected);
}

#[track_caller]
fn way(here: &Netcheck, peer: &PeerCheck, short: Option<&str>, expected: &[(&str, &str)]) {
    assert_eq!(why(here, peer).as_deref(), short);
    compare(&of_peer(here, peer), expected);
}

#[track_caller]
fn compare(lines: &[Advice], expected: &[(&str, &str)]) {
    let codes: Vec<_> = lines.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(codes, expected.iter().map(|(code, _)| *code).collect::<Vec<_>>(), "{lines:?}");
    for (line, (_, part)) in lines.iter().zip(expected) {
        assert!(line.message.contains(part), "{part:?} in {:?}", line.message);
    }
}

#[test]
fn a_network_that_needs_nothing_gets_no_advice() {
    network(&home("none"), &[]);
    network(&home("unknown"), &[]);
    network(&lent("203.0.113.9:41820"), &[]);
    network(&Netcheck { port_mapping: MappingState::Asking, ..home("hard") }, &[]);
    network(&Netcheck { port_mapping: MappingState::Off, ..home("easy") }, &[]);
}

#[test]
fn a_router_without_upnp() {
    let line =
        "your router has UPnP off, or does not know it: turn it on, or forward UDP 41820 to 192.168.1.7";
    network(&home("easy"), &[("upnp_off", line)]);
    network(&home("hard"), &[("upnp_off", line)]);
    network(
        &Netcheck { port_mapping: MappingState::Off, ..home("hard") },
        &[("mapping_off", "set port_mapping = true, or forward UDP 41820 to 192.168.1.7")],
    );
}

#[test]
fn a_router_behind_a_router() {
    network(&lent("100.72.0.3:41820"), &[("double_nat", "is no address of the Internet")]);
    network(&lent("198.51.100.9:41820"), &[("double_nat", "members see this device at 203.0.113.9")]);
}

#[test]
fn a_mapping_that_leads_nowhere() {
    let mut check = lent("203.0.113.9:41820");
    check.probed = vec![Probed { by: None, address: at("203.0.113.9:41820"), reachable: false }];
    network(&check, &[("mapping_dead", "forwards 203.0.113.9:41820")]);
    check.probed[0].reachable = true;
    network(&check, &[]);
}

#[test]
fn no_network_at_all_is_the_only_thing_said() {
    let nothing = Netcheck { udp: Some(false), ..Netcheck::default() };
    network(&nothing, &[("no_network", "no way to the Internet")]);
}

#[test]
fn udp_blocked() {
    let mut check = Netcheck { udp: Some(false), ..home("unknown") };
    network(&check, &[("udp_blocked", "tcp_ports = [443]")]);
    check.relays =
        vec![RelayCheck { name: "nas".into(), rtt_ms: Some(30.0), reserved: None, carries: Vec::new() }];
    network(&check, &[("udp_blocked", "goes over TCP through 'nas'")]);
    way(
        &check,
        &peer(Some(PathKind::Stream), "easy"),
        Some("UDP is blocked here"),
        &[("udp_blocked", "traffic to 'desk' goes over TCP straight to it")],
    );
    way(
        &home("easy"),
        &peer(Some(PathKind::Stream), "easy"),
        Some("UDP does not get through to it"),
        &[("udp_blocked_there", "blocks UDP")],
    );
}

#[test]
fn clocks() {
    let clock = |peer: &str, ahead_ms| crate::control::ClockCheck { peer: peer.into(), ahead_ms };
    let mut check = home("none");
    check.clocks = vec![clock("a", 700_000), clock("b", 10), clock("c", -10)];
    network(&check, &[("clock_there", "the clock of 'a' differs from ours by 11 minutes")]);
    check.clocks = vec![clock("a", 700_000), clock("b", 700_010), clock("c", -10)];
    network(&check, &[("clock_here", "the clock of this device")]);
}

#[test]
fn a_direct_path_needs_nothing() {
    for kind in [PathKind::Lan, PathKind::Direct] {
        way(&home("hard"), &peer(Some(kind), "hard"), None, &[]);
    }
}

#[test]
fn symmetric_nats() {
    let relayed = |nat| silent(peer(Some(PathKind::Relay), nat));
    way(
        &home("hard"),
        &relayed("hard"),
        Some("symmetric NAT on both sides"),
        &[(
            "both_symmetric",
            "both routers give each connection a port of its own (symmetric NAT): traffic to 'desk' goes through \
             'nas'; a port forward on one of them makes it direct: forward UDP 41820 to 192.168.1.7 here, say",
        )],
    );
    way(
        &home("hard"),
        &relayed("easy"),
        Some("symmetric NAT on this side"),
        &[("symmetric_here", "forward UDP 41820 to 192.168.1.7 makes it direct")],
    );
    way(
        &home("easy"),
        &relayed("hard"),
        Some("symmetric NAT on its side"),
        &[("symmetric_there", "the router of 'desk'")],
    );
}

#[test]
fn a_relay_for_other_reasons() {
    way(
        &home("easy"),
        &silent(peer(Some(PathKind::Relay), "easy")),
        Some("none of its addresses answers"),
        &[("firewall", "let UDP port 41820 in")],
    );
    way(
        &home("easy"),
        &peer(Some(PathKind::Relay), "easy"),
        Some("a direct path is still being tried"),
        &[("upgrading", "while a direct path is still being tried")],
    );
}

#[test]
fn no_path_at_all() {
    way(
        &home("hard"),
        &silent(peer(None, "hard")),
        Some("none of its addresses answers, and nobody relays"),
        &[("no_relay", "run `warren up` on a device with a public address, or set relay = \"on\"")],
    );
    way(&home("hard"), &peer(None, "hard"), None, &[("idle", "`warren ping desk` tries")]);
    let away = PeerCheck { connected: false, ..silent(peer(None, "unknown")) };
    way(&home("hard"), &away, None, &[("offline", "it is off, without network")]);
}

#[test]
fn ipv6_that_leads_nowhere() {
    let mut here = home("easy");
    here.ipv6.outward = Some("2001:db8::7".parse().unwrap());
    let mut desk = peer(Some(PathKind::Direct), "easy");
    desk.pairs = vec![
        pair("[2001:db8:1::9]:41820", Outcome::Unanswered { pings: 9 }),
        pair("198.51.100.1:41820", Outcome::Verified { rtt_ms: 12.0 }),
    ];
    way(&here, &desk, None, &[("ipv6_broken", "none of 9 pings over it was answered")]);
    desk.pairs.push(pair("[2001:db8:1::8]:41820", Outcome::Verified { rtt_ms: 9.0 }));
    way(&here, &desk, None, &[]);
}

#[test]
fn a_report_is_completed_for_every_peer() {
    let report = Doctor { here: home("hard"), peers: vec![silent(peer(Some(PathKind::Relay), "hard"))] };
    let report = complete(report);
    assert_eq!(report.here.advice.len(), 1);
    assert!(report.peers[0].why.is_some() && report.peers[0].advice.len() == 1);
}

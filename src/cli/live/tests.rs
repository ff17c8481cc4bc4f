//! What is worth a line while a daemon runs.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::control::{Both, Device, Nat, Path, PathKind};

fn status(peers: Vec<Peer>) -> Status {
    Status {
        version: "1".into(),
        mesh: None,
        device: Device {
            name: "nas".into(),
            id: "a".into(),
            ipv4: Ipv4Addr::LOCALHOST,
            ipv6: Ipv6Addr::LOCALHOST,
            port: 41820,
            os: String::new(),
            wireguard: String::new(),
            tun: String::new(),
            admin: true,
            mtu: 1420,
        },
        nat: Nat::default(),
        peers,
        exit: None,
        transfers: Vec::new(),
        warnings: Vec::new(),
        drops: Default::default(),
        uptime_s: 0,
    }
}

fn laptop(online: bool, kind: Option<PathKind>) -> Peer {
    Peer {
        name: "laptop".into(),
        id: "b".into(),
        relation: Relation::Own,
        ipv4: Ipv4Addr::LOCALHOST,
        ipv6: Ipv6Addr::LOCALHOST,
        online,
        path: kind.map(|kind| Path {
            kind,
            endpoint: "192.0.2.7:41820".parse().unwrap(),
            via: None,
            rtt_ms: Some(0.4),
            since_s: 0,
            mtu: None,
        }),
        rx_bytes: 0,
        tx_bytes: 0,
        last_handshake_s: None,
        grants: Both::default(),
        os: String::new(),
        wireguard: String::new(),
        admin: false,
        connected: online,
        last_seen_s: None,
        clock_skew_ms: None,
        rejected_records: 0,
        why: None,
    }
}

#[test]
fn a_peer_that_joins_and_answers_is_two_lines() {
    let lines = changes(&status(vec![]), &status(vec![laptop(true, Some(PathKind::Lan))]));
    assert_eq!(lines, ["laptop joined the mesh", "● laptop is online: lan 192.0.2.7:41820, 0.40 ms"]);
}

#[test]
fn a_better_path_is_a_line_and_a_new_round_trip_is_none() {
    let relay = status(vec![laptop(true, Some(PathKind::Relay))]);
    let mut direct = laptop(true, Some(PathKind::Direct));
    let lines = changes(&relay, &status(vec![direct.clone()]));
    assert_eq!(lines, ["● laptop is reached: direct 192.0.2.7:41820, 0.40 ms"]);
    let before = status(vec![direct.clone()]);
    direct.path.as_mut().unwrap().rtt_ms = Some(9.0);
    direct.rx_bytes = 17;
    assert_eq!(changes(&before, &status(vec![direct])), [""; 0]);
}

#[test]
fn a_relay_is_told_by_name_with_the_reason() {
    let mut relayed = laptop(true, Some(PathKind::Relay));
    relayed.path.as_mut().unwrap().via = Some("nas".into());
    relayed.why = Some("symmetric NAT on both sides".into());
    let lines = changes(&status(vec![laptop(true, Some(PathKind::Direct))]), &status(vec![relayed]));
    let line = "● laptop is reached: relay by nas 192.0.2.7:41820, 0.40 ms (symmetric NAT on both sides)";
    assert_eq!(lines, [line]);
    let stream = status(vec![laptop(true, Some(PathKind::Stream))]);
    let lines = changes(&status(vec![laptop(true, Some(PathKind::Direct))]), &stream);
    assert_eq!(lines, ["● laptop is reached: stream 192.0.2.7:41820, 0.40 ms"]);
}

#[test]
fn going_offline_leaving_and_a_new_name_are_told_apart() {
    let here = status(vec![laptop(true, None)]);
    assert_eq!(changes(&here, &status(vec![laptop(false, None)])), ["○ laptop is offline"]);
    assert_eq!(changes(&here, &status(vec![])), ["laptop left the mesh"]);
    let mut renamed = laptop(true, None);
    renamed.name = "desk".into();
    assert_eq!(changes(&here, &status(vec![renamed])), ["laptop is now called desk"]);
}

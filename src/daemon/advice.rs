//! What a tired person should do: a plain function of what was found out.
//!
//! Every line says what is the matter and what to do about it, on which device. What needs nothing done gets no line.

use std::net::{IpAddr, SocketAddr};

use super::nat::is_public;
use crate::control::{Advice, Doctor, FamilyCheck, MappingState, Netcheck, Outcome, PathKind, PeerCheck};

/// A clock that is off by more makes invites end at the wrong time.
const CLOCK_MS: u64 = 600_000;
/// So many pings without an answer are no accident.
const MANY_PINGS: u32 = 5;

/// What to do about the network this device is in.
pub(super) fn of_network(check: &Netcheck) -> Vec<Advice> {
    let mut lines = Vec::new();
    let nowhere = |family: &FamilyCheck| family.outward.is_none();
    if nowhere(&check.ipv4) && nowhere(&check.ipv6) {
        lines.push(line(
            "no_network",
            "this device has no way to the Internet; members in its own network are reached all the same",
        ));
        return lines;
    }
    if check.udp == Some(false) {
        lines.push(line("udp_blocked", udp_is_blocked(check)));
    }
    lines.extend(router(check));
    lines.extend(check.probed.iter().filter(|probed| !probed.reachable).filter_map(|probed| {
        let lent = check.mappings.iter().any(|mapping| mapping.external == probed.address);
        lent.then(|| {
            line(
                "mapping_dead",
                format!(
                    "the router says that it forwards {}, but members who called it got no answer: another router or \
                     a firewall in front of it drops them",
                    probed.address
                ),
            )
        })
    }));
    lines.extend(clock(check));
    lines
}

/// In short why a peer is not reached straight; nothing when it is, or when nobody has tried.
pub(super) fn why(here: &Netcheck, peer: &PeerCheck) -> Option<String> {
    let short = match peer.path.as_ref().map(|path| path.kind) {
        Some(PathKind::Lan | PathKind::Direct) => return None,
        Some(PathKind::Stream) => match here.udp {
            Some(false) => "UDP is blocked here",
            Some(true) | None => "UDP does not get through to it",
        },
        Some(PathKind::Relay | PathKind::Other) => match (here.ipv4.nat.as_str(), peer.nat.as_str()) {
            _ if here.udp == Some(false) => "UDP is blocked here",
            ("hard", "hard") => "symmetric NAT on both sides",
            ("hard", _) => "symmetric NAT on this side",
            (_, "hard") => "symmetric NAT on its side",
            _ if !tried(peer) => "a direct path is still being tried",
            _ => "none of its addresses answers",
        },
        None if !peer.connected => return None,
        None if tried(peer) => "none of its addresses answers, and nobody relays",
        None => return None,
    };
    Some(short.to_owned())
}

/// What to do about the way to one peer.
pub(super) fn of_peer(here: &Netcheck, peer: &PeerCheck) -> Vec<Advice> {
    let name = &peer.name;
    let mut lines = Vec::new();
    if ipv6_is_broken(here, peer) {
        lines.push(line(
            "ipv6_broken",
            format!(
                "IPv6 is broken here or at '{name}': both have IPv6 addresses, and none of {} pings over it was \
                 answered; IPv4 is used instead",
                silent_pings(peer, SocketAddr::is_ipv6),
            ),
        ));
    }
    match &peer.path {
        Some(path) => match path.kind {
            PathKind::Lan | PathKind::Direct | PathKind::Other => {}
            PathKind::Relay => lines.push(relayed(here, peer, path.via.as_deref())),
            PathKind::Stream => lines.push(streamed(here, peer, path.via.as_deref())),
        },
        None if peer.connected && tried(peer) => lines.push(line(
            "no_relay",
            format!(
                "'{name}' is online, but no packets get through and no member that relays is reachable: run `warren \
                 up` on a device with a public address, or set relay = \"on\" on one whose router forwards its port"
            ),
        )),
        None if peer.connected => lines.push(line(
            "idle",
            format!("'{name}' is online, and no packets have been sent to it yet; `warren ping {name}` tries"),
        )),
        None => lines.push(line(
            "offline",
            format!(
                "'{name}' cannot be reached by anybody this device talks to: it is off, without network, or `warren \
                 up` does not run there"
            ),
        )),
    }
    lines
}

/// Fills the reasons and the advice of a report.
pub(super) fn complete(mut report: Doctor) -> Doctor {
    report.here.advice = of_network(&report.here);
    for peer in &mut report.peers {
        peer.why = why(&report.here, peer);
        peer.advice = of_peer(&report.here, peer);
    }
    report
}

fn relayed(here: &Netcheck, peer: &PeerCheck, via: Option<&str>) -> Advice {
    let (name, through) = (&peer.name, through(via));
    let hard = |nat: &str| nat == "hard";
    let (ours, theirs) = (hard(&here.ipv4.nat), hard(&peer.nat));
    match (ours, theirs) {
        (true, true) => line(
            "both_symmetric",
            format!(
                "both routers give each connection a port of its own (symmetric NAT): traffic to '{name}' goes \
                 {through}; a port forward on one of them makes it direct{}",
                forward(here).map_or_else(String::new, |forward| format!(": {forward} here, say"))
            ),
        ),
        (true, false) => line(
            "symmetric_here",
            format!(
                "the router here gives each connection a port of its own (symmetric NAT): traffic to '{name}' goes \
                 {through}; {} makes it direct",
                forward(here).unwrap_or_else(|| "a port forward on it".to_owned())
            ),
        ),
        (false, true) => line(
            "symmetric_there",
            format!(
                "the router of '{name}' gives each connection a port of its own (symmetric NAT): traffic to it goes \
                 {through}; a port forward on that router, or UPnP, makes it direct"
            ),
        ),
        (false, false) if here.udp == Some(false) => line("udp_blocked", udp_is_blocked(here)),
        (false, false) if tried(peer) => line(
            "firewall",
            format!(
                "none of the addresses of '{name}' answers this device, so traffic goes {through}: a firewall on one \
                 side drops what it did not ask for; let UDP port {} in on this device or its port on the other",
                here.port
            ),
        ),
        (false, false) => line(
            "upgrading",
            format!("traffic to '{name}' goes {through} while a direct path is still being tried"),
        ),
    }
}

fn streamed(here: &Netcheck, peer: &PeerCheck, via: Option<&str>) -> Advice {
    let way = via.map_or_else(|| "straight to it".to_owned(), |via| format!("through '{via}'"));
    match here.udp {
        Some(false) => line(
            "udp_blocked",
            format!(
                "UDP is blocked in this network: traffic to '{}' goes over TCP {way}, which is slower",
                peer.name
            ),
        ),
        Some(true) | None => line(
            "udp_blocked_there",
            format!(
                "UDP does not get through to '{}': traffic goes over TCP {way}, which is slower; its network, most \
                 likely, blocks UDP",
                peer.name
            ),
        ),
    }
}

fn udp_is_blocked(check: &Netcheck) -> String {
    let carriers: Vec<_> = check.relays.iter().filter(|relay| relay.rtt_ms.is_some()).collect();
    match carriers.first() {
        Some(relay) => format!(
            "UDP is blocked in this network: traffic goes over TCP through '{}'; another network is faster",
            relay.name
        ),
        None => "UDP is blocked in this network: only members with an open TCP port are reached; let UDP out, or run \
                 `warren up` on a device with a public address and tcp_ports = [443]"
            .to_owned(),
    }
}

/// The router in front of us: whether a port of it leads here, and how to come by one.
fn router(check: &Netcheck) -> Vec<Advice> {
    let nat = check.ipv4.nat.as_str();
    let translated = nat == "easy" || nat == "hard";
    let outside = |address: &SocketAddr| is_public(address.ip());
    if let Some(mapping) = check.mappings.iter().find(|mapping| !outside(&mapping.external)) {
        return vec![line(
            "double_nat",
            format!(
                "the router lent us {}, but that is no address of the Internet: it is behind another router, your \
                 provider's most likely; forward UDP {} there too, ask the provider for a public address, or use IPv6",
                mapping.external, check.port
            ),
        )];
    }
    let seen: Vec<IpAddr> =
        check.ipv4.seen.iter().filter(|seen| seen.counts).map(|seen| seen.address.ip()).collect();
    if let Some(mapping) = check.mappings.first()
        && !seen.is_empty()
        && !seen.contains(&mapping.external.ip())
    {
        return vec![line(
            "double_nat",
            format!(
                "the router lent us {}, but members see this device at {}: there is another router in between, and \
                 the port leads nowhere unless that one forwards it too",
                mapping.external, seen[0]
            ),
        )];
    }
    if !translated || !check.mappings.is_empty() {
        return Vec::new();
    }
    let Some(forward) = forward(check) else { return Vec::new() };
    match check.port_mapping {
        MappingState::Refused => vec![line(
            "upnp_off",
            format!("your router has UPnP off, or does not know it: turn it on, or {forward}"),
        )],
        MappingState::Off if nat == "hard" => vec![line(
            "mapping_off",
            format!(
                "port_mapping is off, and the router gives each connection a port of its own: set port_mapping = \
                     true, or {forward}"
            ),
        )],
        MappingState::Off
        | MappingState::Held
        | MappingState::Asking
        | MappingState::Needless
        | MappingState::Other => Vec::new(),
    }
}

/// `forward UDP 41820 to 192.168.1.7`, if there is a router to do so.
fn forward(check: &Netcheck) -> Option<String> {
    let inside = check.ipv4.outward.filter(|address| !is_public(*address))?;
    Some(format!("forward UDP {} to {inside}", check.port))
}

fn clock(check: &Netcheck) -> Option<Advice> {
    let off: Vec<_> = check.clocks.iter().filter(|clock| clock.ahead_ms.unsigned_abs() > CLOCK_MS).collect();
    let first = off.first()?;
    let minutes = first.ahead_ms.unsigned_abs() / 60_000;
    Some(if off.len() > 1 && off.len() * 2 > check.clocks.len() {
        line(
            "clock_here",
            format!("the clock of this device differs from the others' by {minutes} minutes; set it right"),
        )
    } else {
        line(
            "clock_there",
            format!("the clock of '{}' differs from ours by {minutes} minutes; set it right", first.peer),
        )
    })
}

fn through(via: Option<&str>) -> String {
    via.map_or_else(|| "through another member".to_owned(), |via| format!("through '{via}'"))
}

/// Whether straight ways were tried in earnest, and none answers.
fn tried(peer: &PeerCheck) -> bool {
    let straight: Vec<_> = peer.pairs.iter().filter(|pair| pair.via.is_none()).collect();
    let answers = straight.iter().any(|pair| matches!(pair.outcome, Outcome::Verified { .. }));
    let silent = straight.iter().any(|pair| match pair.outcome {
        Outcome::Unanswered { pings } => pings >= MANY_PINGS,
        Outcome::Failed { .. } => true,
        Outcome::Verified { .. } | Outcome::Untried | Outcome::Other => false,
    });
    silent && !answers
}

fn silent_pings(peer: &PeerCheck, of: fn(&SocketAddr) -> bool) -> u32 {
    let silent =
        peer.pairs.iter().filter(|pair| pair.endpoint.is_some_and(|at| of(&at) && is_public(at.ip())));
    silent
        .map(|pair| match pair.outcome {
            Outcome::Unanswered { pings } => pings,
            Outcome::Verified { .. } | Outcome::Untried | Outcome::Failed { .. } | Outcome::Other => 0,
        })
        .fold(0, u32::saturating_add)
}

/// Both ends have IPv6 of the Internet, IPv4 works, and IPv6 is silent.
fn ipv6_is_broken(here: &Netcheck, peer: &PeerCheck) -> bool {
    let verified = |of: fn(&SocketAddr) -> bool| {
        peer.pairs.iter().any(|pair| {
            matches!(pair.outcome, Outcome::Verified { .. }) && pair.endpoint.is_some_and(|at| of(&at))
        })
    };
    here.ipv6.outward.is_some_and(is_public)
        && silent_pings(peer, SocketAddr::is_ipv6) >= MANY_PINGS
        && verified(SocketAddr::is_ipv4)
        && !verified(SocketAddr::is_ipv6)
}

fn line(code: &str, message: impl Into<String>) -> Advice {
    Advice { code: code.to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests;

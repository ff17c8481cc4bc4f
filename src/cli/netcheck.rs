//! `warren netcheck`: the network this device is in, and what it allows.

use super::output::{Printer, Style};
use super::status;
use super::values::{Rtt, Span};
use crate::control::client::Client;
use crate::control::{Advice, FamilyCheck, MappingState, Netcheck, Result};

pub(super) async fn run(client: &Client, printer: Printer) -> Result<()> {
    let check = client.netcheck().await?;
    printer.json(&check);
    for line in lines(&check, printer) {
        printer.line(line);
    }
    advice(&check.advice, printer);
    Ok(())
}

/// What was found out, a line each.
pub(super) fn lines(check: &Netcheck, printer: Printer) -> Vec<String> {
    let field =
        |name: &str, value: String| format!("{}  {value}", printer.out(&format!("{name:<10}"), Style::Dim));
    let udp = match check.udp {
        Some(true) => format!("works, port {}", check.port),
        Some(false) => printer.out("blocked", Style::Bad),
        None => format!("not known yet, port {}", check.port),
    };
    let mut lines = vec![field("UDP", udp)];
    for (name, family) in [("IPv4", &check.ipv4), ("IPv6", &check.ipv6)] {
        lines.push(field(name, addresses(family)));
        if family.outward.is_some() {
            lines.push(field("", nat(&family.nat).to_owned()));
        }
        for seen in &family.seen {
            let counts = if seen.counts { "" } else { " (says nothing of the NAT)" };
            lines.push(field("", format!("{} sees {}{counts}", seen.by, seen.address)));
        }
    }
    lines.extend(
        mappings(check)
            .into_iter()
            .enumerate()
            .map(|(place, line)| field(if place == 0 { "router" } else { "" }, line)),
    );
    for probed in &check.probed {
        let found = if probed.reachable { "reachable from outside" } else { "not reachable from outside" };
        let by = probed.by.as_ref().map_or_else(String::new, |by| format!(", says {by}"));
        lines.push(field("probed", format!("{} is {found}{by}", probed.address)));
    }
    let relays: Vec<_> = check
        .relays
        .iter()
        .map(|relay| {
            let rtt = relay.rtt_ms.map_or_else(|| "does not answer".to_owned(), |ms| Rtt { ms }.to_string());
            let reserved = match relay.reserved {
                Some(true) => ", holds a place for this device",
                Some(false) => ", holds no place for this device",
                None => "",
            };
            let carries = match relay.carries.as_slice() {
                [] => String::new(),
                names => format!(", carries {}", names.join(", ")),
            };
            format!("{} {rtt}{reserved}{carries}", relay.name)
        })
        .collect();
    if relays.is_empty() {
        lines.push(field("relays", "none in use".to_owned()));
    }
    for (place, relay) in relays.into_iter().enumerate() {
        lines.push(field(if place == 0 { "relays" } else { "" }, relay));
    }
    if !check.relay.is_empty() {
        lines.push(field("relaying", format!("{} (whether this device forwards for others)", check.relay)));
    }
    lines.push(field("rendezvous", check.rendezvous.clone().unwrap_or_else(|| "not configured".to_owned())));
    lines.push(field("clock", clock(check)));
    lines.push(field("MTU", mtu(check)));
    lines
}

/// What to do, below everything else.
pub(super) fn advice(advice: &[Advice], printer: Printer) {
    if !advice.is_empty() {
        printer.line("");
    }
    for advice in advice {
        printer.line(format_args!("{} {}", printer.out("→", Style::Notice), advice.message));
    }
}

fn addresses(family: &FamilyCheck) -> String {
    let all: Vec<_> = family.addresses.iter().map(ToString::to_string).collect();
    match (all.as_slice(), family.outward) {
        ([], _) => "no address".to_owned(),
        ([only], Some(_)) => only.clone(),
        (all, Some(outward)) => format!("{}; packets leave from {outward}", all.join(", ")),
        (all, None) => format!("{}; no way to the Internet", all.join(", ")),
    }
}

/// A NAT in words.
pub(super) fn nat(kind: &str) -> &str {
    match kind {
        "none" => "no NAT",
        "easy" => "easy NAT: every member sees one address",
        "hard" => "hard NAT: each member sees another port (symmetric)",
        "unknown" | "" => "NAT not known yet: it takes two members outside",
        other => other,
    }
}

fn mappings(check: &Netcheck) -> Vec<String> {
    if check.mappings.is_empty() {
        let state = match check.port_mapping {
            MappingState::Held | MappingState::Asking | MappingState::Other => "is being asked for a port",
            MappingState::Refused => "lends no port: UPnP, NAT-PMP and PCP are off or not known to it",
            MappingState::Needless => "none to ask for a port: this device has no private address",
            MappingState::Off => "is not asked for a port (port_mapping is off)",
        };
        return vec![state.to_owned()];
    }
    let line = |mapping: &crate::control::PortMapping| {
        format!(
            "lends {}/{} by {}, renewed within {}, confirmed {} ago",
            mapping.external,
            mapping.transport,
            mapping.protocol,
            Span(mapping.lease_s),
            Span(mapping.confirmed_s)
        )
    };
    check.mappings.iter().map(line).collect()
}

fn clock(check: &Netcheck) -> String {
    let worst = check.clocks.iter().max_by_key(|clock| clock.ahead_ms.unsigned_abs());
    match worst {
        None => "no member to compare with".to_owned(),
        Some(worst) if worst.ahead_ms.unsigned_abs() < 2000 => {
            let members = status::members(u32::try_from(check.clocks.len()).unwrap_or(u32::MAX));
            format!("agrees with {members} within 2 s")
        }
        Some(worst) => {
            let side = if worst.ahead_ms > 0 { "ahead of" } else { "behind" };
            format!("{} is {} {side} this device", worst.peer, Span(worst.ahead_ms.unsigned_abs() / 1000))
        }
    }
}

fn mtu(check: &Netcheck) -> String {
    let smaller: Vec<_> = check
        .path_mtus
        .iter()
        .filter(|path| path.mtu < check.mtu)
        .map(|path| format!("{} to {}", path.mtu, path.peer))
        .collect();
    match smaller.as_slice() {
        [] => check.mtu.to_string(),
        smaller => format!("{}; {}", check.mtu, smaller.join(", ")),
    }
}

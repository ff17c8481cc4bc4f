//! `warren peers`: this device and its peers with everything known of them.

use super::args::Peers;
use super::output::{Printer, Style};
use super::status;
use super::values::{Bytes, Rtt, Span};
use crate::control::client::Client;
use crate::control::{Cause, Device, Failure, Peer, PeerFilter, Relation, Result, UnknownFilter};

pub(super) async fn run(peers: &Peers, client: &Client, printer: Printer) -> Result<()> {
    // Checked here too, so that a wrong word is a misuse even when no daemon runs.
    let _: PeerFilter = peers
        .filter
        .parse()
        .map_err(|error: UnknownFilter| Failure::new(Cause::Misuse, error.to_string()))?;
    let answer = client.peers(&peers.filter).await?;
    printer.json(&answer);
    section("this device", printer);
    for line in device(&answer.device, printer) {
        printer.line(line);
    }
    for (relation, title) in [(Relation::Own, "own devices"), (Relation::Guest, "other people's devices")] {
        let these: Vec<&Peer> = answer.peers.iter().filter(|peer| peer.relation == relation).collect();
        if !these.is_empty() {
            printer.line("");
            section(title, printer);
        }
        for peer in these {
            for line in describe(peer, printer) {
                printer.line(line);
            }
        }
    }
    if answer.peers.is_empty() {
        let why = if peers.filter.is_empty() { "no peers yet" } else { "no peer fits the filter" };
        printer.line("");
        printer.line(why);
    }
    Ok(())
}

fn section(title: &str, printer: Printer) {
    printer.line(printer.out(&title.to_uppercase(), Style::Dim));
}

fn device(device: &Device, printer: Printer) -> Vec<String> {
    let Device { name, id, ipv4, ipv6, port, os, wireguard, tun, admin, mtu: _ } = device;
    let admin = if *admin { ", admin" } else { "" };
    vec![
        format!("{}{admin}", printer.out(name, Style::Bold)),
        field("addresses", format_args!("{ipv4}, {ipv6}")),
        field("interface", format_args!("{tun}, {port}/udp")),
        field("system", os),
        field("wireguard", wireguard),
        field("id", id),
    ]
}

fn describe(peer: &Peer, printer: Printer) -> Vec<String> {
    let state = if peer.online {
        printer.out("online", Style::Good)
    } else {
        printer.out(&status::absence(peer), Style::Dim)
    };
    let admin = if peer.admin { ", admin" } else { "" };
    let mut lines = vec![
        format!("{} is {state}{admin}", printer.out(&peer.name, Style::Bold)),
        field("addresses", format_args!("{}, {}", peer.ipv4, peer.ipv6)),
    ];
    if let Some(path) = &peer.path {
        let rtt = path.rtt_ms.map_or_else(String::new, |ms| format!(", {}", Rtt { ms }));
        let since = Span(path.since_s);
        let mtu = path.mtu.map_or_else(String::new, |mtu| format!(", MTU {mtu}"));
        let way = status::way(path);
        lines.push(field("path", format_args!("{way}, {}{rtt}, for {since}{mtu}", path.endpoint)));
    }
    if let Some(why) = &peer.why {
        lines.push(field("why", why));
    }
    let handshake = match peer.last_handshake_s {
        Some(seconds) => format!("{} ago", Span(seconds)),
        None => "none yet".to_owned(),
    };
    let (received, sent) = (Bytes(peer.rx_bytes), Bytes(peer.tx_bytes));
    lines
        .push(field("traffic", format_args!("{received} received, {sent} sent, last handshake {handshake}")));
    lines.push(field("it may use", &peer.grants.mine));
    match &peer.grants.theirs {
        Some(theirs) => lines.push(field("we may use", theirs)),
        None => lines.push(field("we may use", "not known yet")),
    }
    lines.push(field("system", &peer.os));
    lines.push(field("wireguard", &peer.wireguard));
    lines.push(field("id", &peer.id));
    if let Some(skew) = peer.clock_skew_ms.filter(|skew| skew.unsigned_abs() >= SKEW_WORTH_SAYING_MS) {
        let side = if skew > 0 { "ahead" } else { "behind" };
        lines.push(field("clock", format_args!("{} {side} of ours", Span(skew.unsigned_abs() / 1000))));
    }
    if peer.rejected_records > 0 {
        lines.push(field("rejected", format_args!("{} records", peer.rejected_records)));
    }
    lines
}

/// A minute, in milliseconds: clocks that nobody sets are that far off within months.
const SKEW_WORTH_SAYING_MS: u64 = 60_000;

fn field(name: &str, value: impl std::fmt::Display) -> String {
    format!("  {name:<10}  {value}")
}

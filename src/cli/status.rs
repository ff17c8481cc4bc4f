//! `warren status`: the mesh, the peers and how packets reach them, in 80 columns.

use std::fmt::Write as _;

use super::output::{Cell, Printer, Style, Table};
use super::values::{Bytes, Rtt, Span};
use crate::control::client::Client;
use crate::control::{Path, Peer, Result, Status};

/// Columns of the narrowest terminal that is in use.
pub(super) const WIDTH: usize = 80;

pub(super) async fn run(client: &Client, printer: Printer) -> Result<()> {
    let status = client.status().await?;
    printer.json(&status);
    for line in lines(&status, printer) {
        printer.line(line);
    }
    Ok(())
}

/// The whole picture.
pub(super) fn lines(status: &Status, printer: Printer) -> Vec<String> {
    let mut lines = head(status, printer);
    if status.mesh.is_some() {
        lines.push(String::new());
        if status.peers.is_empty() {
            lines.push("no other devices yet; `warren invite` makes a code for the next one".to_owned());
        } else {
            lines.extend(peers(status, printer));
        }
    }
    if !status.warnings.is_empty() {
        lines.push(String::new());
    }
    for warning in &status.warnings {
        lines.push(format!("{}: {}", printer.out("warning", Style::Notice), warning.message));
    }
    lines
}

fn head(status: &Status, printer: Printer) -> Vec<String> {
    let Some(mesh) = &status.mesh else {
        return vec![
            "this device is in no mesh".to_owned(),
            "`warren join CODE` joins one; `warren down` and `warren up` found one".to_owned(),
        ];
    };
    let device = &status.device;
    let online = status.peers.iter().filter(|peer| peer.online).count();
    let members_now = u32::try_from(status.peers.len()).unwrap_or(u32::MAX).saturating_add(1);
    let mut here = format!("{} at {}", printer.out(&device.name, Style::Bold), device.ipv4);
    if device.admin {
        here.push_str(", admin");
    }
    let mut mesh_line = format!("{}, {}", printer.out(&mesh.name, Style::Bold), members(members_now));
    if !status.peers.is_empty() {
        let _ = write!(mesh_line, ", {online} of {} peers online", status.peers.len());
    }
    let mut port = format!("{}/udp", device.port);
    match status.nat.kind.as_str() {
        "" | "unknown" => {}
        "none" => port.push_str(", no NAT"),
        kind => {
            let _ = write!(port, ", behind {kind} NAT");
        }
    }
    if let Some(seen) = status.nat.observed.first() {
        let _ = write!(port, ", seen as {seen}");
    }
    let mut lines = vec![
        format!("{}  {mesh_line}", printer.out("mesh  ", Style::Dim)),
        format!("{}  {here}", printer.out("device", Style::Dim)),
        format!("{}  {port}", printer.out("port  ", Style::Dim)),
    ];
    if let Some(exit) = &status.exit {
        lines.push(format!("{}  {}", printer.out("exit  ", Style::Dim), exit.peer));
    }
    lines
}

/// The table of peers, those that answer first.
fn peers(status: &Status, printer: Printer) -> Vec<String> {
    let mut sorted: Vec<&Peer> = status.peers.iter().collect();
    sorted.sort_by(|a, b| b.online.cmp(&a.online).then_with(|| a.name.cmp(&b.name)));
    let mut table = Table::default();
    let dim = |word: &str| Cell::new(word).style(Style::Dim);
    table.row(vec![
        dim(" "),
        dim("PEER"),
        dim("ADDRESS"),
        dim("PATH"),
        dim("RTT").right(),
        dim("ENDPOINT"),
        dim("FOR").right(),
        dim("RECEIVED").right(),
        dim("SENT").right(),
    ]);
    for peer in &sorted {
        table.row(row(peer));
    }
    let mut lines = table.lines(printer, WIDTH);
    let fits = table.columns(WIDTH) > FOR;
    lines.extend(sorted.iter().filter_map(|peer| more(peer, status.device.mtu, fits)));
    lines
}

/// The column that says since when the path is in use.
const FOR: usize = 6;

/// What the table has no room for: where a path leads if that did not fit, a small MTU, why it is not direct.
fn more(peer: &Peer, mtu: u16, fits: bool) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(path) = &peer.path {
        if !fits {
            parts.push(format!("{} for {}", path.endpoint, Span(path.since_s)));
        }
        parts.extend(path.mtu.filter(|path| *path < mtu).map(|mtu| format!("MTU {mtu}")));
    }
    if let Some(why) = &peer.why {
        parts.push(format!("{why} (`warren doctor {}`)", peer.name));
    }
    (!parts.is_empty()).then(|| format!("   {}: {}", peer.name, parts.join("; ")))
}

fn row(peer: &Peer) -> Vec<Cell> {
    let mark =
        if peer.online { Cell::new("●").style(Style::Good) } else { Cell::new("○").style(Style::Dim) };
    let (way, rtt) = match &peer.path {
        Some(path) => (Cell::new(way(path)), path.rtt_ms.map(|ms| Rtt { ms }.to_string())),
        None if peer.online => (Cell::new("idle"), None),
        None => (Cell::new(absence(peer)).style(Style::Dim), None),
    };
    vec![
        mark,
        Cell::new(&peer.name).style(Style::Bold),
        Cell::new(peer.ipv4),
        way,
        Cell::new(rtt.unwrap_or_default()).right(),
        Cell::new(peer.path.as_ref().map(|path| path.endpoint.to_string()).unwrap_or_default()),
        Cell::new(peer.path.as_ref().map(|path| Span(path.since_s).short()).unwrap_or_default()).right(),
        Cell::new(Bytes(peer.rx_bytes)).right(),
        Cell::new(Bytes(peer.tx_bytes)).right(),
    ]
}

/// A path in few letters: `lan`, `direct`, `relay by nas`.
pub(super) fn way(path: &Path) -> String {
    match &path.via {
        Some(via) => format!("{} by {via}", path.kind.word()),
        None => path.kind.word().to_owned(),
    }
}

/// Since when a peer is away.
pub(super) fn absence(peer: &Peer) -> String {
    match peer.last_seen_s {
        Some(seconds) => format!("offline for {}", Span(seconds)),
        None => "offline".to_owned(),
    }
}

/// A number of members in words.
pub(super) fn members(count: u32) -> String {
    if count == 1 { "1 member".to_owned() } else { format!("{count} members") }
}

//! `warren doctor [PEER]`: every way that was tried, what came of it, and what to do.

use super::args::Doctor as Arguments;
use super::output::{Cell, Printer, Style, Table};
use super::values::Rtt;
use super::{netcheck, status};
use crate::control::client::Client;
use crate::control::{Advice, Outcome, Pair, PeerCheck, Result};

pub(super) async fn run(arguments: &Arguments, client: &Client, printer: Printer) -> Result<()> {
    let report = client.doctor(arguments.peer.as_deref()).await?;
    printer.json(&report);
    printer.line(printer.out("THIS DEVICE", Style::Dim));
    for line in netcheck::lines(&report.here, printer) {
        printer.line(line);
    }
    for peer in &report.peers {
        printer.line("");
        for line in describe(peer, printer) {
            printer.line(line);
        }
    }
    if report.peers.is_empty() {
        printer.line("");
        printer.line("no other devices yet; `warren invite` makes a code for the next one");
    }
    // The same advice may come from several peers.
    let mut all: Vec<Advice> = report.here.advice;
    for advice in report.peers.into_iter().flat_map(|peer| peer.advice) {
        if !all.contains(&advice) {
            all.push(advice);
        }
    }
    netcheck::advice(&all, printer);
    Ok(())
}

fn describe(peer: &PeerCheck, printer: Printer) -> Vec<String> {
    let state = match &peer.path {
        Some(path) => {
            let rtt = path.rtt_ms.map_or_else(String::new, |ms| format!(", {}", Rtt { ms }));
            format!("is reached: {}, {}{rtt}", status::way(path), path.endpoint)
        }
        None if peer.connected => "is online; no packets reach it".to_owned(),
        None => "is not reached".to_owned(),
    };
    let why = peer.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let mut lines = vec![format!("{} {state}{why}", printer.out(&peer.name, Style::Bold))];
    if peer.connected {
        let through = peer.connected_through.as_ref();
        let through = through.map_or_else(String::new, |relay| format!(", connected through {relay}"));
        let nat = if peer.nat == "unknown" { "NAT not known" } else { netcheck::nat(&peer.nat) };
        lines.push(format!("  its side: {nat}{through}"));
    }
    let mut table = Table::default();
    for pair in &peer.pairs {
        table.row(row(pair));
    }
    lines.extend(table.lines(printer, status::WIDTH).into_iter().map(|line| format!("  {line}")));
    lines
}

fn row(pair: &Pair) -> Vec<Cell> {
    let endpoint = pair.endpoint.map_or_else(|| "no address".to_owned(), |at| at.to_string());
    let via = pair.via.as_ref().map_or_else(String::new, |via| format!("by {via}"));
    let outcome = match &pair.outcome {
        Outcome::Verified { rtt_ms } => {
            Cell::new(format_args!("answers, {}", Rtt { ms: *rtt_ms })).style(Style::Good)
        }
        Outcome::Unanswered { pings } => Cell::new(format_args!("no answer to {pings} pings")),
        Outcome::Untried => Cell::new("not tried"),
        Outcome::Failed { why } => Cell::new(why),
        Outcome::Other => Cell::new("?"),
    };
    vec![
        Cell::new(endpoint),
        Cell::new(pair.kind.map_or("", |kind| kind.word())),
        Cell::new(via),
        outcome,
        Cell::new(&pair.source).style(Style::Dim),
    ]
}

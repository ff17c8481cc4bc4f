//! `warren ping PEER`: end to end through the tunnel, with the path of every answer.

use std::fmt;

use futures::StreamExt as _;

use super::args::Ping;
use super::output::{Printer, Style};
use super::status;
use super::values::Rtt;
use crate::control::client::Client;
use crate::control::{Cause, Failure, Path, PathKind, PingEvent, PingRequest, Result};

/// What came of all pings.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    peer: String,
    sent: u32,
    received: u32,
    min_us: u64,
    max_us: u64,
    sum_us: u64,
}

pub(super) async fn run(ping: &Ping, client: &Client, printer: Printer) -> Result<()> {
    let request = PingRequest {
        peer: ping.peer.clone(),
        count: ping.count,
        interval_ms: ping.interval.as_millis(),
        timeout_ms: ping.timeout.as_millis(),
    };
    let mut events = client.ping(&request).await?;
    let mut tally = Tally { peer: ping.peer.clone(), ..Tally::default() };
    let mut cut = None;
    let mut direct = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    printer.json(&event);
                    if let Some(line) = tally.note(&event) {
                        printer.line(line);
                    }
                    direct |= is_direct(&event);
                    if direct && ping.until_direct {
                        break;
                    }
                }
                Some(Err(failure)) => {
                    cut = Some(failure);
                    break;
                }
                None => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    if let Some(failure) = cut {
        return Err(failure);
    }
    tally.finish(printer, direct)?;
    if ping.until_direct && !direct {
        let message = format!("the path to {} did not become direct", tally.peer);
        return Err(
            Failure::new(Cause::Failed, message).hint(format!("`warren doctor {}` says why", tally.peer))
        );
    }
    Ok(())
}

/// Whether an event shows that packets go straight to the peer.
fn is_direct(event: &PingEvent) -> bool {
    match event {
        PingEvent::Reply { path: Some(path), .. } | PingEvent::PathChanged { path: Some(path) } => {
            matches!(path.kind, PathKind::Lan | PathKind::Direct)
        }
        PingEvent::Reply { .. }
        | PingEvent::PathChanged { .. }
        | PingEvent::Target { .. }
        | PingEvent::Timeout { .. }
        | PingEvent::Other => false,
    }
}

impl Tally {
    /// Counts an event; the line it is worth.
    fn note(&mut self, event: &PingEvent) -> Option<String> {
        match event {
            PingEvent::Target { peer, ipv4, path } => {
                self.peer.clone_from(peer);
                Some(format!("PING {peer} ({ipv4}) through the mesh, path {}", Way(path.as_ref())))
            }
            PingEvent::Reply { sequence, rtt_us, path } => {
                self.sent = self.sent.max(*sequence);
                self.min_us = if self.received == 0 { *rtt_us } else { self.min_us.min(*rtt_us) };
                self.max_us = self.max_us.max(*rtt_us);
                self.sum_us = self.sum_us.saturating_add(*rtt_us);
                self.received += 1;
                let (peer, way, time) = (&self.peer, Way(path.as_ref()), milliseconds(*rtt_us));
                Some(format!("answer from {peer}: seq={sequence} path={way} time={time}"))
            }
            PingEvent::Timeout { sequence } => {
                self.sent = self.sent.max(*sequence);
                Some(format!("no answer from {}: seq={sequence}", self.peer))
            }
            PingEvent::PathChanged { path } => Some(changed(path.as_ref())),
            PingEvent::Other => None,
        }
    }

    fn finish(&self, printer: Printer, direct: bool) -> Result<()> {
        printer.json(&serde_json::json!({
            "event": "summary",
            "peer": self.peer,
            "sent": self.sent,
            "received": self.received,
            "min_us": self.min_us,
            "average_us": self.average_us(),
            "max_us": self.max_us,
        }));
        printer.line("");
        printer.line(printer.out(&format!("--- {} ---", self.peer), Style::Dim));
        printer.line(self);
        // A path is verified by an answer of its own kind, before any ping.
        if self.received > 0 || direct {
            return Ok(());
        }
        Err(Failure::new(Cause::NotConnected, format!("{} does not answer", self.peer))
            .hint(format!("`warren doctor {}` says what was tried and what to do", self.peer)))
    }

    fn average_us(&self) -> u64 {
        self.sum_us.checked_div(u64::from(self.received)).unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.sent.saturating_sub(self.received);
        let percent = (u64::from(lost) * 100).checked_div(u64::from(self.sent)).unwrap_or(0);
        write!(f, "{} sent, {} received, {percent} % lost", self.sent, self.received)?;
        if self.received > 0 {
            let [min, average, max] = [self.min_us, self.average_us(), self.max_us].map(milliseconds);
            write!(f, "; round trip min {min}, average {average}, max {max}")?;
        }
        Ok(())
    }
}

/// A path with its endpoint: `direct 203.0.113.9:41820`.
struct Way<'a>(Option<&'a Path>);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{} {}", status::way(path), path.endpoint),
            None => f.write_str("none yet"),
        }
    }
}

/// A change of the path: `now direct, 203.0.113.5:41820, 12 ms`.
fn changed(path: Option<&Path>) -> String {
    let Some(path) = path else { return "now without any path".to_owned() };
    let rtt = path.rtt_ms.map_or_else(String::new, |ms| format!(", {}", Rtt { ms }));
    format!("now {}, {}{rtt}", status::way(path), path.endpoint)
}

fn milliseconds(us: u64) -> Rtt {
    Rtt { ms: us as f64 / 1000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_lost() {
        let mut tally = Tally { peer: "nas".into(), ..Tally::default() };
        for event in [
            PingEvent::Reply { sequence: 1, rtt_us: 400, path: None },
            PingEvent::Timeout { sequence: 2 },
            PingEvent::Reply { sequence: 3, rtt_us: 600, path: None },
        ] {
            assert!(tally.note(&event).is_some());
        }
        assert_eq!(
            tally.to_string(),
            "3 sent, 2 received, 33 % lost; round trip min 0.40 ms, average 0.50 ms, max 0.60 ms"
        );
    }

    #[test]
    fn no_pings_divide_nothing_by_nothing() {
        assert_eq!(Tally::default().to_string(), "0 sent, 0 received, 0 % lost");
    }
}

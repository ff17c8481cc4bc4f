//! The state of a daemon as Prometheus text (exposition format 0.0.4).

use std::fmt::Write as _;

use super::status::{Peer, Status};

/// Renders everything worth watching; counters end in `_total`.
pub(super) fn render(status: &Status) -> String {
    let mut text = Text::default();
    text.head("warren_info", "gauge", "Version, mesh and name of this device.");
    let mesh = status.mesh.as_ref().map_or("", |mesh| &mesh.name);
    let labels = [("version", status.version.as_str()), ("mesh", mesh), ("device", &status.device.name)];
    text.row("warren_info", &labels, 1.0);
    text.head("warren_uptime_seconds", "gauge", "Time since the daemon started.");
    text.row("warren_uptime_seconds", &[], status.uptime_s as f64);

    let peer = |text: &mut Text, name, kind, help, value: fn(&Peer) -> Option<f64>| {
        text.head(name, kind, help);
        for peer in &status.peers {
            if let Some(value) = value(peer) {
                text.row(name, &[("peer", &peer.name)], value);
            }
        }
    };
    peer(&mut text, "warren_peer_online", "gauge", "1 if the peer answers.", |peer| {
        Some(f64::from(u8::from(peer.online)))
    });
    peer(&mut text, "warren_peer_received_bytes_total", "counter", "Bytes received from the peer.", |peer| {
        Some(peer.rx_bytes as f64)
    });
    peer(&mut text, "warren_peer_sent_bytes_total", "counter", "Bytes sent to the peer.", |peer| {
        Some(peer.tx_bytes as f64)
    });
    peer(&mut text, "warren_peer_rtt_seconds", "gauge", "Round trip of the path in use.", |peer| {
        peer.path.as_ref()?.rtt_ms.map(|ms| ms / 1000.0)
    });
    peer(&mut text, "warren_peer_handshake_age_seconds", "gauge", "Time since the last handshake.", |peer| {
        peer.last_handshake_s.map(|seconds| seconds as f64)
    });
    peer(
        &mut text,
        "warren_peer_rejected_records_total",
        "counter",
        "Records of the peer refused.",
        |peer| Some(peer.rejected_records as f64),
    );

    text.head("warren_peer_path", "gauge", "1 for the kind of path in use.");
    for peer in &status.peers {
        if let Some(path) = &peer.path {
            text.row("warren_peer_path", &[("peer", &peer.name), ("kind", path.kind.word())], 1.0);
        }
    }
    text.head("warren_dropped_packets_total", "counter", "Packets dropped, by reason.");
    for (reason, count) in &status.drops {
        text.row("warren_dropped_packets_total", &[("reason", reason)], *count as f64);
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if place == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

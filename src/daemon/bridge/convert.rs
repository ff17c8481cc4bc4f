//! One library's words in the other's, and in those of the local API.

use std::time::Instant;

use warren_dataplane::filter::{Incoming, PortRange, Rules, Transport};
use warren_dataplane::path::{Kind, PathInfo};
use warren_p2p::record::{self, Grants};

use crate::control;

/// What a member may open here.
pub(super) fn rules(grants: &Grants) -> Rules {
    let ports = grants.ports.iter().map(|ports| PortRange {
        transport: match ports.protocol {
            record::Protocol::Tcp => Transport::Tcp,
            record::Protocol::Udp => Transport::Udp,
        },
        first: ports.first,
        last: ports.last,
    });
    let incoming = if grants.incoming { Incoming::All } else { Incoming::Only(ports.collect()) };
    Rules { incoming, ..Rules::default() }
}

/// A path as the local API shows it.
pub(super) fn view(path: &PathInfo, now: Instant) -> control::Path {
    control::Path {
        kind: match path.kind {
            Kind::Lan => control::PathKind::Lan,
            Kind::Direct => control::PathKind::Direct,
            Kind::Relay => control::PathKind::Relay,
            Kind::Stream => control::PathKind::Stream,
        },
        endpoint: path.endpoint,
        via: None,
        rtt_ms: Some(path.rtt.as_secs_f64() * 1000.0),
        since_s: now.saturating_duration_since(path.since).as_secs(),
    }
}

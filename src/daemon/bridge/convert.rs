//! One library's words in the other's, and in those of the local API.

use std::time::Instant;

use warren_dataplane::filter::{Incoming, PortRange, Rules, Transport};
use warren_dataplane::path::{Kind, Nat, Outcome, PairFailure, PairReport, PairSource, PathInfo};
use warren_p2p::record::{self, Grants};
use warren_p2p::signal::NatKind;

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

/// A NAT as the dataplane names it.
pub(super) fn nat(kind: NatKind) -> Nat {
    match kind {
        NatKind::Unknown => Nat::Unknown,
        NatKind::Open => Nat::Open,
        NatKind::Easy => Nat::Easy,
        NatKind::Hard => Nat::Hard,
    }
}

/// A path as the local API shows it.
pub(super) fn view(path: &PathInfo, via: Option<String>, now: Instant) -> control::Path {
    control::Path {
        kind: kind(path.kind),
        endpoint: path.endpoint,
        via,
        rtt_ms: Some(path.rtt.as_secs_f64() * 1000.0),
        mtu: path.mtu,
        since_s: now.saturating_duration_since(path.since).as_secs(),
    }
}

/// A way as the local API shows it.
pub(super) fn pair(pair: &PairReport, via: Option<String>) -> control::Pair {
    control::Pair {
        kind: pair.kind.map(kind),
        endpoint: pair.endpoint,
        via,
        source: match pair.source {
            PairSource::Told => "told",
            PairSource::Learned => "learned",
            PairSource::Agreed => "agreed",
        }
        .to_owned(),
        outcome: match pair.outcome {
            Outcome::Verified => {
                control::Outcome::Verified { rtt_ms: pair.rtt.map_or(0.0, |rtt| rtt.as_secs_f64() * 1000.0) }
            }
            Outcome::Unanswered { pings } => control::Outcome::Unanswered { pings },
            Outcome::Untried => control::Outcome::Untried,
            Outcome::Failed(why) => control::Outcome::Failed {
                why: match why {
                    PairFailure::Silent => "answered once, and does so no more",
                    PairFailure::NoPathToRelay => "there is no path to the relay",
                }
                .to_owned(),
            },
        },
    }
}

fn kind(kind: Kind) -> control::PathKind {
    match kind {
        Kind::Lan => control::PathKind::Lan,
        Kind::Direct => control::PathKind::Direct,
        Kind::Relay => control::PathKind::Relay,
        Kind::Stream => control::PathKind::Stream,
    }
}

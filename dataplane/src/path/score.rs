//! Which of two verified pairs is better, and by how much it must be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::candidate::{is_private, is_within};

/// A way to the peer, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Within one site: in a network of one of our interfaces, both ends use private addresses, or one IPv6 /64.
    Lan,
    /// Over the Internet, with nobody between us.
    Direct,
    /// Through another member.
    Relay,
    /// Through another member's TCP port.
    Stream,
}

impl Kind {
    /// The kind of a pair without a relay: the peer's address, ours as the peer saw it, and our interfaces' networks.
    #[must_use]
    pub fn of(endpoint: SocketAddr, seen: SocketAddr, networks: &[(IpAddr, u8)]) -> Self {
        let is_here = networks.iter().any(|network| is_within(endpoint.ip(), *network));
        let one_subnet = match (endpoint.ip(), seen.ip()) {
            (IpAddr::V6(theirs), IpAddr::V6(ours)) => theirs.octets()[..8] == ours.octets()[..8],
            (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => false,
        };
        let inside = is_private(endpoint.ip()) && is_private(seen.ip());
        if is_here || one_subnet || inside { Self::Lan } else { Self::Direct }
    }
}

/// What pairs are compared by; smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    /// The sort of way.
    pub(crate) kind: Kind,
    /// Smoothed round trip.
    pub(crate) rtt: Duration,
}

/// How much better than `active` a pair must be before it is tried as its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// Not enough to bother.
    None,
    /// A better sort of way.
    Kind,
    /// The same sort of way with a clearly lower round trip.
    Rtt,
}

/// A lower round trip counts from a fifth and 5 ms: less is noise, and nobody feels it.
const RTT_MARGIN: Duration = Duration::from_millis(5);

impl Score {
    /// How far `self` leads `active`.
    pub(crate) fn lead(&self, active: &Self) -> Lead {
        if self.kind != active.kind {
            return if self.kind < active.kind { Lead::Kind } else { Lead::None };
        }
        let margin = RTT_MARGIN.max(active.rtt / 5);
        if self.rtt + margin <= active.rtt { Lead::Rtt } else { Lead::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(kind: Kind, ms: u64) -> Score {
        Score { kind, rtt: Duration::from_millis(ms) }
    }

    #[test]
    fn a_lan_is_better_than_any_direct_path() {
        assert_eq!(score(Kind::Lan, 50).lead(&score(Kind::Direct, 1)), Lead::Kind);
        assert_eq!(score(Kind::Direct, 1).lead(&score(Kind::Lan, 50)), Lead::None);
        assert!(score(Kind::Lan, 50) < score(Kind::Direct, 1));
    }

    #[test]
    fn a_slightly_lower_round_trip_is_no_reason_to_move() {
        assert_eq!(score(Kind::Direct, 96).lead(&score(Kind::Direct, 100)), Lead::None);
        assert_eq!(score(Kind::Direct, 80).lead(&score(Kind::Direct, 100)), Lead::Rtt);
        assert_eq!(score(Kind::Lan, 1).lead(&score(Kind::Lan, 5)), Lead::None);
    }

    #[test]
    fn a_path_is_lan_only_when_both_ends_are_inside() {
        let kind =
            |endpoint: &str, seen: &str| Kind::of(endpoint.parse().unwrap(), seen.parse().unwrap(), &[]);
        assert_eq!(kind("192.168.0.2:1", "192.168.0.3:1"), Kind::Lan);
        assert_eq!(kind("192.168.0.2:1", "203.0.113.1:1"), Kind::Direct);
        assert_eq!(kind("203.0.113.1:1", "203.0.113.2:1"), Kind::Direct);
        assert_eq!(kind("[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1"), Kind::Lan);
        assert_eq!(kind("[2001:db8:0:1::1]:1", "[2001:db8:0:2::2]:1"), Kind::Direct);
    }
}

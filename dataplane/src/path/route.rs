//! What a pair is named by: not the peer's address alone, but the whole way a datagram takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::candidate::usable;

/// What a probe says of the address it came from when it came by a way that has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A way to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// A UDP socket of ours and the peer's address.
    Udp {
        /// Which of our sockets: 0 is the one that everything shares, further ones guess ports.
        socket: u16,
        /// The peer's address.
        to: SocketAddr,
    },
    /// Through another member, which forwards what carries this session number.
    Relay {
        /// Agreed by both ends and the relay.
        session: u64,
    },
    /// In a byte stream over TCP.
    Stream {
        /// Given out by whoever drives the engine; never used twice.
        id: u64,
    },
}

impl Route {
    /// The way from the shared socket to `to`.
    #[must_use]
    pub const fn udp(to: SocketAddr) -> Self {
        Self::Udp { socket: 0, to }
    }

    /// The peer's address, if this way leads to one.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Udp { to, .. } => Some(to),
            Self::Relay { .. } | Self::Stream { .. } => None,
        }
    }

    /// The route in its one form, if probes may go there at all.
    pub(crate) fn usable(self) -> Option<Self> {
        match self {
            Self::Udp { socket, to } => Some(Self::Udp { socket, to: usable(to)? }),
            Self::Relay { .. } | Self::Stream { .. } => Some(self),
        }
    }

    /// What our pong tells the peer of where its ping came from.
    pub(crate) const fn seen(self) -> SocketAddr {
        match self {
            Self::Udp { to, .. } => to,
            Self::Relay { .. } | Self::Stream { .. } => NOWHERE,
        }
    }

    /// An address that stands for the sender where one is needed: WireGuard binds its cookies to it. Ways without one
    /// take theirs from the range that is never routed (RFC 6666).
    pub(crate) fn stand_in(self) -> IpAddr {
        let discarded = |kind: u128, number: u64| {
            Ipv6Addr::from_bits((0x0100 << 112) | (kind << 64) | u128::from(number)).into()
        };
        match self {
            Self::Udp { to, .. } => to.ip(),
            Self::Relay { session } => discarded(0, session),
            Self::Stream { id } => discarded(1, id),
        }
    }
}

impl From<SocketAddr> for Route {
    fn from(to: SocketAddr) -> Self {
        Self::udp(to)
    }
}

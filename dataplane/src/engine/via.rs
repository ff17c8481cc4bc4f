//! What carries a datagram in the end: the part of a route that sockets and streams understand.

use std::net::SocketAddr;

use crate::path::Route;

/// A socket and an address, or a stream. Where a [`super::Transmit`] goes, and where datagrams came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// A UDP socket of ours.
    Socket {
        /// Which one: 0 is the shared one of the address's family.
        socket: u16,
        /// The other side.
        address: SocketAddr,
    },
    /// A byte stream over TCP.
    Stream {
        /// Given out by whoever drives the engine; never used twice.
        id: u64,
    },
}

impl Via {
    /// The other side's address, if it is reached by one.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Socket { address, .. } => Some(address),
            Self::Stream { .. } => None,
        }
    }

    /// The route of a peer that is at the other end itself.
    pub(super) const fn route(self) -> Route {
        match self {
            Self::Socket { socket, address } => Route::Udp { socket, to: address },
            Self::Stream { id } => Route::Stream { id },
        }
    }
}

impl From<SocketAddr> for Via {
    fn from(address: SocketAddr) -> Self {
        Self::Socket { socket: 0, address }
    }
}

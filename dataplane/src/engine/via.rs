//! What carries a datagram in the end: the part of a route that sockets and streams understand.

use std::net::SocketAddr;

use super::transmit::Transmit;
use crate::path::Route;
use crate::relay::frame;

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

    /// What carries datagrams on a route that has no relay on it.
    pub(super) const fn of(route: Route) -> Option<Self> {
        match route {
            Route::Udp { socket, to } => Some(Self::Socket { socket, address: to }),
            Route::Stream { id } => Some(Self::Stream { id }),
            Route::Relay { .. } => None,
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

/// How datagrams are sent on a route: what carries them, and the frame of a relay's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) via: Via,
    pub(super) session: Option<u64>,
}

impl Way {
    /// What each datagram grows by.
    pub(super) const fn overhead(self) -> usize {
        if self.session.is_some() { frame::HEADER } else { 0 }
    }

    /// Begin a datagram at the end of `contents`.
    pub(super) fn begin(self, contents: &mut Vec<u8>) {
        if let Some(session) = self.session {
            contents.extend_from_slice(&frame::header(session));
        }
    }

    /// A single datagram.
    pub(super) fn single(self, datagram: Vec<u8>) -> Transmit {
        let Some(session) = self.session else { return Transmit::single(self.via, datagram) };
        let mut framed = Vec::with_capacity(frame::HEADER + datagram.len());
        framed.extend_from_slice(&frame::header(session));
        framed.extend_from_slice(&datagram);
        Transmit::single(self.via, framed)
    }
}

impl From<SocketAddr> for Via {
    fn from(address: SocketAddr) -> Self {
        Self::Socket { socket: 0, address }
    }
}

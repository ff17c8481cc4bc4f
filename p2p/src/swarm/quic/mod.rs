//! libp2p over QUIC on UDP sockets that somebody else owns.
//!
//! The daemon has one UDP socket per address family and shares it between WireGuard, path probes and QUIC, so that a
//! hole which either of them opens serves both. libp2p's own QUIC transport binds its sockets itself; this one is given
//! them ([`socket::Lease`]) and makes one `quinn::Endpoint` on each. The endpoint is chosen by address family, for
//! listening and for dialling alike, so every control connection uses the one port that peers know.
//!
//! TLS is libp2p's: a self-signed certificate that carries a signature of the identity key, checked on both sides, so
//! a finished handshake proves the peer id. Key exchange prefers X25519MLKEM768.
//!
//! Absent on purpose: draft versions, unreliable datagrams, 0-RTT, key logging (`SSLKEYLOGFILE` is ignored), sockets of
//! our own, and DCUtR's packet-throwing branch (both sides dial as clients).
//!
//! When a [`Transport`] is dropped, its connections are closed and its leases end: the sockets stay open and serve the
//! next `Transport`, which may have another identity.

mod address;
mod config;
mod connection;
mod dial_back;
mod listener;
mod socket;
mod stream;
mod transport;

pub(crate) use address::{from_multiaddr, ip, to_multiaddr};
#[cfg(test)]
use connection::Connection;
pub(crate) use dial_back::is_reachable;
pub(crate) use transport::{Closer, Transport};

use std::{io, net::SocketAddr};

#[cfg(test)]
mod tests;

/// Why a QUIC connection or listener failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket of the address family of this address was given.
    #[error("this device has no socket that can reach {0}")]
    NoSocket(SocketAddr),
    /// This machine has no route to the address.
    #[error("no way leads there: {0}")]
    NoRoute(io::Error),
    /// The connection could not be started.
    #[error("the connection could not be started: {0}")]
    Connect(#[from] quinn::ConnectError),
    /// The connection failed or was closed.
    #[error("the connection failed: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// The peer did not finish the handshake in time.
    #[error("the peer did not finish the handshake in {} s", config::HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimedOut,
    /// The peer showed no certificate, or one that does not prove an identity.
    #[error("the peer's certificate does not prove its identity")]
    Certificate,
    /// Our own certificate could not be made.
    #[error("the TLS configuration could not be made: {0}")]
    Tls(String),
    /// The socket or the interface watcher failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
}

//! Socket addresses as libp2p writes them: QUIC and TCP share a port.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::quic;

/// Both ways to call an address, QUIC first.
pub(super) fn ways(address: SocketAddr) -> [Multiaddr; 2] {
    [quic::to_multiaddr(address), tcp(address)]
}

/// The TCP multiaddress of a socket address.
pub(super) fn tcp(address: SocketAddr) -> Multiaddr {
    Multiaddr::empty().with(address.ip().into()).with(Protocol::Tcp(address.port()))
}

/// The IP address that a multiaddress begins with.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    quic::ip(&address.iter().next()?)
}

/// The socket address in a multiaddress, and whether it is QUIC; `None` for what we do not speak.
pub(super) fn socket_address(address: &Multiaddr) -> Option<(SocketAddr, bool)> {
    if let Some((address, _)) = quic::from_multiaddr(address) {
        return Some((address, true));
    }
    let mut parts = address.iter();
    let ip = quic::ip(&parts.next()?)?;
    let Protocol::Tcp(port) = parts.next()? else { return None };
    match parts.next() {
        None => {}
        // What follows would be a circuit.
        Some(Protocol::P2p(_)) if parts.next().is_none() => {}
        Some(_) => return None,
    }
    Some((SocketAddr::new(ip, port), false))
}

//! `/ip4/…/udp/…/quic-v1` to socket address and back.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// The socket address (and the peer, if named) of a QUIC v1 multiaddress; `None` for every other form.
pub(crate) fn from_multiaddr(address: &Multiaddr) -> Option<(SocketAddr, Option<PeerId>)> {
    let mut parts = address.iter();
    let ip = ip(&parts.next()?)?;
    let Protocol::Udp(port) = parts.next()? else { return None };
    let Protocol::QuicV1 = parts.next()? else { return None };
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(peer),
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    Some((SocketAddr::new(ip, port), peer))
}

/// The IP address in this part of a multiaddress.
pub(crate) fn ip(part: &Protocol<'_>) -> Option<IpAddr> {
    if let Protocol::Ip4(ip) = part {
        Some((*ip).into())
    } else if let Protocol::Ip6(ip) = part {
        Some((*ip).into())
    } else {
        None
    }
}

/// The QUIC v1 multiaddress of a socket address.
pub(crate) fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::empty().with(address.ip().into()).with(Protocol::Udp(address.port())).with(Protocol::QuicV1)
}

//! Tunnel addresses come and go while a transport listens.

use std::{collections::BTreeSet, net::IpAddr, pin::Pin, task::Context};

use futures::task::noop_waker_ref;
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, MemoryTransport, PortUse, TransportEvent},
    },
};

use super::{TunnelAddresses, TunnelGuard};

type Guard = TunnelGuard<MemoryTransport>;

/// What the guard announces next: address and whether it is new.
fn announced(guard: &mut Guard) -> Option<(Multiaddr, bool)> {
    let mut cx = Context::from_waker(noop_waker_ref());
    match Pin::new(guard).poll(&mut cx) {
        std::task::Poll::Ready(TransportEvent::NewAddress { listen_addr, .. }) => Some((listen_addr, true)),
        std::task::Poll::Ready(TransportEvent::AddressExpired { listen_addr, .. }) => {
            Some((listen_addr, false))
        }
        std::task::Poll::Ready(_) | std::task::Poll::Pending => None,
    }
}

#[test]
fn an_address_that_becomes_the_tunnels_expires_and_comes_back() {
    let tunnel = TunnelAddresses::default();
    let mut guard = TunnelGuard::new(MemoryTransport::default(), tunnel.clone());
    let ip: IpAddr = "100.64.0.7".parse().unwrap();
    let address: Multiaddr = "/ip4/100.64.0.7/udp/41820/quic-v1".parse().unwrap();
    guard.listening.insert(address.clone(), (ListenerId::next(), true));
    assert_eq!(announced(&mut guard), None);

    tunnel.replace(BTreeSet::from([ip]));
    assert_eq!(announced(&mut guard), Some((address.clone(), false)));
    assert_eq!(announced(&mut guard), None);

    tunnel.replace(BTreeSet::new());
    assert_eq!(announced(&mut guard), Some((address, true)));
}

#[test]
fn tunnel_addresses_are_not_dialled() {
    let tunnel = TunnelAddresses::default();
    tunnel.replace(BTreeSet::from(["100.64.0.7".parse().unwrap()]));
    let mut guard = TunnelGuard::new(MemoryTransport::default(), tunnel);
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
    assert!(guard.dial("/ip4/100.64.0.7/tcp/41820".parse().unwrap(), opts).is_err());
    assert!(guard.dial("/memory/7".parse().unwrap(), opts).is_err(), "nobody listens there");
    assert!(guard.listen_on(ListenerId::next(), "/memory/7".parse().unwrap()).is_ok());
    assert!(guard.dial("/memory/7".parse().unwrap(), opts).is_ok());
}

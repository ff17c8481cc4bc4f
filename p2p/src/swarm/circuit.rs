//! Connections through another member: their addresses, and libp2p's relay transport made to name the relay.
//!
//! The relay copies bytes. Inside run our TLS and a multiplexer, so it sees neither content nor more of the identities
//! than it was told, and the gate judges the connection by the key at its far end, as any other.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use super::quic;

/// Where to listen to be called through a relay at this address, and, for a swarm that knows whom it calls, where to call.
pub(super) fn through(relay: PeerId, address: SocketAddr) -> Multiaddr {
    quic::to_multiaddr(address).with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

/// Whether this is the address of a connection through another.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay in the address of a circuit.
pub(super) fn relay(address: &Multiaddr) -> Option<PeerId> {
    let mut last = None;
    for part in address {
        if part == Protocol::P2pCircuit {
            return last;
        }
        last = if let Protocol::P2p(peer) = part { Some(peer) } else { None };
    }
    None
}

/// libp2p's relay transport, with the relay's name in the local address of whatever comes in: it gives only where the
/// relay is, and that may be any port behind a NAT.
pub(super) struct Circuits<T> {
    inner: T,
    relays: HashMap<ListenerId, PeerId>,
}

impl<T> Circuits<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, relays: HashMap::new() }
    }
}

impl<T: libp2p::Transport + Unpin> libp2p::Transport for Circuits<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        let relay = relay(&address);
        self.inner.listen_on(id, address)?;
        self.relays.extend(relay.map(|relay| (id, relay)));
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        self.inner.dial(address, opts)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        let event = match Pin::new(&mut self.inner).poll(cx) {
            Poll::Ready(event) => event,
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(match event {
            TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr } => {
                let named = self.relays.get(&listener_id);
                let local_addr = named.map_or(local_addr, |relay| {
                    Multiaddr::empty().with(Protocol::P2p(*relay)).with(Protocol::P2pCircuit)
                });
                TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr }
            }
            TransportEvent::ListenerClosed { listener_id, reason } => {
                self.relays.remove(&listener_id);
                TransportEvent::ListenerClosed { listener_id, reason }
            }
            event @ (TransportEvent::NewAddress { .. }
            | TransportEvent::AddressExpired { .. }
            | TransportEvent::ListenerError { .. }) => event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_the_peer_before_the_circuit() {
        let (one, other) = (PeerId::random(), PeerId::random());
        let address = through(one, "192.0.2.1:41820".parse().unwrap());
        assert_eq!(relay(&address.clone().with(Protocol::P2p(other))), Some(one));
        assert!(is_circuit(&address));
        let direct = quic::to_multiaddr("192.0.2.1:1".parse().unwrap()).with(Protocol::P2p(one));
        assert_eq!(relay(&direct), None);
        assert!(!is_circuit(&direct));
    }

    #[test]
    fn a_circuit_has_no_socket_address() {
        let tcp: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let circuit = tcp.with(Protocol::P2p(PeerId::random())).with(Protocol::P2pCircuit);
        assert_eq!(crate::swarm::address::socket_address(&circuit), None);
    }
}

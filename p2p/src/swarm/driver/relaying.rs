//! Circuits and reservations, between libp2p's relay and the node.

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    relay,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Driver, now};
use crate::{
    identity::DeviceId,
    node::{ConnectionKey, Via},
    swarm::{circuit, quic},
};

impl Driver {
    /// Calls a member through others, all at once.
    pub(super) fn dial_through(&mut self, peer: DeviceId, relays: &[Via]) {
        let through = relays.iter().map(|via| circuit::through(via.relay.to_peer_id(), via.address));
        let opts = DialOpts::peer_id(peer.to_peer_id())
            .addresses(through.collect())
            .condition(PeerCondition::Always)
            .build();
        let connection = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => {
                self.dials.insert(connection, true);
            }
            Err(error) => {
                tracing::debug!(peer = %peer.short(), %error, "did not call through others");
                self.node.handle_circuit_failed(peer, now());
            }
        }
    }

    /// Asks a member to relay to us.
    pub(super) fn reserve(&mut self, via: Via) {
        match self.swarm.listen_on(circuit::through(via.relay.to_peer_id(), via.address)) {
            Ok(listener) => {
                self.reservations.insert(listener, via.relay);
            }
            Err(error) => {
                tracing::debug!(relay = %via.relay.short(), %error, "no reservation");
                self.node.handle_reservation(via.relay, false, now());
            }
        }
    }

    /// Ends what [`Self::reserve`] began.
    pub(super) fn release(&mut self, relay: DeviceId) {
        let found = self.reservations.iter().find(|(_, known)| **known == relay);
        if let Some((listener, _)) = found.map(|(listener, relay)| (*listener, *relay)) {
            self.reservations.remove(&listener);
            self.swarm.remove_listener(listener);
        }
    }

    /// Relays for members, or does not.
    pub(super) fn relay(&mut self, on: bool) {
        let status = if on { relay::Status::Enable } else { relay::Status::Disable };
        self.swarm.behaviour_mut().relay.inner().set_status(Some(status));
        self.relaying = on;
        self.name_relay();
    }

    /// libp2p grants a reservation only with an address at which the relay is found. Those that hold one are connected
    /// with us and know better, so any will do.
    pub(super) fn name_relay(&mut self) {
        if self.swarm.external_addresses().any(|address| !circuit::is_circuit(address)) || !self.relaying {
            return;
        }
        let mut own: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        own.retain(|address| quic::from_multiaddr(address).is_some());
        own.sort_by_key(|address| quic::from_multiaddr(address).is_some_and(|(at, _)| at.ip().is_loopback()));
        if let Some(address) = own.into_iter().next() {
            self.swarm.add_external_address(address);
        }
    }

    /// Whether the listener is a reservation, which then has changed.
    pub(super) fn handle_reservation(&mut self, listener: ListenerId, held: bool) -> bool {
        let Some(relay) = self.reservations.get(&listener).copied() else { return false };
        if !held {
            self.reservations.remove(&listener);
        }
        self.node.handle_reservation(relay, held, now());
        true
    }

    /// A connection through another member stands; with a member, since the gate lets nobody else in that way.
    pub(super) fn handle_circuit(
        &mut self,
        device: DeviceId,
        connection: ConnectionId,
        relay: Option<PeerId>,
        dialled: bool,
    ) {
        self.next_connection += 1;
        let key = ConnectionKey(self.next_connection);
        self.connections.insert(connection, key);
        if let Some(relay) = relay.as_ref().and_then(DeviceId::from_peer_id) {
            self.node.handle_circuit(device, key, relay, dialled, now());
        }
    }
}

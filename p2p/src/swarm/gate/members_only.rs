//! Hides one behaviour from peers that are not members.

use std::{
    collections::BTreeSet,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, derive_prelude::Either, dummy,
    },
};

use super::{Guests, Standing};

/// The wrapped behaviour for members; for everybody else a handler that speaks no protocol.
///
/// The standing at the moment of connecting counts for the whole connection: the gate closes the connections of whoever
/// loses it. The wrapped behaviour never hears of the connections it is hidden from.
pub(crate) struct MembersOnly<B> {
    inner: B,
    guests: Guests,
    hidden: BTreeSet<ConnectionId>,
    /// Connections it has no use for, by the address of either end.
    but_not: fn(&Multiaddr) -> bool,
}

impl<B> MembersOnly<B> {
    pub(crate) fn new(inner: B, guests: Guests) -> Self {
        Self { inner, guests, hidden: BTreeSet::new(), but_not: |_| false }
    }

    /// Hides it from some connections of members as well.
    pub(crate) fn but_not(self, but_not: fn(&Multiaddr) -> bool) -> Self {
        Self { but_not, ..self }
    }

    /// The wrapped behaviour.
    pub(crate) fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    fn hides(&mut self, connection: ConnectionId, peer: &PeerId, addresses: &[&Multiaddr]) -> bool {
        let member = self.guests.standing(peer) == Some(Standing::Member);
        let hidden = !member || addresses.iter().any(|address| (self.but_not)(address));
        if hidden {
            self.hidden.insert(connection);
        }
        hidden
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for MembersOnly<B> {
    type ConnectionHandler = Either<THandler<B>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.hides(connection, &peer, &[local, remote]) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Either::Left)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if self.hides(connection, &peer, &[address]) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.inner
            .handle_established_outbound_connection(connection, peer, address, role, port_use)
            .map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let hidden = if let FromSwarm::ConnectionEstablished(established) = &event {
            self.hidden.contains(&established.connection_id)
        } else if let FromSwarm::AddressChange(change) = &event {
            self.hidden.contains(&change.connection_id)
        } else if let FromSwarm::ConnectionClosed(closed) = &event {
            self.hidden.remove(&closed.connection_id)
        } else if let FromSwarm::ListenFailure(failure) = &event {
            self.hidden.remove(&failure.connection_id)
        } else if let FromSwarm::DialFailure(failure) = &event {
            self.hidden.remove(&failure.connection_id)
        } else {
            false
        };
        if !hidden {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, connection, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx).map(|event| event.map_in(Either::Left))
    }
}

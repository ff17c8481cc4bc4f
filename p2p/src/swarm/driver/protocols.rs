//! What arrives by each protocol, handed to the node.

use libp2p::{Multiaddr, PeerId, identify, request_response};

use super::{Driver, Happened, KAD_ADDRESSES, LEAVING, VISIT_REQUESTS, now};
use crate::{
    discovery::Source,
    identity::DeviceId,
    invite,
    membership::Message,
    signal::Hello,
    swarm::{
        address::socket_address,
        circuit::{is_circuit, relay},
        codec::Frame,
    },
};

pub(super) type Event<Request, Response> = request_response::Event<Frame<Request>, Frame<Response>>;

impl Driver {
    /// A newcomer asks; whoever sends nonsense instead is shown out.
    pub(super) fn handle_join(&mut self, event: Event<invite::Request, invite::Response>) {
        let Event::Message { peer, connection_id, message } = event else { return };
        let request_response::Message::Request { request, channel, .. } = message else { return };
        match (request, DeviceId::from_peer_id(&peer)) {
            (Frame::Message(request), Some(key)) => {
                let mut from = None;
                if let Some(visit) = self.visits.get_mut(&connection_id) {
                    visit.requests += 1;
                    if visit.requests > VISIT_REQUESTS {
                        self.swarm.close_connection(connection_id);
                        return;
                    }
                    from = visit.address;
                }
                let response = self.node.handle_join(key, &request, from, now());
                if let (invite::Response::Admitted { .. }, Some(visit)) =
                    (&response, self.visits.get_mut(&connection_id))
                {
                    visit.until = visit.until.min(now().instant + LEAVING);
                }
                let _ = self.swarm.behaviour_mut().join.send_response(channel, Frame::Message(response));
            }
            (Frame::Broken(why), _) => {
                tracing::info!(why, "a newcomer sent nonsense");
                self.swarm.close_connection(connection_id);
            }
            (Frame::Message(_), None) => {}
        }
    }

    pub(super) fn heard(&mut self, peer: &PeerId, address: &Multiaddr, source: Source) {
        let Some(peer) = DeviceId::from_peer_id(peer) else { return };
        if let Some((address, _)) = socket_address(address) {
            self.node.handle_address(peer, address, source, now());
        } else if let Some(relay) = relay(address).as_ref().and_then(DeviceId::from_peer_id) {
            self.node.handle_relay_of(peer, relay, now());
        }
    }

    /// The address at which a peer sees us is taken raw: libp2p's own translation replaces a port that a NAT has
    /// chosen by the one we listen on. Only on QUIC is it the address of the shared socket.
    pub(super) fn handle_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else { return };
        let Some(peer) = DeviceId::from_peer_id(&peer_id) else { return };
        if let Some((address, true)) = socket_address(&info.observed_addr) {
            self.node.handle_observed(peer, address, now());
            self.swarm.behaviour_mut().gate.offer(info.observed_addr);
        }
        let reachable = |address: &Multiaddr| {
            let direct =
                socket_address(address).is_some_and(|(socket, udp)| udp && !socket.ip().is_loopback());
            !self.tunnel.covers(address) && (direct || is_circuit(address))
        };
        let addresses: Vec<_> = info.listen_addrs.into_iter().filter(reachable).take(KAD_ADDRESSES).collect();
        let kad = self.swarm.behaviour_mut().kad.inner();
        let known = kad.kbucket(peer_id).is_some_and(|bucket| {
            let entry = bucket.iter().find(|entry| *entry.node.key.preimage() == peer_id);
            entry.is_some_and(|entry| addresses.iter().eq(entry.node.value.iter()))
        });
        // Each new entry makes Kademlia ask around.
        if !addresses.is_empty() && !known {
            // In place of what it said before: Kademlia itself would collect them without end.
            kad.remove_peer(&peer_id);
            for address in addresses {
                kad.add_address(&peer_id, address);
            }
        }
    }

    pub(super) fn handle_exchange(&mut self, event: Event<Message, ()>) {
        match event {
            Event::Message { peer, message, .. } => {
                let Some(device) = DeviceId::from_peer_id(&peer) else { return };
                match message {
                    request_response::Message::Request { request, channel, .. } => match request {
                        Frame::Message(message) => {
                            // Taken means read: what came of it, the peer learns by our messages.
                            let exchange = self.swarm.behaviour_mut().exchange.inner();
                            let _ = exchange.send_response(channel, Frame::Message(()));
                            self.node.handle_exchange(device, message, now());
                        }
                        Frame::Broken(why) => self.node.handle_violation(device, &why, now()),
                    },
                    request_response::Message::Response { request_id, response } => {
                        if let Some(session) = self.exchanges.remove(&request_id) {
                            self.node.handle_exchange_answer(device, session, true, now());
                        }
                        if let Frame::Broken(why) = response {
                            self.node.handle_violation(device, &why, now());
                        }
                    }
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a message was not taken");
                if let (Some(peer), Some(session)) =
                    (DeviceId::from_peer_id(&peer), self.exchanges.remove(&request_id))
                {
                    self.node.handle_exchange_answer(peer, session, false, now());
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    pub(super) fn handle_signal(&mut self, event: Event<Hello, Hello>) {
        match event {
            Event::Message { peer, message, .. } => {
                let Some(device) = DeviceId::from_peer_id(&peer) else { return };
                match message {
                    request_response::Message::Request { request, channel, .. } => match request {
                        Frame::Message(hello) => {
                            if let Some(answer) = self.node.handle_hello(device, hello, now()) {
                                let signal = self.swarm.behaviour_mut().signal.inner();
                                let _ = signal.send_response(channel, Frame::Message(answer));
                            }
                        }
                        Frame::Broken(why) => self.node.handle_violation(device, &why, now()),
                    },
                    request_response::Message::Response { request_id, response } => {
                        let Some(session) = self.hellos.remove(&request_id) else { return };
                        match response {
                            Frame::Message(hello) => {
                                self.node.handle_hello_answer(device, session, Some(hello), now());
                            }
                            Frame::Broken(why) => self.node.handle_violation(device, &why, now()),
                        }
                    }
                }
            }
            Event::OutboundFailure { peer, request_id, .. } => {
                if let (Some(peer), Some(session)) =
                    (DeviceId::from_peer_id(&peer), self.hellos.remove(&request_id))
                {
                    self.node.handle_hello_answer(peer, session, None, now());
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    /// A word about relaying. It is answered by nothing: taken means read.
    pub(super) fn handle_relaying(&mut self, event: Event<crate::relay::Message, ()>) {
        match event {
            Event::Message { peer, message, .. } => {
                let Some(device) = DeviceId::from_peer_id(&peer) else { return };
                match message {
                    request_response::Message::Request {
                        request: Frame::Message(message), channel, ..
                    } => {
                        let relaying = self.swarm.behaviour_mut().relaying.inner();
                        let _ = relaying.send_response(channel, Frame::Message(()));
                        self.node.handle_relaying(device, message, now());
                    }
                    request_response::Message::Request { request: Frame::Broken(why), .. } => {
                        self.node.handle_violation(device, &why, now());
                    }
                    request_response::Message::Response { request_id, .. } => {
                        self.relayings.remove(&request_id);
                    }
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                let message = self.relayings.remove(&request_id);
                let closed = matches!(error, request_response::OutboundFailure::ConnectionClosed);
                if let (Some(peer), Some(message), true) = (DeviceId::from_peer_id(&peer), message, closed) {
                    self.node.handle_relaying_lost(peer, message, now());
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    /// Something became of a stream of datagrams.
    pub(super) fn handle_stream(&mut self, happened: Happened) {
        match happened {
            Happened::Opened(peer, stream) => match self.node.stream_address(&peer) {
                Some(address) => {
                    self.waiting.push_back(crate::node::Event::Stream { peer, address, stream });
                }
                None => self.streams.close(&peer),
            },
            Happened::Failed(peer, error) => {
                tracing::debug!(peer = %peer.short(), %error, "no stream of datagrams");
                self.node.handle_stream_ended(&peer, now());
            }
            Happened::Ended(peer) => self.node.handle_stream_ended(&peer, now()),
            Happened::Nonsense(peer) => {
                self.node.handle_violation(peer, "a stream of datagrams that is none", now());
            }
        }
    }
}

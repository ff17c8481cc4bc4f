//! A peer that says whatever it likes, over the same transport.

use std::{io, sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    StreamProtocol, Swarm,
    request_response::{self, OutboundFailure, ProtocolSupport},
    swarm::{SwarmEvent, dial_opts::DialOpts},
};
use std::net::SocketAddr;

use super::rig::{DEADLINE, socket};
use crate::{
    identity::Identity,
    record::MeshId,
    swarm::{quic, transport, tunnel_guard::TunnelAddresses},
};

/// Bytes as they are.
#[derive(Clone)]
pub(crate) struct Raw;

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        // Swallows what others say, so that it looks alive.
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&request).await?;
        io.close().await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response).await?;
        io.close().await
    }
}

pub(crate) struct Villain {
    swarm: Swarm<request_response::Behaviour<Raw>>,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Fate {
    Answered,
    /// The connection was closed on us.
    Closed,
    /// They do not speak that protocol with us.
    NotSpoken,
    Other,
}

impl Villain {
    /// Speaks one protocol of the mesh as this identity.
    pub(crate) fn new(identity: &Identity, mesh: &MeshId, protocol: &str) -> Self {
        let keypair = identity.libp2p_keypair();
        let (transport, _) =
            transport::build(&keypair, vec![Arc::clone(&socket())], TunnelAddresses::default(), None)
                .unwrap();
        let protocol = format!("/warren/{}/{protocol}/1", mesh.short());
        let behaviour = request_response::Behaviour::with_codec(
            Raw,
            [(StreamProtocol::try_from_owned(protocol).unwrap(), ProtocolSupport::Full)],
            request_response::Config::default(),
        );
        let config = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(60));
        Self { swarm: Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config) }
    }

    /// Connects, sends the same request again and again, one after the other, and says how many were answered before the
    /// connection was closed on us.
    pub(crate) async fn flood(&mut self, to: SocketAddr, request: &[u8]) -> usize {
        self.swarm.dial(DialOpts::unknown_peer_id().address(quic::to_multiaddr(to)).build()).unwrap();
        let mut answered = 0;
        let flooding = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        self.swarm.behaviour_mut().send_request(&peer_id, request.to_vec());
                    }
                    SwarmEvent::ConnectionClosed { .. } => return answered,
                    SwarmEvent::Behaviour(request_response::Event::Message {
                        peer,
                        message: request_response::Message::Response { .. },
                        ..
                    }) => {
                        answered += 1;
                        self.swarm.behaviour_mut().send_request(&peer, request.to_vec());
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, flooding).await.expect("it is cut off in time")
    }

    /// Connects, sends one request, and says what became of it.
    pub(crate) async fn send(&mut self, to: SocketAddr, request: Vec<u8>) -> Fate {
        self.swarm.dial(DialOpts::unknown_peer_id().address(quic::to_multiaddr(to)).build()).unwrap();
        let mut request = Some(request);
        let fate = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        if let Some(request) = request.take() {
                            self.swarm.behaviour_mut().send_request(&peer_id, request);
                        }
                    }
                    SwarmEvent::ConnectionClosed { .. } => return Fate::Closed,
                    SwarmEvent::Behaviour(request_response::Event::Message {
                        message: request_response::Message::Response { .. },
                        ..
                    }) => return Fate::Answered,
                    SwarmEvent::Behaviour(request_response::Event::OutboundFailure { error, .. }) => {
                        match error {
                            OutboundFailure::UnsupportedProtocols => return Fate::NotSpoken,
                            OutboundFailure::ConnectionClosed => return Fate::Closed,
                            // The stream broke; the connection is to follow.
                            OutboundFailure::Io(_) => {}
                            OutboundFailure::DialFailure | OutboundFailure::Timeout => return Fate::Other,
                        }
                    }
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, fate).await.expect("something becomes of it in time")
    }
}

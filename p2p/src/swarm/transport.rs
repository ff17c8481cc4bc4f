//! The transport of the swarm: QUIC on the shared sockets, TCP with TLS and yamux beside it, none through the tunnel.

use std::{sync::Arc, time::Duration};

use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    identity::Keypair,
    relay, tcp, yamux,
};
use quinn::AsyncUdpSocket;

use super::{
    circuit::Circuits,
    head_start::HeadStart,
    quic, tls,
    tunnel_guard::{TunnelAddresses, TunnelGuard},
};

/// TCP, TLS and multiplexer negotiation together: 4 round trips.
const TCP_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// Streams that a peer may have open at once on a TCP connection, as on QUIC.
const YAMUX_STREAMS: usize = 128;
/// Finding the relay's end of the circuit, and TLS and multiplexer negotiation over two hops.
const CIRCUIT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the transport, with circuits where there are relays to be used; the closer says goodbye on QUIC (TCP does so
/// when it is dropped).
pub(super) fn build(
    keypair: &Keypair,
    sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    tunnel: TunnelAddresses,
    circuits: Option<relay::client::Transport>,
) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, quic::Closer), quic::Error> {
    let quic = quic::Transport::new(keypair, sockets)?;
    let closer = quic.closer();
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(YAMUX_STREAMS);
    let tls = tls::Upgrade::new(keypair).map_err(|error| quic::Error::Tls(error.to_string()))?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(tls.clone())
        .multiplex(yamux.clone())
        .timeout(TCP_HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let quic = quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed();
    let either = OrTransport::new(quic, HeadStart(tcp)).map(|either, _| either.into_inner()).boxed();
    let all = match circuits {
        None => either,
        Some(circuits) => {
            let circuits = Circuits::new(circuits)
                .upgrade(Version::V1Lazy)
                .authenticate(tls)
                .multiplex(yamux)
                .timeout(CIRCUIT_HANDSHAKE_TIMEOUT)
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                .boxed();
            OrTransport::new(circuits, either).map(|either, _| either.into_inner()).boxed()
        }
    };
    Ok((TunnelGuard::new(all, tunnel).boxed(), closer))
}

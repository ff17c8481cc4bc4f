//! One QUIC connection: its handshake, then libp2p's stream muxer on it.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
};
use quinn::rustls::pki_types::CertificateDer;

use super::{Error, config::HANDSHAKE_TIMEOUT, stream::Stream, to_multiaddr};

/// A finished handshake, and counts as one while it runs.
pub(crate) type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

/// Counts one handshake for as long as it lives.
pub(super) struct Pending(Arc<AtomicUsize>);

impl Pending {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the handshake and reads the peer id from the certificate.
pub(super) async fn handshake(connecting: quinn::Connecting) -> Result<(PeerId, Connection), Error> {
    let connection =
        tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await.map_err(|_| Error::HandshakeTimedOut)??;
    let certificates: Box<Vec<CertificateDer<'static>>> =
        connection.peer_identity().and_then(|identity| identity.downcast().ok()).ok_or(Error::Certificate)?;
    let certificate = certificates.first().ok_or(Error::Certificate)?;
    let peer = libp2p_tls::certificate::parse(certificate).map_err(|_| Error::Certificate)?.peer_id();
    Ok((peer, Connection::new(connection)))
}

type StreamPair = Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>;

/// An established connection.
pub(crate) struct Connection {
    connection: quinn::Connection,
    remote: SocketAddr,
    inbound: Option<BoxFuture<'static, StreamPair>>,
    outbound: Option<BoxFuture<'static, StreamPair>>,
    closing: Option<BoxFuture<'static, quinn::ConnectionError>>,
}

impl Connection {
    fn new(connection: quinn::Connection) -> Self {
        let remote = connection.remote_address();
        Self { connection, remote, inbound: None, outbound: None, closing: None }
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let this = self.get_mut();
        let inbound = this.inbound.get_or_insert_with(|| {
            let connection = this.connection.clone();
            async move { connection.accept_bi().await }.boxed()
        });
        let pair = ready!(inbound.poll_unpin(cx));
        this.inbound = None;
        let (send, recv) = pair?;
        Poll::Ready(Ok(Stream::new(send, recv)))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let this = self.get_mut();
        let outbound = this.outbound.get_or_insert_with(|| {
            let connection = this.connection.clone();
            async move { connection.open_bi().await }.boxed()
        });
        let pair = ready!(outbound.poll_unpin(cx));
        this.outbound = None;
        let (send, recv) = pair?;
        Poll::Ready(Ok(Stream::new(send, recv)))
    }

    /// Reports when the peer has moved to another address. Quinn has no waker for it, but the peer's packets from its
    /// new address wake the connection soon enough.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        let this = self.get_mut();
        let remote = this.connection.remote_address();
        if remote == this.remote {
            return Poll::Pending;
        }
        this.remote = remote;
        Poll::Ready(Ok(StreamMuxerEvent::AddressChange(to_multiaddr(remote))))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let closing = this.closing.get_or_insert_with(|| {
            this.connection.close(0u32.into(), &[]);
            let connection = this.connection.clone();
            async move { connection.closed().await }.boxed()
        });
        match ready!(closing.poll_unpin(cx)) {
            quinn::ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            error @ (quinn::ConnectionError::VersionMismatch
            | quinn::ConnectionError::TransportError(_)
            | quinn::ConnectionError::ConnectionClosed(_)
            | quinn::ConnectionError::ApplicationClosed(_)
            | quinn::ConnectionError::Reset
            | quinn::ConnectionError::TimedOut
            | quinn::ConnectionError::CidsExhausted) => Poll::Ready(Err(error.into())),
        }
    }
}

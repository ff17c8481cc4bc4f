//! libp2p's TLS with key logging taken out and a protocol name of its own, for QUIC and as an upgrade on TCP.
//!
//! The name keeps other software that speaks libp2p away (a newcomer calls whoever multicast DNS finds): the server ends
//! the handshake at the first message, before either side has shown its identity.
//!
//! libp2p-tls writes session secrets to the file named by `SSLKEYLOGFILE`. A variable that somebody set to debug a
//! browser must not open our control connections, so every configuration passes through [`configs`].

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use futures_rustls::TlsStream;
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::Keypair,
};
use libp2p_tls::certificate;
use rustls::pki_types::{CertificateDer, ServerName};

/// What the two sides of a handshake agree to speak (RFC 7301). The same for all meshes, since everybody can read it.
const ALPN: &[u8] = b"warren/1";

/// Both halves of a TLS configuration.
pub(super) struct Configs {
    pub(super) client: rustls::ClientConfig,
    pub(super) server: rustls::ServerConfig,
}

/// The only place where TLS configurations are made.
pub(super) fn configs(keypair: &Keypair) -> Result<Configs, certificate::GenError> {
    let mut client = libp2p_tls::make_client_config(keypair, None)?;
    client.key_log = Arc::new(rustls::NoKeyLog);
    client.alpn_protocols = vec![ALPN.to_vec()];
    let mut server = libp2p_tls::make_server_config(keypair)?;
    server.key_log = Arc::new(rustls::NoKeyLog);
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Configs { client, server })
}

/// Why a TLS handshake on a TCP connection failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[from] std::io::Error),
    /// The peer showed no certificate, or one that does not prove an identity.
    #[error("the peer's certificate does not prove its identity")]
    Certificate,
}

/// TLS as a connection upgrade.
#[derive(Clone)]
pub(super) struct Upgrade {
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
}

impl Upgrade {
    pub(super) fn new(keypair: &Keypair) -> Result<Self, certificate::GenError> {
        let Configs { client, server } = configs(keypair)?;
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/tls/1.0.0")
    }
}

type Upgraded<C> = BoxFuture<'static, Result<(PeerId, TlsStream<C>), Error>>;

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Upgrade {
    type Output = (PeerId, TlsStream<C>);
    type Error = Error;
    type Future = Upgraded<C>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Upgraded<C> {
        async move {
            let stream = futures_rustls::TlsAcceptor::from(self.server).accept(socket).await?;
            Ok((peer_id(stream.get_ref().1.peer_certificates())?, stream.into()))
        }
        .boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = (PeerId, TlsStream<C>);
    type Error = Error;
    type Future = Upgraded<C>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Upgraded<C> {
        async move {
            // An address instead of a name keeps the server name extension out, as libp2p's TLS specification asks.
            let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
            let stream = futures_rustls::TlsConnector::from(self.client).connect(name, socket).await?;
            Ok((peer_id(stream.get_ref().1.peer_certificates())?, stream.into()))
        }
        .boxed()
    }
}

fn peer_id(certificates: Option<&[CertificateDer<'_>]>) -> Result<PeerId, Error> {
    let certificate = certificates.and_then(<[_]>::first).ok_or(Error::Certificate)?;
    Ok(certificate::parse(certificate).map_err(|_| Error::Certificate)?.peer_id())
}

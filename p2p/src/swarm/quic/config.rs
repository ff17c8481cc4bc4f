//! How our QUIC connections behave: TLS, timers, windows, and keys that outlive a restart.

use std::{sync::Arc, time::Duration};

use libp2p::identity::Keypair;
use quinn::{
    ConnectionId, ConnectionIdGenerator, VarInt,
    crypto::{
        CryptoError, HmacKey,
        rustls::{QuicClientConfig, QuicServerConfig},
    },
};
use zeroize::Zeroizing;

use super::Error;
use crate::swarm::tls;

/// A handshake takes 1 round trip; 5 s covers a satellite link with two losses. As libp2p-quic.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent peer is gone after 30 s: a keep-alive and ten seconds of repeating it. A process that was killed and comes
/// back says so at once (see [`ResetKey`]), and the dataplane finds dead paths by itself, so this is for machines that
/// lost power.
const IDLE_TIMEOUT_MS: u32 = 30_000;
/// Keeps NAT mappings open: routers forget UDP after 30 s at the earliest, RFC 4787 asks for 2 min. Only the side that
/// called does it, since the other gets packets that way as well: 0.6 MB a day.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Quinn's default of 333 ms makes the first retransmission wait 1 s, which hole punching always hits; with 50 ms it
/// waits 150 ms. Only the first packets use it, then the measured round trip counts.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// Streams a peer may have open at once: a handful of protocols with a few requests each, and 64 circuits to others.
const MAX_STREAMS: u32 = 128;
/// Bytes a peer may have in flight on one stream, and on all: our largest message is below 2 MiB.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Handshakes that quinn may hold before we have looked at them, and bytes they may buffer together.
const MAX_INCOMING: usize = 64;
const INCOMING_BUFFER: u64 = 64 << 10;
const INCOMING_BUFFER_TOTAL: u64 = 1 << 20;
/// Bytes of a connection id: a nonce, then a tag by which a restarted process knows its own ids again.
const NONCE_LEN: usize = 6;
const TAG_LEN: usize = 4;

/// Everything an endpoint needs.
pub(super) struct Configs {
    pub(super) endpoint: quinn::EndpointConfig,
    pub(super) server: quinn::ServerConfig,
    pub(super) client: quinn::ClientConfig,
}

/// Builds the three configurations for an identity.
pub(super) fn build(keypair: &Keypair) -> Result<Configs, Error> {
    let tls = tls::configs(keypair).map_err(|error| Error::Tls(error.to_string()))?;
    let client = QuicClientConfig::try_from(tls.client).map_err(|error| Error::Tls(error.to_string()))?;
    let server = QuicServerConfig::try_from(tls.server).map_err(|error| Error::Tls(error.to_string()))?;

    let mut calling = transport();
    calling.keep_alive_interval(Some(KEEP_ALIVE));

    let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
    server
        .transport_config(Arc::new(transport()))
        .migration(true)
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    let mut client = quinn::ClientConfig::new(Arc::new(client));
    client.transport_config(Arc::new(calling));

    let secret = keypair.derive_secret(b"warren quic v1").map(Zeroizing::new).unwrap_or_default();
    let reset_key = ResetKey(Zeroizing::new(blake3::derive_key("warren quic reset v1", secret.as_slice())));
    let cid_key = Zeroizing::new(blake3::derive_key("warren quic connection id v1", secret.as_slice()));
    let mut endpoint = quinn::EndpointConfig::new(Arc::new(reset_key));
    endpoint
        .cid_generator(move || Box::new(RecognizableIds(cid_key.clone())))
        .supported_versions(vec![1])
        // A greased bit would make QUIC look like WireGuard or a probe to the demultiplexer of the shared port.
        .grease_quic_bit(false);

    Ok(Configs { endpoint, server, client })
}

/// What both sides of a connection have in common. Quinn's search for the MTU of the path stays on: the shared socket does not
/// let datagrams be fragmented.
fn transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_uni_streams(0u32.into())
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .allow_spin(false)
        .initial_rtt(INITIAL_RTT)
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(u64::from(CONNECTION_WINDOW));
    transport
}

/// Signs stateless reset tokens.
///
/// The key follows from the identity, so a process that was killed and restarted can tell its peers that the old
/// connections are dead: they learn it with their next packet instead of after the idle timeout.
struct ResetKey(Zeroizing<[u8; 32]>);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        blake3::Hasher::new_keyed(&self.0).update(data).finalize_xof().fill(signature_out);
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = blake3::keyed_hash(&self.0, data);
        match <[u8; blake3::OUT_LEN]>::try_from(signature) {
            // `blake3::Hash` compares in constant time.
            Ok(signature) if expected == blake3::Hash::from_bytes(signature) => Ok(()),
            Ok(_) | Err(_) => Err(CryptoError),
        }
    }
}

/// Connection ids that this identity recognizes as its own, also after a restart.
///
/// Quinn answers a packet for an unknown connection with a stateless reset only when the id could be ours.
struct RecognizableIds(Zeroizing<[u8; 32]>);

impl RecognizableIds {
    fn tag(&self, nonce: &[u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        blake3::Hasher::new_keyed(&self.0).update(nonce).finalize_xof().fill(&mut tag);
        tag
    }
}

impl ConnectionIdGenerator for RecognizableIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; NONCE_LEN + TAG_LEN];
        #[expect(clippy::disallowed_methods, reason = "shell: connection ids must be unpredictable")]
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut id[..NONCE_LEN]);
        let tag = self.tag(&id[..NONCE_LEN]);
        id[NONCE_LEN..].copy_from_slice(&tag);
        ConnectionId::new(&id)
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), quinn_proto::InvalidCid> {
        match cid.split_at_checked(NONCE_LEN) {
            Some((nonce, tag)) if self.tag(nonce) == tag => Ok(()),
            Some(_) | None => Err(quinn_proto::InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        NONCE_LEN + TAG_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

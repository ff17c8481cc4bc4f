//! Two transports on loopback sockets, without a swarm above them.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
use libp2p::{
    PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::StreamMuxer,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};

use super::{Connection, Transport, from_multiaddr, to_multiaddr};

const DEADLINE: Duration = Duration::from_secs(10);
const OPTS: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };

fn socket(ip: impl Into<std::net::IpAddr>) -> Arc<dyn AsyncUdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip.into(), 0)).unwrap();
    TokioRuntime.wrap_udp_socket(socket).unwrap()
}

fn listening(keypair: &Keypair, socket: &Arc<dyn AsyncUdpSocket>) -> (Transport, SocketAddr) {
    let address = socket.local_addr().unwrap();
    let mut transport = Transport::new(keypair, [Arc::clone(socket)]).unwrap();
    transport.listen_on(ListenerId::next(), to_multiaddr(address)).unwrap();
    (transport, address)
}

async fn accept(transport: &mut Transport) -> (PeerId, Connection) {
    loop {
        let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await;
        if let TransportEvent::Incoming { upgrade, .. } = event {
            return upgrade.await.unwrap();
        }
    }
}

async fn inbound(connection: &mut Connection) -> Result<super::stream::Stream, super::Error> {
    poll_fn(|cx| Pin::new(&mut *connection).poll_inbound(cx)).await
}

/// One handshake and one echo.
async fn connect_and_echo(
    server: &mut Transport,
    client: &mut Transport,
    address: SocketAddr,
) -> [PeerId; 2] {
    let dial = client.dial(to_multiaddr(address), OPTS).unwrap();
    let ((seen_by_server, mut served), dialled) = futures::join!(accept(server), dial);
    let (seen_by_client, mut dialled) = dialled.unwrap();
    let mut stream = poll_fn(|cx| Pin::new(&mut dialled).poll_outbound(cx)).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut served_stream = inbound(&mut served).await.unwrap();
    let mut buffer = [0; 4];
    served_stream.read_exact(&mut buffer).await.unwrap();
    served_stream.write_all(&buffer).await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    [seen_by_server, seen_by_client]
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let (server_key, client_key) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (mut server, address) = listening(&server_key, &socket(Ipv4Addr::LOCALHOST));
    let mut client = Transport::new(&client_key, [socket(Ipv4Addr::LOCALHOST)]).unwrap();
    let seen =
        tokio::time::timeout(DEADLINE, connect_and_echo(&mut server, &mut client, address)).await.unwrap();
    assert_eq!(seen, [client_key.public().to_peer_id(), server_key.public().to_peer_id()]);
}

#[tokio::test]
async fn the_socket_of_the_right_family_is_used() {
    let key = Keypair::generate_ed25519();
    let (mut server, address) = listening(&key, &socket(Ipv6Addr::LOCALHOST));
    let sockets = [socket(Ipv4Addr::LOCALHOST), socket(Ipv6Addr::LOCALHOST)];
    let mut client = Transport::new(&key, sockets).unwrap();
    tokio::time::timeout(DEADLINE, connect_and_echo(&mut server, &mut client, address)).await.unwrap();
}

#[tokio::test]
async fn a_family_without_a_socket_cannot_be_dialled() {
    let mut client = Transport::new(&Keypair::generate_ed25519(), [socket(Ipv4Addr::LOCALHOST)]).unwrap();
    assert!(client.dial("/ip6/::1/udp/1/quic-v1".parse().unwrap(), OPTS).is_err());
    assert!(client.dial("/ip4/0.0.0.0/udp/1/quic-v1".parse().unwrap(), OPTS).is_err());
    assert!(client.dial("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap(), OPTS).is_err());
    assert!(client.dial("/ip4/127.0.0.1/tcp/1".parse().unwrap(), OPTS).is_err());
}

#[tokio::test]
async fn sockets_outlive_the_transport_and_serve_another_identity() {
    let (server_key, first, second) =
        (Keypair::generate_ed25519(), Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (mut server, address) = listening(&server_key, &socket(Ipv4Addr::LOCALHOST));
    let shared = socket(Ipv4Addr::LOCALHOST);
    for key in [first, second] {
        let mut client = Transport::new(&key, [Arc::clone(&shared)]).unwrap();
        let seen = tokio::time::timeout(DEADLINE, connect_and_echo(&mut server, &mut client, address))
            .await
            .unwrap();
        assert_eq!(seen[0], key.public().to_peer_id());
    }
}

#[tokio::test]
async fn a_dropped_transport_tells_its_peers_at_once() {
    let key = Keypair::generate_ed25519();
    let (mut server, address) = listening(&key, &socket(Ipv4Addr::LOCALHOST));
    let mut client = Transport::new(&key, [socket(Ipv4Addr::LOCALHOST)]).unwrap();
    let dial = client.dial(to_multiaddr(address), OPTS).unwrap();
    let ((_, mut served), _dialled) = futures::join!(accept(&mut server), dial);
    drop(client);
    // Far below the idle timeout of 30 s.
    let ended = tokio::time::timeout(Duration::from_secs(3), inbound(&mut served)).await.unwrap();
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_restarted_peer_resets_its_old_connections() {
    let (server_key, client_key) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (mut server, address) = listening(&server_key, &socket(Ipv4Addr::LOCALHOST));
    let shared = socket(Ipv4Addr::LOCALHOST);
    let client = Transport::new(&client_key, [Arc::clone(&shared)]).unwrap();
    let mut killed = client;
    let dial = killed.dial(to_multiaddr(address), OPTS).unwrap();
    let ((_, mut served), dialled) = futures::join!(accept(&mut server), dial);
    // As if killed: the connection is neither closed nor answered any more.
    killed.forget();
    std::mem::forget(dialled);
    let _restarted = Transport::new(&client_key, [shared]).unwrap();
    let mut stream = poll_fn(|cx| Pin::new(&mut served).poll_outbound(cx)).await.unwrap();
    stream.write_all(&[0; 100]).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(3), inbound(&mut served)).await.unwrap();
    assert!(matches!(ended, Err(super::Error::Connection(quinn::ConnectionError::Reset))));
}

#[tokio::test]
async fn a_socket_bound_to_every_address_announces_each() {
    let every = socket(Ipv4Addr::UNSPECIFIED);
    let port = every.local_addr().unwrap().port();
    let (mut transport, _) = listening(&Keypair::generate_ed25519(), &every);
    let announced = async {
        loop {
            let event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await;
            if let TransportEvent::NewAddress { listen_addr, .. } = event
                && from_multiaddr(&listen_addr) == Some((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), None))
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, announced).await.unwrap();
}

#[test]
fn addresses_convert_both_ways_and_nothing_else_is_taken() {
    let address = "[2001:db8::1]:41820".parse().unwrap();
    assert_eq!(from_multiaddr(&to_multiaddr(address)), Some((address, None)));
    for other in [
        "/ip4/1.2.3.4/udp/1",
        "/ip4/1.2.3.4/udp/1/quic",
        "/ip4/1.2.3.4/tcp/1/quic-v1",
        "/dns/a/udp/1/quic-v1",
    ] {
        assert_eq!(from_multiaddr(&other.parse().unwrap()), None);
    }
}

#[tokio::test]
async fn other_software_that_speaks_libp2p_gets_no_handshake() {
    let (mut server, address) = listening(&Keypair::generate_ed25519(), &socket(Ipv4Addr::LOCALHOST));
    let tls = libp2p_tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap();
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let client = Transport::new(&Keypair::generate_ed25519(), [socket(Ipv4Addr::LOCALHOST)]).unwrap();
    let connecting = client.connect_as(quinn::ClientConfig::new(Arc::new(tls)), address);
    let serving = async {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } =
                poll_fn(|cx| Pin::new(&mut server).poll(cx)).await
            {
                assert!(upgrade.await.is_err());
            }
        }
    };
    let error = tokio::select! {
        result = tokio::time::timeout(DEADLINE, connecting) => result.unwrap().unwrap_err(),
        () = serving => unreachable!("serves for ever"),
    };
    // RFC 7301, section 3.2: the alert no_application_protocol.
    let quinn::ConnectionError::ConnectionClosed(close) = error else { panic!("{error}") };
    assert_eq!(close.error_code, quinn::TransportErrorCode::crypto(120));
}

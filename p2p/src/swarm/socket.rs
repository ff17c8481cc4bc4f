//! What a shared socket must be able to do, in quinn's words, so that the daemon can adapt its own.

pub use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

/// A socket of its own on any free port, for connections that cannot use the shared one: two identities cannot
/// receive on one socket.
pub fn apart(family: std::net::IpAddr) -> std::io::Result<std::sync::Arc<dyn AsyncUdpSocket>> {
    let socket = std::net::UdpSocket::bind((family, 0))?;
    quinn::Runtime::wrap_udp_socket(&quinn::TokioRuntime, socket)
}

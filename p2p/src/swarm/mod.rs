//! How libp2p is assembled here.

mod gate;
pub mod quic;
mod tls;
mod transport;
mod tunnel_guard;

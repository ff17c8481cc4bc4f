//! How libp2p is assembled here.

pub mod quic;
mod tls;
mod gate;

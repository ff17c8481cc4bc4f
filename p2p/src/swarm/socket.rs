//! What a shared socket must be able to do, in quinn's words, so that the daemon can adapt its own.

pub use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{EcnCodepoint, RecvMeta, Transmit},
};

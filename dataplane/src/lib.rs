//! Packets: from the TUN device through WireGuard to a path, and back.

pub mod packet;

//! Packets: TUN to WireGuard to paths, and back.

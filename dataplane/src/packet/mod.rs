//! IP packets: checked once, then trusted.
//!
//! [`IpPacket::parse`] is the only door. What comes out of it has a complete IP header, a total length that fits
//! the bytes it was read from, and (IPv6) a walked chain of extension headers; every accessor after that is
//! plain arithmetic that cannot fail and cannot panic. Bytes behind the stated total length are cut off, so that
//! padding never reaches a peer or the kernel.
//!
//! ```text
//!   bytes ──parse──> IpPacket ──flow()──> Flow            one key a connection, for the filter
//!                        │  └───quoted()─> Flow           the connection an ICMP error speaks of
//!                        ├──icmp::*──────> bytes          echo requests and error answers
//!                        └──fragment()───> packets        pieces for a path that is too narrow
//! ```
//!
//! A packet is carried as it is, but for one option: [`mss`] lowers what a TCP connection agrees on as its segment size.
//!
//! Absent on purpose: verification of the IPv4 header checksum and of transport checksums (the receiving
//! kernel does that, and with TUN offload a checksum may legitimately be unfinished here), reassembly, and any other
//! rewriting of packets.

pub mod fragment;
pub mod icmp;
pub mod ip;
pub mod mss;
pub mod pool;
pub mod ports;

#[cfg(test)]
mod tests;

pub use fragment::fragment;
pub use ip::{IpPacket, Malformed, Protocol, Version};
pub use pool::Pool;
pub use ports::Flow;

//! WireGuard: whose packet is this, and what does it say.
//!
//! A [`Tunnel`] is one peer's cryptography, an [`AllowedIps`] table says which inner addresses belong to which
//! peer (the way out and the source check on the way in are the same table, read in two directions), and
//! [`Peers`] finds the peer of a datagram: by static key for the first message of a handshake, by receiver index
//! for all others. Nothing is tried in turn, so a stranger's datagram costs one table look-up, or, when it is
//! shaped like a handshake with a right MAC, one Diffie-Hellman under a rate limit.
//!
//! ```text
//!   datagram ──Kind::of──┬─ initiation ──Device::screen──> static key ──┐
//!                        └─ other ────────receiver index ───────────────┴─> PeerId ──Tunnel::open──> packet
//! ```
//!
//! WireGuard itself (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", sections 5 and 6) is done by
//! boringtun, which only `tunnel.rs` names. Absent on purpose: endpoints (where a peer is, is `path`'s affair) and
//! permissions (`filter`'s).

mod allowed_ips;
mod datagram;
mod key;
mod outcome;
mod peer;
mod peers;
mod tunnel;

#[cfg(test)]
mod tests;

pub use allowed_ips::{AllowedIps, Prefix};
pub use datagram::Kind;
pub use key::{LowOrderKey, PrivateKey, PublicKey};
pub use peers::{PeerId, Peers, TooManyPeers};

pub(crate) use datagram::receiver_index;
pub(crate) use outcome::{OpenError, Opened, Screened};
pub(crate) use peer::Peer;
pub(crate) use tunnel::{Device, OVERHEAD, Tunnel, WORKSPACE};

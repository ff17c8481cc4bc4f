//! A world in memory on virtual time: what the two libraries do when many of them meet, in milliseconds and without root.
//!
//! # What is simulated
//!
//! * [`network`]: hosts in realms (the Internet, and whatever hides behind a router), datagrams with delay and loss, cables
//!   that are cut. [`nat`] are the routers, in the words of RFC 4787: mapping, filtering, expiry.
//! * [`mesh`]: devices. Each is a real `warren_dataplane::engine::Engine` with a host for a machine; a kernel of a few lines
//!   answers echo requests, and a control plane that works wherever the network does carries candidates from one to the other.
//!   [`carriage`] is what it arranges beyond that: relays, and streams over TCP.
//! * [`membership`]: members. Each is a real `warren_p2p::membership::Log` with its `Sync`; what they do to each other, and
//!   what they must agree on, is told by a [`membership::reference`] that knows nothing of logs.
//!
//! # What is not
//!
//! No sockets, TUN devices, kernels or clocks; no libp2p. WireGuard reads the real clock for the age of its keys, so
//! here they do not age. Congestion and queues do not exist: a datagram arrives after its delay or not at all.
//!
//! Everything that looks like chance comes from one seed; the same seed is the same world.

pub mod carriage;
pub mod membership;
pub mod mesh;
pub mod nat;
pub mod network;
mod random;

pub use random::Random;

use std::time::{Duration, Instant};

/// The moment at which every world begins.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be made in no other way; only differences matter"
)]
#[must_use]
pub fn epoch() -> Instant {
    Instant::now()
}

/// Milliseconds.
#[must_use]
pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Seconds.
#[must_use]
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

//! The machine: sockets, the TUN device, the clock, and the thread that moves packets between them.
//!
//! One [`Driver`](driver) thread with a single-threaded runtime owns everything. It starts before there is a mesh,
//! because the control connections of a join already need the socket; an [`Engine`](crate::engine::Engine) and a
//! [`TunDevice`] are attached later, and may be detached again.
//!
//! ```text
//!              ┌────────────────────────── driver thread ─────────────────────────┐
//!   kernel     │                                                                  │    daemon
//!   UDP v4 ────┤ recvmmsg + GRO ─┬─ QUIC segments ──> QuicLane (bounded) ─────────┼──> libp2p
//!   UDP v6 ────┤                 └─ all others ─────> Engine ─┬─> runs ─> sendmsg │
//!              │                                     ^        │   + GSO           │
//!   TUN <──────┤ split / coalesce <──────────────────┴────────┘                   │
//!              │                        commands, snapshots ──────────────────────┼──  Handle
//!              └───────────────────────────── events ─────────────────────────────┴──> Receiver<Event>
//! ```
//!
//! A stream over TCP comes in as two channels of datagrams ([`Handle::add_stream`]) and is to the engine one more thing to
//! send by.
//!
//! Beside the shared sockets there may be up to 256 further ones for IPv4, which the engine asks for to guess the port of
//! a peer's router (`extra.rs`). They carry no QUIC; one of them at most is kept for a peer.
//!
//! Every queue is bounded: commands 256, events 1024, QUIC datagrams 1024 a socket, runs waiting for a full socket
//! buffer 64. While a socket buffer is full the TUN device is not read, so pressure reaches the kernel's own
//! queue, which knows how to drop. A turn of the loop takes at most one batch from every source, so that none starves.
//!
//! Nothing that is sent may be fragmented on its way, but for the few datagrams that the engine marks; what a link is too
//! narrow for is told to the engine, which then searches for what passes. QUIC does the same for itself.
//!
//! Room to grow: receiving, sealing and TUN reading are separate steps over batches, each needing only one source
//! and one engine; more threads mean more engines (see [`crate::engine`]), more TUN queues, and the same sockets,
//! which may be sent on from anywhere already ([`QuicLane`] does).

pub mod clock;
mod driver;
mod extra;
mod handle;
mod lane;
mod memory;
mod socket;
mod streams;
mod tun;
mod udp;

#[cfg(test)]
mod tests;

pub use driver::Driver;
pub use handle::{CommandFailed, Handle, Stopped, TunGone};
pub use lane::{LanePoller, QuicLane};
pub use memory::MemoryTun;
pub use quinn_udp::{EcnCodepoint, RecvMeta, Transmit};
pub use tun::{TunDevice, TunError};
pub use udp::SharedUdp;

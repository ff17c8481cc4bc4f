//! Packets: from the TUN device through WireGuard to a path, and back.
//!
//! This crate carries IP packets between the devices of a mesh. It knows keys, addresses and rules; it does not
//! know names, members, invitations or who decided any of it.
//!
//! # The way of a packet
//!
//! ```text
//!            io                    engine                                                  io
//!  ┌──────────────────────┐   ┌──────────────────────────────────────────────────┐   ┌──────────────┐
//!  │ TUN read, ≤ 64 KiB,  │   │ packet    wg           filter     wg             │   │ one sendmsg  │
//!  │ split into packets ──┼──>│ checked ─> whose is ──> remember ─> seal into ───┼──>│ with UDP GSO │
//!  └──────────────────────┘   │ once       the address  the flow    the run      │   └──────────────┘
//!                             │            (longest     of its peer              │
//!  ┌──────────────────────┐   │             prefix)              ▲               │   ┌──────────────┐
//!  │ one TUN write,       │   │                            path: which address   │   │ recvmmsg     │
//!  │ packets joined    <──┼───│<─ filter <─ source must <── open <── whose is <──┼───│ with UDP GRO │
//!  └──────────────────────┘   │   may it?   be the peer's            the index   │   │ QUIC taken   │
//!                             └──────────────────────────────────────────────────┘   │ out          │
//!                                                                                    └──────────────┘
//! ```
//!
//! Packets move in batches from end to end: what one system call brought is judged, sealed and sent as one piece
//! where it can be. Buffers come from pools and go back to them.
//!
//! # Rooms
//!
//! - [`packet`]: IP packets, checked once; the ICMP we speak; buffer pools.
//! - [`wg`]: WireGuard: keys, tunnels, whose address and whose datagram something is.
//! - [`path`]: which way carries a peer now, an address, a relay or a stream, found by authenticated probes.
//! - [`relay`]: carrying datagrams between two other members: frame, sessions, quota.
//! - [`filter`]: what a peer may send us; answers to what we began pass.
//! - [`engine`]: joins these into one state machine with inputs and outputs.
//! - `io` (feature `io`): sockets, TUN device, clock, and the thread that drives an engine.
//!
//! The arrows go one way: `packet → {wg, path, filter} → relay → engine → io`; `path` and `relay` know of `wg` no more than
//! keys and the kinds of datagrams. All but `io` is computation without
//! sockets, clock, threads or a runtime: time, seeds and addresses are arguments, so a whole mesh can be
//! simulated in one thread. The one exception is hidden in `wg/tunnel.rs`: boringtun reads the system's clock for
//! the age of its sessions.
//!
//! # Threads
//!
//! An engine belongs to one thread, the driver's, and holds no lock. Only QUIC datagrams cross threads, through one
//! bounded queue a socket. More cores will mean more engines, each with a share of the peers, behind the same
//! sockets; [`engine`] says how a datagram finds its engine without asking.
//!
//! # Absent
//!
//! Routing between peers and exit nodes are not here yet; each has its place reserved in the room it belongs to. TCP itself is
//! not here either: a stream comes in as two channels of datagrams. Never here: persistent state, configuration files, trust.

pub mod engine;
pub mod filter;
#[cfg(feature = "io")]
pub mod io;
pub mod packet;
pub mod path;
pub mod relay;
pub mod wg;

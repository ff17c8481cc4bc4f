//! Warren joins your devices into one private network, with no account, no server and no vendor.
//!
//! This crate is the program: the command line, the daemon, and what it does to the machine. Who the
//! members are is decided in `warren-p2p`, how packets travel in `warren-dataplane`; neither knows the
//! other, and only the daemon's bridge names both.
//!
//! ```text
//!  terminal ─► cli ─► control::client ═ unix socket ═ control::server ─► daemon ─┬─► p2p
//!                 └─► config (warren up) ──────────────────────────────► daemon ─┼─► dataplane
//!                                                                                └─► host ─► kernel
//! ```
//!
//! - [`cli`]: one file a command; arguments apart from what they do; one printer; one table of exit codes.
//! - [`config`]: flag over environment over file over default.
//! - [`control`]: the local API, its types, server and client.
//! - [`daemon`]: start order, one loop, reverse stop order.
//! - [`host`]: every change to the machine, journaled before it is made and taken back afterwards.
//!
//! Nothing here decides about membership, paths or permissions, and nothing is sent anywhere that the
//! user did not name.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod host;
pub mod logging;

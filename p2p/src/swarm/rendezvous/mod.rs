//! The public rendezvous: a second swarm, apart from the mesh, in a Kademlia network that the user has named.
//!
//! ```text
//! driver, newcomer ── own addresses, whom to look for ──▶ task: Meeting ── put, get ──▶ bootstrap nodes, and who they name
//!                  ◀── presences, opened and checked ───        │
//!                                                          state, for people
//! ```
//!
//! It is off unless configured; then there is no swarm, no task and no packet. What is put there, who can read it and who
//! cannot is told in [`discovery::rendezvous`](crate::discovery::rendezvous), which also decides what to ask and when.
//! This room carries.
//!
//! The swarm is a client: it listens nowhere, answers nothing, tells no addresses (it does not speak identify), and uses no
//! multicast. Its key is made anew at each start and each day, so that it is no name of the member. It calls out by TCP
//! with Noise and yamux, which every rust-libp2p and IPFS node speaks, and only when there is something to ask; between
//! asks there is no connection. It calls the configured nodes wherever they are, and those that other nodes name only
//! at public addresses (or private ones, where a configured one is private), never inside the tunnel.
//!
//! When nobody answers, what was asked waits for the next try, after a pause that doubles up to half an hour; a change of
//! our addresses ends the pause. That is a debug line and a [`RendezvousState`], never a warning: the mesh works without.
//!
//! Which networks serve: those whose nodes keep any value, as stock rust-libp2p nodes in server mode do. IPFS' public
//! network keeps its own kinds of records (`/pk/`, `/ipns/`) alone and refuses ours; there the state says so.

mod config;
mod line;
mod network;
mod reach;
mod state;
mod task;

pub use config::{Config, ConfigError, DEFAULT_PROTOCOL};
pub use state::RendezvousState;

pub(super) use line::{Line, found, why_not};

//! From records to the members of a mesh.
//!
//! ```text
//! bytes ──Verified::from_bytes──> Verified<Record> ──Log::extended──> Log ──precedence──> Roster
//!   ▲                                                                  │
//!   └──────────── Sync: have / want / give with every peer ◄───────────┘
//! ```
//!
//! - [`Log`] holds every record of the mesh that is here. It only grows, but for Device records that a newer one
//!   replaces, and takes a record only after what it builds on.
//! - [`Roster`] is a pure fold of those records: the same on every member that has the same ones, whatever
//!   order they came in. The rules stand in `precedence.rs`, with what a malicious member could gain.
//! - [`Sync`] compares two logs and tells what to send. It counts what a peer does wrong and says when to cut
//!   it off.
//! - [`Refusal`] is what a person reads when something is not allowed.
//!
//! All of it is plain values: no clock, no disk, no network. Nothing here can be undone by a peer: records are
//! never deleted because somebody asks, and a removal is never taken back.

mod authority;
mod budget;
mod find;
mod log;
mod naming;
mod precedence;
mod refusal;
mod removal;
mod roster;
mod sync;

pub use find::FindError;
pub use log::{Extended, Log, LogError};
pub use refusal::Refusal;
pub use roster::{Departed, InviteState, Member, Roster, Suspension};
pub use sync::{Message, Misbehaviour, Reaction, Sync};

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

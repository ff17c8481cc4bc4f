//! Meeting in a public place without being seen: what to leave where, and when to look.
//!
//! A public Kademlia network keeps values under keys for whoever asks. Members of a mesh leave their signed [`Presence`]
//! there, each under a key that only the mesh can compute, in a form that only the mesh can read:
//!
//! ```text
//! key   = BLAKE3("warren rendezvous place v1"; mesh id, subject, day)
//! seal  = BLAKE3("warren rendezvous seal v1";  mesh id, subject, day)
//! value = nonce 12 | ChaCha20-Poly1305(seal, nonce, length 2 | presence | zeros, always 1,024; bound to key) + 16
//! ```
//!
//! The subject is a member, or the key of an open invite: there newcomers look, who know no member yet. All members share
//! an invite's place, so it has [`SLOTS`] and each member uses one. The day is UTC's, and near its ends one looks under
//! the neighbouring day too, so clocks may differ by an hour.
//!
//! The secret is the whole mesh id. It is in the records, which members alone get, and in invite codes; protocol names
//! show 40 bits of it, from which the other 216 do not follow. So the network, and whoever reads what it stores, sees
//! random keys and values of one size, and cannot tell meshes, members or days apart by them. What it does see: the IP
//! address that a member connects from, that this address runs something, and when. Whoever keeps that can guess that
//! keys of two days put from one address are of one device. It may also drop values, or bring back old ones.
//!
//! Whoever ever saw a code of the mesh, and every removed member, knows the mesh id for good. It can compute where the
//! members whose device ids it knows leave their addresses, and read them: a removed member knows the ids of its time,
//! the holder of a code alone knows no id, only the invite's place, and there it learns who is about. It cannot forge
//! (presences are signed by the device), but can overwrite with rubbish, or put newcomers on a wrong track for as long as
//! their invite lasts. To come in, it would still have to pass the gate. A mesh that cannot live with that leaves the
//! rendezvous off, which is the default, or is founded anew.
//!
//! Absent: sockets, clocks, randomness; libp2p (that is [`swarm::rendezvous`](crate::swarm::rendezvous)).

mod meeting;
mod sealing;

pub use meeting::{Ask, Meeting, Own};
pub use sealing::{Period, Place, Subject, VALUE_BYTES};

#[cfg(doc)]
use super::Presence;

/// Values that one invite's place holds side by side, of different members: one of four is likely to be reachable.
pub const SLOTS: u8 = 4;

#[cfg(test)]
mod tests;

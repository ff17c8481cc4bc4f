//! Who we are, whom we trust, where they are.
//!
//! A *device* is a key pair. A *mesh* is a set of signed *records* that its members keep and exchange; it is named
//! by the hash of the first of them, and nobody owns it. Everything else follows from records: who is a member,
//! by which name and address, who may invite and remove, what became of an invite. Every member folds the same
//! records to the same *roster*, whatever order they came in.
//!
//! ```text
//!            code, pasted                         records of the mesh
//!  newcomer ───────────────► invite ── Join ──► record ──► membership ──► roster ──► the daemon
//!                                                 ▲  │          ▲
//!                                                 │  ▼          │ have, want, give
//!                                               store        swarm ◄──► other members
//!                                                               ▲
//!                               discovery (where they are), signal (where I am, what I grant)
//! ```
//!
//! | room | holds |
//! | --- | --- |
//! | [`identity`] | keys, and what follows from a key: WireGuard key, addresses |
//! | [`record`] | what can be said, its one form in bytes, the one door from bytes to [`record::Verified`] |
//! | [`membership`] | the log, the fold with its rules, the exchange of records |
//! | [`invite`] | codes, terms, both sides of joining |
//! | [`store`] | what is on the disk |
//! | [`discovery`] | where a device might be reached, and whom to call when |
//! | [`relay`] | how three members agree that one carries datagrams between the others |
//! | [`signal`] | what members tell each other while connected |
//! | [`swarm`] | the shell: libp2p on the daemon's sockets, and the handle the daemon holds |
//! | [`node`] | the core that joins them and decides: [`node::Node`], [`node::Event`] |
//! | [`limits`] | every cap and timeout, with its unit and reason |
//!
//! The way of a record: bytes from a peer or the disk → [`record::Signed`] → signatures checked →
//! [`record::Verified`] → on the disk → in the [`membership::Log`] → in the [`membership::Roster`]. Only `Verified`
//! records go beyond the door, and the log advances only after the disk has them.
//!
//! Absent on purpose: packets and WireGuard itself (the dataplane has them, and never meets this crate), any
//! server, account or third party that is not configured (the public rendezvous is one, off unless its nodes are named, and
//! it sees neither names nor addresses), and but for `store`, `swarm` and the key file any clock,
//! disk, network or randomness: they take times, seeds and bytes as arguments.

pub mod discovery;
pub mod identity;
pub mod invite;
pub mod limits;
pub mod membership;
pub mod node;
pub mod record;
pub mod relay;
pub mod signal;
pub mod store;
pub mod swarm;

//! Where the other members are, and whom to call.
//!
//! Addresses come from many mouths: the doors of an invite, connections that worked, what members say of themselves
//! ([`presence`]), multicast DNS on the LAN, the mesh's own Kademlia. All end in one [`AddressBook`], eight a member,
//! the ones that worked first; the store keeps it, so that a restart needs nobody's help.
//!
//! [`mod@neighbours`] says with whom to stay connected (everybody in a small mesh, about 16 in a large one), [`DialPlan`]
//! when to call them: at once at the start and after a change of network, then with growing pauses. [`DialBudget`] says
//! how many addresses may be called at all, for the sake of the router. Who cannot be called directly is called through
//! members that relay; a presence names them.
//!
//! An address is an IP and a port, since QUIC and TCP share the port number. Addresses inside the tunnel never enter
//! the book. Nothing here contacts anybody who is not a member, and no third party is asked for anything, unless the user
//! has named a public network to meet in: then [`rendezvous`] says what is left there, sealed, and when.

mod address_book;
mod dial_budget;
mod dial_plan;
mod neighbours;
mod presence;
pub mod rendezvous;

pub use address_book::{AddressBook, Remembered, Source};
pub use dial_budget::{DialBudget, Taken};
pub use dial_plan::DialPlan;
pub use neighbours::{fellow_admins, neighbours};
pub(crate) use presence::ADDRESSES;
pub use presence::{Presence, Presences};

#[cfg(test)]
mod tests;

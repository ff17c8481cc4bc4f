//! How three members agree that one of them carries datagrams between the other two.
//!
//! ```text
//!        A                        R, the relay                     B
//!        │ Open{B} ─────────────────► │                            │
//!        │                            │ Offer{A, session} ───────► │
//!        │                            │ ◄──────── Accept{session}  │      R forwards from here on
//!        │ ◄────── Offer{B, session}  │                            │
//!        │ Open{B} every 4 min ─────► │ ◄────── Open{A} every 4 min│      either keeps it
//!        │ Close{session} ──────────► │ Close{session} ──────────► │
//! ```
//!
//! Every message goes over the control connection that its sender has with its receiver, which proves who speaks; it
//! is answered by nothing, and what was lost is said again. There is one session for two ends and one relay, whoever
//! asked first: a second Open gets the same one. Nothing is forwarded before all three agreed, so nobody can be
//! made to carry, or to receive, what it did not ask for. A session ends when an end closes it, when it is a member
//! no more or may not see the other (at once), when the relay stops relaying, when an end has been without a control
//! connection to the relay for a minute, and when neither end has asked for it for ten. An end that did not ask for it keeps
//! it only as long as the other does.
//!
//! Members can lie. An offer counts only from one that says it relays, for a member that we see, and under a number that
//! we have not yet; a relay hands numbers to nobody but the two ends. Whoever says too much is cut off, and since others
//! can make a relay speak, a node says at most half of what it bears itself: the rest counts as lost.
//!
//! [`Middle`] is the relay's side, [`Ends`] that of the two others: which relays to ask, and how many to keep. What
//! the datagrams look like is the dataplane's business; it gets the session's number and whose it is.
//!
//! Absent: quotas (the dataplane counts packets), circuits for control connections (libp2p's), payment and trust: a relay
//! sees who talks to whom and how much, and can drop it, no more.

mod ends;
mod message;
mod middle;
#[cfg(test)]
mod tests;

pub use ends::{Candidate, Ends, Offered};
pub(crate) use message::BYTES;
pub use message::{Message, Why};
pub use middle::{Fitness, Middle};

use crate::identity::DeviceId;

/// A session's number: 64 bits that nobody can guess who was not told.
pub type Session = u64;

/// What an agreement brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Say this to a connected member.
    Send(DeviceId, Message),
    /// Datagrams for `peer` may go through `relay`, and will come from there.
    Begun {
        /// The other end.
        peer: DeviceId,
        /// Who carries.
        relay: DeviceId,
        /// Under which number.
        session: Session,
    },
    /// They may not any more.
    Ended {
        /// The other end.
        peer: DeviceId,
        /// Who carried.
        relay: DeviceId,
        /// Under which number.
        session: Session,
    },
    /// We are the relay: carry between these two.
    Forward {
        /// Under which number.
        session: Session,
        /// The ends.
        between: [DeviceId; 2],
    },
    /// Carry no more.
    ForwardEnded {
        /// Under which number.
        session: Session,
    },
}

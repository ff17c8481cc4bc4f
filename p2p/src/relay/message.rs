//! What is said about relaying.

use serde::{Deserialize, Serialize};

use super::Session;
use crate::identity::DeviceId;

/// One message, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// To a relay: carry between us and this member, or go on carrying.
    Open {
        /// The other end.
        peer: DeviceId,
    },
    /// From a relay: this member and you can talk under this number.
    Offer {
        /// The other end.
        peer: DeviceId,
        /// The number.
        session: Session,
    },
    /// To a relay: agreed.
    Accept {
        /// What it offered.
        session: Session,
    },
    /// No: from a relay about a wish for this member, to a relay about its offer of this member.
    Refuse {
        /// The other end.
        peer: DeviceId,
        /// Why.
        why: Why,
    },
    /// It is over.
    Close {
        /// Which.
        session: Session,
    },
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The relay relays no more.
    NotRelaying,
    /// The other end has no direct control connection with the relay now.
    NotConnected,
    /// The other end is no member, or one of you may not see the other.
    Unknown,
    /// There are too many sessions.
    Full,
    /// The other end does not want to.
    Declined,
}

/// Bytes of one message, with room.
pub(crate) const BYTES: usize = 256;

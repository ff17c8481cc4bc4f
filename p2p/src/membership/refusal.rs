//! Why a member says no, in words for the person who asked.

use serde::{Deserialize, Serialize};

use crate::record::{Name, Timestamp};

/// Why somebody may not join, or a member may not do what it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The invite's time is over, by the clock of the member that was asked.
    #[error("this invite has expired; ask for a new code")]
    Expired {
        /// When it ended.
        not_after: Timestamp,
        /// What time the member has.
        now: Timestamp,
    },
    /// As many devices as the invite allows have joined by it.
    #[error("this invite is used up: {uses} of {uses} devices have joined by it; ask for a new code")]
    UsedUp {
        /// How many may join by it.
        uses: u32,
    },
    /// An admin took the invite back, or whoever gave it is no admin any more.
    #[error("this invite was revoked; ask for a new code")]
    Revoked,
    /// The member does not know the invite (yet).
    #[error("this member does not know the invite; it may not have heard of it yet")]
    UnknownInvite,
    /// Another member has the name.
    #[error("another device of this mesh is named {taken}; choose another name, {suggestion} is free")]
    NameTaken {
        /// The name in use.
        taken: Name,
        /// The next free one.
        suggestion: Name,
    },
    /// The name is none.
    #[error("the name of the device is not allowed in a mesh")]
    InvalidName,
    /// The device is in the mesh.
    #[error("this device is a member of the mesh already")]
    AlreadyMember,
    /// The device was removed, which is for good.
    #[error(
        "this device was removed from the mesh; it can come back as a new device, with a new key and a new code"
    )]
    Removed,
    /// The clocks of the two devices differ too much.
    #[error("the clocks of the two devices differ by {} h; set the one that is wrong", .here.distance(*.there).as_secs() / 3600)]
    ClockWrong {
        /// The time on the device that refuses.
        here: Timestamp,
        /// The time on the other device.
        there: Timestamp,
    },
    /// The mesh has no room.
    #[error("the mesh is full: it has {0} members")]
    Full(u32),
    /// A signature does not fit: the request was forged or garbled.
    #[error("the request to join is not signed as it should be")]
    Forged,
    /// The member that was asked is not a member itself, as far as it knows.
    #[error("the device that was asked is not a member of the mesh itself")]
    NotAMember,
    /// Only an admin of higher standing may do that.
    #[error("only an admin closer to the founder than that device may do this")]
    NotAllowed,
    /// More hangs on the subject than one record can keep.
    #[error("more than 1024 records hang on this device; remove some of what it brought in first")]
    TooMuchToKeep,
    /// No such device, invite or record.
    #[error("there is no such device or invite in the mesh")]
    Unknown,
    /// The member's own fault: its disk is full, say.
    #[error("the member could not let us in because of a fault of its own; try again, or try another member")]
    Fault,
}

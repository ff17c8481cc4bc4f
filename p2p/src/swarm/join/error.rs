//! Why a device did not get into the mesh, and what to do about it.

use std::net::SocketAddr;

use crate::{
    invite::JoinCheckError,
    membership::Refusal,
    record::{Name, Timestamp},
    swarm::quic,
};

/// Joining failed; nothing was changed anywhere.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody answered.
    #[error(
        "no member of the mesh could be reached{}; check that the device that made the code (or any other member) is \
         on, and that UDP and TCP to these addresses are not blocked",
        listed(.tried)
    )]
    NobodyReachable {
        /// Every address that was called.
        tried: Vec<SocketAddr>,
    },
    /// Nobody answered, and the rendezvous that the code names did not help.
    #[error("no member of the mesh could be reached{}, nor found at the public rendezvous: {why}", listed(.tried))]
    NoRendezvous {
        /// Every address that was called.
        tried: Vec<SocketAddr>,
        /// Why not.
        why: String,
    },
    /// Somebody answered, but nobody who knows the invite.
    #[error(
        "the devices that answered{} do not know this invite; it may be of another mesh, or they have not heard of it \
         yet: try again when the device that made the code is on",
        listed(.reached)
    )]
    NobodyKnowsInvite {
        /// Who refused us.
        reached: Vec<SocketAddr>,
    },
    /// The time is over.
    #[error("this invite has expired; ask for a new code")]
    Expired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// Others were faster.
    #[error(
        "this invite is used up: all of the {uses} devices that it allows have joined; ask for a new code"
    )]
    UsedUp {
        /// How many may join by it.
        uses: u32,
    },
    /// It was taken back.
    #[error("this invite was revoked; ask for a new code")]
    Revoked,
    /// Somebody has the name that was asked for.
    #[error("another device of this mesh is named {taken}; choose another name, {suggestion} is free")]
    NameTaken {
        /// The name in use.
        taken: Name,
        /// A free one.
        suggestion: Name,
    },
    /// The clocks differ by so much that nothing dated can be judged.
    #[error(
        "the clock of this device and that of the mesh differ by {}; set the one that is wrong, then try again",
        span(*.hours)
    )]
    ClockWrong {
        /// By how much, in hours.
        hours: u64,
    },
    /// We are in already.
    #[error("this device is a member of that mesh already")]
    AlreadyMember,
    /// A member that we asked broke the protocol or lied, and nobody else let us in.
    #[error(
        "a member of the mesh answered wrongly: {0}; try again, or ask for a code that leads to another member"
    )]
    MemberMisbehaved(JoinCheckError),
    /// Another refusal.
    #[error(transparent)]
    Refused(Refusal),
    /// We cannot even try.
    #[error("control connections cannot be made: {0}")]
    Transport(#[from] quic::Error),
}

impl JoinError {
    /// Days by which the clocks differ, if that is the reason.
    pub fn clock_days(&self) -> Option<u64> {
        if let Self::ClockWrong { hours } = self { Some(hours / 24) } else { None }
    }
}

impl From<JoinCheckError> for JoinError {
    fn from(error: JoinCheckError) -> Self {
        let refusal = match error {
            JoinCheckError::Refused(refusal) => refusal,
            error @ (JoinCheckError::Record(_)
            | JoinCheckError::ForeignMesh
            | JoinCheckError::OtherTerms
            | JoinCheckError::NotAdmitted
            | JoinCheckError::OutOfTurn) => return Self::MemberMisbehaved(error),
        };
        match refusal {
            Refusal::Expired { not_after, .. } => Self::Expired { not_after },
            Refusal::UsedUp { uses } => Self::UsedUp { uses },
            Refusal::Revoked => Self::Revoked,
            Refusal::NameTaken { taken, suggestion } => Self::NameTaken { taken, suggestion },
            Refusal::ClockWrong { here, there } => {
                Self::ClockWrong { hours: here.distance(there).as_secs() / 3600 }
            }
            Refusal::AlreadyMember => Self::AlreadyMember,
            other @ (Refusal::UnknownInvite
            | Refusal::InvalidName
            | Refusal::Removed
            | Refusal::Full(_)
            | Refusal::Forged
            | Refusal::NotAMember
            | Refusal::NotAllowed
            | Refusal::TooMuchToKeep
            | Refusal::Unknown
            | Refusal::Fault) => Self::Refused(other),
        }
    }
}

/// Whether another member could answer better: it may have heard more, or be in better health.
pub(super) fn is_local(error: &JoinCheckError) -> bool {
    match error {
        JoinCheckError::Refused(refusal) => {
            matches!(refusal, Refusal::UnknownInvite | Refusal::NotAMember | Refusal::Fault)
        }
        JoinCheckError::Record(_)
        | JoinCheckError::ForeignMesh
        | JoinCheckError::OtherTerms
        | JoinCheckError::NotAdmitted
        | JoinCheckError::OutOfTurn => true,
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!(" ({})", addresses.join(", "))
}

fn span(hours: u64) -> String {
    match hours {
        0 => "most of an hour".to_owned(),
        1..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

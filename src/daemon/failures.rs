//! The errors of the libraries in the words of the local API: a cause, a sentence, what to do.

use warren_p2p::invite::{CodeError, IssueError};
use warren_p2p::membership::{FindError, Refusal};
use warren_p2p::node::CommandError;
use warren_p2p::record::NameError;
use warren_p2p::store::StoreError;
use warren_p2p::swarm::{JoinError, StartError};

use crate::control::{Cause, Failure};

const NEW_CODE: &str = "ask for a new code: `warren invite` makes one";

/// A code that cannot be read.
pub(super) fn code(error: CodeError) -> Failure {
    let cause = match error {
        CodeError::NotACode | CodeError::Invalid(_) => Cause::InviteNotACode,
        CodeError::Truncated { .. } => Cause::InviteTruncated,
        CodeError::Mistyped => Cause::InviteMistyped,
        CodeError::NewerVersion => Cause::InviteUnsupported,
    };
    Failure::new(cause, error.to_string())
}

/// A member's no.
pub(super) fn refusal(refusal: &Refusal) -> Failure {
    let (cause, hint) = match refusal {
        Refusal::Expired { .. } => (Cause::InviteExpired, NEW_CODE),
        Refusal::UsedUp { .. } => (Cause::InviteUsedUp, NEW_CODE),
        Refusal::Revoked => (Cause::InviteRevoked, NEW_CODE),
        Refusal::UnknownInvite => (
            Cause::InviteUnknown,
            "try again when the device that made the code is on, or ask for a new code",
        ),
        Refusal::NameTaken { .. } => (Cause::NameTaken, "choose another with --name, or leave --name out"),
        Refusal::InvalidName => (Cause::NameInvalid, "choose another with --name"),
        Refusal::AlreadyMember => (Cause::AlreadyMember, "nothing is left to do: `warren status`"),
        Refusal::Removed => (Cause::Removed, NEW_CODE),
        Refusal::ClockWrong { .. } => (Cause::ClockWrong, "set the clock, by NTP best, and try again"),
        Refusal::NotAllowed => (Cause::NotAdmin, "ask an admin of the mesh"),
        Refusal::Full(_) | Refusal::Forged | Refusal::NotAMember | Refusal::Fault => {
            (Cause::Failed, "try again, or with a new code from another member")
        }
        Refusal::TooMuchToKeep | Refusal::Unknown => {
            (Cause::Failed, "`warren peers` and `warren invite list` show what there is")
        }
    };
    Failure::new(cause, refusal.to_string()).hint(hint)
}

/// Why the device did not get in.
pub(super) fn join(error: JoinError) -> Failure {
    let message = error.to_string();
    match error {
        JoinError::NobodyReachable { .. } | JoinError::NoRendezvous { .. } => {
            Failure::new(Cause::NobodyReachable, message)
        }
        JoinError::NobodyKnowsInvite { .. } => Failure::new(Cause::InviteUnknown, message),
        JoinError::Expired { .. } => Failure::new(Cause::InviteExpired, message).hint(NEW_CODE),
        JoinError::UsedUp { .. } => Failure::new(Cause::InviteUsedUp, message).hint(NEW_CODE),
        JoinError::Revoked => Failure::new(Cause::InviteRevoked, message).hint(NEW_CODE),
        JoinError::NameTaken { suggestion, .. } => Failure::new(Cause::NameTaken, message)
            .hint(format!("`--name {suggestion}` would do; without --name a free one is taken")),
        JoinError::ClockWrong { .. } => {
            Failure::new(Cause::ClockWrong, message).hint("`date` shows this device's; NTP keeps it right")
        }
        JoinError::AlreadyMember => Failure::new(Cause::AlreadyMember, message),
        JoinError::Refused(refused) => refusal(&refused),
        JoinError::MemberMisbehaved(_) | JoinError::Transport(_) => Failure::new(Cause::Failed, message),
    }
}

/// A mesh on disk that cannot be put into service.
pub(super) fn start(error: StartError) -> Failure {
    match error {
        StartError::Store(error) => store(error),
        StartError::Transport(_) | StartError::Listen { .. } => {
            Failure::new(Cause::Failed, error.to_string())
        }
    }
}

/// What a running mesh could not do.
pub(super) fn command(error: CommandError) -> Failure {
    match &error {
        CommandError::Refused(refused) => refusal(refused),
        CommandError::Issue(IssueError::NotAdmin) => Failure::new(Cause::NotAdmin, error.to_string())
            .hint("ask an admin: `warren peers` shows who is one"),
        CommandError::Issue(IssueError::Terms(_)) | CommandError::TooManyPorts | CommandError::Oneself => {
            Failure::new(Cause::Misuse, error.to_string())
        }
        CommandError::Keep(_) => Failure::new(Cause::DiskFull, error.to_string()),
        CommandError::UnknownPeer => Failure::new(Cause::UnknownPeer, error.to_string()),
        CommandError::Stopped => Failure::new(Cause::NotRunning, error.to_string()),
        CommandError::Issue(IssueError::Record(_)) | CommandError::Record(_) | CommandError::Log(_) => {
            Failure::new(Cause::Failed, error.to_string())
        }
    }
}

/// No such member.
pub(super) fn find(error: FindError) -> Failure {
    let cause = match error {
        FindError::Unknown(_) => Cause::UnknownPeer,
        FindError::Ambiguous { .. } => Cause::AmbiguousPeer,
    };
    Failure::new(cause, error.to_string()).hint("`warren peers` shows all of them")
}

/// A text that cannot be a name.
pub(super) fn name(text: &str, error: &NameError) -> Failure {
    Failure::new(Cause::NameInvalid, format!("'{text}' cannot be a name: {error}"))
}

/// The store of records.
pub(super) fn store(error: StoreError) -> Failure {
    let cause = match &error {
        StoreError::Foreign { .. } | StoreError::NewerSchema { .. } | StoreError::OtherMesh { .. } => {
            Cause::StoreForeign
        }
        StoreError::Corrupt { .. } | StoreError::CorruptRecord { .. } => Cause::StoreCorrupt,
        StoreError::Locked { .. } => Cause::AlreadyRunning,
        StoreError::Full { .. } => Cause::DiskFull,
        StoreError::NotWritable { .. } => Cause::StateNotWritable,
        StoreError::TooLong(_) | StoreError::Io { .. } => Cause::Failed,
    };
    Failure::new(cause, error.to_string())
}

/// Another program's network interface has our name.
pub(super) fn tun_name_taken(name: &str) -> Failure {
    Failure::new(Cause::TunNameTaken, format!("there is a network interface named {name} already"))
        .hint("choose another name, for example --tun warren1")
}

/// A mesh of which only the key is left.
pub(super) fn records_lost() -> Failure {
    Failure::new(Cause::StoreCorrupt, "this device has the key of a mesh, but not its records")
        .hint("ask any admin of the mesh for a code and run `warren up CODE`: the records come back, and the device is the same as before")
}

/// A code for the mesh this device is in.
pub(super) fn own_invite(mesh: &str) -> Failure {
    Failure::new(
        Cause::AlreadyMember,
        format!("this code is for the mesh '{mesh}', in which this device is already"),
    )
    .hint("paste it on another device")
}

/// Something else is asked while a join is under way.
pub(super) fn joining() -> Failure {
    Failure::new(Cause::Failed, "this device is joining a mesh at this moment")
        .hint("try again when it is done: `warren status`; `warren down` gives the join up")
}

/// Somebody deleted our network interface.
pub(super) fn tunnel_gone(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Cause::Failed,
        format!("the network interface {name} was removed by another program: {error}"),
    )
    .hint("`warren up` makes it anew; what removes it? a network manager can be told to leave it alone")
}

/// A part of the daemon died, which it must not.
pub(super) fn died(part: &str) -> Failure {
    Failure::new(Cause::Failed, format!("the {part} has ended unexpectedly")).hint(
        "this is a fault of Warren: please report it with what was logged before; `warren up` starts again",
    )
}

/// A code for another mesh, while this one has members.
pub(super) fn in_another_mesh(mesh: &str, members: usize) -> Failure {
    Failure::new(
        Cause::InAnotherMesh,
        format!("this device is in the mesh '{mesh}' with {} others", members - 1),
    )
    .hint(
        "`warren leave` leaves it for good; or run a second daemon with its own --state, --socket and --tun",
    )
}

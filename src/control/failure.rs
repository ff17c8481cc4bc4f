//! Why a request was not done: a stable cause, a sentence, and what to do about it.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// The result of everything a user can ask for.
pub type Result<T> = std::result::Result<T, Failure>;

/// A refusal or an error as the user sees it, on the wire and in the terminal.
///
/// `cause` is for programs and never changes its spelling; the sentences are for people and may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure this is; decides the exit code.
    #[serde(rename = "code")]
    pub cause: Cause,
    /// What happened and why, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into(), hint: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failure of writing or reading `what`, where the system's answer decides the cause: a full disk
    /// and a folder we may not write are things the user can mend, and are told apart.
    pub fn io(what: impl fmt::Display, source: &io::Error) -> Self {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kind = source.kind();
        if matches!(kind, StorageFull | QuotaExceeded) {
            return Self::new(Cause::DiskFull, format!("cannot write {what}: the disk is full"))
                .hint("free some space and try again; nothing was half-written");
        }
        if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
            return Self::new(Cause::StateNotWritable, format!("cannot use {what}: {source}"))
                .hint("run as root, or choose another place with --state DIR and --socket PATH");
        }
        Self::new(Cause::Failed, format!("cannot use {what}: {source}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Every kind of failure. The spelling on the wire is the variant in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was tried and did not work, for a reason that has no cause of its own.
    Failed,
    /// The request itself makes no sense.
    Misuse,
    /// No daemon answers at the socket.
    NotRunning,
    /// This user may not ask that.
    Denied,
    /// No member of the mesh is called that.
    UnknownPeer,
    /// The peer, or the mesh, does not answer.
    NotConnected,
    /// What was pasted is not an invite code.
    InviteNotACode,
    /// The invite code is cut off.
    InviteTruncated,
    /// The invite code's checksum does not fit: a letter is wrong.
    InviteMistyped,
    /// The invite code was made by a newer Warren.
    InviteUnsupported,
    /// The invite is past its time.
    InviteExpired,
    /// The invite has admitted as many devices as it may.
    InviteUsedUp,
    /// The invite was withdrawn.
    InviteRevoked,
    /// The mesh that was reached does not know the invite.
    InviteUnknown,
    /// The device is a member already, be it the inviter itself.
    AlreadyMember,
    /// The device is in another mesh that has other members.
    InAnotherMesh,
    /// Nobody of the mesh could be reached.
    NobodyReachable,
    /// Another member has that name.
    NameTaken,
    /// That cannot be a name.
    NameInvalid,
    /// Another program has the UDP port.
    PortInUse,
    /// Another daemon works on the same state folder or socket.
    AlreadyRunning,
    /// There is no `/dev/net/tun`.
    NoTun,
    /// The network interface's name is taken by another program.
    TunNameTaken,
    /// The process lacks `CAP_NET_ADMIN`.
    NotPrivileged,
    /// The state folder cannot be written.
    StateNotWritable,
    /// The store of records is damaged.
    StoreCorrupt,
    /// The store belongs to something else, or to a newer Warren.
    StoreForeign,
    /// The disk is full.
    DiskFull,
    /// This device's clock, or the mesh's, is wrong by more than the rules can bear.
    ClockWrong,
    /// The configuration file or a setting has an error.
    ConfigInvalid,
    /// Several members fit the name given.
    AmbiguousPeer,
    /// Only an admin of the mesh may do that.
    NotAdmin,
    /// This device was removed from the mesh.
    Removed,
    /// No invite has that id.
    UnknownInvite,
    /// Client and daemon are of versions that do not understand each other.
    VersionMismatch,
    /// A cause that this version does not know yet.
    #[serde(other)]
    Other,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

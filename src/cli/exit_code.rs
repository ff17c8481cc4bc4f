//! Every exit code of `warren`, and the failures that lead to it.

use std::fmt::Write as _;

use crate::control::Cause;

/// One row a cause: the code and what it means. Scripts rely on these numbers; they are never reused.
const TABLE: [(Cause, u8, &str); 36] = [
    (Cause::Failed, 1, "failed"),
    (Cause::Other, 1, "failed"),
    (Cause::Misuse, 2, "the command line makes no sense"),
    (Cause::NotRunning, 3, "the daemon is not running"),
    (Cause::Denied, 4, "not allowed to talk to the daemon"),
    (Cause::UnknownPeer, 5, "no such peer"),
    (Cause::NotConnected, 6, "the peer does not answer"),
    (Cause::InviteNotACode, 10, "not an invite code"),
    (Cause::InviteTruncated, 11, "the invite code is cut off"),
    (Cause::InviteMistyped, 12, "the invite code is mistyped"),
    (Cause::InviteExpired, 13, "the invite has expired"),
    (Cause::InviteUsedUp, 14, "the invite is used up"),
    (Cause::InviteRevoked, 15, "the invite was revoked"),
    (Cause::InviteUnknown, 16, "the mesh does not know the invite"),
    (Cause::AlreadyMember, 17, "this device is a member of that mesh already"),
    (Cause::NobodyReachable, 18, "no member of the mesh could be reached"),
    (Cause::NameTaken, 19, "the name is taken"),
    (Cause::NameInvalid, 20, "the name is not valid"),
    (Cause::PortInUse, 21, "the port is in use"),
    (Cause::AlreadyRunning, 22, "another daemon works on the same state or socket"),
    (Cause::NoTun, 23, "there is no /dev/net/tun"),
    (Cause::NotPrivileged, 24, "the right to make network interfaces is missing"),
    (Cause::StateNotWritable, 25, "the state folder is not writable"),
    (Cause::StoreCorrupt, 26, "the store is damaged"),
    (Cause::StoreForeign, 27, "the store is of something else or of a newer version"),
    (Cause::DiskFull, 28, "the disk is full"),
    (Cause::ClockWrong, 29, "a clock is wrong"),
    (Cause::ConfigInvalid, 30, "the configuration is not valid"),
    (Cause::AmbiguousPeer, 31, "several peers fit that name"),
    (Cause::NotAdmin, 32, "only an admin may do that"),
    (Cause::Removed, 33, "this device was removed from the mesh"),
    (Cause::InviteUnsupported, 34, "the invite code is of a newer version"),
    (Cause::InAnotherMesh, 35, "this device is in another mesh already"),
    (Cause::TunNameTaken, 36, "the network interface's name is taken"),
    (Cause::UnknownInvite, 37, "no such invite"),
    (Cause::VersionMismatch, 38, "client and daemon do not understand each other"),
];

/// The exit code of a failure.
pub fn exit_code(cause: Cause) -> u8 {
    TABLE.iter().find(|(listed, ..)| *listed == cause).map_or(1, |(_, code, _)| *code)
}

/// The table as `warren help` shows it.
pub fn describe() -> String {
    let mut text = String::from("Exit codes:\n   0  done\n");
    for (cause, code, meaning) in TABLE {
        if cause != Cause::Other {
            let _ = writeln!(text, "  {code:>2}  {meaning}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_causes_share_a_code() {
        let mut codes: Vec<u8> =
            TABLE.iter().filter(|(cause, ..)| *cause != Cause::Other).map(|(_, code, _)| *code).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        assert!(!codes.contains(&0));
    }

    #[test]
    fn every_cause_has_a_row_of_its_own() {
        // The spellings on the wire: a cause that is missing in the table would have none here.
        for (place, (cause, ..)) in TABLE.iter().enumerate() {
            assert!(TABLE[..place].iter().all(|(other, ..)| other != cause), "{cause}");
        }
    }
}

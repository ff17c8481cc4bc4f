//! Every cap and timeout of the control plane, with its unit and its reason.

/// Characters of a device's or mesh's name: as much as Meshnet allows, so names can be carried over.
pub const NAME_LENGTH: usize = 25;
/// Characters of what a device says it runs.
pub const OS_LENGTH: usize = 32;
/// Bytes of one record with its signature. The longest honest one, a removal keeping 1,024 records, has 33 KiB.
pub const RECORD_BYTES: usize = 64 * 1024;
/// Records that one removal or dismissal keeps valid: those a person invites by hand, with much to spare.
pub const KEEPS: usize = 1024;
/// Port ranges in one set of grants.
pub const PORT_GRANTS: usize = 32;
/// Devices named in the scope of an invite.
pub const INVITE_SCOPE: usize = 64;
/// Uses of one invite: the largest mesh that is aimed at.
pub const INVITE_USES: u32 = 10_000;
/// Members of one mesh. Joins beyond are refused, so that a leaked multi-use code has an end.
pub const MEMBERS: usize = 10_000;

//! Every cap and timeout of the control plane, with its unit and its reason.

use std::time::Duration;

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
/// Levels of admins below the founder. Bounds the work of the fold; people need two or three.
pub const ADMIN_LEVELS: u32 = 16;
/// Records by one author in a log: more than an admin who invited and witnessed everybody in the largest mesh.
pub const RECORDS_PER_AUTHOR: usize = 32 * 1024;
/// Records that an author ever writes, also those that its own later ones replace: otherwise endless new descriptions
/// of one device, each valid, would go round the mesh for ever. A device that renames itself daily needs 180 years.
pub const SEQUENCES: u64 = 64 * 1024;
/// Records in a log: an invite, a Join, a Device record and some history for each of 10,000 members.
pub const LOG_RECORDS: usize = 128 * 1024;
/// Bytes of all records by one author in a log: 32,768 records of usual size.
pub const BYTES_PER_AUTHOR: usize = 16 * 1024 * 1024;
/// Bytes of all records in a log: the largest mesh has about 12 MiB.
pub const LOG_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one message of the record exchange: holds several of the longest records.
pub const EXCHANGE_BYTES: usize = 256 * 1024;
/// Ids in one message of the record exchange, 16 bytes each: fills about the message.
pub const EXCHANGE_IDS: usize = 15_000;
/// Messages a peer may send at once: an exchange of the largest log takes some hundred.
pub const EXCHANGE_MESSAGE_BURST: u32 = 2_000;
/// Messages a peer may send each second in the long run.
pub const EXCHANGE_MESSAGES_PER_SECOND: u32 = 20;
/// New records a peer may give at once: a full log. Less would punish whoever passes on what another has flooded it with.
pub const EXCHANGE_RECORD_BURST: u32 = 128 * 1024;
/// New records a peer may give each second in the long run.
pub const EXCHANGE_RECORDS_PER_SECOND: u32 = 20;
/// Records a peer may give before what they build on.
pub const EXCHANGE_PENDING: usize = 1_024;
/// Records that were refused for a full log or author, to be neither asked for nor checked again: as many as a log holds.
pub const EXCHANGE_REFUSED: usize = LOG_RECORDS;
/// Messages that answer one message of the record exchange: 8 MiB at most.
pub const EXCHANGE_REPLIES: usize = 32;
/// Bytes of what a newcomer sends: a Join has about 400.
pub const JOIN_REQUEST_BYTES: usize = 4 * 1024;
/// Bytes of what a member answers: the log of some 5,000 members. The rest comes by the record exchange.
pub const JOIN_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// Doors in one invite code: more would make it longer than people like to paste.
pub const DOORS: usize = 4;
/// How long an invite lasts unless asked otherwise.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(72 * 60 * 60);
/// The longest an invite may last: ten years.
pub const INVITE_LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How far the clocks of a newcomer and a member may differ: less than a day is often a wrong time zone, which
/// expiry can bear.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a newcomer that did not ask for a name asks for the free one, which another may have got meanwhile, and
/// for the next: covers some 30 devices of one name that join at once.
pub const NAME_ATTEMPTS: u32 = 64;
/// Addresses remembered for each peer: enough for home, work and travel, each with IPv4 and IPv6.
pub const ADDRESSES_PER_PEER: usize = 8;
/// Bytes of one stored setting, set of grants or list of addresses.
pub const SETTING_BYTES: usize = 64 * 1024;
/// Bytes of memory sled may use for pages: the whole store of a usual mesh.
pub const STORE_CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes that must be free on the disk before a write: several of sled's segments (512 KiB).
pub const STORE_FREE_BYTES: u64 = 4 * 1024 * 1024;

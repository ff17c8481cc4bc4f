//! Long work told step by step: joining, pinging, and the life of a daemon in the foreground.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::grant::{Grant, Grants};
use super::status::{Path, Relation, Status};

/// Asks the running daemon to join the mesh of an invite code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// What was pasted.
    pub code: String,
    /// The name wished for; absent = the host's, changed where it is taken.
    #[serde(default)]
    pub name: Option<String>,
}

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest").field("code", &format_args!("(..)")).field("name", &self.name).finish()
    }
}

/// A step of joining, in this order; the last is `Connected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JoinEvent {
    /// Looking for a member of the mesh.
    Searching,
    /// A member was found and has shown what the invite says.
    Terms(Terms),
    /// The device is a member.
    Admitted(Admitted),
    /// The first peer answers.
    Connected {
        /// The peer, by name.
        peer: String,
    },
    /// A step that this version does not know yet.
    #[serde(other)]
    Other,
}

/// What an invite says, shown before joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Name of the mesh.
    pub mesh: String,
    /// The member who made the invite, by name.
    pub inviter: String,
    /// Whose device this one becomes.
    pub relation: Relation,
    /// How many members the mesh has.
    pub members: u32,
    /// How many devices the invite admits in all.
    pub uses: u32,
    /// Seconds until it ends.
    pub expires_in_s: u64,
    /// What is allowed to this device on arrival.
    pub grants: Grants,
}

/// This device as the mesh admitted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Name of the mesh.
    pub mesh: String,
    /// The device's name there; it may differ from the one wished for.
    pub name: String,
    /// Its address inside the mesh.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address inside the mesh.
    pub ipv6: Ipv6Addr,
    /// The member that let it in, by name.
    pub witness: String,
}

/// Asks for pings through the tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingRequest {
    /// The peer, as people name it.
    pub peer: String,
    /// How many; absent = until the client hangs up.
    #[serde(default)]
    pub count: Option<u32>,
    /// Milliseconds from one to the next.
    pub interval_ms: u64,
    /// Milliseconds to wait for each.
    pub timeout_ms: u64,
}

/// A line of `warren ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PingEvent {
    /// Who is asked; comes first.
    Target {
        /// The peer, by name.
        peer: String,
        /// The address asked.
        ipv4: Ipv4Addr,
        /// How packets reach it now.
        path: Option<Path>,
    },
    /// An answer came.
    Reply {
        /// Which ping, from 1.
        sequence: u32,
        /// Round trip in microseconds.
        rtt_us: u64,
        /// How packets reached it.
        path: Option<Path>,
    },
    /// No answer came in time.
    Timeout {
        /// Which ping, from 1.
        sequence: u32,
    },
    /// Packets take another way from here on.
    PathChanged {
        /// The new way; absent when there is none left.
        path: Option<Path>,
    },
    /// A line that this version does not know yet.
    #[serde(other)]
    Other,
}

/// Asks to allow a peer something, or to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// The peer, as people name it.
    pub peer: String,
    /// Allow, or take back.
    pub allow: bool,
    /// What.
    pub grants: Vec<Grant>,
}

/// What came of a [`GrantChange`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantOutcome {
    /// The peer, by its name in the mesh.
    pub peer: String,
    /// What is different now.
    pub changed: Vec<Grant>,
    /// What was so already.
    pub unchanged: Vec<Grant>,
    /// Everything the peer is allowed now.
    pub mine: Grants,
}

/// What a daemon in the foreground tells its terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// The device was in no mesh and has founded one.
    Founded {
        /// Its name.
        mesh: String,
    },
    /// A step of joining.
    Join {
        /// Which.
        step: JoinEvent,
    },
    /// Everything runs and the local API answers. Comes once: after founding, after the first peer of a
    /// joined mesh answers, and at once when a known mesh starts again.
    Ready {
        /// The state of things.
        status: Box<Status>,
    },
    /// A peer came, went, or changed its path; the state of things now.
    Changed {
        /// The state of things.
        status: Box<Status>,
    },
    /// Stopping: taking back what was done to the machine.
    Stopping,
    /// Something that this version does not know yet.
    #[serde(other)]
    Other,
}

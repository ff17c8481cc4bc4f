//! Why a peer is reached as it is, as `warren doctor --json` prints it. Fields are added, never renamed.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::netcheck::{Advice, Netcheck};
use super::status::{Path, PathKind};

/// Everything that was tried to reach one peer, or each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Doctor {
    /// This end.
    pub here: Netcheck,
    /// The peers asked for, by name.
    pub peers: Vec<PeerCheck>,
}

/// What was tried to reach a peer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PeerCheck {
    /// Its name.
    pub name: String,
    /// Whether a control connection to it stands.
    pub connected: bool,
    /// The member through whom it stands, by name.
    #[serde(default)]
    pub connected_through: Option<String>,
    /// Seconds since it was last heard; absent if never.
    pub last_seen_s: Option<u64>,
    /// How packets reach it now.
    pub path: Option<Path>,
    /// The NAT in front of it, in its own words: `none`, `easy`, `hard`, `unknown`.
    pub nat: String,
    /// Every way to it that is known.
    pub pairs: Vec<Pair>,
    /// In short why the path is no better; absent when it is direct.
    #[serde(default)]
    pub why: Option<String>,
    /// What to do about it.
    pub advice: Vec<Advice>,
}

/// One way to a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// What kind of way; absent until that is known.
    pub kind: Option<PathKind>,
    /// Where it leads: the peer's address, or the relay's.
    pub endpoint: Option<SocketAddr>,
    /// The member that relays, by name.
    #[serde(default)]
    pub via: Option<String>,
    /// How we came to know it: `told`, `learned`, `agreed`.
    pub source: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Outcome {
    /// It answers.
    Verified {
        /// Round trip in milliseconds.
        rtt_ms: f64,
    },
    /// It has never answered.
    Unanswered {
        /// How many pings were sent.
        pings: u32,
    },
    /// Nothing was sent there yet.
    Untried,
    /// It cannot be used.
    Failed {
        /// Why.
        why: String,
    },
    /// Something that this version does not know yet.
    #[serde(other)]
    Other,
}

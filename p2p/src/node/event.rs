//! What a node tells the daemon.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use super::KeepError;
use crate::swarm::datagrams::Handover;
use crate::{identity::DeviceId, membership::Roster, record::Grants, relay, signal::NatKind};

/// Something happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Who is in the mesh, or something about them, changed. Also the first event of all.
    RosterChanged(Arc<Roster>),
    /// A member is connected directly, whether or not it was connected through another before.
    Connected {
        /// Who.
        peer: DeviceId,
        /// From where.
        address: SocketAddr,
    },
    /// A member is connected through another one.
    ConnectedThrough {
        /// Who.
        peer: DeviceId,
        /// Through whom.
        relay: DeviceId,
    },
    /// The last connection with a member ended.
    Disconnected {
        /// Who.
        peer: DeviceId,
    },
    /// Where a member's dataplane may be reached now.
    Candidates {
        /// Who.
        peer: DeviceId,
        /// Where; replaces what it said before.
        addresses: Vec<SocketAddr>,
        /// What stands between it and the Internet.
        nat: NatKind,
    },
    /// A member sees our shared UDP socket at an address.
    Observed {
        /// Who.
        by: DeviceId,
        /// Where.
        address: SocketAddr,
    },
    /// A member tried to reach us at one of our addresses, from a port we have never sent to.
    Reachable {
        /// Which.
        address: SocketAddr,
        /// Whether it could.
        reachable: bool,
    },
    /// Datagrams for a member may go through another, and will come from there.
    RelaySession {
        /// The member.
        peer: DeviceId,
        /// Who carries.
        relay: DeviceId,
        /// Under which number.
        session: relay::Session,
    },
    /// They may not any more.
    RelaySessionEnded {
        /// The member.
        peer: DeviceId,
        /// Who carried.
        relay: DeviceId,
        /// Under which number.
        session: relay::Session,
    },
    /// We are the relay: carry datagrams between these two.
    Forward {
        /// Under which number.
        session: relay::Session,
        /// The ends.
        between: [DeviceId; 2],
    },
    /// Carry them no more.
    ForwardEnded {
        /// Under which number.
        session: relay::Session,
    },
    /// Datagrams can go to a member over TCP.
    Stream {
        /// The member.
        peer: DeviceId,
        /// Where its TCP port is.
        address: SocketAddr,
        /// The way.
        stream: Handover,
    },
    /// What a member grants us.
    GrantsOfPeer {
        /// Who.
        peer: DeviceId,
        /// What.
        grants: Grants,
    },
    /// A member's clock differs from ours by more than ten minutes; one of them is wrong.
    ClockSkew {
        /// Who.
        peer: DeviceId,
        /// Milliseconds by which its clock is ahead of ours.
        ms: i64,
    },
    /// A member broke the protocol and is cut off for a while.
    Misbehaved {
        /// Who.
        peer: DeviceId,
        /// How.
        why: String,
    },
    /// We are not a member any more: removed, or our invite lost to another use of it.
    Removed,
    /// Records could not be written; they are not in the log either.
    StoreFailed(KeepError),
}

/// One member as our control connections see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerLink {
    /// Whether a control connection stands.
    pub connected: bool,
    /// Addresses at which connections stand.
    pub connections: BTreeSet<SocketAddr>,
    /// Through whom it is connected, when it is not directly.
    pub via: Option<DeviceId>,
    /// It says that it relays for members.
    pub relays: bool,
    /// It relays control connections to us: we have a reservation with it.
    pub reserved: bool,
    /// What it says stands between it and the Internet.
    pub nat: NatKind,
    /// All addresses that we remember, best first.
    pub addresses: Vec<SocketAddr>,
    /// Where its dataplane says it may be reached.
    pub candidates: Vec<SocketAddr>,
    /// What it grants us, once it has said so.
    pub grants_theirs: Option<Grants>,
    /// Milliseconds by which its clock is ahead of ours.
    pub clock_skew_ms: Option<i64>,
    /// How long a ping over the control connection took last.
    pub round_trip: Option<Duration>,
    /// Its records that were refused since we started.
    pub rejected_records: u64,
    /// How often it was cut off since we started.
    pub cut_offs: u32,
}

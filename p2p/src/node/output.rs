//! What goes between a node and its shell.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use super::Event;
use crate::{identity::DeviceId, membership::Message, record::Timestamp, relay, signal::Hello};

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For durations.
    pub instant: Instant,
    /// For what others read.
    pub wall: Timestamp,
}

/// What the shell knows a connection by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionKey(pub u64);

/// A stretch of time in which a peer is connected. An answer that belongs to an earlier one says nothing about this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub(super) u64);

/// What the shell is to do.
#[derive(Debug)]
pub enum Output {
    /// Call a member at all these addresses at once, by QUIC and some by TCP.
    Dial {
        /// Whom.
        peer: DeviceId,
        /// Where, best first.
        addresses: Vec<SocketAddr>,
        /// Those of them to call by TCP as well.
        streams: Vec<SocketAddr>,
    },
    /// Call a member through others, all at once.
    DialThrough {
        /// Whom.
        peer: DeviceId,
        /// Through whom.
        relays: Vec<Via>,
    },
    /// Ask a connected member to relay to us from now on; what came of it and when it ends comes back by
    /// [`Node::handle_reservation`](super::Node::handle_reservation).
    Reserve(Via),
    /// Such a member need not relay to us any more.
    Release(DeviceId),
    /// Relay control connections between members from now on, or do not any more.
    Relay(bool),
    /// Ask a connected member which of our addresses it can reach from a port we have never sent to.
    AskReach {
        /// Whom.
        peer: DeviceId,
        /// Which.
        addresses: Vec<SocketAddr>,
    },
    /// Ask the mesh's Kademlia, and the public rendezvous if there is one, where a member is.
    Lookup(DeviceId),
    /// Send a message of the record exchange.
    Exchange {
        /// To whom.
        peer: DeviceId,
        /// In which session; comes back with the answer.
        session: SessionId,
        /// What.
        message: Message,
    },
    /// Say hello; the answer comes back by [`Node::handle_hello_answer`](super::Node::handle_hello_answer).
    Hello {
        /// To whom.
        peer: DeviceId,
        /// In which session; comes back with the answer.
        session: SessionId,
        /// What.
        hello: Hello,
    },
    /// Say something about relaying; if it is lost, it is said again some time.
    Relaying {
        /// To whom.
        peer: DeviceId,
        /// What.
        message: relay::Message,
    },
    /// Open a stream of datagrams with a connected member.
    OpenStream(DeviceId),
    /// Close one connection.
    Close(ConnectionKey),
    /// Close all connections with a peer and refuse it until it is forgiven.
    CutOff(DeviceId),
    /// A peer that was cut off may connect again.
    Forgive(DeviceId),
    /// Who may connect from now on.
    Admit {
        /// For everything.
        members: BTreeSet<DeviceId>,
        /// For the join protocol: public halves of invite keys.
        invitees: BTreeSet<DeviceId>,
    },
    /// Which addresses are inside the tunnel from now on.
    Tunnel(BTreeSet<IpAddr>),
    /// Tell the daemon.
    Event(Event),
}

/// A member that relays, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Via {
    /// Who.
    pub relay: DeviceId,
    /// Where, for when it is not connected.
    pub address: SocketAddr,
}

/// What the shell knows about a new direct connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The peer's address.
    pub address: SocketAddr,
    /// Whether we called.
    pub dialled: bool,
    /// Whether it is QUIC, so that the peer's address is that of its shared socket.
    pub udp: bool,
}

//! The flows that pass because somebody rightly began them, and until when.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::lru::Lru;
use crate::packet::{Flow, IpPacket, Protocol};

/// Flows that we began. A busy desktop has a few hundred; one entry takes about 120 bytes.
const MAX_OURS: usize = 8192;
/// Flows without a handshake that peers began.
const MAX_THEIRS: usize = 8192;
/// Sources of fragments. Tunnelled packets are rarely fragmented.
const MAX_FRAGMENTS: usize = 1024;

/// An established TCP connection without any packet (RFC 5382, REQ-5: two hours and four minutes at least).
const TCP_ESTABLISHED: Duration = Duration::from_secs(124 * 60);
/// A TCP connection that is being opened, or was closed on one side (RFC 5382, REQ-5: four minutes at least).
const TCP_TRANSITORY: Duration = Duration::from_secs(240);
/// A TCP connection closed on both sides or reset: time for the last acknowledgements to be repeated.
const TCP_CLOSED: Duration = Duration::from_secs(10);
/// UDP without any packet (RFC 4787, REQ-5: five minutes recommended).
const UDP: Duration = Duration::from_secs(300);
/// An ICMP echo without its reply (RFC 5508, REQ-2: 60 s at least).
const ICMP_ECHO: Duration = Duration::from_secs(60);
/// All other protocols.
const OTHER: Duration = Duration::from_secs(600);
/// Between a first fragment and the last one (RFC 1122, 3.3.2 asks for reassembly within 60 to 120 s; Linux allows 30 s).
const FRAGMENTS: Duration = Duration::from_secs(30);

const FIN: u8 = 0x01;
const RST: u8 = 0x04;

/// What is remembered.
#[derive(Debug)]
pub(super) struct Flows<P> {
    /// Begun by us; keyed in the direction of our packets.
    ours: Lru<Flow, Entry<P>>,
    /// Begun by a peer; keyed in the direction of its packets. Only of protocols in which a packet does not say who began.
    theirs: Lru<Flow, Entry<P>>,
    /// First fragments that passed.
    fragments: Lru<Fragments, Entry<P>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry<P> {
    peer: P,
    until: Instant,
    stage: Stage,
}

/// How far a TCP connection is; all others are always `Open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our SYN left.
    Opening,
    /// Packets go both ways.
    Open,
    /// We have sent our last data.
    WeClosed,
    /// The peer has.
    PeerClosed,
    /// Both have, or one reset it.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fragments {
    source: IpAddr,
    destination: IpAddr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    We,
    Peer,
}

impl<P> Default for Flows<P> {
    fn default() -> Self {
        let (ours, theirs) = (Lru::new(MAX_OURS), Lru::new(MAX_THEIRS));
        Self { ours, theirs, fragments: Lru::new(MAX_FRAGMENTS) }
    }
}

impl<P: Copy + Eq> Flows<P> {
    pub(super) fn len(&self) -> usize {
        self.ours.len() + self.theirs.len()
    }

    /// A packet of ours: begins a flow, or belongs to one.
    pub(super) fn outbound(&mut self, packet: &IpPacket<'_>, flow: Flow, peer: P, now: Instant) {
        if let Some(theirs) = live(&mut self.theirs, &flow.reversed(), peer, now) {
            theirs.until = now + patience(flow.protocol, Stage::Open);
            return;
        }
        let begins = match flow.protocol {
            Protocol::TCP => packet.is_tcp_open(),
            Protocol::ICMP | Protocol::ICMPV6 => is_echo_request(packet),
            _ => true,
        };
        if begins {
            let stage = if flow.protocol == Protocol::TCP { Stage::Opening } else { Stage::Open };
            let until = now + patience(flow.protocol, stage);
            self.ours.insert(flow, Entry { peer, until, stage });
        } else if let Some(entry) = live(&mut self.ours, &flow, peer, now) {
            entry.advance(packet, flow.protocol, Sender::We, now);
        }
    }

    /// Whether a packet of the peer belongs to a flow that we began.
    pub(super) fn answer(&mut self, packet: &IpPacket<'_>, flow: Flow, peer: P, now: Instant) -> bool {
        let Some(entry) = live(&mut self.ours, &flow.reversed(), peer, now) else { return false };
        entry.advance(packet, flow.protocol, Sender::Peer, now);
        true
    }

    /// Whether we began this flow, given in our direction.
    pub(super) fn is_ours(&mut self, flow: &Flow, peer: P, now: Instant) -> bool {
        live(&mut self.ours, flow, peer, now).is_some()
    }

    /// The peer may begin this, and did; so our answers begin nothing.
    pub(super) fn begun_by_peer(&mut self, flow: Flow, peer: P, now: Instant) {
        if !matches!(flow.protocol, Protocol::TCP | Protocol::ICMP | Protocol::ICMPV6) {
            let until = now + patience(flow.protocol, Stage::Open);
            self.theirs.insert(flow, Entry { peer, until, stage: Stage::Open });
        }
    }

    /// A first fragment passed.
    pub(super) fn first_fragment(&mut self, packet: &IpPacket<'_>, peer: P, now: Instant) {
        let entry = Entry { peer, until: now + FRAGMENTS, stage: Stage::Open };
        self.fragments.insert(Fragments::of(packet), entry);
    }

    /// Whether a first fragment passed that this one may belong to.
    pub(super) fn is_known_fragment(&mut self, packet: &IpPacket<'_>, peer: P, now: Instant) -> bool {
        live(&mut self.fragments, &Fragments::of(packet), peer, now).is_some()
    }

    pub(super) fn forget(&mut self, peer: P) {
        self.ours.retain(|entry| entry.peer != peer);
        self.theirs.retain(|entry| entry.peer != peer);
        self.fragments.retain(|entry| entry.peer != peer);
    }
}

impl Fragments {
    fn of(packet: &IpPacket<'_>) -> Self {
        Self { source: packet.source(), destination: packet.destination() }
    }
}

impl<P> Entry<P> {
    fn advance(&mut self, packet: &IpPacket<'_>, protocol: Protocol, sender: Sender, now: Instant) {
        if protocol == Protocol::TCP {
            let flags = packet.payload().get(13).copied().unwrap_or_default();
            self.stage = self.stage.after(flags, sender);
        }
        self.until = match self.stage {
            // What follows the end does not prolong it.
            Stage::Closed => self.until.min(now + TCP_CLOSED),
            stage @ (Stage::Opening | Stage::Open | Stage::WeClosed | Stage::PeerClosed) => {
                now + patience(protocol, stage)
            }
        };
    }
}

impl Stage {
    fn after(self, flags: u8, sender: Sender) -> Self {
        if flags & RST != 0 {
            return Self::Closed;
        }
        let next = if self == Self::Opening && sender == Sender::Peer { Self::Open } else { self };
        if flags & FIN == 0 {
            return next;
        }
        match (next, sender) {
            (Self::Closed, _) | (Self::WeClosed, Sender::Peer) | (Self::PeerClosed, Sender::We) => {
                Self::Closed
            }
            (Self::Opening | Self::Open | Self::WeClosed, Sender::We) => Self::WeClosed,
            (Self::Opening | Self::Open | Self::PeerClosed, Sender::Peer) => Self::PeerClosed,
        }
    }
}

/// True for ICMP and ICMPv6 echo requests.
pub(super) fn is_echo_request(packet: &IpPacket<'_>) -> bool {
    let kind = packet.payload().first().copied();
    match packet.protocol() {
        Protocol::ICMP => kind == Some(8),
        Protocol::ICMPV6 => kind == Some(128),
        _ => false,
    }
}

fn patience(protocol: Protocol, stage: Stage) -> Duration {
    match (protocol, stage) {
        (Protocol::TCP, Stage::Open) => TCP_ESTABLISHED,
        (Protocol::TCP, Stage::Opening | Stage::WeClosed | Stage::PeerClosed) => TCP_TRANSITORY,
        (Protocol::TCP, Stage::Closed) => TCP_CLOSED,
        (Protocol::UDP, _) => UDP,
        (Protocol::ICMP | Protocol::ICMPV6, _) => ICMP_ECHO,
        _ => OTHER,
    }
}

/// The entry of this peer, unless it expired.
fn live<'a, K: Copy + Eq + std::hash::Hash, P: Copy + Eq>(
    table: &'a mut Lru<K, Entry<P>>,
    key: &K,
    peer: P,
    now: Instant,
) -> Option<&'a mut Entry<P>> {
    let entry = table.get(key)?;
    if entry.until <= now {
        table.remove(key);
        return None;
    }
    table.get(key).filter(|entry| entry.peer == peer)
}

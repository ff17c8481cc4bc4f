//! Decides what happens to every packet; does nothing itself.
//!
//! # The way of a packet
//!
//! ```text
//!   handle_tun ──> IpPacket ──> AllowedIps ──> Filter ──> Remote ─┬─ path and session: seal into the run ──> poll_transmit
//!                  (outbound.rs)               (records)          └─ else: wait (32 packets, 10 s)
//!
//!   handle_datagrams ──> Kind ─┬─ probe ──> path::Agent
//!                  (inbound.rs)├─ frame ─┬─ our session: what is inside once more, as from its other end
//!                              │         └─ a session we relay: unopened, as one run ──> poll_transmit
//!                              └─ WireGuard ──> Tunnel ──> source check ──> destination ──> ping? ──> Filter ──> poll_tun
//! ```
//!
//! A *run* holds the datagrams of one batch for one peer, sealed one behind the other into one buffer while they
//! are equal in size; it leaves as one [`Transmit`], which is one `sendmsg` with UDP GSO. A batch in is a batch out.
//!
//! What is longer than the path carries (`path/mtu.rs`) is cut up, refused, or let be fragmented: `fit.rs` draws it. A SYN
//! is lowered to what fits on its way out and in.
//!
//! # Driving it
//!
//! Inputs are [`Engine::handle_command`], [`Engine::handle_tun`], [`Engine::handle_datagrams`] and
//! [`Engine::handle_timeout`]. After *each* of them drain [`Engine::poll_transmit`], [`Engine::poll_tun`] and
//! [`Engine::poll_event`] until they return None, give the buffers back with [`Engine::recycle`], and only then ask
//! [`Engine::poll_timeout`] when to come again. `now` must not run backwards; a jump forwards (suspend) is fine.
//!
//! # Among peers
//!
//! Two things peers must share, because the router at home does: pings to addresses that never answered have one budget
//! (`probing.rs`), and ports of symmetric NATs are guessed for one peer at a time (`guessing.rs`). For the latter drain
//! [`Engine::poll_socket`] as well: it asks for sockets to be opened, to be told of by [`Engine::handle_sockets`], and closed.
//!
//! # Growing
//!
//! An engine is one thread's work and holds no lock. To use more cores, peers are sharded: peer N belongs to
//! engine N modulo shards, which a receiver thread reads off the receiver index (`wg/peers.rs`) or the probe tag
//! without asking anybody, and a TUN queue thread off a shared copy of the prefix table. Nothing in a [`Remote`]
//! refers to another peer, except that it calls its relays and is told what leads to them (`detours.rs`): messages, between
//! engines. What all share (prefix table, filter flows by peer) is either read-mostly or splits by peer.
//!
//! Absent on purpose: sockets, clocks, threads; the choice of a path ([`crate::path`]) and of what may pass
//! ([`crate::filter`]); names, grants and rosters, which the daemon turns into [`Command`]s; forwarding of packets
//! into other networks, until exit nodes bring it.

mod command;
mod control;
mod detours;
mod drops;
mod event;
mod fit;
mod forwarding;
mod guessing;
mod held;
mod inbound;
mod outbound;
mod output;
mod ping;
mod probing;
mod remote;
mod silence;
mod timers;
mod transmit;
mod via;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use command::{Command, CommandError, Config, PeerConfig};
pub use drops::{Drop, Drops};
pub use event::{Event, PeerSnapshot, Snapshot};
pub use guessing::SocketRequest;
pub use timers::Timer;
pub use transmit::Transmit;
pub use via::Via;

use crate::filter::Filter;
use crate::packet::IpPacket;
use crate::packet::icmp::Unreachable;
use crate::path::Route;
use crate::relay::{Forwards, frame};
use crate::wg::{AllowedIps, Device, PeerId, Peers, PublicKey};
use detours::Detours;
use guessing::Guessing;
use outbound::ErrorBudget;
use output::Output;
use ping::Pings;
use probing::Probing;
use remote::Remote;
use silence::Silence;
use timers::Timers;

/// Free bytes in front of every packet that [`Engine::poll_tun`] returns: room for a virtio-net header (12 bytes;
/// rounded up to keep the packet aligned).
pub const HEAD_ROOM: usize = 16;
/// Handshakes are counted by this period.
const COUNT_PERIOD: Duration = Duration::from_secs(1);

/// The dataplane without its sockets. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    public_key: PublicKey,
    device: Device,
    peers: Peers,
    remotes: Vec<Option<Remote>>,
    allowed_ips: AllowedIps,
    /// Whose probes carry which tag.
    tags: BTreeMap<[u8; 8], PeerId>,
    /// How authentic probes came last: one route a peer.
    neighbours: BTreeMap<Route, PeerId>,
    /// The networks of this machine's interfaces.
    networks: Arc<[(IpAddr, u8)]>,
    detours: Detours,
    forwards: Forwards,
    filter: Filter<PeerId>,
    pings: Pings,
    probing: Probing,
    guessing: Guessing,
    silence: Silence,
    timers: Timers,
    errors: ErrorBudget,
    /// Peers to be pumped at the end of the batch.
    touched: VecDeque<PeerId>,
    out: Output,
}

impl Engine {
    /// An engine without peers.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            public_key: config.private_key.public(),
            device: Device::new(&config.private_key),
            peers: Peers::new(config.seed),
            remotes: Vec::new(),
            allowed_ips: AllowedIps::default(),
            tags: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            networks: Arc::default(),
            detours: Detours::default(),
            forwards: Forwards::default(),
            filter: Filter::default(),
            pings: Pings::new(config.seed),
            probing: Probing::new(now),
            silence: Silence::default(),
            guessing: Guessing::default(),
            timers: Timers::default(),
            errors: ErrorBudget::new(now),
            touched: VecDeque::new(),
            out: Output::new(),
            config,
        }
    }

    /// Our own WireGuard key.
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The MTU of the mesh, in bytes.
    pub const fn mtu(&self) -> u16 {
        self.config.mtu
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((timer, owner)) = self.timers.pop(now) {
            match (timer, owner) {
                (Timer::Handshakes, _) => self.device.restart_count(),
                (Timer::Ping, _) => self.expire_pings(now),
                (Timer::Tunnel | Timer::Path | Timer::Waiting, Some(id)) => self.wake(id, timer, now),
                // Whoever waits for these is served at the end.
                (Timer::Probing | Timer::Guessing, _) => {}
                (Timer::Tunnel | Timer::Path | Timer::Waiting, None) => {}
            }
        }
        self.pump_touched(now);
    }

    /// When [`Self::handle_timeout`] must be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// The next run of datagrams to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next packet for the TUN device, behind [`HEAD_ROOM`] free bytes.
    pub fn poll_tun(&mut self) -> Option<Vec<u8>> {
        self.out.tun.pop_front()
    }

    /// The next thing to tell the daemon.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Give back a buffer that `poll_tun` or `poll_transmit` handed out.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() >= transmit::CAPACITY {
            self.out.runs.give(buffer);
        } else {
            self.out.packets.give(buffer);
        }
    }

    /// The carrier could not send or write something: count it with the other losses.
    pub fn count(&mut self, reason: Drop, times: usize) {
        self.out.drops.add(reason, times);
    }

    /// The machine refused to send a datagram of this size of a run: no link it could leave by takes it.
    pub fn handle_too_big(&mut self, run: &Transmit, size: usize, now: Instant) {
        let relayed = run.segments().next().and_then(|datagram| frame::parse(datagram).ok());
        let (route, size) = match relayed {
            Some((session, _)) => (Route::Relay { session }, size.saturating_sub(frame::HEADER)),
            None => (run.destination.route(), size),
        };
        let ids: Vec<PeerId> = self.peers.iter().map(|(_, id)| id).collect();
        for id in ids {
            if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
                remote.path.handle_too_big(route, size, now);
                self.touch(id);
            }
        }
        self.pump_touched(now);
    }

    /// How things stand.
    pub fn snapshot(&self) -> Snapshot {
        let peers = self.peers.iter().filter_map(|(_, id)| self.remotes.get(id.slot())?.as_ref());
        let of = |remote: &Remote| PeerSnapshot {
            key: remote.peer.key,
            path: remote.path.info(),
            rx_bytes: remote.peer.rx_bytes,
            tx_bytes: remote.peer.tx_bytes,
            last_handshake: remote.peer.tunnel.established(),
            pairs: remote.path.report().collect(),
        };
        Snapshot {
            peers: peers.map(of).collect(),
            drops: self.out.drops.clone(),
            forwarding: self.forwards.report(),
        }
    }

    fn is_ours(&self, address: IpAddr) -> bool {
        address == IpAddr::V4(self.config.ipv4) || address == IpAddr::V6(self.config.ipv6)
    }

    fn touch(&mut self, id: PeerId) {
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut)
            && !std::mem::replace(&mut remote.touched, true)
        {
            self.touched.push_back(id);
        }
    }

    /// The end of a batch: everything that became possible for the peers it concerned is done now.
    fn pump_touched(&mut self, now: Instant) {
        let mtu = usize::from(self.config.mtu);
        let mut refused = Vec::new();
        // Pumping one peer may touch its relays, and a relay that was found or lost those it relays to.
        loop {
            while let Some(id) = self.touched.pop_front() {
                if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
                    remote.touched = false;
                    remote.pump(mtu, &mut self.out, &mut self.timers, now);
                    refused.append(&mut remote.refused);
                    self.silence.attend(id, &mut remote.path, now);
                    self.probing.attend(id, &remote.path, now);
                    self.guessing.attend(id, &remote.path, now);
                    self.follow_detours(id, now);
                }
            }
            self.begin_guess(now);
            if self.touched.is_empty() {
                break;
            }
        }
        self.serve_pings(now);
        for (bytes, mtu) in refused {
            if let Ok(packet) = IpPacket::parse(&bytes) {
                self.refuse(&packet, Unreachable::TooBig(mtu), now);
            }
            self.out.packets.give(bytes);
        }
    }

    fn wake(&mut self, id: PeerId, timer: Timer, now: Instant) {
        let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) else {
            return;
        };
        let mut expired = None;
        match timer {
            Timer::Tunnel => remote.peer.tunnel.handle_timeout(&mut self.out.answers, now),
            Timer::Path => remote.path.handle_timeout(now),
            Timer::Waiting => expired = remote.expire(&mut self.out, now),
            Timer::Ping | Timer::Handshakes | Timer::Probing | Timer::Guessing => {}
        }
        self.touch(id);
        if let Some(bytes) = expired {
            if let Ok(packet) = IpPacket::parse(&bytes) {
                self.refuse(&packet, Unreachable::Host, now);
            }
            self.out.packets.give(bytes);
        }
    }

    fn expire_pings(&mut self, now: Instant) {
        while let Some(lost) = self.pings.expire(now) {
            self.out.event(Event::PingTimedOut { peer: lost.key, token: lost.token });
        }
        self.timers.set(Timer::Ping, None, self.pings.poll_timeout());
    }
}

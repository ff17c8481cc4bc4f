//! The root state machine of a member: what to say to whom, whom to call, whom to cut off.
//!
//! ```text
//!  connections, messages, commands, time ──handle_*──▶ Node ──poll_output──▶ dial, send, cut off, events
//!                                                       │ ▲
//!                                        records first  ▼ │  then the log
//!                                                      Keep
//! ```
//!
//! The shell ([`swarm`](crate::swarm)) carries: it owns the sockets, reads the clocks, and hands both in with every
//! call. Drive it so: call any `handle_*`, then `poll_output` until it is empty, then wait for the next input or for
//! `poll_timeout`. Requests of peers are answered by the return value of the call that brings them.
//!
//! A session is everything we know about one connected member; it begins with the first connection and ends with the
//! last. A connection through another member counts like any other, but never beside a direct one: it is what both sides
//! use to call each other directly at about the same time. Two connections may stand for a while, when both sides dialled at once or when a peer restarted and its old
//! connection is not known to be dead yet: the newer one closes those that are older than a handshake can last.
//!
//! New records take one way, whether they come from a peer, a newcomer or a command: [`Keep`] writes them, and only
//! when they are on disk does the log change, the roster follow, and everybody hear of it. A full disk therefore
//! leaves no half state.
//!
//! Absent: sockets, clocks, randomness, tasks; addresses of strangers; any message to a device that is not a member.

mod admission;
mod agreeing;
mod authoring;
mod calling;
mod conduct;
mod event;
mod exchange;
mod following;
mod hearing;
mod keep;
mod output;
mod pace;
mod reach;
mod relaying;
mod rendezvous;
mod session;
mod signalling;
mod stand_ins;
mod thrift;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

pub use authoring::CommandError;
pub use calling::Renumbered;
pub use event::{Event, PeerLink};
pub use keep::{Keep, KeepError};
pub use output::{ConnectionKey, LinkInfo, Now, Output, SessionId, Via};
pub use relaying::RelayPolicy;
pub use timers::Timer;

use crate::{
    discovery::{AddressBook, DialBudget, DialPlan, Presences, Remembered, Taken},
    identity::{DeviceId, Identity},
    membership::{Log, Roster, Sync},
    record::{Grants, MeshId},
    relay::{Ends, Middle},
    signal::NatKind,
};
use conduct::Conduct;
use pace::Paces;
use reach::Reach;
use relaying::Relaying;
use session::{Link, Session};
use timers::Timers;

/// What a node starts with.
pub struct NodeConfig {
    /// Who we are.
    pub identity: Identity,
    /// The records of the mesh, as the store has them.
    pub log: Log,
    /// Where records go.
    pub keep: Box<dyn Keep + Send>,
    /// Addresses of members from earlier runs.
    pub addresses: BTreeMap<DeviceId, Vec<Remembered>>,
    /// What we grant to whom, where it is not what the invite says.
    pub grants: BTreeMap<DeviceId, Grants>,
    /// Decides jitter.
    pub seed: u64,
}

/// How long a wish to talk to a member that is no neighbour keeps a connection up.
const INTEREST: Duration = Duration::from_secs(600);

/// Addresses come in bursts, and each write waits for the disk.
const ADDRESSES_PAUSE: Duration = Duration::from_secs(1);

/// A connection by TCP gets a stream of datagrams when QUIC has not got through by then; and another after so long.
const STREAM_AFTER: Duration = Duration::from_millis(300);
const STREAM_AGAIN: Duration = Duration::from_secs(5);

/// A member of a mesh.
pub struct Node {
    identity: Identity,
    own: DeviceId,
    mesh: MeshId,
    log: Log,
    keep: Box<dyn Keep + Send>,
    sync: Sync,
    sessions: BTreeMap<DeviceId, Session>,
    next_session: SessionId,
    book: AddressBook,
    plan: DialPlan,
    budget: DialBudget,
    /// What the last call to each member took of it.
    calls: BTreeMap<DeviceId, Taken>,
    /// QUIC has worked with somebody on this network: UDP is not blocked.
    udp_works: bool,
    presences: Presences,
    conduct: Conduct,
    /// Where the daemon says our dataplane may be reached.
    candidates: Vec<SocketAddr>,
    /// What stands between our dataplane and the Internet.
    nat: NatKind,
    /// Whether we forward for others.
    relays: bool,
    relaying: Relaying,
    /// Sessions that we carry for others, and ours through others.
    middle: Middle,
    ends: Ends,
    reach: Reach,
    /// Where our control connections listen.
    listening: BTreeSet<SocketAddr>,
    grants: BTreeMap<DeviceId, Grants>,
    /// Addresses inside the tunnel that the daemon named; those of the members come on top.
    tunnel: BTreeSet<IpAddr>,
    interests: BTreeMap<DeviceId, Instant>,
    /// Whose turn it is to stand in for neighbours that are off.
    stand_in_round: usize,
    paces: BTreeMap<DeviceId, Paces>,
    /// Connected peers that are members no more and are still being told so, and until when.
    farewells: BTreeMap<DeviceId, Instant>,
    /// When new addresses are written down.
    addresses_due: Option<Instant>,
    timers: Timers,
    outputs: VecDeque<Output>,
    /// We have told that we are not a member any more.
    out: bool,
}

impl Node {
    /// A node that knows what the store knows and is connected to nobody.
    pub fn new(config: NodeConfig, now: Now) -> Self {
        let NodeConfig { identity, log, keep, addresses, grants, seed } = config;
        let own = identity.device_id();
        let session_secret = agreeing::session_secret(&identity, &log.mesh(), seed);
        let mut book = AddressBook::default();
        for (device, remembered) in addresses {
            book.restore(device, remembered);
        }
        let mut node = Self {
            own,
            identity,
            mesh: log.mesh(),
            log,
            keep,
            sync: Sync::new(),
            sessions: BTreeMap::new(),
            next_session: SessionId::default(),
            book,
            plan: DialPlan::new(seed),
            budget: DialBudget::new(now.instant),
            calls: BTreeMap::new(),
            udp_works: false,
            presences: Presences::default(),
            conduct: Conduct::default(),
            candidates: Vec::new(),
            nat: NatKind::Unknown,
            relays: false,
            relaying: Relaying::new(now.instant),
            middle: Middle::new(session_secret),
            ends: Ends::default(),
            reach: Reach::default(),
            listening: BTreeSet::new(),
            grants,
            tunnel: BTreeSet::new(),
            interests: BTreeMap::new(),
            stand_in_round: 0,
            paces: BTreeMap::new(),
            farewells: BTreeMap::new(),
            addresses_due: None,
            timers: Timers::new(now.instant),
            outputs: VecDeque::new(),
            out: false,
        };
        node.roster_changed(now);
        node
    }

    /// Who is in the mesh.
    pub fn roster(&self) -> &Arc<Roster> {
        self.log.roster()
    }

    /// A direct connection with a peer stands. `dialled` is where we called it, `address` where its packets come from.
    pub fn handle_connected(&mut self, peer: DeviceId, key: ConnectionKey, link: LinkInfo, now: Now) {
        if !self.roster().is_member(&peer) {
            return;
        }
        let LinkInfo { address, dialled, udp } = link;
        let next = &mut self.next_session;
        let session = self.sessions.entry(peer).or_insert_with(|| {
            next.0 += 1;
            Session::new(*next)
        });
        let (first, direct) = (session.is_over(), !session.links.is_empty());
        let from = udp.then_some(address);
        let mut closing: BTreeSet<_> = session.supersede(from, now.instant).into_iter().collect();
        closing.extend(session.circuits.keys());
        if dialled && std::mem::take(&mut session.called_again) {
            closing.extend(session.links.keys());
        }
        let replaces = !closing.is_empty();
        self.outputs.extend(closing.into_iter().map(Output::Close));
        let callable = dialled || udp;
        let movable = dialled && udp;
        let since = now.instant;
        session.links.insert(key, Link { address, since, dialled, callable, movable, udp });
        if !direct || replaces {
            // A stream ends with the connection that it is on.
            session.stream_at = Some(now.instant + STREAM_AFTER);
        }
        // A TCP peer calls from a port of its own choosing, where nobody answers.
        if callable {
            self.book.succeeded(peer, address, now.wall);
        }
        self.plan.handle_connected(&peer);
        if dialled {
            self.call_answered(&peer, udp);
        }
        self.relaying.answered(&peer);
        if !direct {
            self.outputs.push_back(Output::Event(Event::Connected { peer, address }));
            self.ask_if_never(now);
            self.review_relaying(now);
        }
        if !direct || replaces {
            self.relaying_connected(peer, now);
        }
        if first {
            self.ends.is_back(&peer);
            self.start_exchange(peer, now);
        }
        if dialled {
            // The answer brings the peer's own.
            self.say_hello(peer, now);
        }
    }

    /// The peer's packets come from another address now.
    pub fn handle_moved(&mut self, peer: DeviceId, key: ConnectionKey, address: SocketAddr, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        if let Some(link) = session.links.get_mut(&key) {
            let before = std::mem::replace(&mut link.address, address);
            // Connections that we called at the old address do not follow.
            let stays = |link: &Link| link.address == before && link.dialled && link.udp && address != before;
            let dead = session.links.extract_if(.., |_, link| stays(link));
            self.outputs.extend(dead.map(|(key, _)| Output::Close(key)));
            if !self.inside_tunnel(&address.ip()) {
                self.book.succeeded(peer, address, now.wall);
            }
        }
    }

    /// A connection with a peer ended.
    pub fn handle_disconnected(&mut self, peer: DeviceId, key: ConnectionKey, now: Now) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let direct = session.links.remove(&key).is_some();
        session.circuits.remove(&key);
        if session.links.is_empty() && direct {
            self.plan.handle_disconnected(&peer, now.instant);
            self.set_targets(now);
            self.keep_reservations(now);
            self.relaying_disconnected(peer, now);
        }
        let Some(session) = self.sessions.get(&peer) else { return };
        if session.is_over() {
            self.sessions.remove(&peer);
            if self.farewells.remove(&peer).is_some() {
                // It was let in to hear the news alone, and has hung up.
                self.admit();
            }
            self.sync.forget(&peer);
            self.plan.handle_disconnected(&peer, now.instant);
            self.outputs.push_back(Output::Event(Event::Disconnected { peer }));
            self.keep_reservations(now);
        }
    }

    /// A peer sent something that is no message, or broke a limit.
    pub fn handle_violation(&mut self, peer: DeviceId, why: &str, now: Now) {
        if self.conduct.is_cut_off(&peer) {
            return;
        }
        tracing::info!(peer = %peer.short(), why, "cutting a member off");
        self.conduct.strike(peer, now.instant);
        self.outputs.push_back(Output::CutOff(peer));
        self.outputs.push_back(Output::Event(Event::Misbehaved { peer, why: why.to_owned() }));
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        for peer in self.conduct.handle_timeout(now.instant) {
            self.outputs.push_back(Output::Forgive(peer));
            self.plan.handle_news(&peer, now.instant);
        }
        self.end_farewells(now);
        self.go_on(now);
        self.ask_when_due(now);
        self.keep_reservations(now);
        self.review_sessions(now);
        self.open_streams(now);
        self.close_doubles(now);
        self.call_doubted(now);
        if self.addresses_due.is_some_and(|due| due <= now.instant) {
            self.keep_addresses();
        }
        while let Some(timer) = self.timers.expired(now.instant) {
            match timer {
                Timer::Exchange => self.repair_all(now),
                Timer::Presence => {
                    self.renew_presence(now);
                    let roster = Arc::clone(self.log.roster());
                    self.presences.retain(|device| roster.is_member(device), now.wall);
                }
                Timer::Interest => {
                    self.interests.retain(|_, since| now.instant.duration_since(*since) < INTEREST);
                    self.next_stand_ins(now);
                    self.review_relaying(now);
                    self.let_go(now);
                }
                Timer::Dial
                | Timer::Circuit
                | Timer::Relaying
                | Timer::Forgive
                | Timer::Farewell
                | Timer::Addresses
                | Timer::Pace => {}
            }
        }
    }

    /// When [`Self::handle_timeout`] is due next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let dial = self.plan.poll_timeout().map(|at| (at, Timer::Dial));
        let forgive = self.conduct.poll_timeout().map(|at| (at, Timer::Forgive));
        let farewell = self.farewells.values().min().map(|at| (*at, Timer::Farewell));
        let addresses = self.addresses_due.map(|at| (at, Timer::Addresses));
        let budget = self.budget.ready_at();
        let dial = dial.map(|(at, timer)| (at.max(budget), timer));
        let circuit = self.relaying.next_call().map(|at| (at, Timer::Circuit));
        let streams = self.sessions.iter().filter(|(peer, session)| session.needs_stream(self.own < **peer));
        let streams = streams.filter_map(|(_, session)| session.stream_at);
        let agreements = self.ends.poll_timeout().into_iter().chain(self.middle.poll_timeout());
        let relaying = self
            .relaying
            .next_reservation()
            .into_iter()
            .chain(self.reach.next())
            .chain(agreements)
            .chain(streams)
            .chain(self.doubles_due());
        let relaying = relaying.min().map(|at| (at, Timer::Relaying));
        let pace = self.sessions.values().filter_map(Session::due).min().map(|at| (at, Timer::Pace));
        [dial, circuit, relaying, forgive, farewell, addresses, pace, self.timers.next()]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// What to do next; call it until it returns `None`.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.book.has_changed() && self.addresses_due.is_none() {
            self.addresses_due = Some(now.instant + ADDRESSES_PAUSE);
        }
        self.next_call_through(now).or_else(|| self.next_call(now))
    }
}

#[cfg(test)]
mod tests;

//! Two agents and the networks between them, on virtual time: delay, loss from a seed, NATs, walls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::path::{Agent, Event, PathInfo, ProbeError, ProbeKey, Route, Transmit};

/// The network that everybody reaches, possibly through a NAT.
pub(super) const INTERNET: u8 = 0;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The way from the shared socket to an address.
pub(super) fn route(text: &str) -> Route {
    Route::udp(address(text))
}

pub(super) fn agent(ours_is_smaller: bool, seed: u64, now: Instant) -> Agent {
    let mut agent = Agent::new(ProbeKey([7; 32]), ours_is_smaller, seed, now);
    agent.set_mtu(1420);
    agent.allow_silence(Duration::from_secs(55));
    agent
}

#[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
pub(super) fn epoch() -> Instant {
    Instant::now() + Duration::from_secs(1_000_000)
}

/// RFC 4787's two questions, answered strictly (address and port dependent) or not at all.
#[derive(Clone)]
pub(super) struct Nat {
    public: IpAddr,
    /// Another mapping for each destination.
    symmetric: bool,
    mappings: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    /// What the inside sent to; only that may answer.
    opened: BTreeSet<(u16, SocketAddr)>,
    next_port: u16,
    /// After so long a silence nobody may answer any more,
    pub(super) lifetime: Option<Duration>,
    /// and whoever sends gets another port.
    pub(super) moves: bool,
    used_at: Option<Instant>,
}

impl Nat {
    pub(super) fn new(public: &str, symmetric: bool) -> Self {
        let next_port = 40_000;
        let public = public.parse().unwrap();
        Self {
            public,
            symmetric,
            mappings: BTreeMap::new(),
            opened: BTreeSet::new(),
            next_port,
            lifetime: None,
            moves: false,
            used_at: None,
        }
    }

    pub(super) fn out(&mut self, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        let key = (inside, self.symmetric.then_some(to));
        let next_port = &mut self.next_port;
        let port = *self.mappings.entry(key).or_insert_with(|| {
            *next_port += 1;
            *next_port
        });
        self.opened.insert((port, to));
        SocketAddr::new(self.public, port)
    }

    fn back(&self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let open = to.ip() == self.public && self.opened.contains(&(to.port(), from));
        let inside =
            self.mappings.iter().find(|(_, port)| **port == to.port()).map(|((inside, _), _)| *inside);
        inside.filter(|_| open)
    }

    /// Something is about to pass, or try to.
    fn notice(&mut self, now: Instant) {
        let silence = self.used_at.map(|at| now - at);
        if self.lifetime.is_some_and(|lifetime| silence.is_some_and(|silence| silence >= lifetime)) {
            self.opened.clear();
            if self.moves {
                self.reboot();
            }
        }
    }

    /// The router forgets everything, and gives other ports from now on.
    pub(super) fn reboot(&mut self) {
        self.mappings.clear();
        self.opened.clear();
        self.next_port += 1000;
    }
}

/// One device: its agent, interfaces (address and network) and, towards the Internet, perhaps a NAT.
pub(super) struct End {
    pub(super) agent: Agent,
    pub(super) interfaces: Vec<(SocketAddr, u8)>,
    pub(super) nat: Option<Nat>,
    pub(super) events: Vec<(Instant, Event)>,
    /// When and where it sent.
    pub(super) sent: Vec<(Instant, SocketAddr)>,
    pub(super) errors: Vec<ProbeError>,
    /// Data packets that arrived.
    pub(super) data: u32,
}

impl End {
    pub(super) fn new(agent: Agent, interfaces: &[(&str, u8)], nat: Option<Nat>) -> Self {
        let interfaces = interfaces.iter().map(|(text, network)| (address(text), *network)).collect();
        Self { agent, interfaces, nat, events: Vec::new(), sent: Vec::new(), errors: Vec::new(), data: 0 }
    }

    pub(super) fn paths(&self) -> Vec<Option<PathInfo>> {
        let changed = |(_, event): &(Instant, Event)| match event {
            Event::Changed(path) => Some(*path),
            Event::Silent | Event::Observed(_) => None,
        };
        self.events.iter().filter_map(changed).collect()
    }

    fn source(&mut self, to: SocketAddr, network: u8, now: Instant) -> Option<SocketAddr> {
        let inside = self.interfaces.iter().find(|(_, n)| *n == network).map(|(address, _)| *address);
        match (inside, &mut self.nat) {
            (Some(inside), _) => Some(inside),
            (None, Some(nat)) if network == INTERNET => {
                nat.notice(now);
                nat.used_at = Some(now);
                Some(nat.out(self.interfaces.first()?.0, to))
            }
            (None, Some(_) | None) => None,
        }
    }
}

#[derive(Clone)]
enum Payload {
    Probe(Transmit),
    /// Stands for an authenticated WireGuard packet.
    Data,
}

pub(super) struct Pipe {
    pub(super) now: Instant,
    pub(super) ends: [End; 2],
    /// One-way delay by destination; 20 ms elsewhere, 1 ms within a network of its own.
    pub(super) delays: BTreeMap<SocketAddr, Duration>,
    /// In percent, each way.
    pub(super) loss: u64,
    /// Destinations that nothing reaches.
    pub(super) walls: BTreeSet<SocketAddr>,
    /// Longer datagrams to a destination are lost.
    pub(super) limits: BTreeMap<SocketAddr, usize>,
    random: u64,
    flights: BTreeMap<(Instant, u64), (usize, SocketAddr, SocketAddr, Payload)>,
    count: u64,
}

impl Pipe {
    pub(super) fn new(a: impl FnOnce(Instant) -> End, b: impl FnOnce(Instant) -> End) -> Self {
        let now = epoch();
        Self {
            now,
            ends: [a(now), b(now)],
            delays: BTreeMap::new(),
            loss: 0,
            walls: BTreeSet::new(),
            limits: BTreeMap::new(),
            random: 1,
            flights: BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn with<R>(&mut self, end: usize, act: impl FnOnce(&mut Agent, Instant) -> R) -> R {
        let now = self.now;
        let result = act(&mut self.ends[end].agent, now);
        self.collect(end);
        result
    }

    /// Both learn each other's candidates, as signalling would tell them.
    pub(super) fn introduce(&mut self, of_a: &[SocketAddr], of_b: &[SocketAddr]) {
        self.with(0, |agent, now| agent.set_candidates(of_b, now));
        self.with(1, |agent, now| agent.set_candidates(of_a, now));
    }

    /// A data packet from one end over the pair it thinks best.
    pub(super) fn send_data(&mut self, end: usize) {
        let now = self.now;
        self.ends[end].agent.want(now);
        if let Some(to) = self.ends[end].agent.best().and_then(Route::address) {
            self.launch(end, to, Payload::Data);
        }
        self.collect(end);
    }

    /// Data packets both ways each 100 ms.
    pub(super) fn talk(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.send_data(0);
            self.send_data(1);
            self.run(ms(100));
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let timeouts = self.ends.iter().filter_map(|end| end.agent.poll_timeout());
            let flight = self.flights.keys().next().map(|(at, _)| *at);
            let Some(next) = timeouts.chain(flight).min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (end, from, to, payload) = entry.remove();
                self.land(end, from, to, payload);
            }
            for end in 0..2 {
                if self.ends[end].agent.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.with(end, |agent, now| agent.handle_timeout(now));
                    let next = self.ends[end].agent.poll_timeout();
                    assert!(next.is_none_or(|next| next > self.now), "the agent spins");
                }
            }
        }
        self.now = until;
    }

    /// The clock jumps; nothing happened meanwhile and what was in flight is gone.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
        self.flights.clear();
    }

    fn collect(&mut self, end: usize) {
        while let Some(event) = self.ends[end].agent.poll_event() {
            self.ends[end].events.push((self.now, event));
        }
        while let Some(transmit) = self.ends[end].agent.poll_transmit() {
            let Some(to) = transmit.route.address() else { continue };
            self.ends[end].sent.push((self.now, to));
            self.launch(end, to, Payload::Probe(transmit));
        }
    }

    fn launch(&mut self, end: usize, to: SocketAddr, payload: Payload) {
        let there = &self.ends[1 - end];
        let network =
            there.interfaces.iter().find(|(at, _)| *at == to).map_or(INTERNET, |(_, network)| *network);
        let Some(from) = self.ends[end].source(to, network, self.now) else { return };
        // xorshift64*: the same losses in each run.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if self.random % 100 < self.loss || self.walls.contains(&to) {
            return;
        }
        let length = if let Payload::Probe(probe) = &payload { probe.datagram.len() } else { 0 };
        if self.limits.get(&to).is_some_and(|limit| length > *limit) {
            return;
        }
        let usual = if network == INTERNET { ms(20) } else { ms(1) };
        let delay = self.delays.get(&to).copied().unwrap_or(usual);
        self.count += 1;
        self.flights.insert((self.now + delay, self.count), (1 - end, from, to, payload));
    }

    fn land(&mut self, end: usize, from: SocketAddr, to: SocketAddr, payload: Payload) {
        let now = self.now;
        let there = &mut self.ends[end];
        let passes = |nat: &mut Nat| {
            nat.notice(now);
            let passes = nat.back(from, to).is_some();
            nat.used_at = if passes { Some(now) } else { nat.used_at };
            passes
        };
        let arrives =
            there.interfaces.iter().any(|(at, _)| *at == to) || there.nat.as_mut().is_some_and(passes);
        if !arrives {
            return;
        }
        match payload {
            Payload::Probe(probe) => {
                if let Err(error) =
                    self.with(end, |agent, now| agent.handle_probe(Route::udp(from), &probe.datagram, now))
                {
                    self.ends[end].errors.push(error);
                }
                self.collect(end);
            }
            Payload::Data => {
                self.ends[end].data += 1;
                self.with(end, |agent, now| agent.handle_authenticated_packet(Route::udp(from), now));
            }
        }
    }
}

//! Devices: real engines on simulated hosts, under a control plane that works wherever the network does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use warren_dataplane::engine::{Command, Config, Engine, Event, HEAD_ROOM, PeerConfig, SocketRequest, Via};
use warren_dataplane::filter::Rules;
use warren_dataplane::packet::{IpPacket, Protocol};
use warren_dataplane::path::PathInfo;
use warren_dataplane::wg::{PrivateKey, PublicKey};

use crate::carriage::Carriage;
use crate::network::{HostId, Network, PORT};
use crate::{Random, epoch, ms};

/// How long signalling takes from one device to another.
const SIGNALLING: Duration = ms(80);
/// MTU of the mesh.
const MTU: u16 = 1280;

/// A device of the mesh.
pub struct Device {
    /// Its machine.
    pub host: HostId,
    /// Its packets.
    pub engine: Engine,
    /// Address inside the mesh.
    pub ipv4: Ipv4Addr,
    /// Address inside the mesh.
    pub ipv6: Ipv6Addr,
    /// What the engine told, and when.
    pub events: Vec<(Instant, Event)>,
    /// IP packets that reached the kernel and were no echo requests.
    pub received: Vec<Vec<u8>>,
    /// Datagrams it sent that were probes.
    pub probes: u64,
    /// The ports of its extra sockets, by their numbers.
    pub sockets: BTreeMap<u16, u16>,
    key: PublicKey,
}

impl Device {
    /// Its WireGuard key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The verified path to a peer.
    #[must_use]
    pub fn path(&self, peer: PublicKey) -> Option<PathInfo> {
        self.engine
            .snapshot()
            .peers
            .iter()
            .find(|snapshot| snapshot.key == peer)
            .and_then(|snapshot| snapshot.path)
    }

    /// Every change of the path to a peer, in order.
    #[must_use]
    pub fn path_changes(&self, peer: PublicKey) -> Vec<Option<PathInfo>> {
        let change = |(_, event): &(Instant, Event)| match event {
            Event::PathChanged { peer: whose, path } if *whose == peer => Some(*path),
            Event::PathChanged { .. }
            | Event::PathSilent { .. }
            | Event::WantCandidates { .. }
            | Event::Observed { .. }
            | Event::Pong { .. }
            | Event::PingTimedOut { .. } => None,
        };
        self.events.iter().filter_map(change).collect()
    }
}

/// Devices, all of which know each other's keys and addresses inside the mesh.
pub struct Mesh {
    /// What lies between them.
    pub network: Network,
    /// The time.
    pub now: Instant,
    /// The devices.
    pub devices: Vec<Device>,
    /// Whether devices can signal at all.
    pub signalling: bool,
    /// Relays and streams.
    pub carriage: Carriage,
    signals: VecDeque<(Instant, usize, usize)>,
    /// Pairs for which a signal is under way.
    signalled: BTreeSet<(usize, usize)>,
    next_token: u64,
}

impl Mesh {
    /// A device on each host; everything is allowed.
    #[must_use]
    pub fn new(network: Network, hosts: &[HostId], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = epoch();
        let devices: Vec<Device> =
            hosts.iter().enumerate().map(|(n, host)| device(n, *host, &mut random, now)).collect();
        let mut mesh = Self {
            network,
            now,
            devices,
            signalling: true,
            carriage: Carriage::default(),
            signals: VecDeque::new(),
            signalled: BTreeSet::new(),
            next_token: 0,
        };
        let configs: Vec<PeerConfig> = mesh.devices.iter().map(config).collect();
        for (n, device) in mesh.devices.iter_mut().enumerate() {
            let nat = mesh.network.nat(device.host);
            device.engine.handle_command(Command::SetNat(nat), now).expect("a kind of NAT");
            for (_, config) in configs.iter().enumerate().filter(|(other, _)| *other != n) {
                let set = device.engine.handle_command(Command::SetPeer(config.clone()), now);
                set.expect("a peer that is fit for use");
            }
        }
        mesh
    }

    /// Sends a command to a device's engine.
    pub fn command(&mut self, device: usize, command: Command) {
        let done = self.devices[device].engine.handle_command(command, self.now);
        done.expect("a command that can be obeyed");
        self.collect(device);
    }

    /// What one device may do to another from now on.
    pub fn set_rules(&mut self, device: usize, peer: usize, rules: Rules) {
        let peer = self.devices[peer].key;
        self.command(device, Command::SetRules { peer, rules });
    }

    /// Two devices tell each other their candidates, unless a partition is between them.
    pub fn signal(&mut self, a: usize, b: usize) {
        let united = self.network.is_united(self.devices[a].host, self.devices[b].host);
        if united && self.signalling && self.signalled.insert((a.min(b), a.max(b))) {
            self.signals.push_back((self.now + SIGNALLING, a, b));
        }
    }

    /// A device's machine noticed a change of its network, and tells everybody its new candidates.
    pub fn network_changed(&mut self, device: usize) {
        self.command(device, Command::NetworkChanged);
        let nat = self.network.nat(self.devices[device].host);
        self.command(device, Command::SetNat(nat));
        for other in (0..self.devices.len()).filter(|other| *other != device) {
            if self.devices[other].path(self.devices[device].key).is_some() {
                self.signal(device, other);
            }
        }
    }

    /// Begins a ping; returns its token.
    pub fn start_ping(&mut self, from: usize, to: usize) -> u64 {
        self.next_token += 1;
        let (peer, token) = (self.devices[to].key, self.next_token);
        self.command(from, Command::Ping { peer, token });
        token
    }

    /// Pings once and waits for the answer: the time it took, path search and handshake included.
    pub fn ping(&mut self, from: usize, to: usize) -> Option<Duration> {
        let token = self.start_ping(from, to);
        let until = self.now + ms(5100);
        while self.now < until {
            self.run(ms(5));
            let answer = self.devices[from].events.iter().rev().find_map(|(_, event)| match event {
                Event::Pong { token: answered, rtt, .. } if *answered == token => Some(Some(*rtt)),
                Event::PingTimedOut { token: given_up, .. } if *given_up == token => Some(None),
                Event::Pong { .. }
                | Event::PingTimedOut { .. }
                | Event::PathChanged { .. }
                | Event::PathSilent { .. }
                | Event::WantCandidates { .. }
                | Event::Observed { .. } => None,
            });
            if let Some(answer) = answer {
                return answer;
            }
        }
        None
    }

    /// Pings until an answer comes, for at most `time`; returns how long that took.
    pub fn ping_until_answered(&mut self, from: usize, to: usize, time: Duration) -> Option<Duration> {
        let start = self.now;
        while self.now < start + time {
            let token = self.start_ping(from, to);
            self.run(ms(100));
            let answered = |(_, event): &(Instant, Event)| match event {
                Event::Pong { token: answered, .. } => *answered >= token.saturating_sub(10),
                Event::PathChanged { .. }
                | Event::PathSilent { .. }
                | Event::WantCandidates { .. }
                | Event::Observed { .. }
                | Event::PingTimedOut { .. } => false,
            };
            if self.devices[from].events.iter().rev().take_while(|(at, _)| *at >= start).any(answered) {
                return Some(self.now - start);
            }
        }
        None
    }

    /// A UDP packet from one device's kernel to another's.
    pub fn send_udp(&mut self, from: usize, to: usize, ports: (u16, u16)) {
        let packet = udp(self.devices[from].ipv4, self.devices[to].ipv4, ports);
        self.devices[from].engine.handle_tun([packet.as_slice()], self.now);
        self.collect(from);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let timers =
                self.devices.iter().filter_map(|device| device.engine.poll_timeout()).map(|(at, _)| at);
            let arrival = self.network.next_arrival();
            let signal = self.signals.front().map(|(at, ..)| *at);
            let stream = self.carriage.next_arrival();
            let next = timers.chain(arrival).chain(stream).chain(signal).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            self.step();
        }
        self.now = until;
    }

    fn step(&mut self) {
        while let Some(arrival) = self.network.receive(self.now) {
            if let Some(n) = self.devices.iter().position(|device| device.host == arrival.host) {
                let device = &mut self.devices[n];
                let socket =
                    device.sockets.iter().find(|(_, port)| **port == arrival.port).map_or(0, |(n, _)| *n);
                let from = Via::Socket { socket, address: arrival.from };
                device.engine.handle_datagram(from, &arrival.datagram, self.now);
                self.collect(n);
            }
        }
        self.receive_from_streams();
        while let Some((_, a, b)) = self.signals.front().copied().filter(|(at, ..)| *at <= self.now) {
            self.signals.pop_front();
            self.signalled.remove(&(a.min(b), a.max(b)));
            for (from, to) in [(a, b), (b, a)] {
                let host = self.devices[from].host;
                let mut candidates: Vec<SocketAddr> = self.network.interfaces(host);
                candidates.extend(self.network.observe(host, self.now));
                let peer = self.devices[from].key;
                let nat = self.network.nat(host);
                self.command(to, Command::SetCandidates { peer, candidates, nat });
            }
            self.agree_on_relays(a, b);
        }
        for n in 0..self.devices.len() {
            if self.devices[n].engine.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                self.devices[n].engine.handle_timeout(self.now);
                self.collect(n);
                let next = self.devices[n].engine.poll_timeout();
                assert!(next.is_none_or(|(at, _)| at > self.now), "device {n} spins: {next:?}");
            }
        }
    }

    /// Carries out whatever an engine made: that is all a shell does.
    pub(crate) fn collect(&mut self, n: usize) {
        loop {
            let device = &mut self.devices[n];
            if let Some(transmit) = device.engine.poll_transmit() {
                let mut in_streams = Vec::new();
                for datagram in transmit.segments() {
                    device.probes += u64::from(datagram.first() == Some(&5));
                    match transmit.destination {
                        Via::Socket { socket, address } => {
                            let port =
                                if socket == 0 { Some(PORT) } else { device.sockets.get(&socket).copied() };
                            let port = port.expect("a socket that is open");
                            self.network.send_from(device.host, port, address, datagram, self.now);
                        }
                        Via::Stream { id } => in_streams.push((id, datagram.to_vec())),
                    }
                }
                device.engine.recycle(transmit.contents);
                in_streams.iter().for_each(|(id, datagram)| self.send_in_stream(n, *id, datagram));
            } else if let Some(request) = device.engine.poll_socket() {
                match request {
                    SocketRequest::Open(numbers) => {
                        for number in &numbers {
                            device.sockets.insert(*number, self.network.open_port(device.host));
                        }
                        device.engine.handle_sockets(&numbers, self.now);
                    }
                    SocketRequest::Close(numbers) => {
                        for port in numbers.iter().filter_map(|number| device.sockets.remove(number)) {
                            self.network.close_port(device.host, port);
                        }
                    }
                }
            } else if let Some(buffer) = device.engine.poll_tun() {
                match echo_reply(&buffer[HEAD_ROOM..]) {
                    Some(reply) => device.engine.handle_tun([reply.as_slice()], self.now),
                    None => device.received.push(buffer[HEAD_ROOM..].to_vec()),
                }
                device.engine.recycle(buffer);
            } else if let Some(event) = device.engine.poll_event() {
                device.events.push((self.now, event.clone()));
                if let Event::WantCandidates { peer } = event
                    && let Some(other) = self.devices.iter().position(|device| device.key == peer)
                {
                    self.signal(n, other);
                }
            } else {
                return;
            }
        }
    }

    /// Bytes that each device's host has sent.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<HostId, u64> {
        self.network.traffic.clone()
    }
}

fn device(n: usize, host: HostId, random: &mut Random, now: Instant) -> Device {
    let private_key = PrivateKey::from_bytes(random.bytes());
    let (ipv4, ipv6) = (
        Ipv4Addr::new(100, 64, (n >> 8) as u8, n as u8 + 1),
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n as u16 + 1),
    );
    let key = private_key.public();
    let engine = Engine::new(Config { private_key, ipv4, ipv6, mtu: MTU, seed: random.number() }, now);
    Device {
        host,
        engine,
        ipv4,
        ipv6,
        events: Vec::new(),
        received: Vec::new(),
        probes: 0,
        sockets: BTreeMap::new(),
        key,
    }
}

fn config(device: &Device) -> PeerConfig {
    let allowed_ips: Vec<(IpAddr, u8)> = vec![(device.ipv4.into(), 32), (device.ipv6.into(), 128)];
    PeerConfig { key: device.key, allowed_ips, preshared_key: None, rules: Rules::all() }
}

/// What a kernel answers to an IPv4 echo request.
fn echo_reply(bytes: &[u8]) -> Option<Vec<u8>> {
    let packet = IpPacket::parse(bytes).ok()?;
    let is_request = packet.protocol() == Protocol::ICMP && packet.payload().first() == Some(&8);
    is_request.then(|| {
        let mut reply = packet.bytes().to_vec();
        reply[12..20].rotate_left(4);
        let message = &mut reply[packet.header_length()..];
        message[0] = 0;
        // RFC 1624: the checksum of a message that lost 0x0800.
        let checksum = u16::from_be_bytes([message[2], message[3]]);
        let (sum, carry) = checksum.overflowing_add(0x0800);
        message[2..4].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
        reply
    })
}

fn udp(from: Ipv4Addr, to: Ipv4Addr, (from_port, to_port): (u16, u16)) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(from_port.to_be_bytes());
    packet.extend(to_port.to_be_bytes());
    packet.extend([0, 12, 0, 0, b'd', b'a', b't', b'a']);
    packet
}

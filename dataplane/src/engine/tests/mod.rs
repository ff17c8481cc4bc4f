//! Engines facing each other over a wire in memory, on virtual time.

mod forwarded;
mod hostile;
mod narrow;
mod ordinary;
mod relayed;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::*;
use crate::filter::Rules;
use crate::packet::Protocol;
use crate::packet::icmp::{EchoReply, echo_request};
use crate::path::Nat;
use crate::wg::{Kind, PrivateKey};

pub(super) const MTU: u16 = 1420;

/// One device: an engine, its outside address, and what came out of it.
pub(super) struct Host {
    pub(super) number: u8,
    pub(super) engine: Engine,
    pub(super) address: SocketAddr,
    /// Packets for its TUN device, without head room.
    pub(super) received: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// Runs as they left, before they were taken apart.
    pub(super) runs: Vec<Transmit>,
}

/// What is on its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) hosts: Vec<Host>,
    wire: VecDeque<Datagram>,
    /// Streams: their number and the two hosts.
    pub(super) streams: Vec<(u64, [u8; 2])>,
    /// What is on its way in one: the stream, the receiver, the datagram.
    flowing: VecDeque<(u64, u8, Vec<u8>)>,
    /// Everything that was ever on the wire.
    pub(super) record: Vec<Datagram>,
    /// What the wire loses.
    pub(super) loses: fn(&Datagram) -> bool,
}

pub(super) fn private(number: u8) -> PrivateKey {
    PrivateKey::from_bytes([number; 32])
}

pub(super) fn key(number: u8) -> PublicKey {
    private(number).public()
}

pub(super) fn v4(number: u8) -> IpAddr {
    Ipv4Addr::new(100, 64, 0, number).into()
}

pub(super) fn v6(number: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number)).into()
}

pub(super) fn outside(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 41820))
}

pub(super) fn config(number: u8, seed: u64) -> Config {
    let (IpAddr::V4(ipv4), IpAddr::V6(ipv6)) = (v4(number), v6(number)) else { unreachable!() };
    Config { private_key: private(number), ipv4, ipv6, mtu: MTU, seed }
}

pub(super) fn peer(number: u8) -> PeerConfig {
    PeerConfig {
        key: key(number),
        allowed_ips: vec![(v4(number), 32), (v6(number), 128)],
        preshared_key: None,
        rules: Rules::all(),
    }
}

/// An echo request from one inner address to another: a packet that needs no explanation.
pub(super) fn packet(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let headers = if from.is_ipv4() { 28 } else { 48 };
    assert!(echo_request(from, to, 1, 1, &vec![7; length - headers], &mut bytes));
    bytes
}

impl World {
    /// `count` hosts numbered from 1 that know each other and where they are.
    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    pub(super) fn new(count: u8) -> Self {
        let mut world = Self {
            now: Instant::now(),
            hosts: Vec::new(),
            wire: VecDeque::new(),
            streams: Vec::new(),
            flowing: VecDeque::new(),
            record: Vec::new(),
            loses: |_| false,
        };
        for number in 1..=count {
            let engine = Engine::new(config(number, u64::from(number) * 0x0101_0101), world.now);
            world.hosts.push(Host {
                number,
                engine,
                address: outside(number),
                received: Vec::new(),
                events: Vec::new(),
                runs: Vec::new(),
            });
        }
        for number in 1..=count {
            (1..=count).filter(|other| *other != number).for_each(|other| world.introduce(number, other));
        }
        world
    }

    pub(super) fn introduce(&mut self, number: u8, other: u8) {
        self.command(number, Command::SetPeer(peer(other))).unwrap();
        let candidates = vec![outside(other)];
        self.command(number, Command::SetCandidates { peer: key(other), candidates, nat: Nat::Unknown })
            .unwrap();
    }

    pub(super) fn host(&mut self, number: u8) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.number == number).unwrap()
    }

    pub(super) fn command(&mut self, number: u8, command: Command) -> Result<(), CommandError> {
        let now = self.now;
        self.host(number).engine.handle_command(command, now)
    }

    /// Let a host send packets in one batch.
    pub(super) fn send(&mut self, number: u8, packets: &[Vec<u8>]) {
        let now = self.now;
        self.host(number).engine.handle_tun(packets.iter().map(Vec::as_slice), now);
    }

    /// Put something on the wire by hand.
    pub(super) fn inject(&mut self, datagram: Datagram) {
        self.wire.push_back(datagram);
    }

    /// Let time pass; a datagram takes a millisecond.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.collect();
            if !self.wire.is_empty() || !self.flowing.is_empty() {
                self.now += Duration::from_millis(1);
                self.deliver();
                continue;
            }
            let next = self.hosts.iter().filter_map(|host| Some(host.engine.poll_timeout()?.0)).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(next);
            for host in &mut self.hosts {
                host.engine.handle_timeout(self.now);
            }
        }
    }

    fn collect(&mut self) {
        for host in &mut self.hosts {
            while let Some(run) = host.engine.poll_transmit() {
                for bytes in run.segments() {
                    let Some(to) = run.destination.address() else {
                        let ours = |(id, ends): &&(u64, [u8; 2])| {
                            run.destination == Via::Stream { id: *id } && ends.contains(&host.number)
                        };
                        if let Some((id, [a, b])) = self.streams.iter().find(ours) {
                            let to = if *a == host.number { *b } else { *a };
                            self.flowing.push_back((*id, to, bytes.to_vec()));
                        }
                        continue;
                    };
                    let datagram = Datagram { from: host.address, to, bytes: bytes.to_vec() };
                    self.record.push(datagram.clone());
                    if !(self.loses)(&datagram) {
                        self.wire.push_back(datagram);
                    }
                }
                host.runs.push(run.clone());
                host.engine.recycle(run.contents);
            }
            while let Some(packet) = host.engine.poll_tun() {
                host.received.push(packet[HEAD_ROOM..].to_vec());
                host.engine.recycle(packet);
            }
            while let Some(event) = host.engine.poll_event() {
                host.events.push(event);
            }
        }
    }

    fn deliver(&mut self) {
        for (id, to, bytes) in std::mem::take(&mut self.flowing) {
            if let Some(host) = self.hosts.iter_mut().find(|host| host.number == to) {
                host.engine.handle_datagram(Via::Stream { id }, &bytes, self.now);
            }
        }
        for datagram in std::mem::take(&mut self.wire) {
            if let Some(host) = self.hosts.iter_mut().find(|host| host.address == datagram.to) {
                host.engine.handle_datagram(datagram.from, &datagram.bytes, self.now);
            }
        }
    }

    pub(super) fn drops(&mut self, number: u8, reason: Drop) -> u64 {
        self.host(number).engine.snapshot().drops.get(reason)
    }

    /// What a host's kernel would see, and forget it.
    pub(super) fn received(&mut self, number: u8) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.host(number).received)
    }

    /// Let 1 and 2 exchange a packet, so that path and session stand.
    pub(super) fn connect(&mut self) {
        self.send(1, &[packet(v4(1), v4(2), 100)]);
        self.run(Duration::from_secs(3));
        assert_eq!(self.received(2).len(), 1);
    }
}

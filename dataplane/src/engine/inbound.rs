//! From the sockets: datagram → peer → opened packet → source check → filter → TUN device.

use std::net::IpAddr;
use std::time::Instant;

use super::drops::Drop;
use super::timers::Timer;
use super::{COUNT_PERIOD, Engine, HEAD_ROOM};
use crate::filter::Verdict;
use crate::packet::icmp::EchoReply;
use crate::packet::{IpPacket, mss};
use crate::path::{self, Route};
use crate::wg::{Kind, OpenError, Opened, PeerId, Screened, WORKSPACE, receiver_index};

use super::event::Event;
use super::via::Via;

/// What an opened packet is for.
enum Judged {
    /// The TUN device. `opens`: it begins a TCP connection, or answers the beginning.
    Passes { opens: bool },
    /// Ourselves: it answered one of our pings.
    Answered,
}

impl Engine {
    /// Datagrams from one sender, each `stride` bytes long, the last one perhaps shorter: what one receive call
    /// with UDP GRO returns. QUIC must have been taken out. Drain the `poll_*` methods afterwards.
    pub fn handle_datagrams(&mut self, from: impl Into<Via>, contents: &[u8], stride: usize, now: Instant) {
        let from = from.into();
        let is_inside =
            |address: IpAddr| self.is_ours(address) || self.allowed_ips.is_tunnel_address(address);
        if from.address().is_some_and(|address| is_inside(address.ip())) {
            let datagrams = contents.len().div_ceil(stride.max(1));
            return self.out.drops.add(Drop::ThroughTunnel, datagrams);
        }
        if let Via::Stream { id } = from
            && !self.detours.has_stream(id)
        {
            return self.out.drops.add(Drop::StreamUnknown, contents.len().div_ceil(stride.max(1)));
        }
        let mut rest = contents;
        while !rest.is_empty() {
            let (datagram, others) = rest.split_at(stride.clamp(1, rest.len()));
            if Kind::of(datagram) == Kind::Relayed {
                let taken = self.handle_frames(from, rest, stride, now);
                rest = rest.get(taken..).unwrap_or_default();
                continue;
            }
            rest = others;
            if let Err(reason) = self.receive(from.route(), datagram, now) {
                self.out.drops.count(reason);
            }
        }
        self.pump_touched(now);
    }

    /// A single datagram. Drain the `poll_*` methods afterwards.
    pub fn handle_datagram(&mut self, from: impl Into<Via>, datagram: &[u8], now: Instant) {
        self.handle_datagrams(from, datagram, datagram.len(), now);
    }

    pub(super) fn receive(&mut self, from: Route, datagram: &[u8], now: Instant) -> Result<(), Drop> {
        match Kind::of(datagram) {
            Kind::Initiation => {
                let id = self.initiator(from, datagram, now)?;
                self.open(id, from, datagram, now)
            }
            Kind::Session => {
                let id = receiver_index(datagram).and_then(|index| self.peers.by_receiver_index(index));
                match id {
                    Some(id) => self.open(id, from, datagram, now),
                    None => {
                        self.revive(from);
                        Err(Drop::NoSession)
                    }
                }
            }
            Kind::Probe => self.probe(from, datagram, now),
            Kind::Quic => Err(Drop::Quic),
            Kind::Relayed => Err(Drop::Relayed),
            Kind::Unknown => Err(Drop::Unknown),
        }
    }

    /// Who sent this initiation, if it may be answered at all.
    fn initiator(&mut self, from: Route, datagram: &[u8], now: Instant) -> Result<PeerId, Drop> {
        if !self.timers.is_set(Timer::Handshakes, None) {
            self.timers.set(Timer::Handshakes, None, Some(now + COUNT_PERIOD));
        }
        let mut cookie = Vec::new();
        match self.device.screen(from.stand_in(), datagram, &mut cookie) {
            Screened::From(key) if key == self.public_key => Err(Drop::HandshakeOwnKey),
            Screened::From(key) => self.peers.by_key(&key).ok_or(Drop::HandshakeUnknownKey),
            Screened::Challenged => {
                if let Some(way) = self.way_back(from) {
                    self.out.transmits.push_back(way.single(cookie));
                }
                Err(Drop::HandshakeChallenged)
            }
            Screened::Refused => Err(Drop::HandshakeRefused),
        }
    }

    fn open(&mut self, id: PeerId, from: Route, datagram: &[u8], now: Instant) -> Result<(), Drop> {
        if !self.detours.leads_to(from, id) {
            return Err(Drop::ForeignDetour);
        }
        let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) else {
            return Err(Drop::NoSession);
        };
        let handshake = Kind::of(datagram) == Kind::Initiation;
        if !self.guessing.accepts(from, id) {
            return Err(Drop::ForeignSocket);
        }
        remote.catch_up(&mut self.out, now);
        let mut buffer = self.out.packets.take();
        buffer.resize(HEAD_ROOM + datagram.len().max(WORKSPACE), 0);
        let plain = buffer.get_mut(HEAD_ROOM..).unwrap_or_default();
        let opened = remote.peer.tunnel.open(from.stand_in(), datagram, plain, &mut self.out.answers, now);
        // Answers of a handshake go where the message came from, whatever path will be chosen.
        remote.send_answers_to(from, &mut self.out);
        match opened {
            Ok(Opened::Packet(_) | Opened::Keepalive | Opened::Handshake) => remote.hear(from, now),
            Ok(Opened::Cookie | Opened::Challenged) | Err(_) => {}
        }
        if opened == Err(OpenError::NoSession) && !remote.peer.tunnel.is_ready() {
            self.revive(from);
        }
        self.touch(id);
        let outcome = match opened {
            Ok(Opened::Packet(length)) => {
                buffer.truncate(HEAD_ROOM + length);
                return self.deliver(id, buffer, now);
            }
            Ok(Opened::Challenged) => Err(Drop::HandshakeChallenged),
            Ok(Opened::Keepalive | Opened::Handshake | Opened::Cookie) => Ok(()),
            Err(OpenError::NoSession) => Err(Drop::NoSession),
            Err(OpenError::Replayed) => Err(Drop::Replayed),
            Err(OpenError::Forged) if handshake => Err(Drop::HandshakeRefused),
            Err(OpenError::Forged) => Err(Drop::Forged),
            Err(OpenError::Unexpected) => Err(Drop::HandshakeUnexpected),
            Err(OpenError::NotIp) => Err(Drop::InboundMalformed),
            Err(OpenError::Exhausted) => Err(Drop::Exhausted),
        };
        self.out.packets.give(buffer);
        outcome
    }

    /// Judge an opened packet; `buffer` holds it behind the head room.
    fn deliver(&mut self, id: PeerId, mut buffer: Vec<u8>, now: Instant) -> Result<(), Drop> {
        match self.judge(id, buffer.get(HEAD_ROOM..).unwrap_or_default(), now) {
            Ok(Judged::Passes { opens }) => {
                if opens && let Some(Some(remote)) = self.remotes.get(id.slot()) {
                    // What we may send on this connection must fit as well.
                    let mtu = remote.inner_mtu(usize::from(self.config.mtu));
                    mss::clamp(buffer.get_mut(HEAD_ROOM..).unwrap_or_default(), mtu);
                }
                self.out.tun.push_back(buffer);
                Ok(())
            }
            Ok(Judged::Answered) => {
                self.out.packets.give(buffer);
                Ok(())
            }
            Err(reason) => {
                self.out.packets.give(buffer);
                Err(reason)
            }
        }
    }

    /// Whether a packet goes to the TUN device.
    fn judge(&mut self, id: PeerId, bytes: &[u8], now: Instant) -> Result<Judged, Drop> {
        let packet = IpPacket::parse(bytes).map_err(|_| Drop::InboundMalformed)?;
        if self.allowed_ips.find(packet.source()) != Some(id) {
            return Err(Drop::InboundForeignSource);
        }
        if !self.is_ours(packet.destination()) {
            return Err(Drop::InboundNotForUs);
        }
        let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) else {
            return Err(Drop::NoSession);
        };
        remote.peer.rx_bytes += packet.bytes().len() as u64;
        if let Some(pong) = EchoReply::parse(&packet).and_then(|reply| self.pings.finish(id, &reply, now)) {
            self.timers.set(Timer::Ping, None, self.pings.poll_timeout());
            self.out.event(Event::Pong { peer: pong.key, token: pong.token, rtt: pong.rtt });
            return Ok(Judged::Answered);
        }
        match self.filter.inbound(&packet, id, &remote.rules, now) {
            Verdict::Pass => Ok(Judged::Passes { opens: mss::opens(&packet) }),
            Verdict::Drop(_) => Err(Drop::InboundFiltered),
        }
    }

    fn probe(&mut self, from: Route, datagram: &[u8], now: Instant) -> Result<(), Drop> {
        let id = path::probe::peek(datagram).and_then(|tag| self.tags.get(&tag).copied());
        let id = id.ok_or(Drop::ProbeUnknown)?;
        if !self.detours.leads_to(from, id) {
            return Err(Drop::ForeignDetour);
        }
        let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) else {
            return Err(Drop::ProbeUnknown);
        };
        if !self.guessing.accepts(from, id) {
            return Err(Drop::ForeignSocket);
        }
        let handled = remote.path.handle_probe(from, datagram, now);
        if handled.is_ok() && remote.neighbour != Some(from) {
            if let Some(before) = remote.neighbour.replace(from)
                && self.neighbours.get(&before) == Some(&id)
            {
                self.neighbours.remove(&before);
            }
            self.neighbours.insert(from, id);
        }
        self.touch(id);
        handled.map_err(|_| Drop::ProbeRefused)
    }

    /// A datagram for a session we do not have came from where a peer is known to be: it did not notice that we
    /// were restarted. Waiting for it to notice takes 15 s; a handshake of ours takes one round trip.
    fn revive(&mut self, from: Route) {
        let Some(id) = self.neighbours.get(&from).copied() else {
            return;
        };
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut)
            && !remote.peer.tunnel.is_ready()
        {
            remote.revive = true;
            self.touch(id);
        }
    }
}

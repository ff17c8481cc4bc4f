//! From the TUN device: packet → peer by longest prefix → filter → sealed into the run of its peer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::drops::Drop;
use super::{Engine, HEAD_ROOM};
use crate::packet::IpPacket;
use crate::packet::icmp::{Unreachable, unreachable};

/// ICMP errors to programs on this machine, a second (RFC 4443, 2.4 f asks for a limit).
const ERRORS_PER_SECOND: u32 = 50;

/// How many more ICMP errors may be sent within the second that began at `since`.
#[derive(Debug)]
pub(super) struct ErrorBudget {
    since: Instant,
    left: u32,
}

impl ErrorBudget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, left: ERRORS_PER_SECOND }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

impl Engine {
    /// Packets the kernel wants to be carried. Drain the `poll_*` methods afterwards.
    pub fn handle_tun<'a>(&mut self, packets: impl IntoIterator<Item = &'a [u8]>, now: Instant) {
        for bytes in packets {
            self.send(bytes, now);
        }
        self.pump_touched(now);
    }

    fn send(&mut self, bytes: &[u8], now: Instant) {
        let Ok(packet) = IpPacket::parse(bytes) else {
            return self.out.drops.count(Drop::OutboundMalformed);
        };
        let destination = packet.destination();
        if destination.is_multicast() || destination == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
            return self.out.drops.count(Drop::OutboundMulticast);
        }
        let Some(id) = self.allowed_ips.find(destination) else {
            self.out.drops.count(Drop::OutboundNoRoute);
            return self.refuse(&packet, Unreachable::NoRoute, now);
        };
        if packet.bytes().len() > usize::from(self.config.mtu) {
            self.out.drops.count(Drop::OutboundTooBig);
            return self.refuse(&packet, Unreachable::TooBig(self.config.mtu), now);
        }
        let mtu = usize::from(self.config.mtu);
        if let Some(remote) = self.remotes.get_mut(id.slot()).and_then(Option::as_mut) {
            self.filter.outbound(&packet, id, now);
            let carried = remote.carry(&packet, mtu, &mut self.out, now);
            self.touch(id);
            if let Err(mtu) = carried {
                self.refuse(&packet, Unreachable::TooBig(mtu), now);
            }
        }
    }

    /// Tell the sender on this machine why its packet is not carried.
    pub(super) fn refuse(&mut self, packet: &IpPacket<'_>, reason: Unreachable, now: Instant) {
        if !self.errors.take(now) {
            return;
        }
        // In the name of whom it was for: kernels drop what comes from outside in their own name (RFC 1812, 5.3.8).
        let from = packet.destination();
        let mut answer = self.out.packets.take();
        answer.resize(HEAD_ROOM, 0);
        if unreachable(packet, from, reason, &mut answer) {
            self.out.tun.push_back(answer);
        } else {
            self.out.packets.give(answer);
        }
    }
}

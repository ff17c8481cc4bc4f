//! May this packet pass, from this peer, to this device?
//!
//! # Model
//!
//! Each device is master of its own door. What leaves is never filtered; what comes in passes if it answers something
//! that we began, or if the [`Rules`] for its peer grant it. No rules deny.
//!
//! ```text
//!   outbound ──> remembers what we began ──────────────┐
//!                                                      ▼
//!   inbound ──> a reply, or an ICMP error about it? ── yes ──> Pass
//!                      │ no
//!                      ▼
//!               granted by the rules as they are now? ─ yes ──> Pass, and remembered as begun by the peer
//!                      │ no
//!                      ▼
//!                     Drop(reason)
//! ```
//!
//! * The rules are asked for every packet that is no reply, so withdrawing a grant cuts established flows with the next
//!   packet, and granting it again revives them. Nothing needs to be told to the filter.
//! * That holds only as long as our own answers do not look like something we began. A TCP connection is ours only if
//!   *our* SYN opened it; an ICMP echo only if we sent the request; a UDP flow that the peer began stays the peer's
//!   while either side uses it. A TCP connection that outlives this process thus needs the grant afterwards.
//! * ICMP errors pass when they quote a packet of a flow that may pass itself.
//! * Fragments: the first one holds the ports and decides. Later ones pass only within 30 s of a first one that passed between
//!   the same addresses; they need not be of the same packet, for without its first fragment no packet is ever
//!   reassembled. So a later fragment that overtakes its first is lost. A first fragment without the whole TCP header
//!   is refused (RFC 1858).
//!
//! # Bounds
//!
//! Three tables (`lru.rs`), each of a fixed size, which push out the entry unused for longest: what we began, what peers began,
//! and fragments. A peer can fill only the latter two, so no peer can push out what we began with another.
//! Entries expire when looked at; there is no timer.
//!
//! # Absent
//!
//! Whether the inner source belongs to the peer is asked before, by the engine. Forwarding to other networks (exit, LAN) is
//! not decided here. No address translation, no sequence numbers: a peer may harm its own connections only.

mod flows;
mod lru;
mod rules;
#[cfg(test)]
mod tests;

use std::time::Instant;

use flows::{Flows, is_echo_request};
pub use rules::{Incoming, PortRange, Rules, Transport};

use crate::packet::{IpPacket, Protocol};

/// Length of a TCP header without options, in bytes (RFC 9293, 3.1).
const TCP_HEADER: usize = 20;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Pass,
    /// It may not.
    Drop(Reason),
}

/// Why a packet may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It answers nothing that we began, and the peer was not granted to begin it.
    NotGranted,
    /// An ICMP error about something that may not pass itself.
    UnrelatedError,
    /// A later fragment whose first one did not pass, or has not come yet.
    UnknownFragment,
    /// The transport header is cut off, so nobody can tell what it is.
    Truncated,
}

/// What is remembered of all peers, named by `P`.
#[derive(Debug)]
pub struct Filter<P> {
    flows: Flows<P>,
}

impl<P> Default for Filter<P> {
    fn default() -> Self {
        Self { flows: Flows::default() }
    }
}

impl<P: Copy + Eq> Filter<P> {
    /// Remembers a packet that leaves for a peer, so that its answers pass.
    pub fn outbound(&mut self, packet: &IpPacket<'_>, peer: P, now: Instant) {
        if let Some(flow) = packet.flow() {
            self.flows.outbound(packet, flow, peer, now);
        }
    }

    /// Judges a packet that came from a peer, whose rules are these.
    pub fn inbound(&mut self, packet: &IpPacket<'_>, peer: P, rules: &Rules, now: Instant) -> Verdict {
        if packet.is_later_fragment() {
            let passes = rules.grant_everything() || self.flows.is_known_fragment(packet, peer, now);
            return verdict(passes, Reason::UnknownFragment);
        }
        if packet.is_icmp_error() {
            return verdict(self.error_passes(packet, peer, rules, now), Reason::UnrelatedError);
        }
        let is_tcp = packet.protocol() == Protocol::TCP;
        if is_tcp && packet.payload().len() < TCP_HEADER {
            return Verdict::Drop(Reason::Truncated);
        }
        let passes = match packet.flow() {
            Some(flow) => {
                let begins = packet.is_tcp_open() || is_echo_request(packet);
                if !begins && self.flows.answer(packet, flow, peer, now) {
                    true
                } else if rules.grant(flow.protocol, flow.destination_port) {
                    self.flows.begun_by_peer(flow, peer, now);
                    true
                } else {
                    false
                }
            }
            None if matches!(packet.protocol(), Protocol::ICMP | Protocol::ICMPV6) => {
                rules.grant(packet.protocol(), 0)
            }
            None => return Verdict::Drop(Reason::Truncated),
        };
        if passes && packet.is_fragment() {
            self.flows.first_fragment(packet, peer, now);
        }
        verdict(passes, Reason::NotGranted)
    }

    /// Forgets what concerns a peer that is gone.
    pub fn forget(&mut self, peer: P) {
        self.flows.forget(peer);
    }

    /// How many flows are remembered, expired ones included until they are looked at.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    fn error_passes(&mut self, packet: &IpPacket<'_>, peer: P, rules: &Rules, now: Instant) -> bool {
        // What is quoted is a packet of ours.
        packet.quoted().is_some_and(|flow| {
            self.flows.is_ours(&flow, peer, now) || rules.grant(flow.protocol, flow.source_port)
        })
    }
}

fn verdict(passes: bool, reason: Reason) -> Verdict {
    if passes { Verdict::Pass } else { Verdict::Drop(reason) }
}

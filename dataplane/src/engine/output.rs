//! Where every step of the engine puts what it makes.

use std::collections::VecDeque;

use super::drops::{Drop, Drops};
use super::event::Event;
use super::transmit::{self, Transmit};
use crate::packet::Pool;

/// Events that wait to be fetched. A mesh of 1,000 peers losing its network makes one each.
const MAX_EVENTS: usize = 4096;
/// Capacity of a buffer for one packet, in bytes: an MTU of 1,500, head room and what sealing adds.
const PACKET: usize = 2048;
/// Buffers for packets that are kept: two full TUN reads.
const KEEP_PACKETS: usize = 256;
/// Buffers for runs that are kept, 64 KiB each, touched only as far as they were used.
const KEEP_RUNS: usize = 32;

/// Results to be fetched, counters, and the buffers they are made in.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) tun: VecDeque<Vec<u8>>,
    pub(super) events: VecDeque<Event>,
    pub(super) drops: Drops,
    pub(super) runs: Pool,
    pub(super) packets: Pool,
    /// Handshake messages and keepalives that a tunnel just made, not yet addressed.
    pub(super) answers: Vec<Vec<u8>>,
    /// A packet being padded.
    pub(super) scratch: Vec<u8>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            transmits: VecDeque::new(),
            tun: VecDeque::new(),
            events: VecDeque::new(),
            drops: Drops::default(),
            runs: Pool::new(transmit::CAPACITY, KEEP_RUNS),
            packets: Pool::new(PACKET, KEEP_PACKETS),
            answers: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Tell the daemon something.
    pub(super) fn event(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.drops.count(Drop::EventLost);
        }
    }
}

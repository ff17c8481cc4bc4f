//! A socket of the driver, and the runs that wait until the kernel takes them.

use std::collections::VecDeque;

use super::driver::settle;
use super::udp::{Losses, Sent, SharedUdp};
use crate::engine::{Engine, Transmit, Via};

/// Runs that wait for room in a socket buffer; the TUN device is not read meanwhile, so these are answers to
/// what was received.
const MAX_BLOCKED: usize = 64;

/// A socket and what it could not send yet.
pub(super) struct Socket {
    /// 0 is the shared one of its family.
    pub(super) number: u16,
    pub(super) udp: SharedUdp,
    pub(super) blocked: VecDeque<Transmit>,
}

/// Send a run by the socket that it names.
pub(super) fn send(sockets: &mut [Socket], engine: &mut Engine, run: Transmit) {
    // Socket 0 is the shared one of its family.
    let to = match run.destination {
        Via::Socket { socket, address } => Some((socket, address.is_ipv4())),
        Via::Stream { .. } => None,
    };
    let same_family = |socket: &&mut Socket| {
        let own = socket.udp.local_addr().map(|own| (socket.number, own.is_ipv4()));
        own.is_ok_and(|own| to == Some(own))
    };
    let all = Losses { failed: run.segments().count(), ..Losses::default() };
    let Some(socket) = sockets.iter_mut().find(same_family) else {
        return settle(engine, run, all);
    };
    match if socket.blocked.is_empty() { socket.udp.send_run(&run) } else { Sent::Blocked } {
        Sent::Done(losses) => settle(engine, run, losses),
        Sent::Blocked if socket.blocked.len() < MAX_BLOCKED => socket.blocked.push_back(run),
        Sent::Blocked => settle(engine, run, all),
    }
}

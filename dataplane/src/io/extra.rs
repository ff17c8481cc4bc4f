//! Sockets beside the shared ones: 256 of them for the ten seconds in which ports are guessed, and the one that found a
//! path for as long as that is used.
//!
//! They carry WireGuard and probes of one peer and no QUIC. Their buffers are the system's default until one is kept. Each is
//! one file descriptor; where those run out there are fewer sockets, guessing takes longer, and the rest of
//! the process keeps a few to live on.

use std::net::SocketAddr;

use super::clock;
use super::driver::{Attached, Turns};
use super::socket::Socket;
use super::udp::SharedUdp;
use crate::engine::{Drop as Reason, SocketRequest};

/// Descriptors that are given back when they run out.
const SPARE: usize = 32;

impl Turns {
    /// Open and close what the engine asks for.
    pub(super) fn mind_sockets(&mut self) {
        let Some(Attached { engine, .. }) = &mut self.attached else {
            return;
        };
        while let Some(request) = engine.poll_socket() {
            match request {
                SocketRequest::Open(numbers) => {
                    let like = self.sockets.iter().filter(|socket| socket.number == 0);
                    let address = like.filter_map(|s| s.udp.local_addr().ok()).find(SocketAddr::is_ipv4);
                    let opened = address.map(|address| open(address, &numbers)).unwrap_or_default();
                    engine.count(Reason::SocketRefused, numbers.len() - opened.len());
                    let opened_numbers: Vec<u16> = opened.iter().map(|socket| socket.number).collect();
                    self.sockets.extend(opened);
                    engine.handle_sockets(&opened_numbers, clock::now());
                }
                SocketRequest::Close(numbers) => {
                    let (closed, kept) = std::mem::take(&mut self.sockets)
                        .into_iter()
                        .partition(|socket| numbers.contains(&socket.number));
                    self.sockets = kept;
                    for run in Vec::into_iter(closed).flat_map(|socket: Socket| socket.blocked) {
                        engine.count(Reason::SendFailed, run.segments().count());
                        engine.recycle(run.contents);
                    }
                    // Whoever is left carries a peer's packets from now on.
                    self.sockets.iter().filter(|socket| socket.number != 0).for_each(|s| s.udp.enlarge());
                }
            }
        }
    }
}

/// As many sockets as the system gives, on ports that it chooses.
fn open(shared: SocketAddr, numbers: &[u16]) -> Vec<Socket> {
    let mut opened: Vec<Socket> = Vec::with_capacity(numbers.len());
    for number in numbers {
        match SharedUdp::bind_extra(SocketAddr::new(shared.ip(), 0)) {
            Ok(udp) => {
                opened.push(Socket { number: *number, udp, blocked: std::collections::VecDeque::new() })
            }
            Err(error) => {
                opened.truncate(opened.len().saturating_sub(SPARE));
                let (got, wanted) = (opened.len(), numbers.len());
                tracing::info!(
                    %error, got, wanted,
                    "fewer sockets to guess the port of a peer's router with: raise the limit of open files"
                );
                break;
            }
        }
    }
    opened
}

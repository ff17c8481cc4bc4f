//! Which address carries a peer now: one sans-IO [`Agent`] per peer.
//!
//! # Model
//!
//! A peer is known by a handful of *candidates*: addresses it told us (its interfaces, what others saw
//! of it) and ways its own pings and packets came by. A *pair* is named by its [`Route`]: for an address, which
//! of our sockets, and the address. Every pair is tested with *probes*: an authenticated ping
//! that only this peer can answer, and a pong that says where the ping was seen to come from ([`probe`] draws
//! both). A pair whose pong came back is *verified*; one verified pair is the *active* one, and WireGuard
//! sends there. The whole is ICE (RFC 8445) without roles: both sides ping, both answer, each chooses for
//! itself, and as both measure the same round trip they nearly always choose alike.
//!
//! # States
//!
//! ```text
//!            candidates, want, network change, ping from the peer
//!   Quiet ───────────────────► Searching ──────── pong ────────► Carried
//!     ▲                         │     ▲                          │     ▲
//!     └── back-off at its end ──┘     └─ dead, nothing else ── Silent ─┘ pong, packet
//! ```
//!
//! * *Searching*: every pair is pinged each 100 ms for 2 s (two NATs open only when both sides send at
//!   about the same time), then ever slower, doubling up to 30 s. When neither traffic nor signalling wants the peer it then
//!   ends. Signalling that brings nothing new begins a short burst again, at last once a minute.
//! * *Carried*: anything received over the active pair proves it alive. While we send and hear nothing for
//!   half a second, it is pinged; while nobody sends, as often as the routers between
//!   demand (`keepalive.rs`: from 25 s towards 55 s, or less where that was too long), by one side only. The best other verified pair is
//!   kept alive beside it; the rest is tried twice a minute, and only while there is traffic.
//!   Ten minutes after the last packet even that ends: the pair stays chosen but nothing is sent until wanted.
//! * *Silent*: pings each 250 ms and one round to all others. After three unanswered pings any pair that
//!   answered since takes over; after five, and two seconds, the path is dead, and what is verified comes
//!   next or the search begins again.
//!
//! A better pair (`score.rs`: LAN before direct before relay before stream, then a clearly lower round trip) takes over
//! only after it has been better for three seconds on fresh measurements, and for round trip alone at most every 30 s.
//!
//! *Detours* (`detour.rs`): a relay's session and a stream are pairs too, opened and closed by the engine. They carry as
//! soon as they answer, while the burst to the addresses goes on behind them. A direct pair that answers then needs three
//! more pongs and no three seconds, unless it failed in the last minute. When it falls silent the detour, kept warm as
//! second best, takes over within two seconds; while a detour carries, the addresses are tried twice a minute.
//!
//! *Guessing* (`guess.rs`): where one side's NAT has another port for each destination ([`Nat::Hard`]), or may have, and the
//! other's has not, plain pings never meet. Half a second after signalling, if nothing direct answered, the one side pings from 256
//! sockets and the other up to 2048 ports, for ten seconds at most and once until something is new (`attempt.rs`). What
//! answers is a pair like all others, on a socket of its own, which is closed when no pair needs it any more.
//!
//! *Roaming*: an authenticated WireGuard packet from an address that is no verified pair moves
//! [`Agent::best`] there at once, as in WireGuard; a probe then verifies it. If that fails while the old pair
//! still answers we go back, so that a packet re-sent by an eavesdropper from elsewhere costs a second, not the path.
//! [`Agent::info`] and [`Event::Changed`] speak of verified paths only.
//!
//! *Another network* (`anew.rs`): whoever's network changed pings under a new session, which tells the peer. Both have every
//! pair prove itself again, and leave an active one that does not within a fifth of a second for one that does.
//!
//! # Sizes
//!
//! Pings padded to the full size of a datagram tell what passes the active pair and the standby (`mtu.rs`, RFC 8899).
//! [`Agent::room`] says how long an inner packet may be; the engine cuts, refuses or fragments by it.
//!
//! # Bounds
//!
//! At most 32 candidates, and eight detours, which the engine counts; three token buckets (`budget.rs`) for pings, pongs
//! and pongs to unproven senders; bounded queues. Pings to addresses that never answered leave only when the owner gives
//! leave (`ration.rs`), as all peers together have one budget for them; what is withheld comes later, and is not lost. A
//! ping due is computed from the last one sent, never counted up, so a clock that jumped (suspend) makes one round and no
//! burst. A pong is never larger than its ping: nothing is amplified.
//!
//! # Who drives it
//!
//! The engine. Inputs: `set_candidates`, `network_changed`, `want` (a packet waits for the peer),
//! `handle_authenticated_packet`, `handle_probe`, `handle_timeout`; for detours `set_detour`, `remove_detour`, `keep`; for
//! guessing `set_our_nat`, `set_their_nat`, `start_guess` when `wants_guess`, `add_sockets`. After each, drain
//! `poll_transmit` and `poll_event`, and call `handle_timeout` at `poll_timeout`; once `ration` was called, `poll_ping` as
//! the budget allows. Time only ever comes in as `now`.
//!
//! # Absent
//!
//! No sockets, clock or randomness. No gathering of our own addresses and no signalling: the daemon does both.
//! No candidate is judged by where it came from but by its answer. What a relay forwards is not its affair ([`crate::relay`]
//! is the frame, the engine finds the relay's own path). The budget over all peers, whose turn it is to guess, and who may
//! try a longer silence belong to the engine, which owns all agents.

mod agent;
mod anew;
mod attempt;
pub(crate) mod budget;
mod candidate;
mod choice;
mod detour;
mod guess;
pub(crate) mod keepalive;
mod list;
mod mtu;
mod pair;
pub mod probe;
mod random;
mod ration;
mod replay;
mod report;
mod role;
mod route;
mod schedule;
mod score;
mod sizing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use agent::Agent;
pub use candidate::MAX_CANDIDATES;
pub use detour::Detour;
pub use guess::SOCKETS;
pub use probe::{ProbeError, ProbeKey};
pub use ration::Urgency;
pub use report::{Outcome, PairFailure, PairReport, PairSource};
pub use role::{Nat, Role};
pub use route::Route;
pub use score::Kind;

use crate::wg::PublicKey;

/// A probe to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The way to send it.
    pub route: Route,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// The verified path in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// The way itself.
    pub route: Route,
    /// What sort of way it is.
    pub kind: Kind,
    /// The peer's address; the relay's, where one is between us.
    pub endpoint: SocketAddr,
    /// The member that relays.
    pub via: Option<PublicKey>,
    /// Smoothed round trip of the probes.
    pub rtt: Duration,
    /// Since when it is in use.
    pub since: Instant,
    /// How long an inner packet on it may be, in bytes, once that was measured.
    pub mtu: Option<u16>,
}

/// How long an inner packet on the path in use may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Length in bytes: measured, or assumed.
    pub mtu: u16,
    /// Whether that will stay. If not, the size is being searched for, and longer packets pass only in fragments.
    pub settled: bool,
}

/// What an agent has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another verified path is in use, or none. Changes of round trip and MTU alone are not told.
    Changed(Option<PathInfo>),
    /// The path in use misses answers: it may be about to die.
    Silent,
    /// The peer sees us at this address.
    Observed(SocketAddr),
}

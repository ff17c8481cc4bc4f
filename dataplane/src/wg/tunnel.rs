//! One peer's WireGuard: the only file that names boringtun.
//!
//! boringtun's `Tunn` is good cryptography behind a demanding interface. What is hidden or mended here, so that
//! nobody else has to know (file and line of boringtun 0.7.1):
//!
//! - It reads its own clock (`noise/timers.rs:172`). Time that is an argument everywhere else decides *when* we
//!   tick; how old a session is, `Tunn` finds out by itself. Its timestamps are those of the last tick, so we
//!   tick before every event that follows a silence; then an idle tunnel need not tick at all.
//! - It panics when a buffer is short (`noise/session.rs:210`, `:262`): lengths are checked here first.
//! - A result may mean "call me again with nothing" (`noise/mod.rs:273`): answers are collected into one list.
//! - It queues up to 256 packets of its own while there is no session: it is only given packets when there is one.
//! - It keeps no limit on messages (paper, 6.2), and adds to a counter the peer chose without checking for
//!   overflow (`noise/session.rs:80`, `:155`): both ends are checked here.
//! - It repeats a lost initiation after 5 s only: the first repetitions come sooner, because a path that was
//!   verified a moment ago is known to work.
//! - It verifies initiations only once the peer is known, but knowing the peer costs a Diffie-Hellman: `Device`
//!   checks the MAC and the rate limit first. (So initiations count twice against the limit.)

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519;
use zeroize::Zeroizing;

use super::outcome::{NotReady, OpenError, Opened, Screened};
use super::{PrivateKey, PublicKey};

/// What sealing adds to a packet, in bytes: header 16, authentication tag 16 (paper, 5.4.6).
pub(crate) const OVERHEAD: usize = 32;
/// The smallest buffer a message may be opened into, in bytes: an initiation, the longest message of a handshake.
pub(crate) const WORKSPACE: usize = 148;

/// Handshake messages a second above which senders must prove their address by a cookie. 20 peers that all
/// come back in one second stay below; each initiation counts twice.
const HANDSHAKES_PER_SECOND: u64 = 200;
/// How often a busy tunnel is ticked. boringtun expects about four times a second.
const TICK: Duration = Duration::from_millis(250);
/// How often a quiet tunnel with a session is ticked: only to forget keys that grew old.
const QUIET_TICK: Duration = Duration::from_secs(10);
/// How long after the last packet a tunnel counts as busy: the longest timer that traffic starts is 15 s
/// (keepalive timeout 10 s + rekey timeout 5 s; paper, 6.5).
const BUSY: Duration = Duration::from_secs(20);
/// Between the first repetitions of an initiation, while traffic waits for a session.
const RETRY: Duration = Duration::from_secs(1);
/// How many of them there are.
const RETRIES: u32 = 4;
/// Between later ones (paper, 6.4: rekey timeout).
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// Start a new handshake after this many messages (paper, 6.1).
const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// Never use a session beyond this many messages (paper, 6.1).
const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);

/// Our own side of all tunnels: the keys, and the shared limit on handshakes.
pub(crate) struct Device {
    private: x25519::StaticSecret,
    public: x25519::PublicKey,
    limiter: Arc<RateLimiter>,
}

impl Device {
    pub(crate) fn new(key: &PrivateKey) -> Self {
        let private = x25519::StaticSecret::from(*key.expose());
        let public = x25519::PublicKey::from(&private);
        Self { limiter: Arc::new(RateLimiter::new(&public, HANDSHAKES_PER_SECOND)), private, public }
    }

    /// Look at an initiation before any peer is known.
    pub(crate) fn screen(&self, from: IpAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Screened {
        let mut cookie = [0; WORKSPACE];
        match self.limiter.verify_packet(Some(from), datagram, &mut cookie) {
            Ok(Packet::HandshakeInit(message)) => {
                match parse_handshake_anon(&self.private, &self.public, &message) {
                    Ok(half) => Screened::From(PublicKey(half.peer_static_public)),
                    Err(_) => Screened::Refused,
                }
            }
            Err(TunnResult::WriteToNetwork(cookie)) => {
                reply.extend_from_slice(cookie);
                Screened::Challenged
            }
            Ok(_) | Err(_) => Screened::Refused,
        }
    }

    /// A second has passed: handshakes are counted from zero.
    pub(crate) fn restart_count(&self) {
        self.limiter.reset_count();
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(..)")
    }
}

/// The state of WireGuard with one peer.
pub(crate) struct Tunnel {
    tunn: Tunn,
    /// Whether packets can be sealed now. Kept exact by asking after every event that can change it.
    has_session: bool,
    /// When the session now in use was made.
    established: Option<Instant>,
    /// We answered an initiation; the session counts from the first message in it.
    answered: bool,
    last_tick: Option<Instant>,
    /// When something was last sent or received.
    last_traffic: Option<Instant>,
    /// Initiations sent since the last session was made, and when the last one was.
    attempts: u32,
    last_attempt: Option<Instant>,
}

impl Tunnel {
    /// `index` is what [`super::Peers::tunnel_index`] gave out for this tunnel.
    pub(crate) fn new(
        device: &Device,
        peer: &PublicKey,
        preshared_key: Option<[u8; 32]>,
        index: u32,
    ) -> Self {
        let tunn = Tunn::new(
            device.private.clone(),
            x25519::PublicKey::from(peer.0),
            preshared_key,
            None,
            index,
            Some(Arc::clone(&device.limiter)),
        );
        Self {
            tunn,
            has_session: false,
            established: None,
            answered: false,
            last_tick: None,
            last_traffic: None,
            attempts: 0,
            last_attempt: None,
        }
    }

    /// Whether packets can be sealed now.
    pub(crate) const fn is_ready(&self) -> bool {
        self.has_session
    }

    /// When the session in use was made.
    pub(crate) const fn established(&self) -> Option<Instant> {
        self.established
    }

    /// Append the sealed `packet` to `out`. Needs a session; `answers` may receive an initiation (rekeying).
    pub(crate) fn seal(
        &mut self,
        packet: &[u8],
        out: &mut Vec<u8>,
        answers: &mut Vec<Vec<u8>>,
        now: Instant,
    ) -> Result<(), NotReady> {
        self.catch_up(answers, now);
        if !self.has_session {
            return Err(NotReady);
        }
        let start = out.len();
        out.resize(start + (packet.len() + OVERHEAD).max(WORKSPACE), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let length = match self.tunn.encapsulate(packet, room) {
            TunnResult::WriteToNetwork(message) if message.first() == Some(&4) => message.len(),
            TunnResult::WriteToNetwork(message) => {
                // An initiation: the session was gone after all, and `Tunn` has kept the packet for later.
                answers.push(message.to_vec());
                0
            }
            TunnResult::Done
            | TunnResult::Err(_)
            | TunnResult::WriteToTunnelV4(..)
            | TunnResult::WriteToTunnelV6(..) => 0,
        };
        let counter = counter(out.get(start..start + length).unwrap_or_default());
        if length == 0 || counter.is_some_and(|counter| counter >= REJECT_AFTER_MESSAGES) {
            out.truncate(start);
            self.refresh();
            return Err(NotReady);
        }
        out.truncate(start + length);
        self.last_traffic = Some(now);
        if counter.is_some_and(|counter| counter >= REKEY_AFTER_MESSAGES) {
            self.start(false, answers, now);
        }
        Ok(())
    }

    /// Open a message from `from` into `plain`, which must be as long as the message and no shorter than
    /// [`WORKSPACE`]. What must be sent in answer is appended to `answers`.
    pub(crate) fn open(
        &mut self,
        from: IpAddr,
        message: &[u8],
        plain: &mut [u8],
        answers: &mut Vec<Vec<u8>>,
        now: Instant,
    ) -> Result<Opened, OpenError> {
        self.catch_up(answers, now);
        let kind = message.first().copied().unwrap_or_default();
        if kind == 4 && counter(message).is_none_or(|counter| counter >= REJECT_AFTER_MESSAGES) {
            return Err(OpenError::Exhausted);
        }
        // An empty message would mean "repeat the call" to boringtun.
        if message.is_empty() || plain.len() < message.len().max(WORKSPACE) {
            return Err(OpenError::NotIp);
        }
        let opened = match (self.tunn.decapsulate(Some(from), message, plain), kind) {
            (TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _), _) => {
                Opened::Packet(packet.len())
            }
            (TunnResult::WriteToNetwork(answer), _) => {
                let challenged = answer.first() == Some(&3);
                answers.push(answer.to_vec());
                if challenged { Opened::Challenged } else { Opened::Handshake }
            }
            (TunnResult::Done, 3) => Opened::Cookie,
            (TunnResult::Done, _) => Opened::Keepalive,
            (TunnResult::Err(error), _) => return Err(reason(&error)),
        };
        match (opened, kind) {
            (Opened::Cookie | Opened::Challenged, _) => return Ok(opened),
            (Opened::Handshake, 1) => self.answered = true,
            (Opened::Handshake, _) => self.settle(now),
            (Opened::Packet(_) | Opened::Keepalive, _) if self.answered => self.settle(now),
            (Opened::Packet(_) | Opened::Keepalive, _) => {}
        }
        self.last_traffic = Some(now);
        if !self.has_session {
            self.refresh();
            self.drain(answers);
        }
        Ok(opened)
    }

    /// Traffic waits for a session: begin a handshake, or repeat the initiation if it is time.
    pub(crate) fn initiate(&mut self, answers: &mut Vec<Vec<u8>>, now: Instant) {
        self.catch_up(answers, now);
        // Having answered an initiation, we wait for the first message in it as long as for an answer.
        let last = self.last_attempt.max(self.last_traffic.filter(|_| self.answered));
        let pause = if self.attempts <= RETRIES { RETRY } else { REKEY_TIMEOUT };
        if !self.has_session && last.is_none_or(|last| now.saturating_duration_since(last) >= pause) {
            self.start(self.last_attempt.is_some(), answers, now);
        }
    }

    /// Do what time demands.
    pub(crate) fn handle_timeout(&mut self, answers: &mut Vec<Vec<u8>>, now: Instant) {
        self.tick(answers, now);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let last = self.last_tick?;
        let traffic = self.last_traffic.max(self.last_attempt);
        let busy = self.last_attempt.is_some()
            || traffic.is_some_and(|at| last.saturating_duration_since(at) < BUSY);
        match (busy, self.has_session || self.answered) {
            (true, _) => Some(last + TICK),
            (false, true) => Some(last + QUIET_TICK),
            (false, false) => None,
        }
    }

    /// Tick if the last one is long ago, so that what happens now is stamped with the right time.
    pub(crate) fn catch_up(&mut self, answers: &mut Vec<Vec<u8>>, now: Instant) {
        if self.last_tick.is_none_or(|last| now.saturating_duration_since(last) >= TICK) {
            self.tick(answers, now);
        }
    }

    fn tick(&mut self, answers: &mut Vec<Vec<u8>>, now: Instant) {
        let mut message = [0; WORKSPACE];
        self.last_tick = Some(now);
        match self.tunn.update_timers(&mut message) {
            TunnResult::WriteToNetwork(message) => {
                if message.first() == Some(&1) {
                    self.attempts = self.attempts.saturating_add(1);
                    self.last_attempt = Some(now);
                }
                answers.push(message.to_vec());
            }
            // Given up, or the keys are too old. The next packet starts again.
            TunnResult::Err(_) => {
                self.attempts = 0;
                self.last_attempt = None;
                self.answered = false;
            }
            TunnResult::Done | TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) => {}
        }
        self.refresh();
    }

    fn start(&mut self, again: bool, answers: &mut Vec<Vec<u8>>, now: Instant) {
        let mut message = [0; WORKSPACE];
        if let TunnResult::WriteToNetwork(message) =
            self.tunn.format_handshake_initiation(&mut message, again)
        {
            answers.push(message.to_vec());
            self.attempts = self.attempts.saturating_add(1);
            self.last_attempt = Some(now);
        }
    }

    /// "Repeat the call with an empty datagram until Done". `Tunn` holds nothing but keepalives it could not
    /// send, because packets are given to it only while there is a session; so a small buffer is enough.
    fn drain(&mut self, answers: &mut Vec<Vec<u8>>) {
        let mut message = [0; WORKSPACE];
        // The bound only keeps a bug from looping for ever.
        for _ in 0..16 {
            let TunnResult::WriteToNetwork(message) = self.tunn.decapsulate(None, &[], &mut message) else {
                return;
            };
            answers.push(message.to_vec());
        }
    }

    /// A handshake is complete.
    fn settle(&mut self, now: Instant) {
        self.answered = false;
        self.attempts = 0;
        self.last_attempt = None;
        self.established = Some(now);
    }

    fn refresh(&mut self) {
        self.has_session = self.tunn.time_since_last_handshake().is_some();
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("has_session", &self.has_session)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// The secret two keys agree on. None when the public key is of low order.
pub(super) fn diffie_hellman(private: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = x25519::StaticSecret::from(*private).diffie_hellman(&x25519::PublicKey::from(*public));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}

/// The public half of a private key.
pub(super) fn public_half(private: &[u8; 32]) -> [u8; 32] {
    x25519::PublicKey::from(&x25519::StaticSecret::from(*private)).to_bytes()
}

/// The message counter of a data message.
fn counter(message: &[u8]) -> Option<u64> {
    let bytes = message.get(8..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

const fn reason(error: &WireGuardError) -> OpenError {
    match error {
        WireGuardError::NoCurrentSession | WireGuardError::WrongIndex | WireGuardError::ConnectionExpired => {
            OpenError::NoSession
        }
        WireGuardError::InvalidCounter | WireGuardError::DuplicateCounter => OpenError::Replayed,
        WireGuardError::InvalidMac | WireGuardError::InvalidAeadTag | WireGuardError::WrongKey => {
            OpenError::Forged
        }
        WireGuardError::InvalidTai64nTimestamp
        | WireGuardError::WrongTai64nTimestamp
        | WireGuardError::UnexpectedPacket
        | WireGuardError::WrongPacketType
        | WireGuardError::UnderLoad
        | WireGuardError::LockFailed => OpenError::Unexpected,
        WireGuardError::InvalidPacket
        | WireGuardError::IncorrectPacketLength
        | WireGuardError::DestinationBufferTooSmall => OpenError::NotIp,
    }
}

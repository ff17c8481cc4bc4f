//! The probe on the wire: a ping that only one peer can answer, and its pong.
//!
//! ```text
//!  0        1        2                 4                 6                 8
//! +--------+--------+-----------------+-----------------+-----------------+
//! |  0x05  |  type  | seen port       | size            | zero (ignored)  |
//! +--------+--------+-----------------+-----------------+-----------------+
//! | tag: which pair of devices, and which direction                       |  8
//! +------------------------------------------------------------------------+
//! | transaction: chosen by the ping, returned by the pong                 | 16
//! +------------------------------------------------------------------------+
//! | session: this run of the pinging side (pong: 0)                       | 24
//! +------------------------------------------------------------------------+
//! | sequence: counts the pings of a session (pong: 0)                     | 32
//! +------------------------------------------------------------------------+
//! | challenge: ping: what the other side handed us; pong: what it hands us| 40
//! +------------------------------------------------------------------------+
//! | seen address: pong: where the ping came from, IPv4 as ::ffff:a.b.c.d  | 48
//! |               ping: zero                                              |
//! +------------------------------------------------------------------------+
//! | MAC: keyed BLAKE3 of all the above, 16 bytes                          | 64
//! +------------------------------------------------------------------------+ 80
//! | ping alone: padding up to `size`, ignored                             |
//! +------------------------------------------------------------------------+
//! ```
//!
//! Numbers are big-endian. Type 1 is ping, 2 is pong. `size` is the length in bytes of the whole ping; a pong repeats the
//! size of the ping it answers. Most pings are 80 bytes; a longer one asks whether its size passes (`mtu.rs`). A pong is
//! always 80 bytes, so it never amplifies, and the answer says nothing of the sizes that pass the other way.
//!
//! The tags and the MAC key are derived from the key the two devices share ([`ProbeKey`]); the tag finds the peer in a
//! map before any computation, and without the key it is eight random bytes. The two directions have
//! different tags, which the MAC covers, so a probe cannot be reflected at its sender. What makes a ping fresh
//! is in [`super::replay`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// First byte of every probe, apart from WireGuard's (1 to 4) and QUIC's (top two bits not both zero).
pub const FIRST_BYTE: u8 = 0x05;
/// Size of a pong and of an ordinary ping in bytes.
pub const LEN: usize = 80;
/// Size of the longest ping in bytes: what UDP over IPv4 carries at most.
pub const MAX_LEN: usize = 65_507;
/// Size of the MAC in bytes.
const MAC_LEN: usize = 16;

const TYPE: usize = 1;
const SEEN_PORT: usize = 2;
const SIZE: usize = 4;
const TAG: usize = 8;
const TRANSACTION: usize = 16;
const SESSION: usize = 24;
const SEQUENCE: usize = 32;
const CHALLENGE: usize = 40;
const SEEN_ADDRESS: usize = 48;
const MAC: usize = LEN - MAC_LEN;

const PING: u8 = 1;
const PONG: u8 = 2;

/// The secret that two devices share for probing each other.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ProbeKey(pub [u8; 32]);

impl std::fmt::Debug for ProbeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProbeKey(..)")
    }
}

/// Why a probe was refused. None of them changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Not a probe of this format at all.
    #[error("the datagram is not a probe of a known type and size")]
    Malformed,
    /// It carries the tag of another pair of devices.
    #[error("the probe belongs to another peer")]
    ForeignTag,
    /// The MAC is wrong.
    #[error("the probe was not made by the peer: its authenticator is wrong")]
    Forged,
    /// A ping that was seen before, or is too old to tell.
    #[error("the ping was received before")]
    Replayed,
    /// A pong to a ping that we did not send to that address, or that was answered already.
    #[error("the pong answers no ping of ours to that address")]
    Unsolicited,
    /// It came from an address that no peer can have.
    #[error("the probe came from an address that cannot be answered")]
    UnusableSource,
    /// The peer pings faster than we are willing to answer.
    #[error("the ping exceeds what is answered per second")]
    OverBudget,
}

/// The tag of a datagram that may be a probe, to find its agent with. Says nothing about who made it.
#[must_use]
pub fn peek(datagram: &[u8]) -> Option<[u8; 8]> {
    Frame::of(datagram)?.header.get(TAG..TAG + 8)?.try_into().ok()
}

/// What a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Are you there?
    Ping { transaction: u64, session: u64, sequence: u64, challenge: u64, size: u16 },
    /// I am, and this is where I saw you.
    Pong { transaction: u64, challenge: u64, seen: SocketAddr, size: u16 },
}

/// A datagram that has the shape of a probe.
struct Frame<'a> {
    header: &'a [u8; LEN],
    size: u16,
}

impl<'a> Frame<'a> {
    fn of(datagram: &'a [u8]) -> Option<Self> {
        let header: &[u8; LEN] = datagram.first_chunk()?;
        let size = u16::from_be_bytes([header[SIZE], header[SIZE + 1]]);
        let length = match header[TYPE] {
            PING => usize::from(size),
            PONG => LEN,
            _ => return None,
        };
        let is_possible = (LEN..=MAX_LEN).contains(&usize::from(size));
        (header[0] == FIRST_BYTE && datagram.len() == length && is_possible).then_some(Self { header, size })
    }
}

/// Writes and reads the probes of one pair of devices.
pub(crate) struct Codec {
    mac_key: [u8; 32],
    tag_in: [u8; 8],
    tag_out: [u8; 8],
}

impl Codec {
    /// `ours_is_smaller` tells the two directions apart; the two sides must pass opposite values.
    pub(crate) fn new(key: &ProbeKey, ours_is_smaller: bool) -> Self {
        let tag = |context: &str| {
            let mut tag = [0; 8];
            let mut derived = blake3::derive_key(context, &key.0);
            tag.copy_from_slice(&derived[..8]);
            derived.zeroize();
            tag
        };
        let from_smaller = tag("warren probe v1 tag: sent by the device with the smaller key");
        let from_larger = tag("warren probe v1 tag: sent by the device with the larger key");
        let (tag_out, tag_in) =
            if ours_is_smaller { (from_smaller, from_larger) } else { (from_larger, from_smaller) };
        Self { mac_key: blake3::derive_key("warren probe v1 mac", &key.0), tag_in, tag_out }
    }

    /// The tag of the probes the peer sends us.
    pub(crate) fn tag_in(&self) -> [u8; 8] {
        self.tag_in
    }

    pub(crate) fn encode(&self, message: &Message) -> Vec<u8> {
        let mut datagram = [0; LEN];
        datagram[0] = FIRST_BYTE;
        datagram[TAG..TAG + 8].copy_from_slice(&self.tag_out);
        let mut put = |at: usize, value: u64| datagram[at..at + 8].copy_from_slice(&value.to_be_bytes());
        let size = match *message {
            Message::Ping { transaction, session, sequence, challenge, size } => {
                put(TRANSACTION, transaction);
                put(SESSION, session);
                put(SEQUENCE, sequence);
                put(CHALLENGE, challenge);
                datagram[TYPE] = PING;
                size
            }
            Message::Pong { transaction, challenge, seen, size } => {
                put(TRANSACTION, transaction);
                put(CHALLENGE, challenge);
                datagram[TYPE] = PONG;
                datagram[SEEN_PORT..SEEN_PORT + 2].copy_from_slice(&seen.port().to_be_bytes());
                let address = match seen.ip() {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                datagram[SEEN_ADDRESS..SEEN_ADDRESS + 16].copy_from_slice(&address.octets());
                size
            }
        };
        datagram[SIZE..SIZE + 2].copy_from_slice(&size.to_be_bytes());
        let mac = self.mac(&datagram);
        datagram[MAC..].copy_from_slice(&mac);
        let mut datagram = datagram.to_vec();
        if matches!(message, Message::Ping { .. }) {
            datagram.resize(usize::from(size).max(LEN), 0);
        }
        datagram
    }

    /// Reads a probe that the peer made.
    pub(crate) fn decode(&self, datagram: &[u8]) -> Result<Message, ProbeError> {
        let Frame { header, size } = Frame::of(datagram).ok_or(ProbeError::Malformed)?;
        if header[TAG..TAG + 8] != self.tag_in {
            return Err(ProbeError::ForeignTag);
        }
        if !bool::from(self.mac(header).ct_eq(&header[MAC..])) {
            return Err(ProbeError::Forged);
        }
        let get = |at: usize| {
            let mut value = [0; 8];
            value.copy_from_slice(&header[at..at + 8]);
            u64::from_be_bytes(value)
        };
        let transaction = get(TRANSACTION);
        let challenge = get(CHALLENGE);
        if header[TYPE] == PING {
            return Ok(Message::Ping {
                transaction,
                session: get(SESSION),
                sequence: get(SEQUENCE),
                challenge,
                size,
            });
        }
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[SEEN_ADDRESS..SEEN_ADDRESS + 16]);
        let port = u16::from_be_bytes([header[SEEN_PORT], header[SEEN_PORT + 1]]);
        let seen = SocketAddr::new(Ipv6Addr::from(octets).to_canonical(), port);
        Ok(Message::Pong { transaction, challenge, seen, size })
    }

    fn mac(&self, datagram: &[u8; LEN]) -> [u8; MAC_LEN] {
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&blake3::keyed_hash(&self.mac_key, &datagram[..MAC]).as_bytes()[..MAC_LEN]);
        mac
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        self.mac_key.zeroize();
    }
}

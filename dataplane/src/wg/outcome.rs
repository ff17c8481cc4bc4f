//! What a WireGuard message turned out to be.

use super::PublicKey;

/// What an initiation turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Screened {
    /// A well-made one from whoever holds, or claims to hold, this key.
    From(PublicKey),
    /// We are under load; the sender must come again with the cookie in `reply`.
    Challenged,
    /// Its MAC is wrong, or it was not made for our key.
    Refused,
}

/// What a message from a peer was. All but `Cookie` and `Challenged` prove that the peer sent it, or (a
/// response to a fresh initiation of ours) that it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// An IP packet of this many bytes, at the beginning of the buffer.
    Packet(usize),
    /// Nothing but a sign of life.
    Keepalive,
    /// A step of a handshake; answers are in the list.
    Handshake,
    /// A cookie for our next initiation.
    Cookie,
    /// We are under load and asked for a cookie.
    Challenged,
}

/// Why a message could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// No session under this index: expired, or from before a restart.
    NoSession,
    /// Seen before, or too far behind (paper, 5.4.6: sliding window).
    Replayed,
    /// Not from this peer: authentication failed.
    Forged,
    /// A handshake message that fits no handshake of ours: late, repeated or invented.
    Unexpected,
    /// Authentic, but no IP packet inside.
    NotIp,
    /// The session has carried all the messages it may.
    Exhausted,
}

/// There is no session, or none that may be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotReady;

//! Every reason to drop something, counted and with a name that can be shown.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet or a datagram went no further.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Drop {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Drop {
            /// All reasons, in the order they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in metrics and in `status`. Never changes once published.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// From the TUN device: not an IP packet.
    OutboundMalformed = "outbound_malformed",
    /// From the TUN device: to a multicast or broadcast address, which a tunnel has no use for.
    OutboundMulticast = "outbound_multicast",
    /// From the TUN device: no peer owns the destination.
    OutboundNoRoute = "outbound_no_route",
    /// From the TUN device: longer than the MTU of the mesh.
    OutboundTooBig = "outbound_too_big",
    /// From the TUN device: longer than the path carries, and it must not be fragmented.
    OutboundTooBigForPath = "outbound_too_big_for_path",
    /// Waited for a path or a session behind too many others; the oldest goes first.
    WaitingOverflow = "waiting_overflow",
    /// Waited for a path or a session that did not come in time.
    WaitingExpired = "waiting_expired",
    /// Waited for a peer that was removed.
    WaitingRemoved = "waiting_removed",
    /// A handshake message or keepalive with nowhere to send it.
    NoPath = "no_path",
    /// A datagram of no protocol we speak.
    Unknown = "datagram_unknown",
    /// QUIC that reached the engine: the sockets keep it apart, so this is a fault of ours.
    Quic = "datagram_quic",
    /// A relayed datagram of a session that is not ours to relay or to receive.
    Relayed = "datagram_relayed",
    /// A relayed datagram that is malformed, or holds something that is not relayed.
    RelayMalformed = "relay_malformed",
    /// A relayed datagram that came from where no device of its session has proved itself.
    RelayUnproven = "relay_unproven",
    /// To be relayed: the other end of the session has no verified path.
    RelayNoPath = "relay_no_path",
    /// To be relayed: its sender sends more packets a second than we relay for it.
    RelayOverRate = "relay_over_rate",
    /// To be relayed: its sender has used up what we relay for it in a day.
    RelayOverDay = "relay_over_day",
    /// Came through a session or a stream that belongs to another peer than the one it is from.
    ForeignDetour = "detour_foreign",
    /// A datagram from a stream that has ended.
    StreamUnknown = "stream_unknown",
    /// A stream had no room for a datagram.
    StreamFull = "stream_full",
    /// A datagram that claims to come from an address inside the mesh: a tunnel within the tunnel.
    ThroughTunnel = "datagram_through_tunnel",
    /// A probe under a tag of no peer.
    ProbeUnknown = "probe_unknown",
    /// It came to a socket that was opened for another peer.
    ForeignSocket = "datagram_foreign_socket",
    /// A probe that its agent refused.
    ProbeRefused = "probe_refused",
    /// An initiation with a wrong MAC, or made for another key.
    HandshakeRefused = "handshake_refused",
    /// An initiation answered with a cookie, because there are too many.
    HandshakeChallenged = "handshake_challenged",
    /// An initiation by a key that is no peer.
    HandshakeUnknownKey = "handshake_unknown_key",
    /// An initiation by our own key: our datagram came back, or somebody has our key.
    HandshakeOwnKey = "handshake_own_key",
    /// A handshake message that is late, repeated, or answers nothing of ours.
    HandshakeUnexpected = "handshake_unexpected",
    /// A message for a session we do not have.
    NoSession = "session_unknown",
    /// A message that was received before.
    Replayed = "session_replayed",
    /// A message that its session did not make.
    Forged = "session_forged",
    /// A message beyond the limit of its session.
    Exhausted = "session_exhausted",
    /// Opened: not an IP packet.
    InboundMalformed = "inbound_malformed",
    /// Opened: its source address does not belong to the peer.
    InboundForeignSource = "inbound_foreign_source",
    /// Opened: its destination is not this device.
    InboundNotForUs = "inbound_not_for_us",
    /// Opened: the filter says no.
    InboundFiltered = "inbound_filtered",
    /// A datagram was longer than the link it would have left by; what passes is then searched for.
    SendTooBig = "send_too_big",
    /// The kernel did not take a datagram.
    SendFailed = "send_failed",
    /// The system has no further socket to guess ports with.
    SocketRefused = "socket_refused",
    /// The TUN device did not take a packet.
    TunFailed = "tun_failed",
    /// An event that nobody fetched in time.
    EventLost = "event_lost",
}

/// How often each [`Drop`] happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops([u64; Drop::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; Drop::ALL.len()])
    }
}

impl Drops {
    /// Count one.
    pub fn count(&mut self, reason: Drop) {
        self.add(reason, 1);
    }

    /// Count several.
    pub fn add(&mut self, reason: Drop, times: usize) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(times as u64);
        }
    }

    /// How often `reason` applied.
    pub fn get(&self, reason: Drop) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// Names and counts, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Drop::ALL.iter().zip(self.0).map(|(reason, count)| (reason.name(), count))
    }
}

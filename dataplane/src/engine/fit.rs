//! An inner packet and a path that may be narrower than it: carried, cut up, fragmented outside, or refused.
//!
//! ```text
//!   no longer than the path carries ───────────────────────────> sealed
//!   longer, what passes still searched for ────────────────────> sealed, the datagram may be fragmented on its way
//!   longer, IPv4 that may be fragmented ───────────────────────> cut up, each piece sealed
//!   longer, IPv6 of 1280 bytes or less ────────────────────────> sealed, the datagram may be fragmented on its way
//!   longer, else ──────────────────────────────────────────────> refused: the sender is told what fits
//! ```
//!
//! IPv6 needs links of 1280 bytes (RFC 8200, 5); where the path has less, its outside must make up for it.

use std::time::Instant;

use super::drops::Drop;
use super::output::Output;
use super::remote::Remote;
use crate::packet::{IpPacket, Version, fragment, mss};
use crate::path::Route;

/// Every IPv6 link carries packets of this many bytes.
const IPV6_MINIMUM: usize = 1280;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is on its way.
    Sealed,
    /// There is no session; it may wait for one.
    NotReady,
    /// It is too long; this many bytes fit.
    TooBig(u16),
}

impl Remote {
    /// The longest packet that passes as one, now; `mesh` is the MTU of the mesh.
    pub(super) fn inner_mtu(&self, mesh: usize) -> usize {
        self.path.room().map_or(mesh, |room| usize::from(room.mtu).min(mesh))
    }

    /// Seal a packet as the path allows.
    pub(super) fn fit(
        &mut self,
        packet: &IpPacket<'_>,
        route: Route,
        mesh: usize,
        out: &mut Output,
        now: Instant,
    ) -> Fit {
        let mtu = self.inner_mtu(mesh);
        let bytes = packet.bytes();
        if bytes.len() > mtu {
            return self.fit_long(packet, route, mtu, out, now);
        }
        let sealed = if mss::opens(packet) {
            let mut lowered = out.packets.take();
            lowered.extend_from_slice(bytes);
            mss::clamp(&mut lowered, mtu);
            let sealed = self.seal(&lowered, route, mtu, false, out, now);
            out.packets.give(lowered);
            sealed
        } else {
            self.seal(bytes, route, mtu, false, out, now)
        };
        if sealed { Fit::Sealed } else { Fit::NotReady }
    }

    fn fit_long(
        &mut self,
        packet: &IpPacket<'_>,
        route: Route,
        mtu: usize,
        out: &mut Output,
        now: Instant,
    ) -> Fit {
        let bytes = packet.bytes();
        let is_settled = self.path.room().is_none_or(|room| room.settled);
        let is_short_v6 = packet.version() == Version::V6 && bytes.len() <= IPV6_MINIMUM;
        if !is_settled || is_short_v6 {
            let sealed = self.seal(bytes, route, mtu, true, out, now);
            return if sealed { Fit::Sealed } else { Fit::NotReady };
        }
        if packet.may_be_fragmented() {
            let mut sealed = 0;
            for piece in fragment(packet, mtu) {
                if !self.seal(&piece, route, mtu, false, out, now) {
                    // The session went away in between; without this piece the others are of no use.
                    break;
                }
                sealed += 1;
            }
            if sealed > 0 {
                return Fit::Sealed;
            }
            return Fit::NotReady;
        }
        let limit = if packet.version() == Version::V6 { mtu.max(IPV6_MINIMUM) } else { mtu };
        out.drops.count(Drop::OutboundTooBigForPath);
        Fit::TooBig(u16::try_from(limit).unwrap_or(u16::MAX))
    }
}

//! Runs of equal-sized datagrams to one destination: what UDP GSO sends in one call.

use super::via::Via;

/// How many datagrams a run may hold: the kernel's `UDP_MAX_SEGMENTS` was 64 before Linux 6.9.
const MAX_SEGMENTS: usize = 64;
/// How many bytes: an IPv4 packet has 16 bits for its length, headers included; rounded down.
const MAX_BYTES: usize = 65_000;
/// Capacity of the buffer of a run, in bytes.
pub(crate) const CAPACITY: usize = 1 << 16;

/// Datagrams to be sent to one destination.
///
/// All are `segment_size` bytes long, the last one may be shorter. Give `contents` back to
/// [`super::Engine::recycle`] after sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to, and by what.
    pub destination: Via,
    /// Length of each datagram in bytes.
    pub segment_size: usize,
    /// The datagrams, end to end.
    pub contents: Vec<u8>,
    /// Whether they may be fragmented on their way. All else must arrive whole or not at all, or nobody would learn what
    /// passes.
    pub may_fragment: bool,
}

impl Transmit {
    /// A single datagram.
    pub(crate) const fn single(destination: Via, contents: Vec<u8>) -> Self {
        Self { destination, segment_size: contents.len(), contents, may_fragment: false }
    }

    /// Whether a datagram of `length` bytes to `destination` may be appended.
    pub(crate) fn accepts(&self, destination: Via, length: usize, may_fragment: bool) -> bool {
        self.destination == destination
            && self.may_fragment == may_fragment
            && length <= self.segment_size
            && self.contents.len().is_multiple_of(self.segment_size)
            && self.contents.len() + length <= MAX_BYTES
            && self.contents.len() / self.segment_size < MAX_SEGMENTS
    }

    /// The datagrams one by one.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.contents.chunks(self.segment_size.max(1))
    }
}

//! Buffers that are used again.

/// A bounded stack of empty buffers, so that the way of a packet allocates nothing once warm.
///
/// A buffer leaves with `take`, becomes whatever it is needed for, and comes back with `give` from wherever it
/// ended. Losing one costs an allocation later, nothing else. Buffers that have grown far beyond the size of the
/// pool (coalesced TUN writes do that) are let go, so an hour of load does not stay in memory for ever.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Vec<u8>>,
    /// Capacity of a new buffer, in bytes.
    size: usize,
    /// How many buffers are kept at most.
    keep: usize,
}

impl Pool {
    /// A pool handing out buffers of `size` bytes capacity and keeping at most `keep` of them.
    pub const fn new(size: usize, keep: usize) -> Self {
        Self { free: Vec::new(), size, keep }
    }

    /// An empty buffer with at least the capacity of this pool.
    pub fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(self.size))
    }

    /// Give a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let fits = buffer.capacity() >= self.size && buffer.capacity() <= self.size.saturating_mul(4);
        if fits && self.free.len() < self.keep {
            buffer.clear();
            self.free.push(buffer);
        }
    }

    /// How many buffers wait to be used again.
    pub const fn available(&self) -> usize {
        self.free.len()
    }
}

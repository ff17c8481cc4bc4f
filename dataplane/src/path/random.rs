//! Session, challenge and transaction numbers that nobody else can guess: BLAKE3 in counter mode over key and seed.

use super::probe::ProbeKey;

/// The numbers of one run of one agent.
pub(super) struct Random {
    key: [u8; 32],
    counter: u64,
}

impl Random {
    pub(super) fn new(key: &ProbeKey, seed: u64) -> Self {
        let derived = blake3::derive_key("warren probe v1 random numbers", &key.0);
        Self { key: *blake3::keyed_hash(&derived, &seed.to_le_bytes()).as_bytes(), counter: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        let hash = blake3::keyed_hash(&self.key, &self.counter.to_le_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_be_bytes(number)
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

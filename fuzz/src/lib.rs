//! Fuzz targets as plain functions: bytes in, a panic if an invariant breaks.
//!
//! One function per parser that a stranger's or a member's bytes reach. Each returns whether the bytes were
//! *accepted*, that is, got past the parser to what lies behind it: so the replay can tell seeds that have become
//! useless from those that still reach the code they were made for. Wherever something parses, it must encode
//! again to the same bytes, so that nothing has two spellings.
//!
//! `fuzz_targets/` calls these under libFuzzer, `tests/replay.rs` calls them on the committed corpus in the normal
//! test run, and `cargo run -p warren-fuzz --bin seeds` writes that corpus.

mod bench;
mod dataplane;
mod p2p;
mod relaying;
mod seeds;

pub use dataplane::{datagram, ip_packet, probe};
pub use p2p::{exchange_message, invite_code, join_message, record, rendezvous_value, signal_message};
pub use relaying::{datagram_stream, relay_message};
pub use seeds::{Seed, seeds};

/// A fuzz target: whether the bytes were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("invite_code", invite_code),
    ("record", record),
    ("datagram", datagram),
    ("probe", probe),
    ("ip_packet", ip_packet),
    ("join_message", join_message),
    ("exchange_message", exchange_message),
    ("signal_message", signal_message),
    ("rendezvous_value", rendezvous_value),
    ("relay_message", relay_message),
    ("datagram_stream", datagram_stream),
];

/// Runs a target on the files named as arguments, such as the one that a fuzzer left behind.
///
/// # Panics
///
/// As the target does; when a file cannot be read.
#[expect(clippy::print_stdout, reason = "the command that reproduces a crash tells what came of each file")]
pub fn reproduce(target: Target) {
    for path in std::env::args().skip(1) {
        match std::fs::read(&path) {
            Ok(bytes) => println!("{path}: {}", if target(&bytes) { "accepted" } else { "refused" }),
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

//! Every committed seed through its target, in the normal test run.

use std::fs;
use std::path::Path;

use warren_fuzz::{TARGETS, Target};

/// The files of a target's corpus.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{name}: {error}")).path();
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        files.push((path.display().to_string(), bytes));
    }
    files
}

fn replay(target: Target, name: &str) {
    let files = corpus(name);
    assert!(files.len() > 1, "{name} has no seeds");
    let accepted = files.iter().filter(|(_, bytes)| target(bytes)).count();
    assert!(accepted > 0, "no seed of {name} is accepted any more: `cargo run -p warren-fuzz --bin seeds`");
}

#[test]
fn every_target_replays_its_seeds() {
    for (name, target) in TARGETS {
        replay(target, name);
    }
}

#[test]
fn seeds_with_a_flipped_bit_break_nothing() {
    for (name, target) in TARGETS {
        for (_, bytes) in corpus(name) {
            for at in 0..bytes.len().min(256) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                let _ = target(&flipped);
            }
        }
    }
}

#[test]
fn seeds_cut_anywhere_break_nothing() {
    for (name, target) in TARGETS {
        for (_, bytes) in corpus(name) {
            for end in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
                let _ = target(&bytes[..end]);
            }
        }
    }
}

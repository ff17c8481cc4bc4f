//! Members, newcomers and villains on loopback.

#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick one event out of many")]

mod agreeing;
mod kademlia;
mod members;
mod newcomers;
mod outsiders;
mod relaying;
mod rendezvous;
mod rig;
mod villain;
mod villains;

//! Invites: how a device that shares nothing with a mesh but a pasted code becomes its member.
//!
//! ```text
//! admin                    any member online (the witness)          newcomer
//! Issued::new ─ Invite record ─► log of every member
//!      └────── code, by mail, chat, paper, QR ────────────────────► InviteCode::from_str
//!                                                                   connects with the invite key as its identity
//!                          issuer::answer  ◄──────── Ask ────────── Joiner::ask
//!                                          ───────── Terms ───────► Joiner::handle_terms: genuine? shown to the user
//!                          issuer::answer  ◄──────── Join ───────── Joiner::request: signed by both keys
//!                          signs the Join record as witness
//!                                          ──────── Admitted ─────► Joiner::handle_admitted: folds, finds itself
//! ```
//!
//! A code holds the seed of the invite key, the mesh id (which is the hash of the Genesis record), the beginning
//! of the Invite record's id (so the terms cannot be swapped), and up to four doors. So a newcomer needs to
//! trust nobody but the code: a member that answers with another mesh or other terms is found out.
//!
//! States of an invite, as the roster tells them: *open* → *used up* (as many devices joined as it allows), or
//! *expired* (by the witness' clock), or *revoked* (an admin took it back, or its author is no admin any more).
//! None of them leads back.
//!
//! Everything here is sans-IO: the shell carries [`Request`] and [`Response`], draws seeds and reads the clock.

mod code;
mod issuer;
mod joiner;
mod message;
mod terms;

pub use crate::membership::Refusal;
pub use code::{CodeError, InviteCode};
pub use issuer::{Admission, IssueError, Issued, answer};
pub use joiner::{JoinCheckError, Joiner, Progress, Wish};
pub use message::{Request, Response, Standing, Terms};
pub use terms::{InviteTerms, TermsError, TermsShown};

#[cfg(test)]
mod tests;

//! Invites as the local API speaks of them: terms asked for, the code made, the list of them.

use serde::{Deserialize, Serialize};

use super::grant::{Grant, Grants};
use super::status::Relation;

/// What a new invite shall allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    /// Whose devices it admits: ours or somebody else's.
    pub relation: Relation,
    /// How many devices it admits, at least one.
    pub uses: u32,
    /// For how many seconds from now.
    pub expires_s: u64,
    /// What every member of ours allows them on arrival; absent = the usual (`incoming`, `files`).
    #[serde(default)]
    pub allow: Option<Vec<Grant>>,
    /// The devices a guest gets to see, as people name them; empty = all.
    #[serde(default)]
    pub only: Vec<String>,
}

/// A new invite and its code. The code is a secret: only its maker ever sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInvite {
    /// What people paste.
    pub code: String,
    /// The invite as the list shows it.
    pub invite: Invite,
}

impl std::fmt::Debug for NewInvite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewInvite")
            .field("code", &format_args!("(..)"))
            .field("invite", &self.invite)
            .finish()
    }
}

/// An invite of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Its id in full; the first eight letters are enough to name it.
    pub id: String,
    /// The member who made it, by name.
    pub by: String,
    /// Whose devices it admits.
    pub relation: Relation,
    /// How many devices it admits in all.
    pub uses: u32,
    /// The devices it has admitted, by name.
    pub used_by: Vec<String>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
    /// Seconds until it ends; 0 when it has.
    pub expires_in_s: u64,
    /// What is allowed to them on arrival.
    pub grants: Grants,
    /// Whether it can still be used.
    pub state: InviteState,
}

/// Whether an invite can still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    /// It can.
    Open,
    /// It is past its time.
    Expired,
    /// It has admitted as many devices as it may.
    UsedUp,
    /// It was withdrawn.
    Revoked,
    /// Its maker was removed.
    Void,
    /// A state that this version does not know yet.
    #[serde(other)]
    Other,
}

//! The terms of an invite, as an admin sets them and as a newcomer is shown them.

use std::time::Duration;

use crate::identity::DeviceId;
use crate::limits::{INVITE_LIFETIME, INVITE_LIFETIME_MAX, INVITE_SCOPE, INVITE_USES, PORT_GRANTS};
use crate::record::{Grants, Invite, Name, Relation, Timestamp};

/// What an admin decides about an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteTerms {
    /// Whether the newcomer belongs to the inviter's owner.
    pub relation: Relation,
    /// How many devices may join by it.
    pub uses: u32,
    /// How long it lasts.
    pub lifetime: Duration,
    /// What the inviter's device grants the newcomer.
    pub grants: Grants,
    /// The devices that the newcomer is shown; empty means all.
    pub only: Vec<DeviceId>,
}

impl Default for InviteTerms {
    /// One own device, 72 hours, connections and files.
    fn default() -> Self {
        Self {
            relation: Relation::Own,
            uses: 1,
            lifetime: INVITE_LIFETIME,
            grants: Grants::usual(),
            only: Vec::new(),
        }
    }
}

/// Why there can be no invite on such terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// None, or too many uses.
    #[error("an invite has between 1 and {INVITE_USES} uses, not {0}")]
    Uses(u32),
    /// No time, or too much.
    #[error("an invite lasts between a second and ten years")]
    Lifetime,
    /// Too many devices.
    #[error("an invite names at most {INVITE_SCOPE} devices to be shown")]
    Scope,
    /// Too many or empty port ranges.
    #[error("an invite grants at most {PORT_GRANTS} ranges of ports, none of them empty")]
    Ports,
}

impl InviteTerms {
    /// The invite record's body on these terms.
    pub(super) fn into_invite(self, key: DeviceId, now: Timestamp) -> Result<Invite, TermsError> {
        let Self { relation, uses, lifetime, mut grants, mut only } = self;
        if uses == 0 || uses > INVITE_USES {
            return Err(TermsError::Uses(uses));
        }
        if lifetime < Duration::from_secs(1) || lifetime > INVITE_LIFETIME_MAX {
            return Err(TermsError::Lifetime);
        }
        only.sort_unstable();
        only.dedup();
        if only.len() > INVITE_SCOPE {
            return Err(TermsError::Scope);
        }
        grants.ports.sort_unstable();
        grants.ports.dedup();
        let empty = grants.ports.iter().any(|range| range.first == 0 || range.first > range.last);
        if grants.ports.len() > PORT_GRANTS || empty {
            return Err(TermsError::Ports);
        }
        Ok(Invite { key, relation, uses, not_after: now.saturating_add(lifetime), grants, only })
    }
}

/// What a newcomer is shown before it joins. All but the last two is proved by the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsShown {
    /// What people call the mesh.
    pub mesh_name: Name,
    /// Whether the newcomer will belong to the inviter's owner.
    pub relation: Relation,
    /// How many devices may join by the invite.
    pub uses: u32,
    /// When it ends.
    pub not_after: Timestamp,
    /// What the inviter's device will grant.
    pub grants: Grants,
    /// The devices that the newcomer will be shown; empty means all.
    pub only: Vec<DeviceId>,
    /// How many members the mesh has, by the word of the member asked.
    pub members: u32,
    /// Who gave the invite, by the word of the member asked.
    pub inviter: Option<Name>,
}

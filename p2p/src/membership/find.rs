//! Finding the member that a person means.

use std::net::IpAddr;

use super::{Member, Roster};

/// Why a text names no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nobody.
    #[error("Peer '{0}' is unknown.")]
    Unknown(String),
    /// Several, all of whose keys begin so.
    #[error("Peer '{text}' could be any of {}; use a name or more characters.", .names.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The names of those it could be.
        names: Vec<String>,
    },
}

/// The shortest beginning of a key that is looked up: shorter ones hit by chance.
const ID_PREFIX: usize = 4;

impl Roster {
    /// The member that `text` names in any case: a name, `name.mesh`, `name.mesh.internal`, an address, a
    /// WireGuard key, or the beginning of a device id, in this order.
    pub fn find(&self, text: &str) -> Result<&Member, FindError> {
        let text = text.trim();
        let wanted = text.trim_end_matches('.').to_ascii_lowercase();
        if let Some(member) = self.by_name(&wanted).or_else(|| self.by_address(&wanted)) {
            return Ok(member);
        }
        if let Some(member) = self.members.values().find(|member| member.wireguard.to_string() == text) {
            return Ok(member);
        }
        let mut hits = self
            .members
            .values()
            .filter(|member| wanted.len() >= ID_PREFIX && member.id.to_string().starts_with(&wanted));
        match (hits.next(), hits.next()) {
            (None, _) => Err(FindError::Unknown(text.to_owned())),
            (Some(member), None) => Ok(member),
            (Some(one), Some(two)) => {
                let names = [one, two].into_iter().chain(hits).map(|member| member.name.to_string());
                Err(FindError::Ambiguous { text: text.to_owned(), names: names.collect() })
            }
        }
    }

    fn by_name(&self, wanted: &str) -> Option<&Member> {
        let bare = wanted.strip_suffix(".internal").unwrap_or(wanted);
        let bare = match (self.name.as_ref(), bare.split_once('.')) {
            (Some(mesh), Some((name, domain))) if domain == mesh.as_str() => name,
            (_, Some(_)) => return None,
            (_, None) if bare.len() != wanted.len() => return None,
            (_, None) => bare,
        };
        self.member(self.names.get(&bare.parse().ok()?)?)
    }

    fn by_address(&self, wanted: &str) -> Option<&Member> {
        let address: IpAddr = wanted.parse().ok()?;
        self.members.values().find(|member| match address {
            IpAddr::V4(address) => member.ipv4 == address,
            IpAddr::V6(address) => member.ipv6 == address,
        })
    }
}

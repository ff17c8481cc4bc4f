//! Which peers to list: words that must all be true of a peer.

use std::str::FromStr;

use super::status::{Peer, Relation};

/// Words joined by commas; a peer passes when it fits every one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerFilter(Vec<Word>);

/// A word that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{word}' is not a filter; there are {}", PeerFilter::WORDS.map(|(word, _)| word).join(", "))]
pub struct UnknownFilter {
    word: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Online,
    Offline,
    Internal,
    External,
    AllowsIncoming,
    AllowsFiles,
    AllowsRouting,
    AllowsLan,
    IncomingAllowed,
    FilesAllowed,
    RoutingAllowed,
    LanAllowed,
}

impl PeerFilter {
    /// `allows-x`: the peer allows this device; `x-allowed`: this device allows the peer.
    const WORDS: [(&str, Word); 12] = [
        ("online", Word::Online),
        ("offline", Word::Offline),
        ("internal", Word::Internal),
        ("external", Word::External),
        ("allows-incoming", Word::AllowsIncoming),
        ("allows-files", Word::AllowsFiles),
        ("allows-routing", Word::AllowsRouting),
        ("allows-lan", Word::AllowsLan),
        ("incoming-allowed", Word::IncomingAllowed),
        ("files-allowed", Word::FilesAllowed),
        ("routing-allowed", Word::RoutingAllowed),
        ("lan-allowed", Word::LanAllowed),
    ];

    /// Whether a peer fits all words.
    pub fn passes(&self, peer: &Peer) -> bool {
        self.0.iter().all(|word| word.fits(peer))
    }
}

impl Word {
    fn fits(self, peer: &Peer) -> bool {
        let mine = &peer.grants.mine;
        let theirs = peer.grants.theirs.as_ref();
        match self {
            Self::Online => peer.online,
            Self::Offline => !peer.online,
            Self::Internal => peer.relation == Relation::Own,
            Self::External => peer.relation == Relation::Guest,
            Self::AllowsIncoming => theirs.is_some_and(|grants| grants.incoming),
            Self::AllowsFiles => theirs.is_some_and(|grants| grants.files),
            Self::AllowsRouting => theirs.is_some_and(|grants| grants.routing),
            Self::AllowsLan => theirs.is_some_and(|grants| grants.lan),
            Self::IncomingAllowed => mine.incoming,
            Self::FilesAllowed => mine.files,
            Self::RoutingAllowed => mine.routing,
            Self::LanAllowed => mine.lan,
        }
    }
}

impl FromStr for PeerFilter {
    type Err = UnknownFilter;

    fn from_str(text: &str) -> Result<Self, UnknownFilter> {
        let mut words = Vec::new();
        for typed in text.split(',').map(str::trim).filter(|typed| !typed.is_empty()) {
            let known = Self::WORDS.iter().find(|(word, _)| typed.eq_ignore_ascii_case(word));
            words.push(known.ok_or_else(|| UnknownFilter { word: typed.to_owned() })?.1);
        }
        Ok(Self(words))
    }
}

//! What is known of every pair, for people who wonder why a peer is not reached better.

use std::net::SocketAddr;
use std::time::Duration;

use super::agent::Agent;
use super::candidate::Source;
use super::pair::Pair;
use super::{Kind, Route};
use crate::wg::PublicKey;

/// So many pings without an answer are no accident.
const SILENT: u32 = 3;

/// One way to the peer, used or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairReport {
    /// The way.
    pub route: Route,
    /// Where it leads: the peer's address, or the relay's. None while a relay cannot be reached.
    pub endpoint: Option<SocketAddr>,
    /// What sort of way it is, once that is known.
    pub kind: Option<Kind>,
    /// The member that relays.
    pub via: Option<PublicKey>,
    /// How we came to know it.
    pub source: PairSource,
    /// Smoothed round trip, of a verified pair.
    pub rtt: Option<Duration>,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a pair came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairSource {
    /// The peer told the address.
    Told,
    /// The peer's own pings or packets came from there.
    Learned,
    /// Agreed with the peer: a relay's session, a stream.
    Agreed,
}

/// What came of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answers.
    Verified,
    /// It never answered so many pings.
    Unanswered {
        /// How many.
        pings: u32,
    },
    /// Nothing was sent there yet.
    Untried,
    /// It cannot be used, and why.
    Failed(PairFailure),
}

/// Why a pair cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairFailure {
    /// It answered once and does so no more.
    Silent,
    /// There is no path to the relay.
    NoPathToRelay,
}

impl Agent {
    /// Every pair, in the order in which they came.
    pub fn report(&self) -> impl Iterator<Item = PairReport> {
        self.pairs.iter().map(|pair| PairReport {
            route: pair.route,
            endpoint: (!pair.is_closed()).then(|| pair.endpoint()),
            kind: pair.score(&self.networks).map(|score| score.kind),
            via: pair.detour.and_then(|detour| detour.via),
            source: match pair.source {
                Source::Told => PairSource::Told,
                Source::Learned(_) => PairSource::Learned,
                Source::Agreed(_) => PairSource::Agreed,
            },
            rtt: pair.verified.map(|verified| verified.rtt),
            outcome: outcome(pair),
        })
    }
}

const fn outcome(pair: &Pair) -> Outcome {
    if pair.is_closed() {
        return Outcome::Failed(PairFailure::NoPathToRelay);
    }
    let pings = pair.unanswered_pings;
    match (pair.verified.is_some(), pair.failed_at.is_some()) {
        (true, _) if pings < SILENT => Outcome::Verified,
        (true, _) | (false, true) => Outcome::Failed(PairFailure::Silent),
        (false, false) if pings == 0 => Outcome::Untried,
        (false, false) => Outcome::Unanswered { pings },
    }
}

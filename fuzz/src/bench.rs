//! What the targets run against: a small mesh and two tunnel ends, the same in every run.

use std::net::SocketAddr;
use std::time::Instant;

use warren_dataplane::engine::{Command, Config, Engine, PeerConfig};
use warren_dataplane::filter::Rules;
use warren_dataplane::path::Nat;
use warren_dataplane::wg::{PrivateKey, PublicKey};
use warren_p2p::identity::{Identity, Subnet};
use warren_p2p::invite::{InviteCode, InviteTerms, Issued, Joiner, Request, Response, Wish, answer};
use warren_p2p::membership::Log;
use warren_p2p::record::{Founding, Timestamp, found};

/// The wall clock of all targets.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A founder's log with one open invite.
pub(crate) struct Mesh {
    pub(crate) founder: Identity,
    pub(crate) log: Log,
    pub(crate) code: InviteCode,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let founder = Identity::generate([1; 32]);
        let founding = Founding {
            mesh_name: parsed("home"),
            subnet: parsed::<Subnet>("100.64.0.0/10"),
            name: parsed("nas"),
            os: parsed("linux"),
            nonce: [2; 16],
        };
        let (mesh, records) =
            found(&founder, founding, NOW).unwrap_or_else(|error| panic!("founding: {error}"));
        let log = Log::from_records(mesh, records.to_vec());
        let doors: [SocketAddr; 2] = [parsed("192.0.2.1:41820"), parsed("[2001:db8::1]:41820")];
        let issued = Issued::new(&log, &founder, InviteTerms::default(), &doors, [3; 16], NOW);
        let issued = issued.unwrap_or_else(|error| panic!("inviting: {error}"));
        let log = log.extended(vec![issued.record]).log;
        Self { founder, log, code: issued.code }
    }

    /// A newcomer with the code.
    pub(crate) fn newcomer(&self) -> Joiner {
        let wish = Wish { name: parsed("laptop"), name_is_asked_for: false, os: parsed("linux") };
        Joiner::new(self.code.clone(), Identity::generate([4; 32]), wish)
    }

    /// What the founder says to a newcomer that holds the invite key, and its log afterwards.
    pub(crate) fn answer(&self, request: &Request) -> (Response, Log) {
        let key = self.code.invite_identity().device_id();
        let admission = answer(&self.log, &self.founder, &key, request, NOW);
        let log = admission.extended.map_or_else(|| self.log.clone(), |extended| extended.log);
        (admission.response, log)
    }
}

/// An engine with one peer.
pub(crate) struct Tunnel {
    pub(crate) engine: Engine,
    pub(crate) peer: PublicKey,
    pub(crate) at: SocketAddr,
}

impl Tunnel {
    /// The end that the fuzzed bytes arrive at.
    pub(crate) fn here(now: Instant) -> Self {
        Self::new(5, 6, now)
    }

    /// The end that seeds come from.
    pub(crate) fn there(now: Instant) -> Self {
        Self::new(6, 5, now)
    }

    fn new(own: u8, other: u8, now: Instant) -> Self {
        let config = Config {
            private_key: PrivateKey::from_bytes([own; 32]),
            ipv4: parsed(&format!("100.64.0.{own}")),
            ipv6: parsed(&format!("fd00::{own}")),
            mtu: 1280,
            seed: own.into(),
        };
        let mut engine = Engine::new(config, now);
        let peer = PrivateKey::from_bytes([other; 32]).public();
        let allowed_ips =
            vec![(parsed(&format!("100.64.0.{other}")), 32), (parsed(&format!("fd00::{other}")), 128)];
        let described = PeerConfig { key: peer, allowed_ips, preshared_key: None, rules: Rules::default() };
        let at = parsed(&format!("192.0.2.{other}:41820"));
        for command in [
            Command::SetPeer(described),
            Command::SetCandidates { peer, candidates: vec![at], nat: Nat::Unknown },
        ] {
            engine.handle_command(command, now).unwrap_or_else(|error| panic!("a valid command: {error}"));
        }
        Self { engine, peer, at }
    }
}

/// The present, for cores that want an `Instant`.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made from nothing; only differences matter"
)]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Display,
{
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

//! A stand-in daemon: the real server of the local API over answers that are written down here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::runtime::Runtime;
use warren::control::server::Server;
use warren::control::{
    Admitted, Advice, Both, Cause, Device, Doctor, Failure, FamilyCheck, Grant, GrantChange, GrantOutcome,
    Grants, Invite, InviteState, InviteTerms, JoinEvent, JoinRequest, MappingState, Mesh, Nat, Netcheck,
    NewInvite, Outcome, Pair, Path as Way, PathKind, Peer, PeerCheck, PingEvent, PingRequest, Relation,
    RelayCheck, Result, Service, Sighting, Status, Terms,
};

pub(crate) const CODE: &str = "warren1qqqqzzzzyyyyxxxxwwww";

/// A running server; ends when dropped.
pub(crate) struct Daemon {
    pub(crate) server: Option<Server>,
    pub(crate) runtime: Runtime,
    pub(crate) asked: Arc<Mutex<Asked>>,
}

/// What the daemon was asked to do, and what it holds.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) terms: Option<InviteTerms>,
    pub(crate) join: Option<JoinRequest>,
    laptop: Grants,
}

struct Answers(Arc<Mutex<Asked>>);

impl Daemon {
    pub(crate) fn start(socket: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked = Arc::<Mutex<Asked>>::default();
        let answers = Arc::new(Answers(Arc::clone(&asked)));
        let server = runtime.block_on(Server::start(socket, answers)).unwrap();
        Self { server: Some(server), runtime, asked }
    }

    pub(crate) fn stop(mut self) {
        self.runtime.block_on(self.server.take().unwrap().stop());
    }
}

/// Another server on the same socket.
pub(crate) async fn second(socket: &Path) -> Result<Server> {
    Server::start(socket, Arc::new(Answers(Arc::default()))).await
}

pub(crate) fn status() -> Status {
    let incoming = Grants::of([Grant::Incoming]);
    let theirs = Grants::of([Grant::Incoming, Grant::Files, "tcp/22".parse().unwrap()]);
    let way = |kind, via: Option<&str>, rtt_ms| {
        Some(Way {
            kind,
            endpoint: "192.168.1.20:41820".parse().unwrap(),
            via: via.map(str::to_owned),
            rtt_ms: Some(rtt_ms),
            since_s: 75,
            mtu: None,
        })
    };
    let mut laptop = peer("laptop", 20, Relation::Own, way(PathKind::Lan, None, 0.43));
    laptop.grants = Both { mine: incoming.clone(), theirs: Some(theirs) };
    laptop.rx_bytes = 1_258_291;
    laptop.tx_bytes = 310_000;
    laptop.last_handshake_s = Some(61);
    let mut phone = peer("phone-of-somebody-far-off", 30, Relation::Guest, None);
    phone.last_seen_s = Some(10_900);
    let desk = peer("desk", 40, Relation::Own, way(PathKind::Relay, Some("laptop"), 81.2));
    Status {
        version: "0.1.0".into(),
        mesh: Some(Mesh {
            id: "m".repeat(52),
            name: "home".into(),
            domain: "home.internal".into(),
            subnet: "100.64.0.0/10".into(),
        }),
        device: Device {
            name: "nas".into(),
            id: "d".repeat(52),
            ipv4: Ipv4Addr::new(100, 64, 0, 10),
            ipv6: Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7),
            port: 41820,
            os: "Debian 13".into(),
            wireguard: "k".repeat(44),
            tun: "warren0".into(),
            admin: true,
            mtu: 1420,
        },
        nat: Nat { kind: "easy".into(), observed: vec!["203.0.113.9:41820".parse().unwrap()] },
        peers: vec![desk, laptop, phone],
        exit: None,
        transfers: Vec::new(),
        warnings: Vec::new(),
        drops: [("no_peer".to_owned(), 3)].into(),
        uptime_s: 12,
    }
}

fn peer(name: &str, last: u8, relation: Relation, path: Option<Way>) -> Peer {
    Peer {
        name: name.into(),
        id: name.repeat(8),
        relation,
        ipv4: Ipv4Addr::new(100, 100, 100, last),
        ipv6: Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, u16::from(last)),
        online: path.is_some(),
        path,
        rx_bytes: 0,
        tx_bytes: 0,
        last_handshake_s: None,
        grants: Both::default(),
        os: "Debian 13".into(),
        wireguard: "w".repeat(44),
        admin: false,
        connected: true,
        last_seen_s: None,
        clock_skew_ms: None,
        rejected_records: 0,
        why: None,
    }
}

pub(crate) fn netcheck() -> Netcheck {
    let advice = |message: &str| Advice { code: "upnp_off".into(), message: message.into() };
    Netcheck {
        device: "nas".into(),
        port: 41820,
        udp: Some(true),
        ipv4: FamilyCheck {
            addresses: vec!["192.168.1.7".parse().unwrap()],
            outward: Some("192.168.1.7".parse().unwrap()),
            nat: "hard".into(),
            seen: vec![Sighting {
                by: "laptop".into(),
                address: "203.0.113.9:41820".parse().unwrap(),
                counts: true,
            }],
        },
        port_mapping: MappingState::Refused,
        relay: "auto".into(),
        relays: vec![RelayCheck {
            name: "laptop".into(),
            rtt_ms: Some(40.0),
            reserved: Some(true),
            carries: vec!["desk".into()],
        }],
        mtu: 1420,
        advice: vec![advice("your router has UPnP off: turn it on, or forward UDP 41820 to 192.168.1.7")],
        ..Netcheck::default()
    }
}

fn desk() -> PeerCheck {
    let pair = |endpoint: &str, via: Option<&str>, outcome| Pair {
        kind: Some(if via.is_some() { PathKind::Relay } else { PathKind::Direct }),
        endpoint: Some(endpoint.parse().unwrap()),
        via: via.map(str::to_owned),
        source: "told".into(),
        outcome,
    };
    PeerCheck {
        name: "desk".into(),
        connected: true,
        path: status().peers[0].path.clone(),
        nat: "hard".into(),
        pairs: vec![
            pair("198.51.100.7:41820", None, Outcome::Unanswered { pings: 12 }),
            pair("192.168.1.20:41820", Some("laptop"), Outcome::Verified { rtt_ms: 81.2 }),
            pair("10.0.0.3:41820", None, Outcome::Untried),
        ],
        why: Some("symmetric NAT on both sides".into()),
        advice: vec![Advice {
            code: "both_symmetric".into(),
            message: "both routers give each connection a port of its own (symmetric NAT)".into(),
        }],
        ..PeerCheck::default()
    }
}

fn invite(terms: &InviteTerms) -> Invite {
    Invite {
        id: "abcdefghijkl".into(),
        by: "nas".into(),
        relation: terms.relation,
        uses: terms.uses,
        used_by: Vec::new(),
        expires_at_ms: 1_800_000_000_000,
        expires_in_s: terms.expires_s,
        grants: Grants::of(terms.allow.clone().unwrap_or_else(|| vec![Grant::Incoming, Grant::Files])),
        state: InviteState::Open,
    }
}

fn unknown(peer: &str) -> Failure {
    Failure::new(Cause::UnknownPeer, format!("peer '{peer}' is unknown"))
        .hint("`warren peers` lists those there are")
}

impl Service for Answers {
    fn status(&self) -> BoxFuture<'_, Result<Status>> {
        async { Ok(status()) }.boxed()
    }

    fn create_invite(&self, terms: InviteTerms) -> BoxFuture<'_, Result<NewInvite>> {
        let made = NewInvite { code: CODE.into(), invite: invite(&terms) };
        self.0.lock().unwrap().terms = Some(terms);
        async { Ok(made) }.boxed()
    }

    fn invites(&self) -> BoxFuture<'_, Result<Vec<Invite>>> {
        let terms = InviteTerms {
            relation: Relation::Guest,
            uses: 3,
            expires_s: 183_600,
            allow: None,
            only: Vec::new(),
        };
        let open = Invite { used_by: vec!["phone".into()], ..invite(&terms) };
        let old = Invite { id: "zyxwvutsrq".into(), state: InviteState::Expired, ..invite(&terms) };
        async { Ok(vec![open, old]) }.boxed()
    }

    fn revoke_invite(&self, id: String) -> BoxFuture<'_, Result<Invite>> {
        let failure = Failure::new(Cause::UnknownInvite, format!("no invite has the id '{id}'"));
        async { Err(failure) }.boxed()
    }

    fn join(&self, request: JoinRequest) -> BoxStream<'static, Result<JoinEvent>> {
        let code = request.code.clone();
        self.0.lock().unwrap().join = Some(request);
        let terms = JoinEvent::Terms(Terms {
            mesh: "home".into(),
            inviter: "nas".into(),
            relation: Relation::Own,
            members: 3,
            uses: 1,
            expires_in_s: 3600,
            grants: Grants::of([Grant::Incoming]),
        });
        let admitted = JoinEvent::Admitted(Admitted {
            mesh: "home".into(),
            name: "desk-2".into(),
            ipv4: Ipv4Addr::new(100, 64, 0, 11),
            ipv6: Ipv6Addr::LOCALHOST,
            witness: "laptop".into(),
        });
        let start = [Ok(JoinEvent::Searching), Ok(terms)];
        match code.as_str() {
            "warren1expired" => {
                let failure = Failure::new(Cause::InviteExpired, "the invite expired 3 h ago")
                    .hint("ask for a new one: `warren invite`");
                stream::iter(start).chain(stream::iter([Err(failure)])).boxed()
            }
            "warren1pending" => stream::iter(start).chain(stream::pending()).boxed(),
            _ => {
                let end = [Ok(admitted), Ok(JoinEvent::Connected { peer: "laptop".into() })];
                stream::iter(start.into_iter().chain(end)).boxed()
            }
        }
    }

    fn ping(&self, request: PingRequest) -> BoxStream<'static, Result<PingEvent>> {
        let path =
            |name: &str| status().peers.into_iter().find(|peer| peer.name == name).and_then(|peer| peer.path);
        let count = request.count.unwrap_or(3);
        match request.peer.to_lowercase().as_str() {
            "laptop" => {
                let target = PingEvent::Target {
                    peer: "laptop".into(),
                    ipv4: Ipv4Addr::new(100, 100, 100, 20),
                    path: path("desk"),
                };
                let changed = PingEvent::PathChanged { path: path("laptop") };
                let reply = move |sequence| PingEvent::Reply { sequence, rtt_us: 430, path: path("laptop") };
                let replies = (1..=count).map(reply);
                stream::iter([target, changed].into_iter().chain(replies).map(Ok)).boxed()
            }
            "relayed" => {
                let reply = move |sequence| PingEvent::Reply { sequence, rtt_us: 81_000, path: path("desk") };
                stream::iter((1..=count).map(reply).map(Ok)).boxed()
            }
            "desk" => stream::iter((1..=count).map(|sequence| Ok(PingEvent::Timeout { sequence }))).boxed(),
            _ => stream::iter([Err(unknown(&request.peer))]).boxed(),
        }
    }

    fn netcheck(&self) -> BoxFuture<'_, Result<Netcheck>> {
        async { Ok(netcheck()) }.boxed()
    }

    fn doctor(&self, peer: Option<String>) -> BoxFuture<'_, Result<Doctor>> {
        let answer = match peer.as_deref() {
            None | Some("desk") => Ok(Doctor { here: netcheck(), peers: vec![desk()] }),
            Some(other) => Err(unknown(other)),
        };
        async { answer }.boxed()
    }

    fn set_grants(&self, change: GrantChange) -> BoxFuture<'_, Result<GrantOutcome>> {
        if change.peer != "laptop" {
            let failure = unknown(&change.peer);
            return async { Err(failure) }.boxed();
        }
        let mut asked = self.0.lock().unwrap();
        let held = &mut asked.laptop;
        let apply = |grant: &Grant| if change.allow { held.allow(*grant) } else { held.deny(*grant) };
        let (changed, unchanged) = change.grants.into_iter().partition(apply);
        let mine = asked.laptop.clone();
        async { Ok(GrantOutcome { peer: "laptop".into(), changed, unchanged, mine }) }.boxed()
    }

    fn leave(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn down(&self) -> BoxFuture<'_, Result<()>> {
        async { Err(Failure::new(Cause::Failed, "the stand-in does not stop")) }.boxed()
    }
}

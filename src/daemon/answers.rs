//! What the loop answers to each question of the local API.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use warren_p2p::identity::DeviceId;
use warren_p2p::invite::{InviteCode, InviteTerms};
use warren_p2p::membership::{InviteState, Member};
use warren_p2p::record::{self, RecordId, Relation};

use super::becoming::Listener;
use super::core::Core;
use super::diagnosis::{Links, peer_check};
use super::machine::{monotonic, now};
use super::requests::{Ping, Request, Target};
use super::session::Session;
use super::view;
use super::{advice, failures};
use crate::config::DeviceName;
use crate::control;
use crate::control::{
    Cause, Failure, GrantChange, GrantOutcome, Grants, Invite, JoinRequest, Nat, NewInvite, Result, Status,
};

/// The roster follows a record of our own at once; this is for when it does not.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// Changes of a path that a slow client may fall behind by; the next reply shows the path anyway.
const PATHS: usize = 16;

impl Core {
    pub(super) async fn answer(&mut self, request: Request) {
        // Whoever asked may have hung up meanwhile; what was asked is done all the same.
        match request {
            Request::Status(reply) => drop(reply.send(self.status().await)),
            Request::CreateInvite(terms, reply) => drop(reply.send(self.create_invite(&terms).await)),
            Request::Invites(reply) => drop(reply.send(self.invites())),
            Request::RevokeInvite(id, reply) => drop(reply.send(self.revoke_invite(&id).await)),
            Request::Join(request, events) => self.answer_join(request, events).await,
            Request::FindPeer(name, reply) => drop(reply.send(self.target(&name).await)),
            Request::Ping(name, reply) => drop(reply.send(self.ping(&name).await)),
            Request::Netcheck(reply) => drop(reply.send(self.netcheck().await)),
            Request::Mesh(reply) => drop(reply.send(self.session().map(|session| session.swarm().clone()))),
            Request::Doctor(peer, probes, reply) => {
                drop(reply.send(self.doctor(peer.as_deref(), &probes).await));
            }
            Request::SetGrants(change, reply) => drop(reply.send(self.set_grants(&change).await)),
            Request::Leave(reply) => drop(reply.send(self.leave().await)),
            Request::Down(reply) => {
                self.stopping = true;
                drop(reply.send(Ok(())));
            }
        }
    }

    pub(super) async fn status(&self) -> Result<Status> {
        let uptime_s = monotonic().saturating_duration_since(self.started).as_secs();
        let port = self.bridge.port();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let Some(session) = &self.session else {
            return Ok(Status {
                version,
                mesh: None,
                device: view::no_device(&self.config.name.name, port),
                nat: Nat { kind: "unknown".to_owned(), observed: Vec::new() },
                peers: Vec::new(),
                exit: None,
                transfers: Vec::new(),
                warnings: Vec::new(),
                drops: BTreeMap::new(),
                uptime_s,
            });
        };
        let (links, drops) = self.bridge.links().await;
        let control = session.swarm().peers().await.map_err(failures::command)?;
        let links = Links { packets: links, control };
        let here = self.network(Some((session, &links)));
        let (roster, me) = (session.roster(), session.me());
        let nothing = record::Grants::default();
        let mut peers: Vec<_> = session
            .visible()
            .map(|member| {
                let mine = session.grants(&member.id).unwrap_or(&nothing);
                let (control, link) = (links.control.get(&member.id), links.packets.get(&member.id));
                let why = advice::why(&here, &peer_check(session, &links, member));
                control::Peer { why, ..view::peer(roster, &me.id, member, mine, control, link) }
            })
            .collect();
        peers.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Status {
            version,
            mesh: Some(view::mesh(roster)),
            device: view::device(me, port, session.tun(), self.config.mtu),
            nat: view::nat(&session.nat),
            peers,
            exit: None,
            transfers: Vec::new(),
            warnings: view::warnings(roster, &links.control, session.store_failure.as_deref()),
            drops,
            uptime_s,
        })
    }

    fn no_mesh(&self) -> Failure {
        if self.joining.is_some() { failures::joining() } else { no_mesh() }
    }

    pub(super) fn session(&self) -> Result<&Session> {
        self.session.as_ref().ok_or_else(|| self.no_mesh())
    }

    async fn create_invite(&self, terms: &control::InviteTerms) -> Result<NewInvite> {
        let session = self.session()?;
        let only =
            terms.only.iter().map(|text| Ok(find(session, text)?.id)).collect::<Result<Vec<DeviceId>>>()?;
        let usual = || Grants { incoming: true, files: true, ..Grants::default() };
        let allow = terms.allow.as_ref().map_or_else(usual, |allow| Grants::of(allow.iter().copied()));
        self.new_invite(InviteTerms {
            relation: match terms.relation {
                control::Relation::Own => Relation::Own,
                control::Relation::Guest => Relation::Guest,
            },
            uses: terms.uses,
            lifetime: Duration::from_secs(terms.expires_s),
            grants: view::record_grants(&allow),
            only,
        })
        .await
    }

    async fn new_invite(&self, terms: InviteTerms) -> Result<NewInvite> {
        let session = self.session()?;
        let (code, id) = session.swarm().create_invite(terms).await.map_err(failures::command)?;
        let invite = invite_once(session, id, |_| true).await?;
        Ok(NewInvite { code: code.to_string(), invite })
    }

    fn invites(&self) -> Result<Vec<Invite>> {
        let roster = self.session()?.swarm().roster().borrow().clone();
        let mut invites: Vec<_> = roster.invites().iter().collect();
        invites.sort_by_key(|(id, state)| (std::cmp::Reverse(state.issued_at), **id));
        let now = now();
        Ok(invites.into_iter().filter_map(|(id, _)| view::invite(&roster, id, now)).collect())
    }

    async fn revoke_invite(&self, text: &str) -> Result<Invite> {
        let session = self.session()?;
        let wanted = text.trim().to_lowercase();
        let roster = session.swarm().roster().borrow().clone();
        let fits: Vec<_> =
            roster.invites().keys().filter(|id| id.to_string().starts_with(&wanted)).copied().collect();
        let id = match fits.as_slice() {
            [id] if wanted.len() >= 4 => *id,
            [] => {
                return Err(Failure::new(Cause::UnknownInvite, format!("no invite has the id '{text}'"))
                    .hint("`warren invite list` shows all of them"));
            }
            [_, ..] => {
                return Err(Failure::new(
                    Cause::Misuse,
                    format!("the id '{text}' is too short to name one invite"),
                )
                .hint("give at least the eight letters that `warren invite list` shows"));
            }
        };
        if roster.invites().get(&id).is_some_and(|state| state.revoked) {
            return Err(Failure::new(
                Cause::InviteRevoked,
                format!("the invite {} is revoked already", id.short()),
            ));
        }
        session.swarm().revoke_invite(id).await.map_err(failures::command)?;
        invite_once(session, id, |state| state.revoked).await
    }

    async fn answer_join(&mut self, request: JoinRequest, events: Listener) {
        match self.may_join(request) {
            Ok((code, name)) => self.begin_join(code, name, events).await,
            // Nothing else was sent, so there is room.
            Err(failure) => drop(events.try_send(Err(failure))),
        }
    }

    fn may_join(&self, request: JoinRequest) -> Result<(InviteCode, DeviceName)> {
        let code: InviteCode = request.code.parse().map_err(failures::code)?;
        if self.joining.is_some() {
            return Err(failures::joining());
        }
        if let Some(session) = &self.session {
            let mesh = view::mesh_name(session.roster());
            if session.roster().mesh() == code.mesh() {
                return Err(failures::own_invite(&mesh));
            }
            if !session.is_alone() {
                return Err(failures::in_another_mesh(&mesh, session.roster().members().len()));
            }
        }
        let name = match request.name {
            Some(name) => DeviceName { name, chosen: true },
            None => self.config.name.clone(),
        };
        Ok((code, name))
    }

    async fn target(&mut self, text: &str) -> Result<Target> {
        let session = self.session()?;
        let member = find(session, text)?;
        let (links, _) = self.bridge.links().await;
        let path = links.get(&member.id).and_then(|link| link.path.clone());
        let (peer, name, ipv4) = (member.id, member.name.to_string(), member.ipv4);
        let (sender, changes) = mpsc::channel(PATHS);
        self.watchers.retain(|(_, watcher)| !watcher.is_closed());
        self.watchers.push((peer, sender));
        Ok(Target { name, ipv4, path, changes })
    }

    async fn ping(&mut self, text: &str) -> Result<Ping> {
        let session = self.session()?;
        let peer = find(session, text)?.id;
        if peer == session.me().id {
            return Err(Failure::new(Cause::Misuse, "that is this device itself"));
        }
        let (sender, answer) = oneshot::channel();
        self.last_ping += 1;
        // Pings nobody waits for any more make room here.
        self.pings.retain(|_, waiting| !waiting.is_closed());
        self.pings.insert(self.last_ping, sender);
        self.bridge.ping(&peer, self.last_ping).await?;
        Ok(Ping { answer })
    }

    async fn set_grants(&mut self, change: &GrantChange) -> Result<GrantOutcome> {
        let session = self.session()?;
        let member = find(session, &change.peer)?;
        let (peer, name) = (member.id, member.name.to_string());
        if peer == session.me().id {
            return Err(Failure::new(Cause::Misuse, "that is this device itself"));
        }
        let before = session.swarm().grants(peer).await.map_err(failures::command)?;
        let mut mine = view::grants(&before);
        let (changed, unchanged) = change.grants.iter().copied().partition::<Vec<_>, _>(|grant| {
            if change.allow { mine.allow(*grant) } else { mine.deny(*grant) }
        });
        if !changed.is_empty() {
            let grants = view::record_grants(&mine);
            if let Some(session) = &mut self.session {
                session.set_grants(&peer, grants, &mut self.bridge).await?;
            }
        }
        Ok(GrantOutcome { peer: name, changed, unchanged, mine })
    }

    async fn leave(&mut self) -> Result<()> {
        let session = self.session()?;
        session.swarm().leave().await.map_err(failures::command)?;
        self.leave_behind().await
    }
}

/// The invite as soon as the roster shows it so.
async fn invite_once(
    session: &Session,
    id: RecordId,
    is_so: impl Fn(&InviteState) -> bool,
) -> Result<Invite> {
    let mut roster = session.swarm().roster();
    let shown = roster.wait_for(|roster| roster.invites().get(&id).is_some_and(&is_so));
    let stopped = || Failure::new(Cause::NotRunning, "the daemon is stopping");
    // We may have been made no admin this very moment; then it never will be.
    let shown = timeout(SHOWN_WITHIN, shown)
        .await
        .map_err(|_| Failure::new(Cause::Failed, "the mesh did not take the change"))?;
    view::invite(&*shown.map_err(|_| stopped())?, &id, now()).ok_or_else(stopped)
}

/// The member a person means, ourselves included.
fn find<'a>(session: &'a Session, text: &str) -> Result<&'a Member> {
    session.roster().find(text).map_err(failures::find)
}

fn no_mesh() -> Failure {
    Failure::new(Cause::Failed, "this device is in no mesh")
        .hint("join one with `warren join CODE`, or found one by `warren down` and `warren up`")
}

//! The one loop: it owns everything and answers everything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use warren_p2p::identity::DeviceId;
use warren_p2p::node::Event;

use super::becoming::Joining;
use super::bridge::{self, Bridge, Link};
use super::failures;
use super::interfaces::Interfaces;
use super::machine::{Signals, at, monotonic, within};
use super::mapping::Mapper;
use super::requests::Request;
use super::session::Session;
use super::state::{MeshDir, StateDir};
use super::{stranded, view};
use crate::cli::Ui;
use crate::config::Config;
use crate::control::{Cause, Failure, JoinEvent, Notice, Path, Result};
use crate::host::Host;

/// Changes that come together are shown together.
const NOTICE_PAUSE: Duration = Duration::from_millis(250);
/// How long a known mesh may be silent before we say that we are ready without a peer.
const READY_PATIENCE: Duration = Duration::from_secs(3);

/// The token of a ping whose answer nobody waits for.
const NOBODY_WAITS: u64 = 0;

/// All there is while the daemon runs.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) state: StateDir,
    pub(super) host: Host,
    pub(super) bridge: Bridge,
    pub(super) session: Option<Session>,
    pub(super) interfaces: Interfaces,
    /// Asks the router for a port; none when the user does not want that.
    pub(super) mapper: Option<Mapper>,
    requests: mpsc::Receiver<Request>,
    pub(super) ui: Ui,
    pub(super) started: Instant,
    pub(super) pings: BTreeMap<u64, oneshot::Sender<(Duration, Option<Path>)>>,
    pub(super) last_ping: u64,
    /// Who wants to hear of a peer's paths.
    pub(super) watchers: Vec<(DeviceId, mpsc::Sender<Option<Path>>)>,
    /// The join under way; there is no session meanwhile.
    pub(super) joining: Option<Joining>,
    /// Who waits for the first peer after a join through the local API.
    pub(super) joined: Option<mpsc::Sender<Result<JoinEvent>>>,
    /// When to show what has changed.
    notice_at: Option<tokio::time::Instant>,
    /// Until when [`Notice::Ready`] waits for a peer; none once it was given.
    ready_at: Option<tokio::time::Instant>,
    /// When to see whether we are stranded.
    look_at: tokio::time::Instant,
    pub(super) stopping: bool,
}

/// What the loop turns for.
enum Turn {
    Request(Option<Request>),
    Mesh(Option<Event>),
    Joined(Result<MeshDir>),
    Packets(bridge::Event),
    Interfaces,
    Mapped,
    Notice,
    Ready,
    Look,
    Signal,
}

impl Core {
    pub(super) fn new(
        config: Config,
        state: StateDir,
        host: Host,
        bridge: Bridge,
        requests: mpsc::Receiver<Request>,
        ui: Ui,
    ) -> Result<Self> {
        let io = |source| Failure::new(Cause::Failed, format!("cannot start: {source}"));
        let interfaces = Interfaces::watch(&config.tun).map_err(io)?;
        let mapper = config.port_mapping.then(|| Mapper::start(bridge.port())).flatten();
        Ok(Self {
            config,
            state,
            host,
            bridge,
            session: None,
            interfaces,
            mapper,
            requests,
            ui,
            started: monotonic(),
            pings: BTreeMap::new(),
            last_ping: 0,
            watchers: Vec::new(),
            joining: None,
            joined: None,
            notice_at: None,
            ready_at: None,
            look_at: within(stranded::LOOK),
            stopping: false,
        })
    }

    /// Puts a mesh into service.
    pub(super) async fn begin(&mut self, dir: MeshDir) -> Result<()> {
        let mut session = Session::start(dir, &self.config, &mut self.bridge, &mut self.host).await?;
        session.nat.network_changed(self.interfaces.networks(), &[], monotonic());
        self.bridge.set_local_networks(self.interfaces.networks()).await;
        session.announce(self.addresses(), self.bridge.port()).await;
        self.session = Some(session);
        Ok(())
    }

    /// Answers until told to stop.
    pub(super) async fn serve(&mut self, signals: &mut Signals) -> Result<()> {
        while !self.stopping {
            match self.turn(signals).await {
                Turn::Request(Some(request)) => self.answer(request).await,
                Turn::Request(None) | Turn::Signal => self.stopping = true,
                Turn::Mesh(Some(event)) => self.mesh_event(event).await?,
                Turn::Mesh(None) => return Err(failures::died("control plane")),
                Turn::Joined(outcome) => self.end_join(outcome).await,
                Turn::Packets(event) => self.packet_event(event).await?,
                Turn::Interfaces => self.interfaces_changed().await,
                Turn::Mapped => self.announce().await,
                Turn::Notice => self.show_change().await,
                Turn::Ready => self.show_ready().await,
                Turn::Look => self.look_around().await,
            }
        }
        (self.ui)(Notice::Stopping);
        Ok(())
    }

    /// Ends the session and gives the sockets back.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(mapper) = self.mapper.take() {
            mapper.stop().await;
        }
        let undone = match self.session.take() {
            Some(session) => {
                session.stop(&mut self.bridge, &mut self.host).await;
                Ok(())
            }
            // A session that was stopped while it began may have made changes already.
            None => self.host.undo_all().await,
        };
        self.bridge.shutdown().await;
        undone?;
        Ok(())
    }

    async fn turn(&mut self, signals: &mut Signals) -> Turn {
        let Self { session, joining, bridge, interfaces, mapper, requests, .. } = self;
        let inside = session.as_ref().map(Session::own_addresses).unwrap_or_default();
        let mesh = async {
            match session {
                Some(session) => session.next_event().await,
                None => std::future::pending().await,
            }
        };
        let joined = async {
            match joining {
                Some(joining) => joining.outcome().await,
                None => std::future::pending().await,
            }
        };
        let mapped = async {
            match mapper {
                Some(mapper) => mapper.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = signals.received() => Turn::Signal,
            event = mesh => Turn::Mesh(event),
            outcome = joined => Turn::Joined(outcome),
            event = bridge.next_event() => Turn::Packets(event),
            request = requests.recv() => Turn::Request(request),
            () = interfaces.changed(&inside) => Turn::Interfaces,
            () = mapped => Turn::Mapped,
            () = at(self.ready_at) => Turn::Ready,
            () = at(self.notice_at) => Turn::Notice,
            () = at(Some(self.look_at)) => Turn::Look,
        }
    }

    async fn mesh_event(&mut self, event: Event) -> Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        match event {
            Event::RosterChanged(roster) => {
                session.store_failure = None;
                if session.has_moved(&roster) {
                    self.begin_again().await?;
                } else {
                    session.follow(roster, &mut self.bridge, &mut self.host).await?;
                }
            }
            Event::Connected { peer, address } => {
                session.nat.met(peer, address.ip());
                self.bridge.add_candidate(&peer, address).await;
                self.peer_answers(&peer);
            }
            // Gone, or is only the control connection lost? A packet through the tunnel finds out.
            Event::Disconnected { peer } => {
                session.nat.lost(&peer);
                if let Err(failure) = self.bridge.ping(&peer, NOBODY_WAITS).await {
                    tracing::debug!(%failure, "a peer's path was not tested");
                }
            }
            Event::ConnectedThrough { peer, .. } => self.peer_answers(&peer),
            Event::GrantsOfPeer { .. } | Event::ClockSkew { .. } => {}
            Event::Reachable { address, reachable } => {
                session.heard.reachable.insert(address, reachable);
            }
            Event::Candidates { peer, addresses, nat } => {
                self.bridge.set_candidates(&peer, addresses, nat).await;
            }
            Event::Observed { by, address } => self.observed(by, address).await,
            Event::RelaySession { peer, relay, session: number } => {
                self.bridge.add_relay(&peer, &relay, number).await;
                session.relayed.add(peer);
            }
            Event::RelaySessionEnded { peer, session, .. } => self.bridge.remove_relay(&peer, session).await,
            Event::Forward { session, between } => self.bridge.add_forward(session, between).await,
            Event::ForwardEnded { session } => self.bridge.remove_forward(session).await,
            Event::Stream { peer, address, stream } => {
                if let Some(stream) = stream.take() {
                    self.bridge.add_stream(&peer, address, stream).await;
                }
            }
            Event::Misbehaved { peer, why } => {
                tracing::warn!(peer = %peer.short(), %why, "a member misbehaves")
            }
            Event::Removed => {
                tracing::warn!("this device was removed from the mesh");
                self.leave_behind().await?;
            }
            Event::StoreFailed(error) => {
                tracing::error!(%error, "a record could not be stored");
                session.store_failure = Some(error.to_string());
            }
        }
        self.changed();
        Ok(())
    }

    async fn packet_event(&mut self, event: bridge::Event) -> Result<()> {
        match event {
            bridge::Event::PathChanged { peer, path } => {
                self.tell_watchers(&peer, path.as_ref());
                if let Some(path) = &path {
                    self.follow_path(peer, path);
                    self.peer_answers(&peer);
                }
                self.changed();
            }
            bridge::Event::PathSilent { peer } => {
                if let Some(session) = &self.session {
                    session.see_to(peer).await;
                }
            }
            bridge::Event::WantCandidates { peer } => {
                if let Some(session) = &self.session {
                    session.want(peer).await;
                }
            }
            bridge::Event::Observed { peer, address } => self.observed(peer, address).await,
            bridge::Event::Pong { peer, token, rtt } => {
                if let Some(answer) = self.pings.remove(&token) {
                    let path = self.bridge.links().await.0.remove(&peer).and_then(|link| link.path);
                    // Nobody waits any more when the answer came late.
                    let _ = answer.send((rtt, path));
                }
            }
            bridge::Event::PingTimedOut { token } => {
                self.pings.remove(&token);
            }
            bridge::Event::TunnelGone { name, error } => return Err(failures::tunnel_gone(&name, &error)),
            bridge::Event::Died => return Err(failures::died("dataplane")),
        }
        Ok(())
    }

    /// This device has other addresses in the mesh than its tunnel.
    async fn begin_again(&mut self) -> Result<()> {
        let Some(session) = self.session.take() else { return Ok(()) };
        tracing::warn!("this device's address in the mesh has changed; its network interface is made anew");
        let dir = session.stop(&mut self.bridge, &mut self.host).await;
        self.begin(dir).await
    }

    /// The mesh is over for this device: its records are removed, the daemon runs on without one.
    pub(super) async fn leave_behind(&mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            let dir = session.stop(&mut self.bridge, &mut self.host).await;
            self.state.discard(&dir)?;
        }
        self.joined = None;
        self.changed();
        Ok(())
    }

    /// A first peer answers: whoever waits for that is told.
    fn peer_answers(&mut self, peer: &DeviceId) {
        let Some(session) = &self.session else { return };
        let name = view::name_of(session.roster(), peer);
        if let Some(joined) = self.joined.take() {
            // The client may have hung up; the mesh is joined all the same.
            let _ = joined.try_send(Ok(JoinEvent::Connected { peer: name }));
        }
        if self.ready_at.is_some() {
            self.ready_at = Some(within(Duration::ZERO));
        }
    }

    /// A mesh has begun: alone we are ready at once, else when the first peer answers, or soon.
    pub(super) fn ready_soon(&mut self) {
        let alone = self.session.as_ref().is_none_or(Session::is_alone);
        self.ready_at = Some(within(if alone { Duration::ZERO } else { READY_PATIENCE }));
    }

    pub(super) fn changed(&mut self) {
        self.notice_at.get_or_insert_with(|| within(NOTICE_PAUSE));
    }

    async fn look_around(&mut self) {
        self.look_at = within(stranded::LOOK);
        self.release_relays().await;
        if let Some(session) = &mut self.session {
            session.look_around().await;
        }
    }

    /// Gives back the relays of members that need none any more.
    async fn release_relays(&mut self) {
        let Some(session) = &mut self.session else { return };
        let (links, _) = self.bridge.links().await;
        let traffic = |peer: &DeviceId| links.get(peer).map(Link::traffic);
        for peer in session.relayed.review(traffic, monotonic()) {
            if let Err(error) = session.swarm().relay_unneeded(peer).await {
                tracing::debug!(%error, "a relay was not given back");
            }
        }
    }

    async fn show_change(&mut self) {
        self.notice_at = None;
        if self.ready_at.is_none()
            && let Ok(status) = self.status().await
        {
            (self.ui)(Notice::Changed { status: Box::new(status) });
        }
    }

    async fn show_ready(&mut self) {
        self.ready_at = None;
        if let Ok(status) = self.status().await {
            (self.ui)(Notice::Ready { status: Box::new(status) });
        }
    }
}

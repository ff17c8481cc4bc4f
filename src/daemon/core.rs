//! The one loop: it owns everything and answers everything.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::RngCore as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use warren_p2p::identity::Subnet;
use warren_p2p::invite::InviteCode;
use warren_p2p::limits::OS_LENGTH;
use warren_p2p::membership::Log;
use warren_p2p::node::Event;
use warren_p2p::record::{self, Founding, MeshId, Name, Os, Timestamp};
use warren_p2p::store::Store;

use super::bridge::{self, Bridge};
use super::failures;
use super::interfaces::Interfaces;
use super::joining;
use super::requests::Request;
use super::session::Session;
use super::state::{MeshDir, StateDir};
use crate::cli::Ui;
use crate::config::Config;
use crate::control::{Cause, Failure, JoinEvent, Notice, Path, Result};
use crate::host::Host;

/// Changes that come together are shown together.
const NOTICE_PAUSE: Duration = Duration::from_millis(250);
/// How long a known mesh may be silent before we say that we are ready without a peer.
const READY_PATIENCE: Duration = Duration::from_secs(3);

/// All there is while the daemon runs.
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) state: StateDir,
    pub(super) host: Host,
    pub(super) bridge: Bridge,
    pub(super) session: Option<Session>,
    interfaces: Interfaces,
    requests: mpsc::Receiver<Request>,
    ui: Ui,
    pub(super) started: Instant,
    pub(super) pings: BTreeMap<u64, oneshot::Sender<(Duration, Option<Path>)>>,
    pub(super) last_ping: u64,
    /// Who waits for the first peer after a join through the local API.
    pub(super) joined: Option<mpsc::Sender<Result<JoinEvent>>>,
    /// When to show what has changed.
    notice_at: Option<tokio::time::Instant>,
    /// Until when [`Notice::Ready`] waits for a peer; none once it was given.
    ready_at: Option<tokio::time::Instant>,
    pub(super) stopping: bool,
}

/// What the loop turns for.
enum Turn {
    Request(Option<Request>),
    Mesh(Event),
    Packets(bridge::Event),
    Interfaces,
    Notice,
    Ready,
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
        Ok(Self {
            config,
            state,
            host,
            bridge,
            session: None,
            interfaces: Interfaces::watch().map_err(io)?,
            requests,
            ui,
            started: monotonic(),
            pings: BTreeMap::new(),
            last_ping: 0,
            joined: None,
            notice_at: None,
            ready_at: None,
            stopping: false,
        })
    }

    /// Gets into a mesh: the one of `code`, the one we are in, or a new one.
    pub(super) async fn start(&mut self, code: Option<String>) -> Result<()> {
        let code = code.map(|code| code.parse::<InviteCode>()).transpose().map_err(failures::code)?;
        let present = self.present()?;
        let start = match (code, present) {
            (Some(code), Some(dir)) => self.join_from(&code, dir).await,
            (Some(code), None) => {
                let dir = self.join(&code).await?;
                self.begin(dir).await
            }
            (None, Some(dir)) => self.begin(dir).await,
            (None, None) => {
                let dir = self.found()?;
                self.begin(dir).await
            }
        };
        start?;
        self.ready_at = Some(within(READY_PATIENCE));
        Ok(())
    }

    /// The mesh this device is in. Where a join was cut off between two renames there are two; then the
    /// one in which the device is alone makes way, as it would have done.
    fn present(&self) -> Result<Option<MeshDir>> {
        let mut meshes = self.state.meshes().map_err(failures::state)?;
        if meshes.len() > 1 {
            let mut shared = Vec::new();
            for dir in meshes {
                if summary_of(&dir)?.0 <= 1 {
                    self.state.discard(&dir).map_err(failures::state)?;
                } else {
                    shared.push(dir);
                }
            }
            meshes = shared;
        }
        Ok(meshes.pop())
    }

    /// `up CODE` on a device that is in a mesh already.
    async fn join_from(&mut self, code: &InviteCode, dir: MeshDir) -> Result<()> {
        let (members, mesh, name) = summary_of(&dir)?;
        if mesh == code.mesh() {
            tracing::info!(mesh = %name, "this device is in the mesh of the code already");
            return self.begin(dir).await;
        }
        if members > 1 {
            return Err(failures::in_another_mesh(&name, members));
        }
        let joined = self.join(code).await?;
        self.state.discard(&dir).map_err(failures::state)?;
        self.begin(joined).await
    }

    /// Joins while no session has the sockets.
    async fn join(&mut self, code: &InviteCode) -> Result<MeshDir> {
        let ui = Ui::clone(&self.ui);
        let tell = move |step| ui(Notice::Join { step });
        joining::join(code, &self.config.name, &self.config, &self.state, &self.bridge, tell).await
    }

    /// Replaces the mesh in which this device is alone by the one of `code`.
    pub(super) async fn rejoin(
        &mut self,
        code: &InviteCode,
        name: &crate::config::DeviceName,
        tell: impl Fn(JoinEvent) + Send,
    ) -> Result<()> {
        let before = match self.session.take() {
            Some(session) => Some(session.stop(&mut self.bridge, &mut self.host).await),
            None => None,
        };
        match joining::join(code, name, &self.config, &self.state, &self.bridge, tell).await {
            Ok(dir) => {
                if let Some(before) = before {
                    self.state.discard(&before).map_err(failures::state)?;
                }
                self.begin(dir).await
            }
            Err(failure) => {
                if let Some(before) = before {
                    self.begin(before).await?;
                }
                Err(failure)
            }
        }
    }

    /// Puts a mesh into service.
    async fn begin(&mut self, dir: MeshDir) -> Result<()> {
        let session = Session::start(dir, &self.config, &mut self.bridge, &mut self.host).await?;
        session.announce(self.interfaces.candidates(self.bridge.port())).await;
        self.session = Some(session);
        Ok(())
    }

    /// Founds a mesh of this device alone.
    fn found(&self) -> Result<MeshDir> {
        let (draft, identity) = self.state.founding().map_err(failures::state)?;
        let name = |text: &str| text.parse::<Name>().map_err(|error| failures::name(text, &error));
        let mut nonce = [0; 16];
        #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that draws randomness")]
        rand::rng().fill_bytes(&mut nonce);
        let founding = Founding {
            mesh_name: name(&self.config.mesh)?,
            subnet: Subnet::new(self.config.subnet.address, self.config.subnet.prefix)
                .map_err(|error| Failure::new(Cause::ConfigInvalid, error.to_string()))?,
            name: name(&self.config.name.name)?,
            os: os(),
            nonce,
        };
        let mesh_name = founding.mesh_name.to_string();
        let (mesh, records) = record::found(&identity, founding, now())
            .map_err(|error| Failure::new(Cause::Failed, format!("cannot found a mesh: {error}")))?;
        let log = Log::from_records(mesh, records.to_vec());
        save_log(&draft, &log)?;
        let dir = self.state.commit(&draft, &mesh).map_err(failures::state)?;
        (self.ui)(Notice::Founded { mesh: mesh_name });
        Ok(dir)
    }

    /// Answers until told to stop.
    pub(super) async fn serve(&mut self, signals: &mut Signals) -> Result<()> {
        while !self.stopping {
            match self.turn(signals).await {
                Turn::Request(Some(request)) => self.answer(request).await,
                Turn::Request(None) | Turn::Signal => self.stopping = true,
                Turn::Mesh(event) => self.mesh_event(event).await?,
                Turn::Packets(event) => self.packet_event(event).await,
                Turn::Interfaces => self.interfaces_changed().await,
                Turn::Notice => self.show_change().await,
                Turn::Ready => self.show_ready().await,
            }
        }
        (self.ui)(Notice::Stopping);
        Ok(())
    }

    /// Ends the session and gives the sockets back.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            session.stop(&mut self.bridge, &mut self.host).await;
        }
        self.bridge.shutdown().await;
        Ok(())
    }

    async fn turn(&mut self, signals: &mut Signals) -> Turn {
        let Self { session, bridge, interfaces, requests, .. } = self;
        let inside: Vec<IpAddr> = session.as_ref().map(Session::own_addresses).unwrap_or_default();
        let mesh = async {
            match session {
                Some(session) => session.next_event().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = signals.received() => Turn::Signal,
            event = mesh => Turn::Mesh(event),
            event = bridge.next_event() => Turn::Packets(event),
            request = requests.recv() => Turn::Request(request),
            () = interfaces.changed(&inside) => Turn::Interfaces,
            () = at(self.ready_at) => Turn::Ready,
            () = at(self.notice_at) => Turn::Notice,
        }
    }

    async fn mesh_event(&mut self, event: Event) -> Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        match event {
            Event::RosterChanged(roster) => session.follow(roster, &mut self.bridge, &mut self.host).await?,
            Event::Connected { peer, address } => {
                self.bridge.add_candidate(&peer, address).await;
                self.peer_answers(&peer).await;
            }
            Event::Disconnected { .. } | Event::GrantsOfPeer { .. } | Event::ClockSkew { .. } => {}
            Event::Candidates { peer, addresses } => self.bridge.set_candidates(&peer, addresses).await,
            Event::Observed { address, .. } => {
                if session.observed(address) {
                    session.announce(self.interfaces.candidates(self.bridge.port())).await;
                }
            }
            Event::Misbehaved { peer, why } => {
                tracing::warn!(peer = %peer.short(), %why, "a member misbehaves")
            }
            Event::Removed => {
                tracing::warn!("this device was removed from the mesh");
                self.leave_behind().await?;
            }
            Event::StoreFailed(error) => tracing::error!(%error, "a record could not be stored"),
        }
        self.changed();
        Ok(())
    }

    async fn packet_event(&mut self, event: bridge::Event) {
        match event {
            bridge::Event::PathChanged { peer, path } => {
                if path.is_some() {
                    self.peer_answers(&peer).await;
                }
                self.changed();
            }
            bridge::Event::WantCandidates { peer } => {
                if let Some(session) = &self.session {
                    session.want(peer).await;
                }
            }
            bridge::Event::Observed { address } => {
                if let Some(session) = &mut self.session
                    && session.observed(address)
                {
                    session.announce(self.interfaces.candidates(self.bridge.port())).await;
                }
            }
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
        }
    }

    async fn interfaces_changed(&mut self) {
        self.bridge.network_changed().await;
        if let Some(session) = &self.session {
            session.announce(self.interfaces.candidates(self.bridge.port())).await;
        }
    }

    /// The mesh is over for this device: its records are removed, the daemon runs on without one.
    pub(super) async fn leave_behind(&mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            let dir = session.stop(&mut self.bridge, &mut self.host).await;
            self.state.discard(&dir).map_err(failures::state)?;
        }
        self.changed();
        Ok(())
    }

    /// A first peer answers: whoever waits for that is told.
    async fn peer_answers(&mut self, peer: &warren_p2p::identity::DeviceId) {
        let Some(session) = &self.session else { return };
        let name = super::view::name_of(session.roster(), peer);
        if let Some(joined) = self.joined.take() {
            // The client may have hung up; the mesh is joined all the same.
            let _ = joined.send(Ok(JoinEvent::Connected { peer: name })).await;
        }
        if self.ready_at.is_some() {
            self.ready_at = Some(within(Duration::ZERO));
        }
    }

    fn changed(&mut self) {
        self.notice_at.get_or_insert_with(|| within(NOTICE_PAUSE));
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

/// SIGTERM and SIGINT, both of which end the daemon in order.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Cause::Failed, format!("cannot listen to signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How many members a mesh on disk has, which mesh it is, and what it is called.
fn summary_of(dir: &MeshDir) -> Result<(usize, MeshId, String)> {
    let store = Store::open(dir.store_path()).map_err(failures::store)?;
    let log = load_log(&store)?;
    let roster = log.roster();
    Ok((roster.members().len(), log.mesh(), super::view::mesh_name(roster)))
}

/// Writes the records of a new mesh to disk.
pub(super) fn save_log(dir: &MeshDir, log: &Log) -> Result<()> {
    let store = Store::open(dir.store_path()).map_err(failures::store)?;
    store.set_mesh(log.mesh()).map_err(failures::store)?;
    let records: Vec<_> = log.records().cloned().collect();
    store.add_records(&records).map_err(failures::store)
}

/// The records on disk.
pub(super) fn load_log(store: &Store) -> Result<Log> {
    let mesh = store.mesh().map_err(failures::store)?.ok_or_else(|| {
        Failure::new(Cause::StoreCorrupt, format!("the store in {} is empty", store.directory().display()))
            .hint("`warren leave` forgets the mesh; a new invite code brings this device back")
    })?;
    Ok(Log::from_records(mesh, store.load_verified().map_err(failures::store)?))
}

/// This machine's operating system as peers see it, `Debian GNU/Linux 12` or just `linux`.
pub(super) fn os() -> Os {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    let name = name.split(" (").next().unwrap_or_default();
    let fits: String = name.chars().filter(|letter| (' '..='~').contains(letter)).take(OS_LENGTH).collect();
    fits.parse().expect("a few printable ASCII characters are an operating system")
}

/// The wall clock.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that reads the clock")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock that never jumps.
pub(super) fn monotonic() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that reads the clock")]
    Instant::now()
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A moment from now.
fn within(duration: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(monotonic()) + duration
}

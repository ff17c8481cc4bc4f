//! How this device gets into a mesh: it resumes the one on disk, joins the one of a code, or founds one.

use rand::RngCore as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use warren_p2p::identity::Subnet;
use warren_p2p::invite::InviteCode;
use warren_p2p::membership::Log;
use warren_p2p::record::{self, Founding, Name};

use super::core::Core;
use super::failures;
use super::joining::{self, Errand};
use super::machine::{now, os};
use super::state::MeshDir;
use crate::cli::Ui;
use crate::config::{Config, DeviceName};
use crate::control::{Cause, Failure, JoinEvent, Notice, Result};

/// Who is told how a join goes.
pub(super) type Listener = mpsc::Sender<Result<JoinEvent>>;

/// A join under way beside the loop; given up when dropped.
pub(super) struct Joining {
    way: JoinSet<Result<MeshDir>>,
    events: Listener,
    /// The mesh in which this device was alone, out of service meanwhile.
    before: Option<MeshDir>,
}

impl Joining {
    /// How it ended.
    pub(super) async fn outcome(&mut self) -> Result<MeshDir> {
        match self.way.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => Err(failures::died("join")),
        }
    }
}

impl Core {
    /// Gets into a mesh: the one of `code`, the one we are in, or a new one.
    pub(super) async fn start(&mut self, code: Option<InviteCode>) -> Result<()> {
        let present = self.present(code.as_ref())?;
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
        self.ready_soon();
        Ok(())
    }

    /// The mesh this device is in. A mesh it was removed from is forgotten; and where a join was cut off
    /// between two renames there are two, of which the one in which the device is alone makes way. Records that
    /// were moved away are fetched again with a code of the mesh, by the same key.
    fn present(&self, code: Option<&InviteCode>) -> Result<Option<MeshDir>> {
        let mut shared = Vec::new();
        let mut alone = Vec::new();
        for dir in self.state.meshes()? {
            if !dir.has_store() {
                if !code.is_some_and(|code| dir.is_of(&code.mesh())) {
                    return Err(failures::records_lost());
                }
                self.state.reopen(&dir)?;
                continue;
            }
            let summary = dir.summary()?;
            if summary.is_out {
                tracing::warn!(mesh = %summary.name, "this device was removed from the mesh and forgets it");
                self.state.discard(&dir)?;
            } else if summary.members > 1 {
                shared.push(dir);
            } else {
                alone.push(dir);
            }
        }
        if shared.is_empty() {
            return Ok(alone.pop());
        }
        for dir in alone {
            self.state.discard(&dir)?;
        }
        Ok(shared.pop())
    }

    /// `up CODE` on a device that is in a mesh already.
    async fn join_from(&mut self, code: &InviteCode, dir: MeshDir) -> Result<()> {
        let summary = dir.summary()?;
        if summary.mesh == code.mesh() {
            tracing::warn!(mesh = %summary.name, "this device is in the mesh of the code already; the code is for another one");
            return self.begin(dir).await;
        }
        if summary.members > 1 {
            return Err(failures::in_another_mesh(&summary.name, summary.members));
        }
        let joined = self.join(code).await?;
        self.state.discard(&dir)?;
        self.begin(joined).await
    }

    /// Joins while no session has the sockets.
    async fn join(&mut self, code: &InviteCode) -> Result<MeshDir> {
        let ui = Ui::clone(&self.ui);
        let tell = move |step| ui(Notice::Join { step });
        joining::join(self.errand(code.clone(), self.config.name.clone()), tell).await
    }

    fn errand(&self, code: InviteCode, name: DeviceName) -> Errand {
        let (state, sockets) = (self.state.clone(), self.bridge.quic_sockets());
        let Config { mdns, ref rendezvous, .. } = self.config;
        Errand { code, name, mdns, state, sockets, rendezvous: rendezvous.clone() }
    }

    /// Begins to replace the mesh in which this device is alone by the one of `code`. The loop goes on meanwhile and
    /// calls [`Self::end_join`] with the outcome.
    pub(super) async fn begin_join(&mut self, code: InviteCode, name: DeviceName, events: Listener) {
        let before = match self.session.take() {
            Some(session) => Some(session.stop(&mut self.bridge, &mut self.host).await),
            None => None,
        };
        let steps = events.clone();
        let tell = move |step| {
            // A client that does not read its stream misses a step, not the end, for which one place is left.
            if steps.capacity() > 1 {
                let _ = steps.try_send(Ok(step));
            }
        };
        let mut way = JoinSet::new();
        way.spawn(joining::join(self.errand(code, name), tell));
        self.joining = Some(Joining { way, events, before });
    }

    /// A join has come to its end: the new mesh begins, or the one before goes on.
    pub(super) async fn end_join(&mut self, outcome: Result<MeshDir>) {
        let Some(Joining { events, before, .. }) = self.joining.take() else { return };
        let outcome = match outcome {
            Ok(dir) => self.replace(before, dir).await,
            Err(failure) => {
                if let Some(before) = before
                    && let Err(error) = self.begin(before).await
                {
                    tracing::error!(%error, "the mesh before could not be put back into service");
                }
                Err(failure)
            }
        };
        match outcome {
            Ok(()) => {
                // The stream stays open until the first peer answers or the client hangs up.
                self.joined = Some(events);
                self.ready_soon();
            }
            // Whoever asked may have hung up.
            Err(failure) => drop(events.try_send(Err(failure))),
        }
    }

    /// Gives a join up; the mesh before is on disk still, and goes on at the next start. Nobody waits for a first
    /// peer any more either.
    pub(super) fn abandon_join(&mut self) {
        self.joined = None;
        if let Some(Joining { events, .. }) = self.joining.take() {
            let stopping = Failure::new(Cause::NotRunning, "the daemon was stopped before it had joined");
            drop(events.try_send(Err(stopping)));
        }
    }

    async fn replace(&mut self, before: Option<MeshDir>, dir: MeshDir) -> Result<()> {
        if let Some(before) = before {
            self.state.discard(&before)?;
        }
        self.begin(dir).await
    }

    /// Founds a mesh of this device alone.
    fn found(&self) -> Result<MeshDir> {
        let (draft, identity) = self.state.founding()?;
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
        drop(draft.save(&log)?);
        let dir = self.state.commit(&draft, &mesh)?;
        (self.ui)(Notice::Founded { mesh: mesh_name });
        Ok(dir)
    }
}

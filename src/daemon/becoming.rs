//! How this device gets into a mesh: it resumes the one on disk, joins the one of a code, or founds one.

use rand::RngCore as _;
use warren_p2p::identity::Subnet;
use warren_p2p::invite::InviteCode;
use warren_p2p::membership::Log;
use warren_p2p::record::{self, Founding, Name};

use super::core::Core;
use super::failures;
use super::joining;
use super::machine::{now, os};
use super::state::MeshDir;
use crate::cli::Ui;
use crate::config::DeviceName;
use crate::control::{Cause, Failure, JoinEvent, Notice, Result};

impl Core {
    /// Gets into a mesh: the one of `code`, the one we are in, or a new one.
    pub(super) async fn start(&mut self, code: Option<String>) -> Result<()> {
        let code = code.map(|code| code.parse::<InviteCode>()).transpose().map_err(failures::code)?;
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
        let mut present = None;
        for dir in self.state.meshes().map_err(failures::state)? {
            if !dir.has_store() {
                if !code.is_some_and(|code| dir.is_of(&code.mesh())) {
                    return Err(failures::records_lost());
                }
                self.state.reopen(&dir).map_err(failures::state)?;
                continue;
            }
            let summary = dir.summary()?;
            if !summary.is_member {
                tracing::warn!(mesh = %summary.name, "this device was removed from the mesh and forgets it");
                self.state.discard(&dir).map_err(failures::state)?;
                continue;
            }
            let replaced = match present.replace((dir, summary.members)) {
                Some((before, members)) if members > 1 => present.replace((before, members)),
                before => before,
            };
            if let Some((alone, _)) = replaced {
                self.state.discard(&alone).map_err(failures::state)?;
            }
        }
        Ok(present.map(|(dir, _)| dir))
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
        name: &DeviceName,
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
        draft.save(&log)?;
        let dir = self.state.commit(&draft, &mesh).map_err(failures::state)?;
        (self.ui)(Notice::Founded { mesh: mesh_name });
        Ok(dir)
    }
}

//! Becoming a member: the sockets are borrowed, a member is found, and a whole mesh is put on disk.

use std::sync::Arc;

use tokio::sync::mpsc;
use warren_p2p::invite::{InviteCode, TermsShown, Wish};
use warren_p2p::record::Name;
use warren_p2p::store::Store;
use warren_p2p::swarm::socket::AsyncUdpSocket;
use warren_p2p::swarm::{self, JoinSettings, JoinedMesh, PATIENCE, Progress, rendezvous};

use super::failures;
use super::machine::{now, os};
use super::state::{MeshDir, StateDir};
use super::view;
use crate::config::DeviceName;
use crate::control::{Admitted, Cause, Failure, JoinEvent, Result, Terms};

/// Steps that may wait for whoever shows them.
const STEPS: usize = 8;

/// The setting that holds the code.
const CODE: &str = "code";

/// What a join is to do, and with what. It holds all it needs, so that the loop need not wait for it.
pub(super) struct Errand {
    pub(super) code: InviteCode,
    pub(super) name: DeviceName,
    pub(super) mdns: bool,
    pub(super) state: StateDir,
    /// No session may use them meanwhile.
    pub(super) sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    pub(super) rendezvous: Option<rendezvous::Config>,
}

/// Joins the mesh of the code and returns its folder, ready to be started. Nothing is left behind on failure. When
/// dropped in the middle, the draft stays with its key: a member may have let it in.
pub(super) async fn join(errand: Errand, tell: impl Fn(JoinEvent) + Send) -> Result<MeshDir> {
    let Errand { code, name, mdns, state, sockets, rendezvous } = errand;
    let wish = Wish {
        name: name.name.parse::<Name>().map_err(|error| failures::name(&name.name, &error))?,
        name_is_asked_for: name.chosen,
        os: os(),
    };
    let mesh = code.mesh();
    let (draft, identity) = state.joining(&mesh)?;
    let settings = JoinSettings {
        code: code.clone(),
        identity,
        wish,
        sockets,
        mdns,
        tunnel: std::collections::BTreeSet::new(),
        patience: PATIENCE,
        rendezvous,
    };
    match admitted(settings, &draft, tell).await {
        Ok(()) => Ok(state.commit(&draft, &mesh)?),
        Err(failure) => {
            // Where somebody was reached and the end is unclear, or the disk was full afterwards, a member may
            // have let the key in without our knowing: the next try with the same code must come with it.
            let undecided = [Cause::InviteUnknown, Cause::DiskFull, Cause::Failed];
            if !undecided.contains(&failure.cause)
                && let Err(error) = state.discard(&draft)
            {
                tracing::warn!(%error, "a draft of the mesh is left behind");
            }
            Err(failure)
        }
    }
}

async fn admitted(settings: JoinSettings, draft: &MeshDir, tell: impl Fn(JoinEvent) + Send) -> Result<()> {
    let (device, code) = (settings.identity.device_id(), settings.code.clone());
    let (progress, mut steps) = mpsc::channel(STEPS);
    let joining = swarm::join(settings, progress);
    tokio::pin!(joining);
    let show = |step| match step {
        Progress::Searching => tell(JoinEvent::Searching),
        Progress::Terms(terms) => tell(JoinEvent::Terms(shown(&terms))),
        // Told below, when it is also on disk.
        Progress::Admitted => {}
    };
    let joined = loop {
        tokio::select! {
            biased;
            Some(step) = steps.recv() => show(step),
            joined = &mut joining => break joined.map_err(failures::join)?,
        }
    };
    while let Ok(step) = steps.try_recv() {
        show(step);
    }
    keep(draft, &code, &joined)?;
    let roster = joined.log.roster();
    let me = roster
        .member(&device)
        .ok_or_else(|| Failure::new(Cause::Failed, "the mesh let this device in and does not know it"))?;
    tell(JoinEvent::Admitted(Admitted {
        mesh: view::mesh_name(roster),
        name: me.name.to_string(),
        ipv4: me.ipv4,
        ipv6: me.ipv6,
        witness: view::name_of(roster, &joined.witness),
    }));
    Ok(())
}

/// Puts the records on disk, where to find the member that sent them, and the code (`stranded.rs` says why).
fn keep(draft: &MeshDir, code: &InviteCode, joined: &JoinedMesh) -> Result<()> {
    let store = draft.save(&joined.log)?;
    store.put_setting(CODE, code.to_string().as_bytes()).map_err(failures::store)?;
    store.put_addresses(&joined.witness, &joined.addresses()).map_err(failures::store)
}

/// The code this device came by.
pub(super) fn code_kept(store: &Store) -> Option<InviteCode> {
    let kept = store.setting(CODE).ok()??;
    std::str::from_utf8(&kept).ok()?.parse().ok()
}

fn shown(terms: &TermsShown) -> Terms {
    Terms {
        mesh: terms.mesh_name.to_string(),
        inviter: terms.inviter.as_ref().map_or_else(|| "a former member".to_owned(), ToString::to_string),
        relation: view::relation(terms.relation),
        members: terms.members,
        uses: terms.uses,
        expires_in_s: terms.not_after.as_millis().saturating_sub(now().as_millis()) / 1000,
        grants: view::grants(&terms.grants),
    }
}

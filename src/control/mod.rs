//! The local API: how the command line, and whoever else may, talks to the daemon of this machine.
//!
//! HTTP with JSON bodies over a unix socket, every path under `/v1`:
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/peers?filter=online,internal` | [`Peers`] |
//! | `GET /v1/invites`, `POST /v1/invites` | [`Invite`]s; [`NewInvite`] |
//! | `DELETE /v1/invites/{id}` | [`Invite`] |
//! | `POST /v1/join` | lines of [`JoinEvent`] |
//! | `POST /v1/ping` | lines of [`PingEvent`] |
//! | `GET /v1/netcheck` | [`Netcheck`] |
//! | `GET /v1/doctor?peer=laptop` | [`Doctor`] |
//! | `POST /v1/grants` | [`GrantOutcome`] |
//! | `POST /v1/leave`, `POST /v1/down` | `{}` |
//! | `GET /metrics` | Prometheus text |
//!
//! A failure is `{"error": {code, message, hint}}` with a status of 400 or above; in a stream of lines
//! it is the last line. Fields and events are added and never renamed: a client ignores what it does
//! not know, so an old client speaks with a new daemon and the other way round.
//!
//! Who may ask is decided once, by the socket's mode and group ([`access`]): root, the daemon's own
//! user, and members of the group `warren`. There is no second set of rights behind it, no network
//! listener, and no secret in the API but the code of an invite at the moment it is made.
//!
//! The daemon is a [`Service`]; this room turns requests into its calls and knows nothing of meshes.

pub mod access;
pub mod client;
mod doctor;
mod event;
mod failure;
mod filter;
mod grant;
mod invite;
mod metrics;
mod netcheck;
mod routes;
pub mod server;
mod status;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use doctor::{Doctor, Outcome, Pair, PeerCheck};
pub use event::{
    Admitted, GrantChange, GrantOutcome, JoinEvent, JoinRequest, Notice, PingEvent, PingRequest, Terms,
};
pub use failure::{Cause, Failure, Result};
pub use filter::{PeerFilter, UnknownFilter};
pub use grant::{Grant, GrantError, Grants, Ports, Protocol};
pub use invite::{Invite, InviteState, InviteTerms, NewInvite};
pub use netcheck::{
    Advice, ClockCheck, FamilyCheck, MappingState, Netcheck, PathMtu, PortMapping, Probed, RelayCheck,
    Sighting,
};
pub use status::{Both, Device, Exit, Mesh, Nat, Path, PathKind, Peer, Relation, Status, Transfer, Warning};

/// What a daemon can be asked.
///
/// Calls may run at the same time. A stream ends when its work is done or after its first failure;
/// dropping it means that the client hung up, and stops the work.
pub trait Service: Send + Sync + 'static {
    /// Everything at this moment.
    fn status(&self) -> BoxFuture<'_, Result<Status>>;

    /// Makes an invite.
    fn create_invite(&self, terms: InviteTerms) -> BoxFuture<'_, Result<NewInvite>>;

    /// All invites of the mesh, the newest first.
    fn invites(&self) -> BoxFuture<'_, Result<Vec<Invite>>>;

    /// Withdraws the invite with this id, or with an id starting so.
    fn revoke_invite(&self, id: String) -> BoxFuture<'_, Result<Invite>>;

    /// Joins the mesh of a code.
    fn join(&self, request: JoinRequest) -> BoxStream<'static, Result<JoinEvent>>;

    /// Pings a peer through the tunnel.
    fn ping(&self, request: PingRequest) -> BoxStream<'static, Result<PingEvent>>;

    /// The network this device is in.
    fn netcheck(&self) -> BoxFuture<'_, Result<Netcheck>>;

    /// Why a peer, or each, is reached as it is. A peer named is tried first.
    fn doctor(&self, peer: Option<String>) -> BoxFuture<'_, Result<Doctor>>;

    /// Allows or denies a peer something.
    fn set_grants(&self, change: GrantChange) -> BoxFuture<'_, Result<GrantOutcome>>;

    /// Leaves the mesh for good; the daemon runs on without one.
    fn leave(&self) -> BoxFuture<'_, Result<()>>;

    /// Begins to stop, as SIGTERM does, and returns at once.
    fn down(&self) -> BoxFuture<'_, Result<()>>;
}

/// This device and its peers, as `warren peers` shows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// This device.
    pub device: Device,
    /// The peers that passed the filter.
    pub peers: Vec<Peer>,
}

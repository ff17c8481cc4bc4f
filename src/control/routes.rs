//! Which request is which call of the service.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::failure::{Cause, Failure};
use super::filter::PeerFilter;
use super::{Doctor, Invite, Netcheck, NewInvite, Peers, Service, Status, metrics, server};
use super::{GrantChange, GrantOutcome, InviteTerms, JoinRequest, PingRequest};

/// Largest request body, in bytes: a thousand device names in an invite's scope fit.
const BODY_MAX: usize = 64 * 1024;

type Daemon = State<Arc<dyn Service>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// How a failure looks on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: Failure,
}

pub(super) fn router(service: Arc<dyn Service>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/peers", get(peers))
        .route("/v1/invites", get(invites).post(create_invite))
        .route("/v1/invites/{id}", delete(revoke_invite))
        .route("/v1/join", post(join))
        .route("/v1/ping", post(ping))
        .route("/v1/netcheck", get(netcheck))
        .route("/v1/doctor", get(doctor))
        .route("/v1/grants", post(set_grants))
        .route("/v1/leave", post(leave))
        .route("/v1/down", post(down))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(service)
}

async fn status(State(daemon): Daemon) -> Answer<Status> {
    Ok(Json(daemon.status().await?))
}

#[derive(Deserialize)]
struct PeersQuery {
    #[serde(default)]
    filter: String,
}

async fn peers(State(daemon): Daemon, query: Query<PeersQuery>) -> Answer<Peers> {
    let filter: PeerFilter = query
        .filter
        .parse()
        .map_err(|error: super::UnknownFilter| Failure::new(Cause::Misuse, error.to_string()))?;
    let Status { device, mut peers, .. } = daemon.status().await?;
    peers.retain(|peer| filter.passes(peer));
    Ok(Json(Peers { device, peers }))
}

async fn invites(State(daemon): Daemon) -> Answer<Vec<Invite>> {
    Ok(Json(daemon.invites().await?))
}

async fn create_invite(State(daemon): Daemon, request: Request) -> Answer<NewInvite> {
    let terms: InviteTerms = body(request).await?;
    let made = daemon.create_invite(terms).await?;
    info!(invite = made.invite.id, "made an invite");
    Ok(Json(made))
}

async fn revoke_invite(State(daemon): Daemon, Path(id): Path<String>) -> Answer<Invite> {
    let invite = daemon.revoke_invite(id).await?;
    info!(invite = invite.id, "withdrew an invite");
    Ok(Json(invite))
}

async fn join(State(daemon): Daemon, request: Request) -> Result<Response, Refusal> {
    let request: JoinRequest = body(request).await?;
    Ok(stream(server::lines(daemon.join(request))))
}

async fn ping(State(daemon): Daemon, request: Request) -> Result<Response, Refusal> {
    let request: PingRequest = body(request).await?;
    Ok(stream(server::lines(daemon.ping(request))))
}

async fn netcheck(State(daemon): Daemon) -> Answer<Netcheck> {
    Ok(Json(daemon.netcheck().await?))
}

#[derive(Deserialize)]
struct DoctorQuery {
    #[serde(default)]
    peer: Option<String>,
}

async fn doctor(State(daemon): Daemon, query: Query<DoctorQuery>) -> Answer<Doctor> {
    Ok(Json(daemon.doctor(query.0.peer).await?))
}

async fn set_grants(State(daemon): Daemon, request: Request) -> Answer<GrantOutcome> {
    let change: GrantChange = body(request).await?;
    let outcome = daemon.set_grants(change).await?;
    info!(peer = outcome.peer, allowed = %outcome.mine, "changed what a peer may do");
    Ok(Json(outcome))
}

async fn leave(State(daemon): Daemon) -> Answer<serde_json::Value> {
    info!("asked to leave the mesh");
    daemon.leave().await?;
    Ok(Json(serde_json::json!({})))
}

async fn down(State(daemon): Daemon) -> Answer<serde_json::Value> {
    info!("asked to stop");
    daemon.down().await?;
    Ok(Json(serde_json::json!({})))
}

async fn metrics(State(daemon): Daemon) -> Result<Response, Refusal> {
    let text = metrics::render(&daemon.status().await?);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn unknown(request: Request) -> Refusal {
    let version = env!("CARGO_PKG_VERSION");
    let message =
        format!("this daemon ({version}) does not know {} {}", request.method(), request.uri().path());
    Refusal(
        Failure::new(Cause::VersionMismatch, message)
            .hint("the client is of another version: restart the daemon with `warren down` and `warren up`"),
    )
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    let misuse = |message: String| Failure::new(Cause::Misuse, message);
    let bytes = axum::body::to_bytes(request.into_body(), BODY_MAX)
        .await
        .map_err(|_| misuse(format!("the request is cut off or larger than {BODY_MAX} bytes")))?;
    serde_json::from_slice(&bytes).map_err(|error| misuse(format!("the request does not parse: {error}")))
}

fn stream(
    lines: impl futures::Stream<Item = Result<Vec<u8>, std::convert::Infallible>> + Send + 'static,
) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// A failure as an answer.
struct Refusal(Failure);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (http_status(self.0.cause), Json(ErrorBody { error: self.0 })).into_response()
    }
}

/// Close enough for whoever looks at numbers; the cause says it exactly.
fn http_status(cause: Cause) -> StatusCode {
    match cause {
        Cause::Misuse
        | Cause::NameInvalid
        | Cause::ConfigInvalid
        | Cause::InviteNotACode
        | Cause::InviteTruncated
        | Cause::InviteMistyped
        | Cause::InviteUnsupported => StatusCode::BAD_REQUEST,
        Cause::Denied | Cause::NotPrivileged | Cause::NotAdmin | Cause::Removed => StatusCode::FORBIDDEN,
        Cause::UnknownPeer | Cause::UnknownInvite | Cause::InviteUnknown | Cause::VersionMismatch => {
            StatusCode::NOT_FOUND
        }
        Cause::AlreadyMember
        | Cause::InAnotherMesh
        | Cause::NameTaken
        | Cause::PortInUse
        | Cause::AlreadyRunning
        | Cause::TunNameTaken
        | Cause::AmbiguousPeer
        | Cause::InviteExpired
        | Cause::InviteUsedUp
        | Cause::InviteRevoked => StatusCode::CONFLICT,
        Cause::NotRunning | Cause::NotConnected | Cause::NobodyReachable => StatusCode::SERVICE_UNAVAILABLE,
        Cause::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        Cause::Failed
        | Cause::NoTun
        | Cause::StateNotWritable
        | Cause::StoreCorrupt
        | Cause::StoreForeign
        | Cause::ClockWrong
        | Cause::Other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

//! Asks the daemon: one connection a question, and plain words when nobody is there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::access::{self, Probe};
use super::failure::{Cause, Failure, Result};
use super::routes::ErrorBody;
use super::{Doctor, Invite, Netcheck, NewInvite, Peers, Status};
use super::{GrantChange, GrantOutcome, InviteTerms, JoinEvent, JoinRequest, PingEvent, PingRequest};

/// Largest answer, in bytes: ten thousand peers of a kilobyte.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// Longest line of a stream, in bytes.
const LINE_MAX: usize = 1024 * 1024;
/// The daemon answers in milliseconds or does not work.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// What a daemon may take to end after it was told: taking back a thousand routes.
const DOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// The daemon behind a socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Names the socket; nothing is asked yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Whether a daemon answers there.
    pub async fn is_alive(&self) -> bool {
        probe(&self.socket).await == Probe::Alive
    }

    /// Everything at this moment.
    pub async fn status(&self) -> Result<Status> {
        self.get("/v1/status").await
    }

    /// The peers that fit a filter as people type it.
    pub async fn peers(&self, filter: &str) -> Result<Peers> {
        self.get(&format!("/v1/peers?filter={}", escape(filter))).await
    }

    /// All invites of the mesh.
    pub async fn invites(&self) -> Result<Vec<Invite>> {
        self.get("/v1/invites").await
    }

    /// Makes an invite.
    pub async fn create_invite(&self, terms: &InviteTerms) -> Result<NewInvite> {
        self.post("/v1/invites", terms).await
    }

    /// Withdraws an invite, named by its id or the start of it.
    pub async fn revoke_invite(&self, id: &str) -> Result<Invite> {
        let path = format!("/v1/invites/{}", escape(id));
        self.answer(self.send(Method::DELETE, &path, Bytes::new())).await
    }

    /// Joins the mesh of a code, step by step.
    pub async fn join(&self, request: &JoinRequest) -> Result<BoxStream<'static, Result<JoinEvent>>> {
        self.lines("/v1/join", request).await
    }

    /// Pings a peer, line by line; dropping the stream stops it.
    pub async fn ping(&self, request: &PingRequest) -> Result<BoxStream<'static, Result<PingEvent>>> {
        self.lines("/v1/ping", request).await
    }

    /// The network the device is in.
    pub async fn netcheck(&self) -> Result<Netcheck> {
        self.get("/v1/netcheck").await
    }

    /// Why a peer, or each, is reached as it is.
    pub async fn doctor(&self, peer: Option<&str>) -> Result<Doctor> {
        let query = peer.map_or_else(String::new, |peer| format!("?peer={}", escape(peer)));
        self.get(&format!("/v1/doctor{query}")).await
    }

    /// Allows or denies a peer something.
    pub async fn set_grants(&self, change: &GrantChange) -> Result<GrantOutcome> {
        self.post("/v1/grants", change).await
    }

    /// Leaves the mesh.
    pub async fn leave(&self) -> Result<()> {
        self.post::<_, serde_json::Value>("/v1/leave", &()).await.map(drop)
    }

    /// The state as Prometheus text.
    pub async fn metrics(&self) -> Result<String> {
        let response = self.send(Method::GET, "/metrics", Bytes::new()).await?;
        let text =
            Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|error| broken(&error))?;
        Ok(String::from_utf8_lossy(&text.to_bytes()).into_owned())
    }

    /// Stops the daemon and waits until its process is gone, and with it all it did to the machine.
    pub async fn down(&self) -> Result<()> {
        // Taken before asking: afterwards the number might be another process's.
        let process = self.connect().await?.peer_cred().ok().and_then(|peer| peer.pid());
        let process =
            process.and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        self.post::<_, serde_json::Value>("/v1/down", &()).await?;
        match process {
            Some(process) => {
                let ended = tokio::task::spawn_blocking(move || ended(&process));
                if ended.await.unwrap_or(false) {
                    return Ok(());
                }
            }
            None => {
                // The daemon lives where its number cannot be seen: its socket goes first, then it.
                let gone = async {
                    while self.is_alive().await {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                if tokio::time::timeout(DOWN_TIMEOUT, gone).await.is_ok() {
                    return Ok(());
                }
            }
        }
        let message =
            format!("the daemon was told to stop and still runs after {} s", DOWN_TIMEOUT.as_secs());
        Err(Failure::new(Cause::Failed, message)
            .hint("its log says why; what it leaves on this machine is taken back at the next start"))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.answer(self.send(Method::GET, path, Bytes::new())).await
    }

    async fn post<Q: Serialize, T: DeserializeOwned>(&self, path: &str, question: &Q) -> Result<T> {
        self.answer(self.send(Method::POST, path, encode(question)?)).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        response: impl Future<Output = Result<Response<Incoming>>>,
    ) -> Result<T> {
        let answer = async {
            let body = Limited::new(response.await?.into_body(), ANSWER_MAX);
            let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
            serde_json::from_slice(&bytes).map_err(|error| not_understood(&error))
        };
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(|_| {
            let message = format!("the daemon does not answer within {} s", ANSWER_TIMEOUT.as_secs());
            Err(Failure::new(Cause::Failed, message)
                .hint("its log may say why; `warren down` and `warren up` restart it"))
        })
    }

    async fn lines<Q: Serialize, T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        question: &Q,
    ) -> Result<BoxStream<'static, Result<T>>> {
        let response = self.send(Method::POST, path, encode(question)?).await?;
        Ok(read_lines(response.into_body()))
    }

    async fn connect(&self) -> Result<UnixStream> {
        UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&self.socket, &error))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "warren")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| Failure::new(Cause::Misuse, error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let body = Limited::new(response.into_body(), LINE_MAX).collect().await;
        let bytes = body.map_err(|error| broken(&error))?.to_bytes();
        Err(match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => body.error,
            Err(_) => Failure::new(Cause::VersionMismatch, format!("the daemon answers {status} to {path}")),
        })
    }
}

/// Waits until a process ends; false when it takes too long. Blocks its thread.
fn ended(process: &OwnedFd) -> bool {
    let limit = Timespec { tv_sec: DOWN_TIMEOUT.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    // A process descriptor becomes readable when the process ends.
    matches!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)), Ok(1..))
}

/// Whether somebody accepts connections at a path.
pub(super) async fn probe(socket: &Path) -> Probe {
    match UnixStream::connect(socket).await {
        Ok(_) => Probe::Alive,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Probe::Alive,
        Err(_) if access::is_socket(socket) || !socket.exists() => Probe::Nobody,
        Err(_) => Probe::NotASocket,
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let shown = socket.display();
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        let message = format!("the daemon is not running (nobody answers at {shown})");
        return Failure::new(Cause::NotRunning, message).hint("start it with `sudo warren up`");
    }
    if kind == io::ErrorKind::PermissionDenied {
        let group = access::GROUP;
        let join = format!("`sudo usermod -aG {group} $USER`");
        let way = match access::group_id() {
            Some(_) => format!("use sudo, or join the group {group}: {join}, then log in again"),
            None => format!(
                "use sudo; to do without: `sudo groupadd {group}`, {join}, restart the daemon, log in again"
            ),
        };
        return Failure::new(Cause::Denied, format!("this user may not talk to the daemon at {shown}"))
            .hint(way);
    }
    Failure::new(Cause::NotRunning, format!("cannot reach the daemon at {shown}: {error}"))
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Cause::Failed, format!("the daemon hung up: {error}"))
}

fn not_understood(error: &serde_json::Error) -> Failure {
    Failure::new(Cause::VersionMismatch, format!("the daemon's answer does not parse: {error}")).hint(
        "client and daemon are of different versions: restart the daemon with `warren down` and `warren up`",
    )
}

fn encode<Q: Serialize>(question: &Q) -> Result<Bytes> {
    serde_json::to_vec(question)
        .map(Bytes::from)
        .map_err(|error| Failure::new(Cause::Misuse, error.to_string()))
}

/// Percent-encodes everything that has a meaning in a path or a query.
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Splits a body into lines, each a step or the failure that ends the stream.
fn read_lines<T: DeserializeOwned + Send + 'static>(body: Incoming) -> BoxStream<'static, Result<T>> {
    let steps = stream::unfold(Some((body, BytesMut::new())), |state| async move {
        let (mut body, mut buffer) = state?;
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                let step = read_line(&line);
                let rest = step.is_ok().then_some((body, buffer));
                return Some((step, rest));
            }
            if buffer.len() > LINE_MAX {
                return Some((Err(broken(&"its line does not end")), None));
            }
            match body.frame().await {
                Some(Ok(frame)) => buffer.extend(frame.into_data().ok()),
                Some(Err(error)) => return Some((Err(broken(&error)), None)),
                None => return None,
            }
        }
    });
    steps.boxed()
}

fn read_line<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    match serde_json::from_slice::<ErrorBody>(line) {
        Ok(body) => Err(body.error),
        Err(_) => serde_json::from_slice(line).map_err(|error| not_understood(&error)),
    }
}

//! Members on loopback: real sockets, real stores, no multicast.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    identity::{DeviceId, Identity},
    invite::{InviteCode, InviteTerms, Wish},
    membership::Log,
    node::Event,
    record::{Founding, Name, found},
    store::Store,
    swarm::{
        Handle, JoinError, JoinSettings, JoinedMesh, Progress, Settings, driver::now, join, rendezvous,
        start_member,
    },
};

/// Nothing on loopback takes that long; a test that waits for it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::generate([seed; 32])
}

pub(crate) fn socket() -> Arc<dyn AsyncUdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    TokioRuntime.wrap_udp_socket(socket).unwrap()
}

/// In place of a socket that is gone.
#[derive(Debug)]
struct Closed;

impl AsyncUdpSocket for Closed {
    fn create_io_poller(self: Arc<Self>) -> std::pin::Pin<Box<dyn quinn::UdpPoller>> {
        unreachable!("closed")
    }

    fn try_send(&self, _: &quinn::udp::Transmit<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut std::task::Context<'_>,
        _: &mut [std::io::IoSliceMut<'_>],
        _: &mut [quinn::udp::RecvMeta],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Pending
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Err(std::io::ErrorKind::NotConnected.into())
    }
}

/// A socket in front of which a router drops what goes to some addresses.
#[derive(Debug)]
pub(crate) struct Walled {
    socket: Arc<dyn AsyncUdpSocket>,
    wall: Wall,
}

/// What it drops; clones are one wall.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wall(Arc<std::sync::Mutex<BTreeSet<SocketAddr>>>);

impl Wall {
    pub(crate) fn block(&self, address: SocketAddr) {
        self.0.lock().unwrap().insert(address);
    }

    pub(crate) fn open(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl AsyncUdpSocket for Walled {
    fn create_io_poller(self: Arc<Self>) -> std::pin::Pin<Box<dyn quinn::UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &quinn::udp::Transmit<'_>) -> std::io::Result<()> {
        if self.wall.0.lock().unwrap().contains(&transmit.destination) {
            return Ok(());
        }
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut std::task::Context<'_>,
        bufs: &mut [std::io::IoSliceMut<'_>],
        meta: &mut [quinn::udp::RecvMeta],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.socket.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A device that may be running.
pub(crate) struct Device {
    pub(crate) identity: Identity,
    pub(crate) socket: Arc<dyn AsyncUdpSocket>,
    pub(crate) directory: TempDir,
    udp: bool,
    tcp: bool,
    pub(crate) wall: Wall,
    pub(crate) running: Option<(Handle, mpsc::Receiver<Event>)>,
    /// Where to meet in public.
    pub(crate) rendezvous: Option<rendezvous::Config>,
}

impl Device {
    pub(crate) fn new(seed: u8) -> Self {
        let wall = Wall::default();
        Self {
            identity: identity(seed),
            socket: Arc::new(Walled { socket: socket(), wall: wall.clone() }),
            directory: tempfile::tempdir().unwrap(),
            udp: true,
            tcp: true,
            wall,
            running: None,
            rendezvous: None,
        }
    }

    /// A device without TCP, and with a wall between it and another.
    pub(crate) fn walled(seed: u8) -> Self {
        Self { tcp: false, ..Self::new(seed) }
    }

    /// As if a firewall let no UDP through.
    pub(crate) fn block_udp(&mut self) {
        self.udp = false;
    }

    /// Takes the same port again when the runtime of the old socket has ended and let go of the store.
    pub(crate) async fn rebind(&mut self, port: u16) {
        self.socket = Arc::new(Closed);
        let bound = async {
            loop {
                let store = Store::open(self.directory.path().join("store"));
                match (store, UdpSocket::bind((Ipv4Addr::LOCALHOST, port))) {
                    (Ok(_), Ok(socket)) => return TokioRuntime.wrap_udp_socket(socket).unwrap(),
                    (Ok(_) | Err(_), Ok(_) | Err(_)) => tokio::task::yield_now().await,
                }
            }
        };
        self.socket = tokio::time::timeout(DEADLINE, bound).await.expect("port and store are free again");
    }

    fn sockets(&self) -> Vec<Arc<dyn AsyncUdpSocket>> {
        self.udp.then(|| Arc::clone(&self.socket)).into_iter().collect()
    }

    /// Founds a mesh and runs.
    pub(crate) fn founder(seed: u8) -> Self {
        let mut device = Self::new(seed);
        let founding = Founding {
            mesh_name: name("home"),
            subnet: "100.64.0.0/10".parse().unwrap(),
            name: name("founder"),
            os: "test".parse().unwrap(),
            nonce: [seed; 16],
        };
        let (mesh, records) = found(&device.identity, founding, now().wall).unwrap();
        let store = device.store();
        store.set_mesh(mesh).unwrap();
        store.add_records(&records).unwrap();
        device.start_with(store);
        device
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.identity.device_id()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.directory.path().join("store")).unwrap()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.running.as_ref().unwrap().0
    }

    /// Runs from what is on its disk.
    pub(crate) fn start(&mut self) {
        let store = self.store();
        self.start_with(store);
    }

    fn start_with(&mut self, store: Store) {
        let mesh = store.mesh().unwrap().unwrap();
        let log = Log::from_records(mesh, store.load_verified().unwrap());
        let settings = Settings {
            identity: self.identity.clone(),
            sockets: self.sockets(),
            tcp_ports: (self.udp && self.tcp).then(|| self.address().port()).into_iter().collect(),
            mdns: false,
            tunnel: BTreeSet::new(),
            rendezvous: self.rendezvous.clone(),
        };
        self.running = Some(start_member(settings, store, log).unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((handle, _)) = self.running.take() {
            handle.shutdown().await;
        }
    }

    pub(crate) async fn invite(&self, terms: InviteTerms) -> InviteCode {
        self.listening().await;
        self.handle().create_invite(terms).await.unwrap().0
    }

    /// Waits until invites name a door.
    async fn listening(&self) {
        let code =
            |handle: Handle| async move { handle.create_invite(InviteTerms::default()).await.unwrap().0 };
        tokio::time::timeout(DEADLINE, async {
            while code(self.handle().clone()).await.doors().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    pub(crate) async fn ask_in(&self, code: &InviteCode, wish: &str) -> Result<JoinedMesh, JoinError> {
        self.ask_in_for(code, wish, Duration::from_secs(8)).await
    }

    pub(crate) async fn ask_in_for(
        &self,
        code: &InviteCode,
        wish: &str,
        patience: Duration,
    ) -> Result<JoinedMesh, JoinError> {
        self.ask(code, wish, false, patience).await.0
    }

    /// Joins by a code; what was told meanwhile.
    pub(crate) async fn progress(&self, code: &InviteCode) -> Vec<Progress> {
        let (joined, mut progress) = self.ask(code, "newcomer", false, DEADLINE).await;
        joined.unwrap();
        std::iter::from_fn(|| progress.try_recv().ok()).collect()
    }

    pub(crate) async fn ask_in_with(
        &self,
        code: &InviteCode,
        wish: &str,
        name_is_asked_for: bool,
    ) -> Result<JoinedMesh, JoinError> {
        self.ask(code, wish, name_is_asked_for, Duration::from_secs(8)).await.0
    }

    async fn ask(
        &self,
        code: &InviteCode,
        wish: &str,
        name_is_asked_for: bool,
        patience: Duration,
    ) -> (Result<JoinedMesh, JoinError>, mpsc::Receiver<Progress>) {
        let settings = JoinSettings {
            code: code.clone(),
            identity: self.identity.clone(),
            wish: Wish { name: name(wish), name_is_asked_for, os: "test".parse().unwrap() },
            sockets: self.sockets(),
            mdns: false,
            tunnel: BTreeSet::new(),
            patience,
            rendezvous: self.rendezvous.clone(),
        };
        let (progress, told) = mpsc::channel(8);
        (join(settings, progress).await, told)
    }

    /// Joins by a code and runs.
    pub(crate) async fn join(&mut self, code: &InviteCode, wish: &str) {
        let joined = self.ask_in(code, wish).await.unwrap();
        self.settle(&joined);
    }

    /// Keeps what came of joining, and runs.
    pub(crate) fn settle(&mut self, joined: &JoinedMesh) {
        let store = self.store();
        store.set_mesh(joined.log.mesh()).unwrap();
        store.add_records(&joined.records).unwrap();
        store.put_addresses(&joined.witness, &joined.addresses()).unwrap();
        self.start_with(store);
    }

    /// The next event that `pick` wants.
    pub(crate) async fn event<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let events = &mut self.running.as_mut().unwrap().1;
        let wanted = async {
            loop {
                let event = events.recv().await.expect("the member runs");
                if let Some(wanted) = pick(event) {
                    return wanted;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wanted).await.expect("the event comes in time")
    }

    pub(crate) async fn connected(&mut self, peer: DeviceId) {
        self.event(|event| matches!(event, Event::Connected { peer: who, .. } if who == peer).then_some(()))
            .await;
    }

    pub(crate) async fn disconnected(&mut self, peer: DeviceId) {
        self.event(|event| matches!(event, Event::Disconnected { peer: who } if who == peer).then_some(()))
            .await;
    }

    /// Waits until the invite of a code is known here.
    pub(crate) async fn knows(&self, code: &InviteCode) {
        let key = code.invite_identity().device_id();
        let mut roster = self.handle().roster();
        let known = roster.wait_for(|roster| roster.invite_by_key(&key).is_some());
        assert!(tokio::time::timeout(DEADLINE, known).await.is_ok());
    }

    /// Waits until the roster has exactly these names, sorted by name.
    pub(crate) async fn roster(&self, names: &[&str]) {
        let mut roster = self.handle().roster();
        let wanted: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        let found = roster.wait_for(|roster| {
            roster.members().values().map(|member| member.name.to_string()).collect::<BTreeSet<_>>() == wanted
        });
        let done = tokio::time::timeout(DEADLINE, found).await.is_ok();
        let now: BTreeMap<_, _> =
            self.handle().roster().borrow().members().values().map(|m| (m.name.to_string(), m.id)).collect();
        assert!(done, "wanted {names:?}, have {now:?}");
    }
}

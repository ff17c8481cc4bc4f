//! A port of the router that leads here: asked for, kept, and given back.
//!
//! NAT-PMP is tried first, then UPnP, then PCP. All three are asked of the local network alone: the first and the last
//! of the default gateway, UPnP of whoever answers the multicast with a private address. A machine that sends from no
//! private address has no such router and asks nobody.
//!
//! A router that is restarted forgets its mappings and tells nobody. So a mapping is asked for again every few minutes,
//! and sooner when there is a sign that something happened ([`schedule`]). That is also what renews its lease.
//!
//! Two crates do the talking. `portmapper` keeps PCP and NAT-PMP, one client a protocol, because with several allowed
//! it never tries another when the first refuses, and does not tell which one it got. Its UPnP takes a random port each
//! time and finds a restarted router out after an hour, so UPnP is done by `igd-next`, which it builds on.
//! `portmapper` asks PCP with a new nonce each time, which a strict server takes for somebody else: that is why PCP is
//! last, and why its mapping is given back before it is asked for anew.

mod gateway;
mod schedule;
mod upnp;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::gateway::Lent;
use self::schedule::Schedule;
use self::upnp::Router;
use super::machine::{at, monotonic};

/// A router on the LAN answers in milliseconds; the daemon's end must not wait for one that does not.
const RELEASE: Duration = Duration::from_secs(2);
/// A router that has heard the question has answered within this.
const LAST_WORD: Duration = Duration::from_millis(400);
/// In the order in which they are tried.
const METHODS: [Method; 3] = [Method::NatPmp, Method::Upnp, Method::Pcp];

/// How the router was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    NatPmp,
    Upnp,
    Pcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// A port of the router that leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) method: Method,
    pub(super) transport: Transport,
    /// Where packets go to reach us.
    pub(super) external: SocketAddrV4,
    /// For how long it was asked; the router may have given less.
    pub(super) lease: Duration,
    /// When the router last said that it holds.
    pub(super) confirmed: Instant,
}

/// What was found out, for the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) mappings: Vec<Mapping>,
    /// Whether every protocol has been tried at least once in this network.
    pub(super) tried: bool,
}

/// The task that keeps our mappings; ends when dropped, without giving anything back.
pub(super) struct Mapper {
    orders: mpsc::Sender<Order>,
    mapped: watch::Receiver<Mapped>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    /// Packets leave from this address now.
    Network(Option<Ipv4Addr>),
    /// The router may have forgotten us.
    Doubt,
    Stop,
}

impl Mapper {
    /// Keeps a mapping to `port`, once the network is known.
    pub(super) fn start(port: u16) -> Option<Self> {
        let port = NonZeroU16::new(port)?;
        let (orders, inbox) = mpsc::channel(8);
        let (sender, mapped) = watch::channel(Mapped::default());
        let keeper = Keeper { port, local: None, wish: port.get(), held: None, mapped: sender };
        Some(Self { orders, mapped, task: tokio::spawn(keeper.run(inbox)) })
    }

    /// The machine sends from this address now, or from none. Call it after every change of the network.
    pub(super) async fn network_changed(&self, local: Option<Ipv4Addr>) {
        self.order(Order::Network(local.filter(Ipv4Addr::is_private))).await;
    }

    /// Somebody outside sees us at an address that does not fit our mapping.
    pub(super) async fn doubt(&self) {
        self.order(Order::Doubt).await;
    }

    async fn order(&self, order: Order) {
        // The task ends only after us.
        let _ = self.orders.send(order).await;
    }

    /// Waits for other mappings than were seen last.
    pub(super) async fn changed(&mut self) {
        if self.mapped.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// The mappings there are.
    pub(super) fn mapped(&self) -> Mapped {
        self.mapped.borrow().clone()
    }

    /// Gives the mappings back, if the router listens.
    pub(super) async fn stop(mut self) {
        self.order(Order::Stop).await;
        if timeout(RELEASE * 2, &mut self.task).await.is_err() {
            tracing::debug!("the router does not take the port back; its lease will end");
        }
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task knows.
struct Keeper {
    port: NonZeroU16,
    local: Option<Ipv4Addr>,
    /// The outside port we would like.
    wish: u16,
    held: Option<Held>,
    mapped: watch::Sender<Mapped>,
}

/// A mapping with what it takes to keep it and to give it back.
enum Held {
    Lent { udp: Lent, tcp: Option<Lent> },
    Upnp { router: Router, udp: Mapping, tcp: Option<Mapping> },
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut schedule = Schedule::default();
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                () = at(schedule.due().map(tokio::time::Instant::from_std)) => {
                    let order = {
                        let attempt = self.attempt();
                        tokio::pin!(attempt);
                        tokio::select! {
                            biased;
                            holds = &mut attempt => {
                                schedule.handle_outcome(holds, monotonic());
                                continue;
                            }
                            order = orders.recv() => {
                                if matches!(order, Some(Order::Stop)) {
                                    // What is being given to us right now must be given back too.
                                    let _ = timeout(LAST_WORD, attempt).await;
                                }
                                order
                            }
                        }
                    };
                    schedule.handle_cut_short(monotonic());
                    order
                }
            };
            match order {
                Some(Order::Network(local)) => {
                    if local != self.local {
                        self.local = local;
                        // The router that lent it is out of reach, or gives us another by our new address.
                        self.held = None;
                        self.publish(false);
                    }
                    schedule.handle_network(local.is_some(), monotonic());
                }
                Some(Order::Doubt) => schedule.handle_doubt(monotonic()),
                Some(Order::Stop) | None => break,
            }
        }
        if let Some(held) = self.held.take() {
            let _ = timeout(RELEASE, held.release()).await;
        }
    }

    /// Asks for a mapping, or for the one we hold once more. Whether we hold one afterwards.
    async fn attempt(&mut self) -> bool {
        let Some(local) = self.local else { return false };
        let before = self.external();
        if let Some(held) = &mut self.held
            && !held.confirm(local, self.port).await
        {
            self.held = None;
        }
        for method in METHODS {
            if self.held.is_none() {
                self.held = obtain(method, local, self.port, self.wish).await;
            }
        }
        if let Some(external) = self.external() {
            self.wish = external.port();
        }
        match (before, self.external()) {
            (before, Some(now)) if before != Some(now) => {
                tracing::info!(external = %now, port = self.port, "the router lets the Internet in to this device");
            }
            (Some(before), None) => tracing::info!(external = %before, "the router's mapping is gone"),
            (Some(_), Some(_)) | (None, _) => {}
        }
        self.publish(true);
        self.held.is_some()
    }

    fn external(&self) -> Option<SocketAddrV4> {
        self.held.as_ref().and_then(|held| held.mappings().first().map(|mapping| mapping.external))
    }

    fn publish(&self, tried: bool) {
        let mappings = self.held.as_ref().map(Held::mappings).unwrap_or_default();
        let now = Mapped { mappings, tried };
        self.mapped.send_if_modified(|there| {
            let ports = |mapped: &Mapped| {
                mapped
                    .mappings
                    .iter()
                    .map(|mapping| (mapping.transport, mapping.external))
                    .collect::<Vec<_>>()
            };
            // A mapping that was confirmed is no news, but its age is to be known.
            let news = ports(there) != ports(&now) || there.tried != now.tried;
            *there = now;
            news
        });
    }
}

async fn obtain(method: Method, local: Ipv4Addr, port: NonZeroU16, wish: u16) -> Option<Held> {
    match method {
        Method::Upnp => {
            let router = Router::find(local).await?;
            let udp = router.map(Transport::Udp, wish, port).await?;
            // The same number, because members call both transports at one.
            let tcp = router.map(Transport::Tcp, udp.external.port(), port).await;
            Some(Held::Upnp { router, udp, tcp })
        }
        Method::NatPmp | Method::Pcp => {
            let udp = Lent::obtain(method, Transport::Udp, port).await?;
            let tcp = Lent::obtain(method, Transport::Tcp, port).await;
            Some(Held::Lent { udp, tcp })
        }
    }
}

impl Held {
    fn mappings(&self) -> Vec<Mapping> {
        match self {
            Self::Lent { udp, tcp } => {
                [Some(udp), tcp.as_ref()].into_iter().flatten().filter_map(Lent::mapping).collect()
            }
            Self::Upnp { udp, tcp, .. } => [Some(*udp), *tcp].into_iter().flatten().collect(),
        }
    }

    /// Asks for the same once more; whether it still holds.
    async fn confirm(&mut self, local: Ipv4Addr, port: NonZeroU16) -> bool {
        match self {
            Self::Lent { udp, tcp } => {
                if !udp.confirm(port).await {
                    return false;
                }
                if let Some(lent) = tcp
                    && !lent.confirm(port).await
                {
                    *tcp = None;
                }
                true
            }
            Self::Upnp { router, udp, tcp } => {
                let wish = udp.external.port();
                let again = match router.map(Transport::Udp, wish, port).await {
                    Some(again) => Some(again),
                    // Restarted, it answers at another address.
                    None => match Router::find(local).await {
                        Some(found) => {
                            *router = found;
                            router.map(Transport::Udp, wish, port).await
                        }
                        None => None,
                    },
                };
                let Some(again) = again else { return false };
                *udp = again;
                if tcp.is_some() {
                    *tcp = router.map(Transport::Tcp, again.external.port(), port).await;
                }
                true
            }
        }
    }

    async fn release(self) {
        match self {
            Self::Lent { udp, tcp } => {
                let tcp = async {
                    if let Some(tcp) = tcp {
                        tcp.release().await;
                    }
                };
                tokio::join!(udp.release(), tcp);
            }
            Self::Upnp { router, udp, tcp } => {
                router.unmap(&udp).await;
                if let Some(tcp) = tcp {
                    router.unmap(&tcp).await;
                }
            }
        }
    }
}

impl Method {
    /// The name people know.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
            Self::Pcp => "PCP",
        }
    }
}

impl Transport {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

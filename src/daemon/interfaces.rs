//! The machine's own addresses that are worth telling peers, and when its network changes.
//!
//! A change is an address that came or went; a default route or a carrier that did, though all addresses stayed; and a
//! wake from sleep. Changes that come together are told once ([`burst`]).

mod burst;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures::StreamExt as _;
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use tokio::sync::watch;

use self::burst::{Burst, Sleep};
use super::machine::{at, monotonic, with_sleep};
use super::nat::Family;
use crate::host::RouteWatch;

/// An address of an interface, and the length of its network's prefix in bits.
type Network = (IpAddr, u8);

/// How often the clock is looked at: a machine that wakes is back on its feet this soon, and a look takes a
/// microsecond.
const CLOCKS: Duration = Duration::from_secs(3);

/// The addresses of the machine's network interfaces, watched by a task that ends with this.
pub(super) struct Interfaces {
    there: watch::Receiver<State>,
    known: BTreeSet<Network>,
    disturbances: u64,
    outward: [Option<IpAddr>; 2],
    /// The last that there was.
    last_outward: [Option<IpAddr>; 2],
    moved: Vec<Family>,
    renumbered: Vec<Family>,
}

/// What the watching task knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    networks: BTreeSet<Network>,
    /// Changes that no address shows.
    disturbances: u64,
}

impl Interfaces {
    /// Begins to watch; the addresses there are come as the first change. `tun` is our own interface's name.
    pub(super) fn watch(tun: &str) -> io::Result<Self> {
        let watcher = IfWatcher::new()?;
        let routes = match RouteWatch::open() {
            Ok(routes) => Some(routes),
            Err(error) => {
                tracing::info!(%error, "changes of routes are noticed by their addresses alone");
                None
            }
        };
        let (sender, there) = watch::channel(State::default());
        tokio::spawn(follow(watcher, routes, tun.to_owned(), sender));
        let outward = look();
        Ok(Self {
            there,
            known: BTreeSet::new(),
            disturbances: 0,
            outward,
            last_outward: outward,
            moved: Vec::new(),
            renumbered: Vec::new(),
        })
    }

    /// Waits until the network changed. `inside` are our addresses in the mesh: they change with us and
    /// must never be told, or packets would be sent into the tunnel they came from.
    pub(super) async fn changed(&mut self, inside: &[IpAddr]) {
        loop {
            let state = self.there.borrow_and_update().clone();
            let now: BTreeSet<Network> =
                state.networks.into_iter().filter(|(address, _)| !inside.contains(address)).collect();
            if now != self.known || state.disturbances != self.disturbances {
                self.known = now;
                self.disturbances = state.disturbances;
                self.look_outward();
                return;
            }
            if self.there.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn look_outward(&mut self) {
        let now = look();
        let families = || [Family::V4, Family::V6].into_iter();
        self.moved = families()
            .zip(now.iter().zip(&self.outward))
            .filter_map(|(family, (now, before))| (now != before).then_some(family))
            .collect();
        self.outward = now;
        let there: BTreeSet<IpAddr> = self.known.iter().map(|(address, _)| *address).collect();
        let last = self.last_outward.iter_mut();
        self.renumbered = families()
            .zip(now.iter().zip(last))
            .filter_map(|(family, (now, last))| is_renumbered(last, *now, &there).then_some(family))
            .collect();
    }

    /// The addresses with our port.
    pub(super) fn candidates(&self, port: u16) -> impl Iterator<Item = SocketAddr> {
        self.known.iter().map(move |(address, _)| SocketAddr::new(*address, port))
    }

    /// The networks the interfaces are in.
    pub(super) fn networks(&self) -> Vec<Network> {
        self.known.iter().copied().collect()
    }

    /// The address from which packets leave for the Internet.
    pub(super) fn outward(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.outward[0],
            Family::V6 => self.outward[1],
        }
    }

    /// The families whose packets left from another address before the last change.
    pub(super) fn moved(&self) -> &[Family] {
        &self.moved
    }

    /// Those of them that have another address instead of one that is gone from this machine. A network that is away for a
    /// moment and comes back as it was replaces nothing.
    pub(super) fn renumbered(&self) -> &[Family] {
        &self.renumbered
    }
}

/// Whether packets leave from another address than the `last` there was, which this machine has lost. Notes the present one.
fn is_renumbered(last: &mut Option<IpAddr>, now: Option<IpAddr>, there: &BTreeSet<IpAddr>) -> bool {
    let Some(now) = now else { return false };
    last.replace(now).is_some_and(|last| last != now && !there.contains(&last))
}

fn look() -> [Option<IpAddr>; 2] {
    [Family::V4, Family::V6].map(outward)
}

async fn follow(
    mut watcher: IfWatcher,
    mut routes: Option<RouteWatch>,
    tun: String,
    sender: watch::Sender<State>,
) {
    let mut state = State::default();
    let (mut burst, mut sleep) = (Burst::default(), Sleep::default());
    let mut clocks = tokio::time::interval(CLOCKS);
    clocks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let rerouted = async {
            match &mut routes {
                Some(routes) => routes.changed(&tun).await,
                None => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            () = sender.closed() => return,
            () = at(burst.due().map(tokio::time::Instant::from_std)) => {
                sender.send_if_modified(|there| {
                    let news = *there != state;
                    there.clone_from(&state);
                    news
                });
                burst.handle_told();
                false
            }
            event = watcher.next() => match event {
                Some(Ok(event)) => note(event, &mut state.networks),
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot watch the network interfaces");
                    false
                }
                None => return,
            },
            () = rerouted => {
                tracing::debug!("a default route or a carrier changed");
                state.disturbances += 1;
                true
            }
            _ = clocks.tick() => {
                let slept = sleep.handle_clock(with_sleep(), CLOCKS);
                if slept {
                    tracing::info!("this machine or this program has slept");
                    state.disturbances += 1;
                }
                slept
            }
        };
        if changed {
            burst.handle_change(monotonic());
        }
    }
}

/// Brings the addresses in line with an event; whether that changed them.
fn note(event: IfEvent, networks: &mut BTreeSet<Network>) -> bool {
    match event {
        IfEvent::Up(net) => reachable(net.addr()) && networks.insert((net.addr(), net.prefix_len())),
        IfEvent::Down(net) => networks.remove(&(net.addr(), net.prefix_len())),
    }
}

/// The address the kernel would send from to somewhere far away. Nothing is sent: connecting a UDP socket only looks
/// up the route, and the destinations are for documentation (RFC 5737, RFC 3849).
fn outward(family: Family) -> Option<IpAddr> {
    let (from, to): (SocketAddr, SocketAddr) = match family {
        Family::V4 => ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        Family::V6 => {
            let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (far, 9).into())
        }
    };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| reachable(*address))
}

/// Whether another machine could send to this address. A link-local IPv6 address means nothing without
/// the receiver's own interface number.
fn reachable(address: IpAddr) -> bool {
    let link_local = |address: Ipv6Addr| address.segments()[0] & 0xffc0 == 0xfe80;
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unspecified() && !link_local(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_address_instead_of_one_that_is_gone_renumbers() {
        let [home, cafe]: [IpAddr; 2] = ["192.168.1.7", "10.0.0.7"].map(|address| address.parse().unwrap());
        let mut last = Some(home);
        let mut renumbered =
            |now, there: &[IpAddr]| is_renumbered(&mut last, now, &there.iter().copied().collect());
        assert!(!renumbered(None, &[]), "the cable is out");
        assert!(!renumbered(Some(home), &[home]), "and in again");
        assert!(!renumbered(None, &[]));
        assert!(renumbered(Some(cafe), &[cafe]));
        assert!(!renumbered(Some(home), &[cafe, home]), "a second network, which is preferred");
    }

    #[test]
    fn loopback_and_link_local_are_not_worth_telling() {
        for address in ["127.0.0.1", "::1", "fe80::1", "0.0.0.0", "::"] {
            assert!(!reachable(address.parse().unwrap()), "{address}");
        }
        for address in ["192.168.1.7", "203.0.113.5", "2001:db8::1", "fd00::1"] {
            assert!(reachable(address.parse().unwrap()), "{address}");
        }
    }
}

//! Guessing the port of a symmetric NAT: who guesses, what is sent, and how much of it.
//!
//! # Why
//!
//! A NAT with endpoint-independent mapping (RFC 4787 section 4.1; found by comparing what two observers see, RFC 5780
//! section 4.3) is *easy*: one outside port serves all destinations, so the address that a member saw is the one to send to.
//! Where the mapping depends on the destination, the NAT is *hard*, usually called symmetric: what others saw says nothing
//! of the port that it will use towards us. Pings of a hard side reach the easy side's NAT from an unknown port, and
//! its filter, if that asks for ports (section 5), lets in nobody it did not send to. Both wait for ever.
//!
//! # How
//!
//! The birthday paradox, as Tailscale described it ("How NAT traversal works", 2020). The hard side opens [`SOCKETS`]
//! sockets and pings the easy side's address from all of them: its NAT then has 256 ports through which that address
//! may answer. The easy side pings random ports of the hard side's address from its one socket. One hit is a path:
//!
//! ```text
//!   ports 1024..=65535: n = 64,512     open: 256     tried without repetition: k
//!   P(no hit) = C(n - 256, k) / C(n, k)  ≈  (1 - 256/n)^k
//!
//!      k        174     400    1024    1536    2048
//!      time   0.4 s   1.0 s   2.6 s   3.8 s   5.1 s      at 400 a second
//!      hit     50 %    80 %    98 %   99.8 %  99.97 %
//! ```
//!
//! Many routers count upwards instead of rolling dice: so the ports that were seen and their neighbours come first.
//! If both sides are hard, 256 × 256 sockets would need the square of luck: 2048 tries hit with 3 %. They are
//! relayed instead. Where a mesh has one member in the open, a side behind a router that changes ports cannot know its
//! kind (two observers tell): it does what the other's kind leaves to it, and if neither knows, both do both. Measured in namespaces against nftables' `fully-random`: ten of ten hits, median 0.36 s.
//!
//! The two sides begin at about the same time, since signalling tells both; the easy side's pings to ports not
//! open yet are not lost for good, for they open its own filter: the hard side repeats its round each 2 s and comes in there.
//!
//! # What it costs
//!
//! At most 2048 pings from one side and 256 mappings on the other (or both on both), for ten seconds at most, once a peer and network
//! change (`attempt.rs`), one peer at a time (the engine sees to that). It looks like a port scan of one friend's router.
//!
//! [`Guess`] is the plan of one attempt: it names routes; the agent makes pings of them and remembers what it sent.
//! IPv4 only: nobody translates IPv6 ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Route;
use super::candidate::is_private;
use super::role::Role;

/// How many sockets the hard side asks for.
pub const SOCKETS: u16 = 256;
/// How many ports the easy side tries at most.
const MAX_PORTS: usize = 2048;
/// Ports on either side of one that was seen, tried first.
const NEIGHBOURS: u16 = 16;
/// Ports that NATs give out (RFC 4787 section 4.2.2 wants ports above 1023 to stay there).
const FIRST_PORT: u16 = 1024;
/// Addresses of the peer that are guessed at: a device has one public IPv4 address, rarely two.
const MAX_TARGETS: usize = 2;
/// What is due is sent in portions, so often.
const TICK: Duration = Duration::from_millis(10);
/// Ports tried in each: 400 a second.
const PORTS_PER_TICK: usize = 4;
/// Sockets that ping in each: all of them within 200 ms.
const SOCKETS_PER_TICK: usize = 13;
/// The hard side repeats its round so often; the NATs remember one for 30 s.
const ROUND: Duration = Duration::from_secs(2);
/// An attempt lasts no longer.
const DURATION: Duration = Duration::from_secs(10);

/// Those of a peer's addresses that its NAT may have outside.
pub(super) fn targets(told: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_public = |address: &&SocketAddr| match address.ip() {
        // The shared range (RFC 6598) is the inside of a provider's NAT. Loopback has no inside; nobody is told it in earnest.
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_loopback() || !(is_private(v4.into()) || is_shared)
        }
        IpAddr::V6(_) => false,
    };
    told.iter().filter(is_public).copied().collect()
}

/// One attempt.
pub(super) struct Guess {
    sockets: Option<Sockets>,
    ports: Option<Ports>,
    until: Instant,
    /// Pings sent, by transaction.
    sent: BTreeMap<u64, (Route, Instant)>,
}

/// Many sockets that ping what was told.
struct Sockets {
    targets: Vec<SocketAddr>,
    /// Empty until they are open.
    open: Vec<u16>,
    /// How many pings of this round were sent,
    done: usize,
    /// and when it began.
    round: Instant,
    next_at: Option<Instant>,
}

/// Many ports, pinged by one socket.
struct Ports {
    /// Still to be tried, next one last.
    near: Vec<SocketAddr>,
    /// The peer's addresses in turn.
    hosts: Vec<IpAddr>,
    tried: BTreeSet<SocketAddr>,
    next_at: Option<Instant>,
}

impl Guess {
    /// Begins an attempt against what [`targets`] found, most likely first.
    pub(super) fn new(role: Role, targets: &[SocketAddr], now: Instant) -> Self {
        Self {
            sockets: role.opens_sockets().then(|| Sockets::new(targets, now)),
            ports: (role != Role::Sockets).then(|| Ports::new(targets, now)),
            until: now + DURATION,
            sent: BTreeMap::new(),
        }
    }

    /// The sockets that were asked for are open; perhaps not all of them.
    pub(super) fn add_sockets(&mut self, opened: &[u16], now: Instant) {
        if let Some(sockets) = &mut self.sockets {
            sockets.open.extend_from_slice(opened);
            sockets.round = now;
            sockets.next_at = (!sockets.open.is_empty()).then_some(now);
        }
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// When something is to be done again.
    pub(super) fn next_at(&self) -> Instant {
        let sockets = self.sockets.as_ref().and_then(|sockets| sockets.next_at);
        let ports = self.ports.as_ref().and_then(|ports| ports.next_at);
        [sockets, ports].into_iter().flatten().min().map_or(self.until, |at| at.min(self.until))
    }

    /// The routes to be pinged now. A late call sends one portion, not what was missed.
    pub(super) fn due(&mut self, random: impl FnMut() -> u64, now: Instant) -> Vec<Route> {
        if self.is_over(now) {
            return Vec::new();
        }
        let is_due = |next_at: Option<Instant>| next_at.is_some_and(|at| at <= now);
        let sockets = self.sockets.as_mut().filter(|sockets| is_due(sockets.next_at));
        let ports = self.ports.as_mut().filter(|ports| is_due(ports.next_at));
        let mut due = sockets.map(|sockets| sockets.due(now)).unwrap_or_default();
        due.extend(ports.map(|ports| ports.due(random, now)).unwrap_or_default());
        due
    }

    /// A ping was sent.
    pub(super) fn sent(&mut self, transaction: u64, route: Route, now: Instant) {
        self.sent.insert(transaction, (route, now));
    }

    /// When the ping that a pong answers was sent on this route, if it was one of these. True once.
    pub(super) fn answered(&mut self, transaction: u64, route: Route) -> Option<Instant> {
        let (_, at) = *self.sent.get(&transaction).filter(|(sent, _)| *sent == route)?;
        self.sent.remove(&transaction);
        Some(at)
    }
}

impl Sockets {
    fn new(targets: &[SocketAddr], now: Instant) -> Self {
        let targets = targets.iter().take(MAX_TARGETS).copied().collect();
        Self { targets, open: Vec::new(), done: 0, round: now, next_at: None }
    }

    fn due(&mut self, now: Instant) -> Vec<Route> {
        let all = self.open.iter().flat_map(|socket| self.targets.iter().map(|to| (*socket, *to)));
        let portion = all.skip(self.done).take(SOCKETS_PER_TICK);
        let portion: Vec<Route> = portion.map(|(socket, to)| Route::Udp { socket, to }).collect();
        self.done += portion.len();
        if self.done < self.open.len() * self.targets.len() {
            self.next_at = Some(now + TICK);
        } else {
            self.round = (self.round + ROUND).max(now + TICK);
            self.done = 0;
            self.next_at = Some(self.round);
        }
        portion
    }
}

impl Ports {
    fn new(targets: &[SocketAddr], now: Instant) -> Self {
        let mut hosts: Vec<IpAddr> = Vec::new();
        for target in targets {
            if !hosts.contains(&target.ip()) && hosts.len() < MAX_TARGETS {
                hosts.push(target.ip());
            }
        }
        let mut near = neighbours(targets.iter().filter(|target| hosts.contains(&target.ip())));
        near.reverse();
        Self { near, hosts, tried: BTreeSet::new(), next_at: Some(now) }
    }

    fn due(&mut self, mut random: impl FnMut() -> u64, now: Instant) -> Vec<Route> {
        let portion = (0..PORTS_PER_TICK).map_while(|_| {
            let to = next_port(&mut self.near, &self.hosts, &self.tried, &mut random)?;
            self.tried.insert(to);
            Some(Route::udp(to))
        });
        let portion: Vec<Route> = portion.collect();
        self.next_at = (self.tried.len() < MAX_PORTS).then_some(now + TICK);
        portion
    }
}

/// The ports that were seen, then those beside them, nearest first.
fn neighbours<'a>(targets: impl Iterator<Item = &'a SocketAddr> + Clone) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for distance in 0..=NEIGHBOURS {
        for target in targets.clone() {
            let beside = [target.port().checked_add(distance), target.port().checked_sub(distance)]
                .into_iter()
                .flatten();
            for port in beside.filter(|port| *port != 0) {
                let address = SocketAddr::new(target.ip(), port);
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
    }
    found
}

/// The next port to try that was not tried before.
fn next_port(
    near: &mut Vec<SocketAddr>,
    hosts: &[IpAddr],
    tried: &BTreeSet<SocketAddr>,
    mut random: impl FnMut() -> u64,
) -> Option<SocketAddr> {
    if tried.len() >= MAX_PORTS {
        return None;
    }
    if let Some(address) = near.pop() {
        return Some(address);
    }
    let host = *hosts.get(tried.len() % hosts.len().max(1))?;
    let count = u64::from(u16::MAX - FIRST_PORT) + 1;
    loop {
        let offset = u16::try_from(random() % count).unwrap_or_default();
        let address = SocketAddr::new(host, FIRST_PORT + offset);
        if !tried.contains(&address) {
            return Some(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn random(mut seed: u64) -> impl FnMut() -> u64 {
        move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 16
        }
    }

    /// Everything one attempt sends, and when; called late by `late` each time.
    fn all(guess: &mut Guess, seed: u64, start: Instant, late: Duration) -> Vec<(Duration, Route)> {
        let (mut now, mut random, mut sent) = (start, random(seed), Vec::new());
        while !guess.is_over(now) {
            sent.extend(guess.due(&mut random, now).into_iter().map(|route| (now - start, route)));
            now = guess.next_at().max(now) + late;
        }
        sent
    }

    fn most_within_a_second(sent: &[(Duration, Route)]) -> usize {
        let until = |at: Duration| sent.partition_point(|(later, _)| *later < at + Duration::from_secs(1));
        sent.iter().enumerate().map(|(index, (at, _))| until(*at) - index).max().unwrap_or_default()
    }

    #[test]
    fn only_addresses_that_a_nat_may_have_outside_are_guessed_at() {
        let told = ["10.0.0.1:1", "100.64.1.1:2", "[2001:db8::1]:3", "203.0.113.9:4", "100.128.0.1:5"];
        assert_eq!(targets(&told.map(address)), [address("203.0.113.9:4"), address("100.128.0.1:5")]);
    }

    #[test]
    fn ports_that_were_seen_and_their_neighbours_come_first() {
        let start = epoch();
        let mut guess = Guess::new(Role::Ports, &[address("203.0.113.9:65535")], start);
        let sent = all(&mut guess, 1, start, Duration::ZERO);
        let first: Vec<u16> =
            sent[..17].iter().filter_map(|(_, route)| Some(route.address()?.port())).collect();
        assert_eq!(first, (65_519..=65_535).rev().collect::<Vec<u16>>());
    }

    #[test]
    fn many_sockets_ping_at_once_and_again() {
        let start = epoch();
        let mut guess = Guess::new(Role::Sockets, &[address("203.0.113.9:4")], start);
        assert_eq!(guess.due(random(1), start), []);
        assert_eq!(guess.next_at(), start + DURATION);
        guess.add_sockets(&(1..=SOCKETS).collect::<Vec<u16>>(), start);
        let sent = all(&mut guess, 1, start, Duration::ZERO);
        assert_eq!(sent.len(), 5 * 256);
        assert!(sent[255].0 <= Duration::from_millis(200), "{:?}", sent[255].0);
        let again: Vec<Duration> =
            sent.iter().filter(|(_, to)| *to == sent[0].1).map(|(at, _)| *at).collect();
        assert_eq!(again, [0, 2, 4, 6, 8].map(Duration::from_secs));
    }

    proptest! {
        #[test]
        fn no_port_is_tried_twice_and_no_more_than_allowed(
            seed: u64,
            ports in prop::collection::vec((0..4_u8, 1..=u16::MAX), 1..20),
            late in 0..30_u64,
        ) {
            let start = epoch();
            let told: Vec<SocketAddr> =
                ports.into_iter().map(|(host, port)| SocketAddr::from(([203, 0, 113, host], port))).collect();
            let mut guess = Guess::new(Role::Ports, &told, start);
            let sent = all(&mut guess, seed, start, Duration::from_millis(late));
            prop_assert!(sent.len() <= MAX_PORTS);
            prop_assert!(late > 0 || sent.len() == MAX_PORTS);
            prop_assert!(most_within_a_second(&sent) <= 500);
            let distinct: BTreeSet<Route> = sent.iter().map(|(_, route)| *route).collect();
            prop_assert_eq!(distinct.len(), sent.len());
            let hosts: BTreeSet<IpAddr> =
                sent.iter().filter_map(|(_, route)| route.address()).map(|to| to.ip()).collect();
            prop_assert!(hosts.len() <= MAX_TARGETS);
        }
    }
}

//! What kind of NAT is in front of us, from where members see us; and which of those addresses to announce.
//!
//! A member that is outside our own networks tells the address and port our packets come from. One of our interfaces'
//! addresses: no NAT. The same from two members at different outside addresses: a NAT that gives our socket one
//! mapping ([`Kind::Easy`]). Different ones: a NAT that gives each destination its own ([`Kind::Hard`]).
//!
//! What must not be mistaken for the last is a NAT that maps anew in the course of time: one member sees the new
//! mapping already, the other still remembers the old. So reports are compared only while both members are in contact
//! with us, and when a member changes its mind the older reports of the others do not count until they are repeated.
//! Without new evidence the last verdict stands until the machine sends from another address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use warren_p2p::identity::DeviceId;
use warren_p2p::signal::NatKind;

/// How the router in front of us numbers outgoing flows (RFC 4787, section 4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody outside has told enough.
    #[default]
    Unknown,
    /// Seen at an address of our own.
    Open,
    /// Every destination sees one address.
    Easy,
    /// Each destination sees another port.
    Hard,
}

/// The two families; each has a NAT of its own, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// Without contact, a report says nothing after this long: home routers forget a mapping in 30 s to 5 min.
const STALE: Duration = Duration::from_secs(120);
/// A member that changes its mind puts reports in doubt that are older than this before it.
const TOGETHER: Duration = Duration::from_secs(5);
/// Observed addresses of a family that are worth a probe: the present one, and a few for a NAT that maps anew.
const ANNOUNCED: usize = 3;
/// Behind a hard NAT every further address is one more port that leads nowhere.
const ANNOUNCED_HARD: usize = 2;

/// Where members see us.
#[derive(Debug, Default)]
pub(super) struct Nat {
    observers: BTreeMap<DeviceId, Observer>,
    /// Our interfaces: an address and its prefix length in bits.
    networks: Vec<(IpAddr, u8)>,
    verdicts: BTreeMap<Family, Kind>,
}

/// A member that tells where it sees us.
#[derive(Debug, Default)]
struct Observer {
    /// Where its packets come from.
    at: Option<IpAddr>,
    in_contact: bool,
    reports: BTreeMap<Family, Report>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    address: SocketAddr,
    at: Instant,
    /// Somebody else has noticed a newer mapping since.
    doubtful: bool,
}

/// A report for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) by: DeviceId,
    pub(super) address: SocketAddr,
    /// Whether it says anything of our NAT.
    pub(super) counts: bool,
}

impl Nat {
    /// A member's packets come from here now.
    pub(super) fn met(&mut self, peer: DeviceId, from: IpAddr) {
        let observer = self.observers.entry(peer).or_default();
        observer.at = Some(from.to_canonical());
        observer.in_contact = true;
    }

    /// No packets pass between us and a member any more.
    pub(super) fn lost(&mut self, peer: &DeviceId) {
        if let Some(observer) = self.observers.get_mut(peer) {
            observer.in_contact = false;
        }
    }

    /// A member sees our shared UDP socket at an address. True if what we announce, or the verdict, may be another.
    pub(super) fn observed(&mut self, by: DeviceId, address: SocketAddr, now: Instant) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let family = Family::of(address.ip());
        let before = (self.kind(family), self.seen());
        let report = Report { address, at: now, doubtful: false };
        let old = self.observers.entry(by).or_default().reports.insert(family, report);
        if old.is_some_and(|old| old.address != address) {
            for (device, observer) in &mut self.observers {
                if let Some(other) = observer.reports.get_mut(&family)
                    && *device != by
                    && other.address != address
                    && now.saturating_duration_since(other.at) > TOGETHER
                {
                    other.doubtful = true;
                }
            }
        }
        self.judge(family, now);
        before != (self.kind(family), self.seen())
    }

    /// Our interfaces have these addresses now. Packets of the families in `moved` leave from another of them than
    /// before: what was seen until now is of another network.
    pub(super) fn network_changed(&mut self, networks: Vec<(IpAddr, u8)>, moved: &[Family], now: Instant) {
        self.networks = networks;
        self.verdicts.clear();
        for observer in self.observers.values_mut() {
            observer.reports.retain(|family, _| !moved.contains(family));
        }
        self.judge(Family::V4, now);
        self.judge(Family::V6, now);
    }

    /// The kind of NAT in front of us.
    pub(super) fn kind(&self, family: Family) -> Kind {
        self.verdicts.get(&family).copied().unwrap_or_default()
    }

    /// The kind that decides how members reach us: that of IPv4, where NATs are.
    pub(super) fn main_kind(&self) -> Kind {
        match self.kind(Family::V4) {
            Kind::Unknown => self.kind(Family::V6),
            known @ (Kind::Open | Kind::Easy | Kind::Hard) => known,
        }
    }

    /// What peers had best take our NAT for; our socket has this port. A verdict needs two members outside. With one, a NAT
    /// that keeps the port is most likely easy; one that does not may be either.
    pub(super) fn presumed(&self, port: u16) -> Kind {
        let kind = self.main_kind();
        let mut seen = self.observers.values().filter(|observer| self.outside(observer));
        let report = seen.find_map(|observer| observer.reports.get(&Family::V4));
        match (kind, report) {
            (Kind::Unknown, Some(report)) if report.address.port() == port => Kind::Easy,
            (known, _) => known,
        }
    }

    /// The addresses at which a member might reach us from outside, the latest first. Without a NAT those of our
    /// interfaces are all there are: another one is the work of somebody's router on the way.
    pub(super) fn announced(&self) -> Vec<SocketAddr> {
        let mut seen = self.seen();
        seen.retain(|address| self.kind(Family::of(address.ip())) != Kind::Open);
        seen
    }

    /// Where members see us, the latest first.
    pub(super) fn seen(&self) -> Vec<SocketAddr> {
        [Family::V4, Family::V6]
            .into_iter()
            .flat_map(|family| {
                let most = if self.kind(family) == Kind::Hard { ANNOUNCED_HARD } else { ANNOUNCED };
                let mut reports: Vec<_> =
                    self.observers.values().filter_map(|observer| observer.reports.get(&family)).collect();
                reports.sort_by_key(|report| std::cmp::Reverse((report.at, report.address)));
                let mut addresses: Vec<SocketAddr> = Vec::new();
                for report in reports {
                    if addresses.len() < most && !addresses.contains(&report.address) {
                        addresses.push(report.address);
                    }
                }
                addresses
            })
            .collect()
    }

    /// Every report, for people.
    pub(super) fn sightings(&self, now: Instant) -> Vec<Sighting> {
        let of = |(by, observer): (&DeviceId, &Observer)| {
            let (by, outside) = (*by, self.outside(observer));
            let sighting = |report: &Report| Sighting {
                by,
                address: report.address,
                counts: outside && self.is_current(observer, report, now),
            };
            observer.reports.values().map(sighting).collect::<Vec<_>>()
        };
        self.observers.iter().flat_map(of).collect()
    }

    fn judge(&mut self, family: Family, now: Instant) {
        let evidence: Vec<(IpAddr, SocketAddr)> = self
            .observers
            .values()
            .filter(|observer| self.outside(observer))
            .filter_map(|observer| {
                let report = observer.reports.get(&family)?;
                let counts = is_public(report.address.ip()) && self.is_current(observer, report, now);
                counts.then_some((observer.at?, report.address))
            })
            .collect();
        let own = |address: SocketAddr| self.networks.iter().any(|(own, _)| *own == address.ip());
        let mut verdict = None;
        for (place, (at, address)) in evidence.iter().enumerate() {
            if own(*address) {
                verdict = Some(Kind::Open);
                break;
            }
            // Two members behind one address are one destination to many NATs.
            for (_, other) in evidence[..place].iter().filter(|(other, _)| other != at) {
                match other == address {
                    true => verdict = verdict.or(Some(Kind::Easy)),
                    false => verdict = Some(Kind::Hard),
                }
            }
        }
        if let Some(verdict) = verdict {
            self.verdicts.insert(family, verdict);
        }
    }

    /// Whether a member is somewhere from where it sees what strangers would see.
    fn outside(&self, observer: &Observer) -> bool {
        let near = |at: IpAddr| self.networks.iter().any(|(own, prefix)| within(at, *own, *prefix));
        // A member that shares our outside address is behind our own router: it may see anything.
        let ours = |at: IpAddr| {
            let sees = |other: &Observer| other.reports.values().any(|report| report.address.ip() == at);
            self.observers.values().any(sees)
        };
        observer.at.is_some_and(|at| is_public(at) && !near(at) && !ours(at))
    }

    fn is_current(&self, observer: &Observer, report: &Report, now: Instant) -> bool {
        !report.doubtful && (observer.in_contact || now.saturating_duration_since(report.at) <= STALE)
    }
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl From<NatKind> for Kind {
    fn from(kind: NatKind) -> Self {
        match kind {
            NatKind::Unknown => Self::Unknown,
            NatKind::Open => Self::Open,
            NatKind::Easy => Self::Easy,
            NatKind::Hard => Self::Hard,
        }
    }
}

impl From<Kind> for NatKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Unknown => Self::Unknown,
            Kind::Open => Self::Open,
            Kind::Easy => Self::Easy,
            Kind::Hard => Self::Hard,
        }
    }
}

impl Kind {
    /// The word of the local API.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "none",
            Self::Easy => "easy",
            Self::Hard => "hard",
        }
    }
}

/// Whether an address may be anybody's on the Internet. Shared space (RFC 6598) is where carriers translate.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            !(local || v6.is_loopback() || v6.is_unspecified())
        }
    }
}

/// Whether an address is in the network of another.
fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            (u32::from(one) ^ u32::from(other)) & mask == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            (u128::from(one) ^ u128::from(other)) & mask == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests;

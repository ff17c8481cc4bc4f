//! A network with a router, and what can be done to that router.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::node::Node;
use crate::{Kind, Mapper, Middle};

/// A network with a router, to which machines are plugged.
#[derive(Clone, Debug)]
pub struct Network {
    pub(crate) router: patchbay::Router,
    node: Node,
    /// The router of the provider, when that translates as well.
    provider: Option<patchbay::Router>,
    mapper: Option<Arc<Mutex<Mapper>>>,
    /// Its interface towards the Internet.
    wan: &'static str,
    kind: Option<Kind>,
    /// Its address outside, when that is not the one of its cable.
    public: Option<Ipv4Addr>,
}

impl Network {
    pub(crate) fn new(router: patchbay::Router, provider: Option<patchbay::Router>) -> Self {
        let wan = if provider.is_some() { "wan" } else { "ix" };
        Self {
            node: Node::Router(router.clone()),
            router,
            provider,
            mapper: None,
            wan,
            kind: None,
            public: None,
        }
    }

    /// Gives it the rules of `kind`.
    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self.nft(&kind.rules(self.wan));
        self
    }

    /// Gives it a miniupnpd. That refuses to map ports of an address that is no public one, and those of this
    /// Internet are all reserved: so the router gets one more, which is none, and translates to that.
    pub(crate) fn with_mapper(mut self, directory: &std::path::Path, middle: &Middle) -> Self {
        let uplink = self.router.uplink_ip().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let public = Ipv4Addr::new(11, uplink.octets()[1], uplink.octets()[2], uplink.octets()[3]);
        middle.shell(&format!("ip -4 route add {public}/32 via {uplink}"));
        self.shell(&format!("ip address add {public}/32 dev {}", self.wan));
        self.nft(&format!(
            "flush chain ip translation postrouting
             table ip translation {{ chain postrouting {{ oifname \"{}\" snat to {public}; }}; }}",
            self.wan
        ));
        self.public = Some(public);
        let lan = self.lan_interface();
        let mapper = Mapper::start(self.node.clone(), directory, self.wan, &lan, public);
        self.mapper = Some(Arc::new(Mutex::new(mapper)));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.router.name()
    }

    /// What stands between its machines and the Internet, if it was made by [`World::behind`](crate::World::behind).
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Its public IPv4 address, which the Internet sees.
    #[must_use]
    pub fn public_ipv4(&self) -> Option<Ipv4Addr> {
        self.public.or_else(|| self.provider.as_ref().unwrap_or(&self.router).uplink_ip())
    }

    /// Its miniupnpd.
    ///
    /// # Panics
    ///
    /// When its kind has none.
    pub fn mapper(&self) -> MutexGuard<'_, Mapper> {
        let mapper = self.mapper.as_ref().unwrap_or_else(|| panic!("{} maps no ports", self.name()));
        mapper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which addresses the Internet sees its machines.
    pub(crate) fn prefixes(&self) -> Vec<(IpAddr, u8)> {
        let outer = self.provider.as_ref().unwrap_or(&self.router);
        let mut all: Vec<_> = self.public.iter().map(|ip| (IpAddr::V4(*ip), 32)).collect();
        all.extend(outer.uplink_ip().map(|ip| (IpAddr::V4(ip), 32)));
        all.extend(outer.uplink_ip_v6().map(|ip| (IpAddr::V6(ip), 128)));
        let public = outer.downstream_cidr().filter(|net| !net.addr().is_private());
        all.extend(public.map(|net| (IpAddr::V4(net.network()), net.prefix_len())));
        all.extend(outer.downstream_cidr_v6().map(|net| (IpAddr::V6(net.network()), net.prefix_len())));
        all
    }

    /// Runs a line of shell on the router, which must succeed, and returns what it printed.
    pub fn shell(&self, line: &str) -> String {
        self.node.shell(line)
    }

    /// Loads nftables rules on the router.
    pub fn nft(&self, rules: &str) {
        self.node.nft(rules);
    }

    /// Cuts the cable between this network and the Internet, or mends it.
    pub fn set_uplink(&self, connected: bool) {
        self.shell(if connected {
            "nft delete table inet cut"
        } else {
            "nft 'table inet cut { chain forward { type filter hook forward priority -300; drop; }; }'"
        });
    }

    /// What a NAT does now and then: it forgets every mapping and gives other ports from now on.
    ///
    /// # Panics
    ///
    /// When this network's router does not translate, or each destination gets its own port anyway.
    pub fn rebind(&self) {
        assert!(
            !matches!(
                self.kind,
                None | Some(Kind::Open | Kind::SixOnly | Kind::Symmetric | Kind::FullCone | Kind::Upnp)
            ),
            "{} keeps no port that could change",
            self.name()
        );
        // Another thousand of ports each time.
        let first = match self.shell("nft list chain ip translation postrouting").contains(":51000-51999") {
            true => 52_000,
            false => 51_000,
        };
        self.nft(&format!(
            "flush chain ip translation postrouting
             table ip translation {{ chain postrouting {{
                oifname \"{0}\" meta l4proto {{ tcp, udp }} masquerade to :{first}-{1}
                oifname \"{0}\" masquerade
             }}; }}",
            self.wan,
            first + 999
        ));
        self.forget();
    }

    /// How long the router remembers UDP that it has heard nothing of, answered or not.
    pub fn remember_udp(&self, time: Duration) {
        let seconds = time.as_secs();
        self.shell(&format!(
            "for name in udp_timeout udp_timeout_stream; do
                echo {seconds} >/proc/sys/net/netfilter/nf_conntrack_$name; done"
        ));
    }

    /// Empties the table of connections the router tracks.
    pub fn forget(&self) {
        self.shell("conntrack -F 2>/dev/null");
    }

    /// How many connections the router tracks.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.shell("cat /proc/sys/net/netfilter/nf_conntrack_count").trim().parse().unwrap_or_default()
    }

    /// Where the connections go that the router tracks to addresses that begin so: address, port and protocol.
    #[must_use]
    pub fn tracked_towards(&self, prefix: &str) -> BTreeSet<String> {
        let table = self.shell("conntrack -L 2>/dev/null");
        let lines = table.lines().filter_map(|line| {
            let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
            let (to, port) = (field("dst=")?, field("dport=")?);
            let protocol = line.split_whitespace().next()?;
            to.starts_with(prefix).then(|| format!("{to}:{port}/{protocol}"))
        });
        lines.collect()
    }

    /// Refuses new connections past this many, as a small router does. (The kernel's own limit is one for all
    /// namespaces.)
    pub fn limit_tracked(&self, most: u32) {
        self.nft(&format!(
            "table inet table_size {{ chain forward {{ type filter hook forward priority -5;
                ct state new ct count over {most} counter drop; }}; }}"
        ));
    }

    /// How many packets the router has sent to the Internet.
    #[must_use]
    pub fn sent(&self) -> u64 {
        let table = self.shell("cat /proc/net/dev");
        let line = table.lines().find_map(|line| line.trim().strip_prefix(self.wan)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().nth(9)?.parse().ok()).unwrap_or_default()
    }

    fn lan_interface(&self) -> String {
        let gateway = self.router.downstream_gw().map(|ip| ip.to_string()).unwrap_or_default();
        let line = self.shell(&format!("ip -o -4 address show to {gateway}/32"));
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }
}

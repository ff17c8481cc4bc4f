//! The middle of the Internet: the one router that every network's packets to another network pass.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Network;
use crate::delay::Delay;
use crate::node::Node;

/// Where bad weather is made: loss, delay, tight links, and cables cut between two networks only.
///
/// It carries packets, not bundles: routers segment what the kernel has put together before it leaves them, so
/// that one packet lost is one packet lost.
#[derive(Debug)]
pub struct Middle {
    ix: patchbay::Ix,
    node: Node,
    bridge: String,
    delay: Mutex<Option<Delay>>,
}

impl Middle {
    pub(crate) fn new(ix: patchbay::Ix) -> Self {
        let node = Node::Middle(ix.clone());
        let line = node.shell(&format!("ip -o -4 address show to {}/32", ix.gw()));
        let bridge = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        // It forwards out of the port the packet came in by, and must not advise a shorter way.
        node.shell(
            "for name in all default; do
                echo 0 >/proc/sys/net/ipv4/conf/$name/send_redirects
                echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter; done",
        );
        node.shell(&format!("echo 0 >/proc/sys/net/ipv4/conf/{bridge}/send_redirects"));
        // The kernel has no switch for redirects of IPv6, and nobody else here needs to send any.
        node.nft(
            "table inet quiet { chain output { type filter hook output priority 0; icmpv6 type nd-redirect drop; }; }",
        );
        Self { ix, node, bridge, delay: Mutex::new(None) }
    }

    /// The address of the middle in the exchange network.
    pub(crate) fn gateways(&self) -> (String, String) {
        (self.ix.gw().to_string(), self.ix.gw_v6().to_string())
    }

    /// Loses this share of all packets between networks, in percent; 0 ends it.
    pub fn set_loss(&self, percent: f64) {
        let of_ten_thousand = (percent * 100.0).round();
        self.replace(
            "loss",
            (percent > 0.0).then(|| {
                format!("iifname \"{}\" numgen random mod 10000 < {of_ten_thousand} drop", self.bridge)
            }),
        );
    }

    /// Holds every packet between networks for this long, one way; zero ends it.
    pub fn set_delay(&self, one_way: Duration) {
        let mut delay = self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*delay, one_way.is_zero()) {
            (Some(running), _) => running.set(one_way),
            (None, true) => {}
            (None, false) => {
                let started = Delay::start(&self.ix, one_way);
                self.node.shell(&format!(
                    "ip link set {0} up mtu 1500 txqueuelen 10000
                     echo 0 >/proc/sys/net/ipv4/conf/{0}/rp_filter
                     for family in -4 -6; do
                        ip $family route add default dev {0} table 77
                        ip $family rule add iif {1} lookup 77
                     done",
                    started.device(),
                    self.bridge
                ));
                *delay = Some(started);
            }
        }
    }

    /// Drops packets of more than this many bytes without telling anybody; none ends it.
    pub fn set_black_hole(&self, mtu: Option<u16>) {
        self.replace("hole", mtu.map(|mtu| format!("meta length > {mtu} drop")));
    }

    /// Carries packets of at most this many bytes, and tells whoever sends longer ones; none is an Ethernet again.
    pub fn set_link(&self, mtu: Option<u16>) {
        self.node.shell(&format!("ip link set dev {} mtu {}", self.bridge, mtu.unwrap_or(1500)));
    }

    /// Drops everything between two networks, silently; both still reach all others.
    pub fn part(&self, one: &Network, other: &Network) {
        let mut rules = String::new();
        for (from, to) in [(one, other), (other, one)] {
            for family in ["ip", "ip6"] {
                let prefixes = |network: &Network| {
                    let of = network.prefixes();
                    let same = |(address, _): &&(IpAddr, u8)| address.is_ipv4() == (family == "ip");
                    let texts: Vec<String> =
                        of.iter().filter(same).map(|(address, bits)| format!("{address}/{bits}")).collect();
                    texts.join(", ")
                };
                let (from, to) = (prefixes(from), prefixes(to));
                if !from.is_empty() && !to.is_empty() {
                    rules.push_str(&format!("{family} saddr {{ {from} }} {family} daddr {{ {to} }} drop\n"));
                }
            }
        }
        let table = format!("part_{}_{}", one.name(), other.name());
        self.replace(&table, Some(rules));
    }

    /// Undoes [`part`](Self::part).
    pub fn join(&self, one: &Network, other: &Network) {
        self.replace(&format!("part_{}_{}", one.name(), other.name()), None);
    }

    /// Runs a line of shell in the middle, which must succeed, and returns what it printed.
    pub fn shell(&self, line: &str) -> String {
        self.node.shell(line)
    }

    /// Replaces the forward chain of one table of ours, or removes it.
    fn replace(&self, table: &str, rules: Option<String>) {
        let mut text = format!("table inet {table}\ndelete table inet {table}\n");
        if let Some(rules) = rules {
            text.push_str(&format!(
                "table inet {table} {{ chain forward {{ type filter hook forward priority -10;\n{rules}\n}}; }}\n"
            ));
        }
        self.node.nft(&text);
    }
}

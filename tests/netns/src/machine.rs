//! One machine: a network namespace in which commands run.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::node::Node;
use crate::{Daemon, Outcome};

/// A machine of a [`World`](crate::World).
#[derive(Clone, Debug)]
pub struct Machine {
    device: patchbay::Device,
    node: Node,
    directory: PathBuf,
    warren: PathBuf,
}

impl Machine {
    pub(crate) fn new(device: patchbay::Device, directory: PathBuf, warren: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        Self { node: Node::Device(device.clone()), device, directory, warren }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Its own directory, for state, socket and logs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory in which its daemon keeps its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The socket of its daemon.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("warren.sock")
    }

    /// Its IPv4 address on its network.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.device.ip()
    }

    /// Its IPv6 address on its network.
    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        self.device.ip6()
    }

    /// Runs `program` here and waits for its end.
    #[must_use]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        self.node.run(program, arguments, "")
    }

    /// Runs a line of shell here, which must succeed, and returns what it printed.
    pub fn shell(&self, line: &str) -> String {
        self.node.shell(line)
    }

    /// Loads nftables rules, for instance to cut a cable.
    pub fn nft(&self, rules: &str) {
        self.node.nft(rules);
    }

    /// Starts `command` here, with pipes for its streams, without waiting. It dies with the world.
    #[must_use]
    pub fn spawn(&self, command: &Command) -> Child {
        self.node.spawn(command)
    }

    /// Runs `warren ARGUMENTS` against the daemon of this machine.
    #[must_use]
    pub fn warren(&self, arguments: &[&str]) -> Outcome {
        let socket = self.socket().display().to_string();
        let mut line = arguments.to_vec();
        line.extend(["--socket", &socket]);
        self.run(&self.warren.display().to_string(), &line)
    }

    /// Starts `warren up ARGUMENTS` here, without waiting for it to be ready.
    #[must_use]
    pub fn up(&self, arguments: &[&str]) -> Daemon {
        Daemon::start(self.clone(), &self.warren, arguments)
    }

    /// Whether ping(8) gets a reply from `address` to one of `count` packets, 0.1 s apart.
    #[must_use]
    pub fn pings(&self, address: &str, count: u32) -> bool {
        let count = count.to_string();
        self.run("ping", &["-n", "-q", "-c", &count, "-i", "0.1", "-W", "1", address]).succeeded()
    }

    /// Occupies a UDP port here, until the socket is dropped; on `[::]` that of both families.
    #[must_use]
    pub fn bind_udp(&self, address: &str) -> UdpSocket {
        let name = address.to_owned();
        let bound = self.device.run_sync(move || Ok(UdpSocket::bind(name)?));
        bound.unwrap_or_else(|error| panic!("{address}: {error:#}"))
    }

    /// Listens for TCP here, until the listener is dropped.
    #[must_use]
    pub fn listen_tcp(&self, address: &str) -> TcpListener {
        let name = address.to_owned();
        let bound = self.device.run_sync(move || Ok(TcpListener::bind(name)?));
        bound.unwrap_or_else(|error| panic!("{address}: {error:#}"))
    }

    /// Connects by TCP from here; none when nobody answers within `limit`.
    #[must_use]
    pub fn connect_tcp(&self, to: SocketAddr, limit: Duration) -> Option<TcpStream> {
        self.device.run_sync(move || Ok(TcpStream::connect_timeout(&to, limit)?)).ok()
    }

    /// Gives the machine another IPv4 address on its network, as a new lease does. The old one is gone.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn change_address(&self) {
        let line = self.shell("ip -o -4 address show dev eth0 scope global");
        let old = line.split_whitespace().nth(3).unwrap_or_else(|| panic!("{} has no IPv4", self.name()));
        let (address, bits) = old.split_once('/').unwrap_or((old, "24"));
        let parts: Vec<&str> = address.split('.').collect();
        let last: u8 = parts.last().and_then(|part| part.parse().ok()).unwrap_or_default();
        // Far from what the network hands out by itself.
        let new = if last >= 200 { last - 1 } else { 250 };
        let new = format!("{}.{}.{}.{new}/{bits}", parts[0], parts[1], parts[2]);
        let route = self.shell("ip -4 route show default");
        // With the last address of the network its routes go; the router stays the same.
        self.shell(&format!(
            "ip address del {old} dev eth0; ip address add {new} dev eth0; ip -4 route replace {}",
            route.lines().next().unwrap_or_default()
        ));
    }

    /// Unplugs the cable or plugs it in again.
    pub fn set_cable(&self, plugged: bool) {
        self.shell(if plugged {
            "nft delete table inet unplugged"
        } else {
            "nft 'table inet unplugged {
                chain input { type filter hook input priority -300; iifname eth0 drop; };
                chain output { type filter hook output priority -300; oifname eth0 drop; }; }'"
        });
    }

    /// The hardware addresses of its interfaces.
    #[must_use]
    pub fn hardware_addresses(&self) -> Vec<String> {
        let lines = self.shell("ip -o link show type veth");
        let after = |line: &str| line.split("link/ether ").nth(1)?.split(' ').next().map(str::to_owned);
        lines.lines().filter_map(after).collect()
    }

    /// From now on counts how often it is told by ICMP, of either family, that a packet was too big for a link on its way.
    pub fn count_too_big(&self) {
        self.nft(
            "table inet too_big { chain input { type filter hook input priority -300;
                icmp type destination-unreachable icmp code 4 counter
                icmpv6 type packet-too-big counter
            }; }",
        );
    }

    /// How often that was since [`count_too_big`](Self::count_too_big).
    #[must_use]
    pub fn told_too_big(&self) -> u64 {
        let listing = self.shell("nft list table inet too_big");
        let counts = listing.lines().filter_map(|line| line.split("counter packets ").nth(1));
        counts.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum()
    }

    /// Its processes, as command lines, without those of the test itself.
    #[must_use]
    pub fn processes(&self) -> Vec<String> {
        let namespace = self.shell("readlink /proc/self/ns/net");
        let entries = fs::read_dir("/proc").map_or_else(|_| Vec::new(), |all| all.flatten().collect());
        let mut lines = Vec::new();
        for entry in entries {
            let path = entry.path();
            let here = fs::read_link(path.join("ns/net"))
                .is_ok_and(|link| link.to_string_lossy() == namespace.trim());
            if here && let Ok(line) = fs::read_to_string(path.join("cmdline")) {
                lines.push(line.replace('\0', " ").trim().to_owned());
            }
        }
        lines.sort();
        lines
    }
}

//! The Internet of a test: networks, and machines on them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchbay::{IpSupport, Lab, RouterBuilder, RouterPreset};
use tempfile::TempDir;

use crate::node::Node;
use crate::{Machine, until};

/// How much of a daemon's log is shown when a test fails, in lines.
const LOG_TAIL: usize = 80;

/// A cable is as good as plugged in within this.
const CARRIER: Duration = Duration::from_secs(5);

/// Networks and machines which vanish together.
pub struct World {
    // The lab goes first: its end kills what runs in it; the directory goes last.
    lab: Lab,
    runtime: tokio::runtime::Runtime,
    directory: TempDir,
    warren: PathBuf,
}

/// A network with a router, to which machines are plugged.
#[derive(Clone, Debug)]
pub struct Network {
    router: patchbay::Router,
    node: Node,
}

impl World {
    /// An empty world whose machines run the `warren` at this path.
    ///
    /// # Panics
    ///
    /// When the kernel refuses; [`enter_user_namespace`](crate::enter_user_namespace) must have been called.
    #[must_use]
    pub fn new(warren: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
        let lab = runtime.block_on(Lab::builder().build());
        let lab = lab.unwrap_or_else(|error| panic!("cannot build a network of namespaces: {error:#}"));
        let directory =
            TempDir::with_prefix("warren-").unwrap_or_else(|error| panic!("no directory: {error}"));
        Self { lab, runtime, directory, warren: warren.to_owned() }
    }

    /// A network with public addresses of both families, where anybody may knock.
    #[must_use]
    pub fn public(&self, name: &str) -> Network {
        self.network(self.lab.add_router(name).preset(RouterPreset::Public))
    }

    /// A home: private IPv4 addresses behind a translating router that drops what nobody asked for.
    #[must_use]
    pub fn home(&self, name: &str) -> Network {
        let home = self.lab.add_router(name).preset(RouterPreset::Home).ip_support(IpSupport::V4Only);
        let network = self.network(home);
        // A router that answered or tracked unsolicited packets to itself would let a stranger occupy the very
        // port a device behind it is about to use. Real ones drop; the kernel's default does not.
        network.nft(
            "table inet guard { chain input { type filter hook input priority 0; policy accept;
                iifname \"ix\" ct state established,related accept
                iifname \"ix\" icmp type echo-request accept
                iifname \"ix\" drop; }; }",
        );
        network
    }

    /// A network that leads nowhere: private IPv4 and IPv6 addresses, its router without an uplink.
    #[must_use]
    pub fn lan(&self, name: &str) -> Network {
        let network = self.network(self.lab.add_router(name).preset(RouterPreset::Home));
        network.shell("ip link set ix down");
        network
    }

    fn network(&self, builder: RouterBuilder) -> Network {
        let router = self.built(builder.build());
        Network { node: Node::Router(router.clone()), router }
    }

    /// A machine on `network`.
    #[must_use]
    pub fn machine(&self, name: &str, network: &Network) -> Machine {
        let builder = self.lab.add_device(name).iface("eth0", network.router.id());
        let device = self.built(builder.build());
        let machine = Machine::new(device, self.directory.path().join(name), self.warren.clone());
        // The one outside lists the interfaces of another machine.
        machine.shell("mount -t sysfs sysfs /sys");
        // The bridge takes a moment to give carrier; until then the machine's routes are marked as dead.
        until(CARRIER, "the cable gives carrier", || {
            machine.shell("ip -o link show eth0").contains("state UP").then_some(())
        });
        machine
    }

    /// A machine on `network` without any default route.
    #[must_use]
    pub fn machine_without_default_route(&self, name: &str, network: &Network) -> Machine {
        let machine = self.machine(name, network);
        machine.shell("ip -4 route del default; ip -6 route del default");
        machine
    }

    /// A directory that lives as long as the world.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn built<T, E: std::fmt::Debug>(&self, building: impl Future<Output = Result<T, E>>) -> T {
        match self.runtime.block_on(building) {
            Ok(built) => built,
            Err(error) => panic!("cannot build a network of namespaces: {error:?}"),
        }
    }

    /// Prints the end of every daemon's log.
    #[expect(clippy::print_stderr, reason = "the report of a failed test")]
    fn report(&self) {
        let entries =
            fs::read_dir(self.directory.path()).map_or_else(|_| Vec::new(), |all| all.flatten().collect());
        for entry in entries {
            if let Ok(log) = fs::read_to_string(entry.path().join("daemon.log")) {
                let lines: Vec<&str> = log.lines().collect();
                let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
                eprintln!("--- log of {}\n{}", entry.file_name().display(), tail.join("\n"));
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
        }
    }
}

impl Network {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.router.name()
    }

    /// Its public IPv4 address, which the Internet sees.
    #[must_use]
    pub fn public_ipv4(&self) -> Option<Ipv4Addr> {
        self.router.uplink_ip()
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
}

//! The Internet of a test: networks, and machines on them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;
use patchbay::{Firewall, IpSupport, Lab, RouterBuilder, RouterPreset};
use tempfile::TempDir;

use crate::kind::guard;
use crate::{Kind, Machine, Middle, Network, until};

/// How much of a daemon's log is shown when a test fails, in lines.
const LOG_TAIL: usize = 80;

/// Between a home and a provider that translates (RFC 6598).
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);

/// Where IPv4 is private although IPv6 is public.
const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 178, 0);

/// A cable is as good as plugged in within this.
const CARRIER: Duration = Duration::from_secs(5);

/// Networks and machines which vanish together.
pub struct World {
    // Its threads forward packets of the lab, and end before it.
    middle: Middle,
    // The lab goes first: its end kills what runs in it; the directory goes last.
    lab: Lab,
    runtime: tokio::runtime::Runtime,
    directory: TempDir,
    warren: PathBuf,
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
        Self { middle: Middle::new(lab.ix()), lab, runtime, directory, warren: warren.to_owned() }
    }

    /// The middle of its Internet, where the weather is made.
    #[must_use]
    pub fn middle(&self) -> &Middle {
        &self.middle
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
        network.nft(&guard("ix", ""));
        network
    }

    /// A network of this kind.
    #[must_use]
    pub fn behind(&self, name: &str, kind: Kind) -> Network {
        let bare = |name: &str| {
            let builder = self.lab.add_router(name).preset(RouterPreset::Home);
            builder.nat(None).firewall(Firewall::None).ip_support(IpSupport::V4Only)
        };
        match kind {
            Kind::Open => self.public(name).of_kind(kind),
            Kind::SixOnly => {
                let builder = self.lab.add_router(name).preset(RouterPreset::Public);
                self.network(builder.ip_support(IpSupport::V6Only)).of_kind(kind)
            }
            Kind::BrokenSix => {
                // Public addresses of IPv6 and private ones of IPv4, which the middle must not know the way to.
                let private = Ipv4Net::new_assert(PRIVATE, 24);
                let builder = self.lab.add_router(name).preset(RouterPreset::Public).downstream_cidr(private);
                let network = self.network(builder);
                self.middle.shell(&format!("ip -4 route del {private}"));
                network.of_kind(kind)
            }
            Kind::Cgnat => {
                // Providers have the same space behind their NATs.
                let shared = bare(&format!("{name}-isp")).downstream_cidr(Ipv4Net::new_assert(SHARED, 24));
                let provider = self.network(shared).of_kind(kind);
                let home = self.built(bare(name).upstream(provider.router.id()).build());
                Network::new(home, Some(provider.router)).of_kind(Kind::Restricted)
            }
            Kind::Upnp => {
                let directory = self.directory.path().join(format!("{name}-router"));
                self.network(bare(name)).of_kind(kind).with_mapper(&directory, &self.middle)
            }
            Kind::FullCone | Kind::Restricted | Kind::Shifted | Kind::Symmetric | Kind::Blocked => {
                self.network(bare(name)).of_kind(kind)
            }
        }
    }

    /// A network that leads nowhere: private IPv4 and IPv6 addresses, its router without an uplink.
    #[must_use]
    pub fn lan(&self, name: &str) -> Network {
        let network = self.network(self.lab.add_router(name).preset(RouterPreset::Home));
        network.shell("ip link set ix down");
        network
    }

    fn network(&self, builder: RouterBuilder) -> Network {
        let network = Network::new(self.built(builder.build()), None);
        // Whatever leaves it goes through the middle, packet by packet, also to its neighbours in the exchange.
        let (v4, v6) = self.middle.gateways();
        network.shell(&format!(
            "ip link set dev ix gso_max_segs 1
             if ip -4 -o address show dev ix | grep -q .; then
                ip -4 route replace {v4}/32 dev ix; ip -4 route flush dev ix proto kernel scope link match 198.18.0.0/24
             fi
             if ip -6 -o address show dev ix scope global | grep -q .; then
                ip -6 route replace {v6}/128 dev ix; ip -6 route flush dev ix proto kernel root 2001:db8::/64
             fi"
        ));
        network
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

//! A router that maps ports when asked: a real miniupnpd on it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::node::Node;
use crate::until;

/// Its tables, which it fills; it makes none itself.
const TABLES: &str = "table inet mapper {
    chain forward { type filter hook forward priority -5; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority dstnat; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority srcnat - 5; jump postrouting_miniupnpd; }
    chain miniupnpd {}
    chain prerouting_miniupnpd {}
    chain postrouting_miniupnpd {}
}";

/// Starting takes it no longer.
const START: Duration = Duration::from_secs(10);

/// The miniupnpd of one router.
#[derive(Debug)]
pub struct Mapper {
    node: Node,
    configuration: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Mapper {
    #[expect(clippy::disallowed_methods, reason = "a file that lives as long as the test")]
    pub(crate) fn start(node: Node, directory: &Path, wan: &str, lan: &str, public: Ipv4Addr) -> Self {
        let _ = fs::create_dir_all(directory);
        let configuration = directory.join("miniupnpd.conf");
        let log = directory.join("miniupnpd.log");
        let text = format!(
            "ext_ifname={wan}\next_ip={public}\nlistening_ip={lan}\nenable_upnp=yes\nenable_natpmp=yes
secure_mode=yes\nsystem_uptime=yes\nuuid=8d8f2b52-1f6e-4c1e-9f0a-0a3f5b2c7d11\nlease_file={leases}
upnp_table_name=mapper\nupnp_nat_table_name=mapper\nupnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 0.0.0.0/0 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n",
            leases = directory.join("leases").display()
        );
        fs::write(&configuration, text)
            .unwrap_or_else(|error| panic!("{}: {error}", configuration.display()));
        node.nft(TABLES);
        let mut mapper = Self { node, configuration, log, child: None };
        mapper.launch();
        mapper
    }

    /// Starts it, which must not run, with no memory of what it had mapped: as after a reset of the router.
    fn launch(&mut self) {
        let pid = self.configuration.with_extension("pid").display().to_string();
        let configuration = self.configuration.display().to_string();
        let log = self.log.display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec miniupnpd -d -f "$1" -P "$2" >>"$3" 2>&1 </dev/null"#, "sh"]);
        command.args([&configuration, &pid, &log]);
        self.child = Some(self.node.spawn(&command));
        until(START, "miniupnpd listens", || {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                panic!("miniupnpd ended with {status}:\n{said}");
            }
            let listening = self.node.shell("ss -Huln");
            (listening.contains(":5351 ") && listening.contains(":1900 ")).then_some(())
        });
    }

    /// Switches it off, as by a power cut.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.configuration.with_file_name("leases"));
        self.node.shell(
            "for chain in miniupnpd prerouting_miniupnpd postrouting_miniupnpd; do nft flush chain inet mapper $chain; done",
        );
    }

    /// Resets the router: every mapping is forgotten.
    pub fn reset(&mut self) {
        self.stop();
        self.launch();
    }

    /// The rules by which it lets packets in, one mapping a line.
    #[must_use]
    pub fn mappings(&self) -> Vec<String> {
        let listing = self.node.shell("nft list chain inet mapper prerouting_miniupnpd");
        listing.lines().filter(|line| line.contains("dnat")).map(|line| line.trim().to_owned()).collect()
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

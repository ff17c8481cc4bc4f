//! What is compared, and how each of them connects two machines.

use std::env;
use std::process::{Child, Command};
use std::time::Duration;

use warren_netns::{Daemon, Machine, until};

/// One way of connecting two machines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Implementation {
    None,
    Warren,
    Kernel,
    WireguardGo,
    Boringtun,
    Gotatun,
    Nebula,
    Easytier,
}

/// What keeps a connection up; dropping it ends it.
pub(crate) struct Running {
    _daemons: Vec<Daemon>,
    children: Vec<Child>,
    /// Where the second machine is reached from the first.
    pub(crate) address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const START: Duration = Duration::from_secs(20);

impl Implementation {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 8] = [
        Self::None,
        Self::Warren,
        Self::Kernel,
        Self::WireguardGo,
        Self::Boringtun,
        Self::Gotatun,
        Self::Nebula,
        Self::Easytier,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warren => "warren",
            Self::Kernel => "kernel",
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun",
            Self::Gotatun => "gotatun",
            Self::Nebula => "nebula",
            Self::Easytier => "easytier",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|one| one.name() == name)
            .ok_or_else(|| format!("no `{name}`; there are {known}"))
    }

    /// Why it cannot run here.
    pub(crate) fn missing(self) -> Option<String> {
        let needed = match self {
            Self::None | Self::Warren | Self::Kernel => return None,
            Self::Nebula => vec![("NEBULA", "nebula"), ("NEBULA_CERT", "nebula-cert")],
            Self::Easytier => vec![("ETPY", "python3")],
            Self::WireguardGo => vec![("WGGO", "wireguard-go")],
            Self::Boringtun => vec![("BORINGTUN", "boringtun-cli")],
            Self::Gotatun => vec![("GOTATUN", "gotatun")],
        };
        for (variable, command) in needed {
            let binary = binary(variable, command);
            let found =
                Command::new("sh").args(["-c", "command -v \"$1\" >/dev/null", "sh", &binary]).status();
            if !found.is_ok_and(|status| status.success()) {
                return Some(format!("no {binary}; install it or set {variable}"));
            }
        }
        let module = || Command::new(binary("ETPY", "python3")).args(["-c", "import easytier_pyo3"]).output();
        if self == Self::Easytier && !module().is_ok_and(|output| output.status.success()) {
            return Some("no Python module easytier_pyo3; set ETPY to a python that has it".to_owned());
        }
        None
    }

    /// Connects the machines.
    pub(crate) fn connect(self, a: &Machine, b: &Machine) -> Result<Running, String> {
        let running = |children| Running { _daemons: Vec::new(), children, address: "10.77.0.2".to_owned() };
        match self {
            Self::None => {
                let address = b.ipv4().ok_or("no address")?.to_string();
                Ok(Running { _daemons: Vec::new(), children: Vec::new(), address })
            }
            Self::Warren => {
                let one = a.up(&["--name", "a"]).ready(START);
                let code = a.warren(&["invite"]).expect_success();
                let other = b.up(&[code.text(), "--name", "b"]).ready(START);
                let status = b.warren(&["status", "--json"]).expect_success().json();
                let address = status["device"]["ipv4"].as_str().unwrap_or_default().to_owned();
                Ok(Running { _daemons: vec![one, other], children: Vec::new(), address })
            }
            Self::Kernel => {
                for machine in [a, b] {
                    let made = machine.run("ip", &["link", "add", "wg0", "type", "wireguard"]);
                    if !made.succeeded() {
                        return Err("this kernel has no wireguard".to_owned());
                    }
                }
                configure(a, b);
                Ok(running(Vec::new()))
            }
            Self::WireguardGo => Ok(running(userspace(a, b, &binary("WGGO", "wireguard-go"), &["-f"]))),
            Self::Boringtun => {
                let options = ["-f", "--disable-drop-privileges"];
                Ok(running(userspace(a, b, &binary("BORINGTUN", "boringtun-cli"), &options)))
            }
            Self::Gotatun => {
                let options = ["-f", "--disable-drop-privileges"];
                Ok(running(userspace(a, b, &binary("GOTATUN", "gotatun"), &options)))
            }
            Self::Nebula => Ok(running(nebula(a, b))),
            Self::Easytier => Ok(running(easytier(a, b))),
        }
    }
}

fn binary(variable: &str, command: &str) -> String {
    env::var(variable).unwrap_or_else(|_| command.to_owned())
}

/// Starts a userspace WireGuard on both machines and configures it by wg(8).
fn userspace(a: &Machine, b: &Machine, binary: &str, options: &[&str]) -> Vec<Child> {
    let start = |machine: &Machine| {
        // wg(8) finds the device by a socket in /run, which each machine has for itself.
        machine.shell("mount -t tmpfs tmpfs /run && mkdir -p /run/wireguard");
        let child = background(machine, binary, &[options, &["wg0"]].concat());
        until(START, &format!("{binary} makes its device"), || {
            machine.run("wg", &["show", "wg0"]).succeeded().then_some(())
        });
        child
    };
    let children = vec![start(a), start(b)];
    configure(a, b);
    children
}

/// Keys, addresses and endpoints for `wg0` on both machines.
fn configure(a: &Machine, b: &Machine) {
    let key = |machine: &Machine| {
        let directory = machine.directory().display();
        machine
            .shell(&format!("umask 077; wg genkey > {directory}/key; wg pubkey < {directory}/key"))
            .trim()
            .to_owned()
    };
    let keys = [key(a), key(b)];
    for (machine, number, other, peer) in [(a, 1, 2, b), (b, 2, 1, a)] {
        let endpoint = peer.ipv4().map_or_else(String::new, |address| address.to_string());
        machine.shell(&format!(
            "wg set wg0 private-key {}/key listen-port 51820 peer {} endpoint {endpoint}:51820 allowed-ips 10.77.0.{other}/32
             ip address add 10.77.0.{number}/24 dev wg0; ip link set mtu 1420 dev wg0 up",
            machine.directory().display(),
            keys[other - 1],
        ));
    }
}

fn nebula(a: &Machine, b: &Machine) -> Vec<Child> {
    let (nebula, cert) = (binary("NEBULA", "nebula"), binary("NEBULA_CERT", "nebula-cert"));
    let directory = a.directory().display().to_string();
    a.shell(&format!(
        "cd {directory}; {cert} ca -name x >/dev/null
         {cert} sign -name a -ip 10.77.0.1/24 >/dev/null; {cert} sign -name b -ip 10.77.0.2/24 >/dev/null"
    ));
    let lighthouse = a.ipv4().map_or_else(String::new, |address| address.to_string());
    let start = |machine: &Machine, name: &str| {
        let is_lighthouse = name == "a";
        let hosts = if is_lighthouse { "" } else { "\"10.77.0.1\"" };
        let file = format!("{}/{name}.yml", machine.directory().display());
        let settings = format!(
            r#"pki: {{ca: {directory}/ca.crt, cert: {directory}/{name}.crt, key: {directory}/{name}.key}}
static_host_map: {{"10.77.0.1": ["{lighthouse}:4242"]}}
lighthouse: {{am_lighthouse: {is_lighthouse}, interval: 60, hosts: [{hosts}]}}
listen: {{host: 0.0.0.0, port: 4242, batch: 64}}
cipher: aes
tun: {{dev: neb0, mtu: 1420, tx_queue: 500}}
firewall: {{outbound: [{{port: any, proto: any, host: any}}], inbound: [{{port: any, proto: any, host: any}}]}}
"#
        );
        machine.shell(&format!("cat > {file} <<'SETTINGS'\n{settings}SETTINGS"));
        background(machine, &nebula, &["-config", &file])
    };
    vec![start(a, "a"), start(b, "b")]
}

fn easytier(a: &Machine, b: &Machine) -> Vec<Child> {
    let start = |machine: &Machine, number: u8, peer: &Machine| {
        let peer = peer.ipv4().map_or_else(String::new, |address| address.to_string());
        let program = format!(
            "import time
from easytier_pyo3 import Node
n=Node({{'instance_name':'n{number}','ipv4':'10.77.0.{number}/24','network_identity':{{'network_name':'n','network_secret':'s'}},'listeners':['udp://0.0.0.0:11010'],'peer':[{{'uri':'udp://{peer}:11010'}}],'flags':{{'dev_name':'et0','enable_kcp_proxy':False}}}})
n.start(); time.sleep(600)"
        );
        background(machine, &binary("ETPY", "python3"), &["-c", &program])
    };
    vec![start(a, 1, b), start(b, 2, a)]
}

/// Starts a program whose words nobody reads.
fn background(machine: &Machine, program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" >/dev/null 2>&1 </dev/null", "sh", program]).args(arguments);
    machine.spawn(&command)
}

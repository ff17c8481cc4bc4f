//! Flag over environment over file over default: one [`Config`], or one clear error.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use warren_p2p::swarm::rendezvous;

use super::file::{self, File};
use super::{
    Config, DEFAULT_MTU, DEFAULT_PORT, DEFAULT_SUBNET, DeviceName, MIN_MTU, Port, Subnet, TUN_NAME_MAX, paths,
};
use crate::control::{Cause, Failure, Grant, Result};

/// What flags and the environment set; a flag has beaten its variable already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--state`
    pub state: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--port`
    pub port: Option<u16>,
    /// `--tun`
    pub tun: Option<String>,
    /// `--no-mdns`
    pub no_mdns: bool,
    /// `--name`
    pub name: Option<String>,
    /// `--mesh`
    pub mesh: Option<String>,
}

/// Puts the sources together. `hostname` is what the host calls itself, whatever its form.
pub fn resolve(flags: Overrides, file: File, hostname: &str) -> Result<Config> {
    let port = match (flags.port.or(file.port), DEFAULT_PORT) {
        (Some(port), _) => Port::Fixed(port),
        (None, port) => Port::From(port),
    };
    let name = match flags.name.or(file.name) {
        Some(name) => DeviceName { name: valid_name(&name)?, chosen: true },
        None => DeviceName { name: name_from_host(hostname), chosen: false },
    };
    let mesh = flags.mesh.or(file.mesh).map_or_else(|| Ok("home".to_owned()), |name| valid_name(&name))?;
    let mtu = file.mtu.unwrap_or(DEFAULT_MTU);
    if mtu < MIN_MTU {
        return Err(invalid(format!("mtu {mtu} is too small: IPv6 needs {MIN_MTU} bytes at least")));
    }
    Ok(Config {
        state: flags.state.or(file.state).unwrap_or_else(|| paths::STATE.into()),
        socket: flags.socket.or(file.socket).unwrap_or_else(|| paths::SOCKET.into()),
        port,
        tun: valid_tun(flags.tun.or(file.tun).unwrap_or_else(|| "warren0".to_owned()))?,
        mtu,
        mdns: !flags.no_mdns && file.mdns.unwrap_or(true),
        name,
        mesh,
        subnet: file.subnet.unwrap_or(DEFAULT_SUBNET),
        allow: file.allow.unwrap_or_else(|| vec![Grant::Incoming, Grant::Files]),
        rendezvous: file.rendezvous.map(rendezvous).transpose()?.flatten(),
    })
}

/// No node to begin with is the way to switch it off.
fn rendezvous(file: file::Rendezvous) -> Result<Option<rendezvous::Config>> {
    if file.bootstrap.is_empty() {
        return Ok(None);
    }
    rendezvous::Config::new(&file.bootstrap, file.protocol.as_deref())
        .map(Some)
        .map_err(|error| invalid(format!("[rendezvous] {error}")))
}

/// The longest name, in bytes; a DNS label could have 63.
const NAME_MAX: usize = 25;

/// Checks a name of a device or a mesh; each violation has its own message. Upper case is lowered.
pub fn valid_name(name: &str) -> Result<String> {
    let wrong = |why: &str| {
        Err(Failure::new(Cause::NameInvalid, format!("'{name}' cannot be a name: {why}"))
            .hint("a name is 1 to 25 of a-z, 0-9 and single inner hyphens, like `living-room-2`"))
    };
    let lower = name.to_lowercase();
    match lower.as_str() {
        "" => wrong("it is empty"),
        long if long.len() > NAME_MAX => wrong("it is longer than 25 letters"),
        text if text.contains(char::is_whitespace) => wrong("it contains a space"),
        text if text.contains('.') => wrong("it contains a dot; the mesh adds the rest of the domain itself"),
        text if text.contains("--") => wrong("it contains two hyphens in a row"),
        text if text.starts_with('-') => wrong("it starts with a hyphen"),
        text if text.ends_with('-') => wrong("it ends with a hyphen"),
        text => match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            Some(other) => wrong(&format!("it contains '{}'", other.escape_default())),
            None => Ok(lower),
        },
    }
}

/// Makes a valid name of whatever the host calls itself.
pub fn name_from_host(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default().to_lowercase();
    let mut name = String::new();
    for c in label.chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    name.truncate(NAME_MAX);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "device".to_owned() } else { name.to_owned() }
}

/// The kernel's own rule for the name of a network interface (`dev_valid_name`).
fn valid_tun(name: String) -> Result<String> {
    let fits = (1..=TUN_NAME_MAX).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte));
    if fits {
        return Ok(name);
    }
    Err(invalid(format!(
        "'{name}' cannot name a network interface: 1 to {TUN_NAME_MAX} letters, no '/', ':', '%' or space"
    )))
}

fn invalid(message: String) -> Failure {
    Failure::new(Cause::ConfigInvalid, message)
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("'{text}' is not an IPv4 network like 100.64.0.0/10");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if !(8..=24).contains(&prefix) {
            return Err(format!("'{text}' does not fit: a mesh needs a prefix from /8 to /24"));
        }
        if u32::from(address) << prefix != 0 {
            return Err(format!("'{text}' has bits set behind its prefix"));
        }
        Ok(Self { address, prefix })
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_the_default() {
        let flags = Overrides { port: Some(1), ..Overrides::default() };
        let file = File { port: Some(2), tun: Some("wg9".into()), ..File::default() };
        let config = resolve(flags, file, "nas.example.org").unwrap();
        assert_eq!(config.port, Port::Fixed(1));
        assert_eq!(config.tun, "wg9");
        assert_eq!(config.mtu, DEFAULT_MTU);
        assert_eq!(config.name, DeviceName { name: "nas".into(), chosen: false });
    }

    #[test]
    fn the_rendezvous_is_off_unless_it_names_a_node() {
        let read = |text: &str| resolve(Overrides::default(), file::parse(text).unwrap(), "x");
        assert_eq!(read("").unwrap().rendezvous, None);
        assert_eq!(
            read("[rendezvous]\nbootstrap = []\nprotocol = \"/lan/kad/1\"\n").unwrap().rendezvous,
            None
        );
        let node = "/dns4/node.example.org/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let config = read(&format!("[rendezvous]\nbootstrap = [\"{node}\"]\n")).unwrap();
        assert_eq!(config.rendezvous, Some(rendezvous::Config::new(&[node.into()], None).unwrap()));
        let failure = read("[rendezvous]\nbootstrap = [\"/ip4/192.0.2.1/tcp/1\"]\n").unwrap_err();
        assert!(failure.message.contains("[rendezvous]") && failure.message.contains("/p2p/"), "{failure}");
    }

    #[test]
    fn a_port_nobody_asked_for_may_move() {
        let config = resolve(Overrides::default(), File::default(), "x").unwrap();
        assert_eq!(config.port, Port::From(DEFAULT_PORT));
    }

    #[test]
    fn each_violation_of_a_name_has_its_own_message() {
        let bad = ["", "a b", "a--b", "-a", "a-", "nas.home", "naß", "abcdefghijklmnopqrstuvwxyz"];
        let messages: Vec<_> = bad.iter().map(|name| valid_name(name).unwrap_err().message).collect();
        for (place, message) in messages.iter().enumerate() {
            let why = message.split_once(": ").unwrap().1;
            assert!(messages[..place].iter().all(|other| !other.ends_with(why)), "{message}");
        }
        assert_eq!(valid_name("Living-Room-2").unwrap(), "living-room-2");
    }

    #[test]
    fn an_interface_name_the_kernel_would_refuse_is_refused_first() {
        for bad in ["", "sixteen-letters-", "a/b", "a b", ".", "eth0:1"] {
            assert!(valid_tun(bad.into()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_hostname_becomes_a_valid_name(hostname in "\\PC{0,80}") {
            let name = name_from_host(&hostname);
            prop_assert_eq!(valid_name(&name).unwrap(), name);
        }

        #[test]
        fn a_subnet_reads_as_it_prints(bits in any::<u32>(), prefix in 8u8..=24) {
            let address = Ipv4Addr::from(bits & (u32::MAX << (32 - prefix)));
            let subnet = Subnet { address, prefix };
            prop_assert_eq!(subnet.to_string().parse::<Subnet>().unwrap(), subnet);
        }

        #[test]
        fn reading_a_subnet_never_panics(text in "\\PC{0,24}|[0-9./]{0,20}") {
            let _ = text.parse::<Subnet>();
        }
    }
}

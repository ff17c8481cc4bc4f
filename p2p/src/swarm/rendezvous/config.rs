//! Which public network to meet in, as people write it.

use libp2p::{Multiaddr, PeerId, StreamProtocol, multiaddr::Protocol};

/// The Kademlia protocol of IPFS, which other networks use too.
pub const DEFAULT_PROTOCOL: &str = "/ipfs/kad/1.0.0";

/// Where a way to a public Kademlia network begins. Made by [`Config::new`], so it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    bootstrap: Vec<(PeerId, Multiaddr)>,
    protocol: StreamProtocol,
}

/// What is wrong with a configured rendezvous.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing to begin with.
    #[error("no bootstrap node is named; name at least one, or leave the rendezvous out")]
    NoBootstrap,
    /// Not a multiaddress.
    #[error("'{address}' is no address of a bootstrap node: {why}; one looks like {EXAMPLE}")]
    Malformed {
        /// What was written.
        address: String,
        /// What libp2p says.
        why: String,
    },
    /// Whoever answers there could be anybody.
    #[error(
        "'{0}' does not say which node answers there: it must end in /p2p/ and the node's id, like {EXAMPLE}"
    )]
    NoPeerId(String),
    /// We cannot get there.
    #[error(
        "'{0}' cannot be called: the rendezvous uses TCP, so an address is /ip4, /ip6 or /dns, then /tcp and a port \
         (or /dnsaddr alone), then /p2p, like {EXAMPLE}"
    )]
    NotTcp(String),
    /// Protocol names have a form.
    #[error("'{0}' is no protocol name: one begins with a slash, like {DEFAULT_PROTOCOL}")]
    Protocol(String),
}

/// An address that could be one.
const EXAMPLE: &str = "/dns4/node.example.org/tcp/4001/p2p/12D3KooW...";

impl Config {
    /// Reads the addresses of bootstrap nodes, each ending in `/p2p/` and the node's id, and the protocol name, or
    /// [`DEFAULT_PROTOCOL`].
    pub fn new(bootstrap: &[String], protocol: Option<&str>) -> Result<Self, ConfigError> {
        if bootstrap.is_empty() {
            return Err(ConfigError::NoBootstrap);
        }
        let bootstrap = bootstrap.iter().map(|address| node(address)).collect::<Result<_, _>>()?;
        let protocol = protocol.unwrap_or(DEFAULT_PROTOCOL).to_owned();
        let protocol = StreamProtocol::try_from_owned(protocol.clone())
            .ok()
            .filter(|_| protocol.len() > 1)
            .ok_or(ConfigError::Protocol(protocol))?;
        Ok(Self { bootstrap, protocol })
    }

    pub(super) fn bootstrap(&self) -> &[(PeerId, Multiaddr)] {
        &self.bootstrap
    }

    pub(super) fn protocol(&self) -> &StreamProtocol {
        &self.protocol
    }
}

fn node(text: &str) -> Result<(PeerId, Multiaddr), ConfigError> {
    let malformed =
        |why: &dyn ToString| ConfigError::Malformed { address: text.to_owned(), why: why.to_string() };
    let mut address: Multiaddr = text.trim().parse().map_err(|error| malformed(&error))?;
    let Some(Protocol::P2p(peer)) = address.pop() else {
        return Err(ConfigError::NoPeerId(text.to_owned()));
    };
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    match parts.as_slice() {
        [
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
            Protocol::Tcp(1..),
        ]
        | [Protocol::Dnsaddr(_)] => {}
        _ => return Err(ConfigError::NotTcp(text.to_owned())),
    }
    drop(parts);
    Ok((peer, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn read(address: &str) -> Result<Config, ConfigError> {
        Config::new(&[address.to_owned()], None)
    }

    #[test]
    fn nodes_by_address_and_by_name_are_read() {
        for way in [
            "/ip4/192.0.2.1/tcp/4001",
            "/ip6/2001:db8::1/tcp/4001",
            "/dns4/a.example/tcp/1",
            "/dnsaddr/a.example",
        ] {
            let config = read(&format!("{way}/p2p/{ID}")).unwrap();
            let [(peer, address)] = config.bootstrap() else { panic!("{config:?}") };
            assert_eq!((peer.to_string().as_str(), address.to_string().as_str()), (ID, way));
            assert_eq!(config.protocol().as_ref(), DEFAULT_PROTOCOL);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        let error = |address: &str| read(address).unwrap_err().to_string();
        assert!(error("node.example:4001").contains("is no address"));
        assert!(error("/ip4/192.0.2.1/tcp/4001").contains("must end in /p2p/"));
        for way in [
            "/ip4/192.0.2.1/udp/4001/quic-v1",
            "/ip4/192.0.2.1/tcp/0",
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/tcp/1/ws",
        ] {
            assert!(error(&format!("{way}/p2p/{ID}")).contains("uses TCP"), "{way}");
        }
        assert_eq!(Config::new(&[], None), Err(ConfigError::NoBootstrap));
        let node = [format!("/ip4/192.0.2.1/tcp/4001/p2p/{ID}")];
        for protocol in ["", "/", "kad"] {
            let error = Config::new(&node, Some(protocol)).unwrap_err();
            assert_eq!(error, ConfigError::Protocol(protocol.to_owned()));
        }
    }
}

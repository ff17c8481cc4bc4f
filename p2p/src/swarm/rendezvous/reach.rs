//! Whom the rendezvous may call: strangers name addresses, and none of them shall make us knock inside our own networks.

use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use crate::swarm::address::ip;

/// A transport that calls configured addresses, and others at public addresses only.
pub(super) struct Reach<T> {
    inner: T,
    configured: Vec<Multiaddr>,
    /// Whether a configured node is in a private network, so that its neighbours may be too.
    private: bool,
}

impl<T> Reach<T> {
    pub(super) fn new(inner: T, configured: Vec<Multiaddr>) -> Self {
        let private = configured.iter().filter_map(ip).any(|ip| !is_public(ip));
        Self { inner, configured, private }
    }

    fn may_call(&self, address: &Multiaddr) -> bool {
        let bare: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        // A name that a stranger gives may lead anywhere, and asking for it tells the name server.
        self.configured.contains(&bare) || ip(&bare).is_some_and(|ip| self.private || is_public(ip))
    }
}

impl<T: libp2p::Transport + Unpin> libp2p::Transport for Reach<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    /// Never: nobody may call us here.
    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        if self.may_call(&address) {
            self.inner.dial(address, opts)
        } else {
            Err(TransportError::MultiaddrNotSupported(address))
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

/// Whether an address is one of the Internet's (not of RFC 1918, 3927, 4193, 6598 and the like).
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let carrier = first == 100 && second & 0xc0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || carrier
                || first == 0
                || first >= 224)
        }
        // Global unicast is 2000::/3, for now and long after.
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(configured: &str) -> Reach<()> {
        Reach::new((), vec![configured.parse().unwrap()])
    }

    #[test]
    fn strangers_cannot_send_us_into_our_own_networks() {
        let reach = reach("/dns4/node.example/tcp/4001");
        let may = |address: &str| reach.may_call(&address.parse().unwrap());
        assert!(may("/dns4/node.example/tcp/4001"));
        assert!(may("/ip4/8.8.8.8/tcp/4001"));
        assert!(may("/ip6/2001:4860::1/tcp/4001"));
        for inside in [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.168.1.1/tcp/80",
            "/ip4/100.64.0.1/tcp/22",
            "/ip4/169.254.169.254/tcp/80",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:10.0.0.1/tcp/1",
            "/dns4/router.example/tcp/80",
        ] {
            assert!(!may(inside), "{inside}");
        }
    }

    #[test]
    fn a_private_network_may_be_met_in() {
        let reach = reach("/ip4/10.1.2.3/tcp/4001");
        assert!(reach.may_call(&"/ip4/10.9.9.9/tcp/4001".parse().unwrap()));
    }
}

//! An address that may lead to the peer, and how we came to know it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Most candidates of one peer. A device has a few interfaces, two families and a few observed addresses.
pub const MAX_CANDIDATES: usize = 32;

/// How an address came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The peer told us by signalling, or it was remembered.
    Told,
    /// A fresh ping or an authenticated packet came from there (peer-reflexive, RFC 8445 section 5.1.1), last at this time.
    Learned(Instant),
    /// A relay's session or a stream, since this time.
    Agreed(Instant),
}

/// The address in its one form, if probes may go there at all.
///
/// Not to unspecified, multicast and broadcast addresses, which no peer can answer from, nor to port 0.
/// Mapped IPv4 is IPv4. Flow label is dropped; the scope of a link-local address stays.
pub(crate) fn usable(address: SocketAddr) -> Option<SocketAddr> {
    let address = match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(mut v6) => match v6.ip().to_canonical() {
            IpAddr::V4(v4) => SocketAddr::new(v4.into(), v6.port()),
            IpAddr::V6(_) => {
                v6.set_flowinfo(0);
                v6.into()
            }
        },
    };
    let answerable = match address.ip() {
        IpAddr::V4(v4) => !(v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast()),
    };
    (answerable && address.port() != 0).then_some(address)
}

/// Addresses that are used within a site: RFC 1918, link-local, unique local, loopback. RFC 6598's shared range is not
/// one of them: its users are strangers behind one provider.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// Whether `address` lies in the network of `prefix` leading bits that `one` of its addresses stands for.
pub(crate) fn is_within(address: IpAddr, (one, prefix): (IpAddr, u8)) -> bool {
    let prefix = u32::from(prefix);
    match (address, one) {
        (IpAddr::V4(address), IpAddr::V4(one)) => {
            (address.to_bits() ^ one.to_bits()).leading_zeros() >= prefix.min(32)
        }
        (IpAddr::V6(address), IpAddr::V6(one)) => {
            (address.to_bits() ^ one.to_bits()).leading_zeros() >= prefix.min(128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_that_cannot_answer_are_never_probed() {
        for text in
            ["0.0.0.0:1", "0.1.2.3:1", "224.0.0.251:5353", "255.255.255.255:9", "192.0.2.1:0", "[::]:1"]
        {
            assert_eq!(usable(address(text)), None, "{text}");
        }
        for text in ["[ff02::fb]:5353", "[2001:db8::1]:0", "[::ffff:0.0.0.0]:1", "[::ffff:224.0.0.1]:1"] {
            assert_eq!(usable(address(text)), None, "{text}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(usable(address("[::ffff:192.0.2.1]:7")), Some(address("192.0.2.1:7")));
        assert_eq!(usable(address("[2001:db8::1]:7")), Some(address("[2001:db8::1]:7")));
    }

    #[test]
    fn a_network_holds_what_shares_its_leading_bits() {
        let within = |address: &str, one: &str, prefix| {
            is_within(address.parse().unwrap(), (one.parse().unwrap(), prefix))
        };
        assert!(within("192.0.2.200", "192.0.2.1", 24));
        assert!(!within("192.0.3.1", "192.0.2.1", 24));
        assert!(within("2001:db8:0:1::2", "2001:db8:0:1::1", 64));
        assert!(!within("2001:db8:0:2::2", "2001:db8:0:1::1", 64));
        assert!(within("192.0.2.1", "192.0.2.1", 32));
        assert!(!within("192.0.2.2", "192.0.2.1", 32));
        assert!(!within("::ffff:192.0.2.1", "192.0.2.1", 0));
    }

    #[test]
    fn the_shared_range_of_providers_is_not_private() {
        assert!(is_private("192.168.1.1".parse().unwrap()));
        assert!(is_private("fe80::1".parse().unwrap()));
        assert!(!is_private("100.64.0.1".parse().unwrap()));
        assert!(!is_private("2001:db8::1".parse().unwrap()));
    }
}

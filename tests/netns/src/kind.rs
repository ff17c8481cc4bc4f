//! The kinds of networks people live in, as rules of their routers.

use std::fmt;

/// What stands between a machine and the Internet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Public addresses of both families, nothing in between.
    Open,
    /// NAT that keeps the port and lets anybody in at it, once it is in use.
    FullCone,
    /// NAT that keeps the port and lets in only whom it was used towards.
    Restricted,
    /// As [`Restricted`](Self::Restricted), but the port is another: the same for all destinations.
    Shifted,
    /// NAT with a random port for every destination.
    Symmetric,
    /// A home behind the provider's NAT, with 100.64.0.0/10 between the two.
    Cgnat,
    /// A home whose router maps ports when asked by UPnP, NAT-PMP or PCP: a real miniupnpd.
    Upnp,
    /// A home whose router lets TCP out and no UDP.
    Blocked,
    /// IPv6 only, behind a firewall that lets in only what was asked for.
    SixOnly,
    /// A home with IPv6 addresses and a route, where every IPv6 packet vanishes.
    BrokenSix,
}

impl Kind {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::FullCone,
        Self::Restricted,
        Self::Shifted,
        Self::Symmetric,
        Self::Cgnat,
        Self::Upnp,
        Self::Blocked,
        Self::SixOnly,
        Self::BrokenSix,
    ];

    /// Its word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FullCone => "full",
            Self::Restricted => "restricted",
            Self::Shifted => "shifted",
            Self::Symmetric => "symmetric",
            Self::Cgnat => "cgnat",
            Self::Upnp => "upnp",
            Self::Blocked => "blocked",
            Self::SixOnly => "six",
            Self::BrokenSix => "broken6",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The rules of its router, whose interface towards the Internet is `wan`.
    pub(crate) fn rules(self, wan: &str) -> String {
        let translation = match self {
            Self::Open | Self::SixOnly => String::new(),
            // The port stays, hence the port outside names the machine inside. Looked at for every packet, as the
            // chains of a NAT see only the first of each flow.
            Self::FullCone => format!(
                "table ip translation {{
                    map mappings {{ type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; size 65536; }}
                    chain remember {{ type filter hook postrouting priority srcnat - 1;
                        oifname \"{wan}\" meta l4proto udp update @mappings {{ udp sport : ip saddr . udp sport }}; }}
                    chain prerouting {{ type nat hook prerouting priority dstnat;
                        iifname \"{wan}\" meta l4proto udp dnat to udp dport map @mappings; }}
                    chain postrouting {{ type nat hook postrouting priority srcnat; oifname \"{wan}\" masquerade; }}
                }}"
            ),
            Self::Restricted | Self::Upnp | Self::Blocked | Self::BrokenSix => {
                masquerade(&format!("oifname \"{wan}\" masquerade"))
            }
            // Linux gives the same source the same port as long as one mapping of it lives.
            Self::Shifted => masquerade(&ranged(wan, "20000-29999")),
            Self::Cgnat => masquerade(&ranged(wan, "30000-39999")),
            Self::Symmetric => masquerade(&format!("oifname \"{wan}\" masquerade random,fully-random")),
        };
        let ban = if self == Self::Blocked {
            "meta l4proto udp drop"
        } else if self == Self::BrokenSix {
            "meta nfproto ipv6 drop"
        } else {
            ""
        };
        let guard = if self == Self::Open { String::new() } else { guard(wan, ban) };
        format!("{translation}\n{guard}")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.word())
    }
}

fn ranged(wan: &str, ports: &str) -> String {
    format!(
        "oifname \"{wan}\" meta l4proto {{ tcp, udp }} masquerade to :{ports}
         oifname \"{wan}\" masquerade"
    )
}

fn masquerade(rule: &str) -> String {
    format!(
        "table ip translation {{ chain postrouting {{ type nat hook postrouting priority srcnat;
            {rule}
        }}; }}"
    )
}

/// What every router does but those of [`Kind::Open`]: it drops what nobody asked for.
///
/// One that answered or tracked unsolicited packets to itself would let a stranger occupy the very port that a
/// machine behind it is about to use. Real ones drop; the kernel's default does not.
pub(crate) fn guard(wan: &str, ban: &str) -> String {
    format!(
        "table inet guard {{
            chain input {{ type filter hook input priority 0; policy accept;
                iifname \"{wan}\" ct state established,related accept
                iifname \"{wan}\" icmp type echo-request accept
                iifname \"{wan}\" icmpv6 type {{ echo-request, nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept
                iifname \"{wan}\" drop
            }}
            chain forward {{ type filter hook forward priority 0; policy accept;
                {ban}
                iifname \"{wan}\" ct state established,related accept
                iifname \"{wan}\" ct status dnat accept
                iifname \"{wan}\" drop
            }}
        }}"
    )
}

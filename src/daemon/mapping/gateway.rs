//! NAT-PMP and PCP by `portmapper`: a few UDP packets to the default gateway.

use std::net::{IpAddr, SocketAddrV4, UdpSocket};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use netwatch::interfaces::HomeRouter;
use portmapper::{Client, Config, Protocol};
use tokio::time::timeout;

use super::{Mapping, Method, Transport};
use crate::daemon::machine::monotonic;

/// The crate waits 500 ms for each of two answers.
const PATIENCE: Duration = Duration::from_millis(1200);
/// A strict PCP server does not renew for the crate, so its mapping is asked for anew after this half of its lease.
const PCP_HALF: Duration = Duration::from_secs(1800);

/// A port that the gateway has lent.
pub(super) struct Lent {
    client: Client,
    method: Method,
    transport: Transport,
    port: NonZeroU16,
    confirmed: Instant,
    /// When the gateway last gave it, as against remembering it.
    given: Instant,
}

impl Lent {
    /// Asks the gateway.
    pub(super) async fn obtain(method: Method, transport: Transport, port: NonZeroU16) -> Option<Self> {
        let client = Client::new(Config {
            enable_upnp: false,
            enable_pcp: method == Method::Pcp,
            enable_nat_pmp: method == Method::NatPmp,
            protocol: match transport {
                Transport::Udp => Protocol::Udp,
                Transport::Tcp => Protocol::Tcp,
            },
        });
        client.update_local_port(port);
        let mut external = client.watch_external_address();
        let given = timeout(PATIENCE, external.wait_for(Option::is_some)).await;
        let usable = |address: &Option<SocketAddrV4>| address.is_some_and(|at| !at.ip().is_unspecified());
        if !matches!(given, Ok(Ok(address)) if usable(&address)) {
            tracing::debug!(
                method = method.word(),
                transport = transport.word(),
                "the gateway gives no port"
            );
            return None;
        }
        let now = monotonic();
        Some(Self { client, method, transport, port, confirmed: now, given: now })
    }

    pub(super) fn mapping(&self) -> Option<Mapping> {
        let external = (*self.client.watch_external_address().borrow())?;
        let lease = match self.method {
            Method::Pcp => PCP_HALF * 2,
            Method::NatPmp | Method::Upnp => Duration::from_secs(7200),
        };
        let Self { method, transport, confirmed, .. } = *self;
        Some(Mapping { method, transport, external, lease, confirmed })
    }

    /// Asks once more. A NAT-PMP server gives the same port again, whether it remembers us or not.
    pub(super) async fn confirm(&mut self, port: NonZeroU16) -> bool {
        let again = Self::obtain(self.method, self.transport, port).await;
        match (self.method, again) {
            (_, Some(again)) => {
                // Dropped without giving it back: the port is the new client's now.
                *self = again;
                true
            }
            (Method::Pcp, None) => {
                let fresh = monotonic().saturating_duration_since(self.given) < PCP_HALF;
                // It refuses the new nonce because it remembers the old one; or it does not answer at all.
                if fresh && self.answers().await {
                    self.confirmed = monotonic();
                    return true;
                }
                self.give_back().await;
                match Self::obtain(self.method, self.transport, port).await {
                    Some(again) => {
                        *self = again;
                        true
                    }
                    None => false,
                }
            }
            (Method::NatPmp | Method::Upnp, None) => false,
        }
    }

    /// Gives the port back.
    pub(super) async fn release(self) {
        self.give_back().await;
    }

    async fn give_back(&self) {
        if (self.method, self.transport) == (Method::NatPmp, Transport::Tcp) {
            // The crate (0.20) gives back the UDP port of that number instead.
            if let Some(mapping) = self.mapping()
                && let Err(error) = forget_tcp(self.port)
            {
                tracing::debug!(%error, external = %mapping.external, "a TCP port was not given back");
            }
            return;
        }
        self.client.deactivate();
        // The crate answers one request after the other, so the answer to this one means that the port is given back.
        self.answers().await;
    }

    async fn answers(&self) -> bool {
        match timeout(PATIENCE, self.client.probe()).await {
            Ok(Ok(Ok(seen))) => seen.pcp || seen.nat_pmp,
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => false,
        }
    }
}

/// Tells the gateway that a TCP port is not needed any more (RFC 6886, section 3.4: a lifetime and an outside port of
/// zero). Nobody waits for the answer.
fn forget_tcp(port: NonZeroU16) -> std::io::Result<()> {
    const MAP_TCP: u8 = 2;
    const SERVER: u16 = 5351;
    let Some(HomeRouter { gateway: IpAddr::V4(gateway), my_ip: Some(IpAddr::V4(local)) }) = HomeRouter::new()
    else {
        return Ok(());
    };
    let [high, low] = port.get().to_be_bytes();
    let socket = UdpSocket::bind((local, 0))?;
    socket.send_to(&[0, MAP_TCP, 0, 0, high, low, 0, 0, 0, 0, 0, 0], (gateway, SERVER))?;
    Ok(())
}

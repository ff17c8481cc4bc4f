//! UPnP's Internet Gateway Device by `igd-next`: a multicast to find the router, requests to its web server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use tokio::time::timeout;

use super::{Mapping, Method, Transport};
use crate::daemon::machine::monotonic;

/// Routers answer the multicast after a pause of their choice, of at most three seconds (`MX: 3`).
const SEARCH: Duration = Duration::from_millis(3500);
/// For one request; cheap routers take a second.
const PATIENCE: Duration = Duration::from_secs(4);
/// An hour, in seconds. What a daemon that died leaves behind is gone after it.
const LEASE: u32 = 3600;
/// What the router's web page shows beside the port.
const DESCRIPTION: &str = "warren";

/// A router that was found.
pub(super) struct Router {
    gateway: Gateway<Tokio>,
    local: Ipv4Addr,
}

impl Router {
    /// Looks for a router in the network of this address of ours.
    pub(super) async fn find(local: Ipv4Addr) -> Option<Self> {
        let options = SearchOptions {
            bind_addr: (local, 0).into(),
            timeout: Some(SEARCH),
            single_search_timeout: Some(SEARCH),
            ..SearchOptions::default()
        };
        let gateway = match search_gateway(options).await {
            Ok(gateway) => gateway,
            Err(error) => {
                tracing::debug!(%error, "no UPnP router answers");
                return None;
            }
        };
        // Anybody in the network may answer; a router is in it too.
        let near = matches!(gateway.addr.ip(), IpAddr::V4(at) if at.is_private());
        near.then_some(Self { gateway, local })
    }

    /// Asks for an outside port, `wish` if it is free. Asking again renews the lease.
    pub(super) async fn map(&self, transport: Transport, wish: u16, port: NonZeroU16) -> Option<Mapping> {
        let asked = timeout(PATIENCE, self.ask(transport, wish, port)).await;
        let external = asked.ok().flatten().filter(|external| !external.ip().is_unspecified())?;
        let lease = Duration::from_secs(LEASE.into());
        Some(Mapping { method: Method::Upnp, transport, external, lease, confirmed: monotonic() })
    }

    async fn ask(&self, transport: Transport, wish: u16, port: NonZeroU16) -> Option<SocketAddrV4> {
        let refused =
            |error: &dyn std::fmt::Display| tracing::debug!(%error, "the UPnP router gives no port");
        let ip = match self.gateway.get_external_ip().await {
            Ok(IpAddr::V4(ip)) => ip,
            Ok(IpAddr::V6(_)) => return None,
            Err(error) => {
                refused(&error);
                return None;
            }
        };
        let protocol = protocol(transport);
        let inside: SocketAddr = (self.local, port.get()).into();
        let add = |lease| self.gateway.add_port(protocol, wish, inside, lease, DESCRIPTION);
        let added = match add(LEASE).await {
            // Some know no leases; what we do not give back stays there for good.
            Err(AddPortError::OnlyPermanentLeasesSupported) => add(0).await,
            other => other,
        };
        match added {
            Ok(()) => Some(SocketAddrV4::new(ip, wish)),
            Err(AddPortError::PortInUse) => {
                let any = self.gateway.add_any_port(protocol, inside, LEASE, DESCRIPTION).await;
                any.map_err(|error| refused(&error)).ok().map(|port| SocketAddrV4::new(ip, port))
            }
            Err(error) => {
                refused(&error);
                None
            }
        }
    }

    /// Gives a port back.
    pub(super) async fn unmap(&self, mapping: &Mapping) {
        let removal = self.gateway.remove_port(protocol(mapping.transport), mapping.external.port());
        if let Ok(Err(error)) = timeout(PATIENCE, removal).await {
            tracing::debug!(%error, "the router did not take a port back; its lease will end");
        }
    }
}

fn protocol(transport: Transport) -> PortMappingProtocol {
    match transport {
        Transport::Udp => PortMappingProtocol::UDP,
        Transport::Tcp => PortMappingProtocol::TCP,
    }
}

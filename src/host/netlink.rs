//! Links, addresses and routes, by the kernel's netlink; the only file naming rtnetlink.

use std::io;
use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::packet_route::{AddressFamily, route::RouteMessage};
use rtnetlink::{Error, Handle, LinkUnspec, RouteMessageBuilder};
use rustix::io::Errno;

use super::change::Change;

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Netlink {
    handle: Handle,
    connection: tokio::task::JoinHandle<()>,
}

/// What the kernel said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// It refused, for this reason.
    #[error("{0}")]
    Refused(Errno),
    /// The conversation itself broke.
    #[error("{0}")]
    Broken(String),
}

impl NetlinkError {
    /// Whether the kernel refused because IPv6 is switched off for this link or altogether, provided
    /// that IPv6 was asked of it (`inet6_rtm_newaddr`, `ip6_route_add`).
    pub(crate) fn means_no_ipv6(&self) -> bool {
        matches!(self, Self::Refused(Errno::ACCESS | Errno::NODEV | Errno::OPNOTSUPP | Errno::AFNOSUPPORT))
    }

    /// Whether the kernel refused for lack of `CAP_NET_ADMIN`.
    pub(crate) fn is_not_permitted(&self) -> bool {
        matches!(self, Self::Refused(Errno::PERM))
    }
}

impl Netlink {
    /// Opens the socket; must be called within a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Number of the link with that name.
    pub(super) async fn index(&self, link: &str) -> Result<Option<u32>, NetlinkError> {
        let found = self.handle.link().get().match_name(link.to_owned()).execute().try_next().await;
        match found.map_err(NetlinkError::from) {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(NetlinkError::Refused(Errno::NODEV)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a change on the link with this number.
    pub(super) async fn apply(&self, index: u32, change: &Change) -> Result<(), NetlinkError> {
        let made = match change {
            Change::LinkUp { mtu, .. } => {
                let message = LinkUnspec::new_with_index(index).mtu(*mtu).up().build();
                self.handle.link().set(message).execute().await
            }
            Change::Address { address, prefix, .. } => {
                let mut request = self.handle.address().add(index, *address, *prefix);
                // The library's own message sets a broadcast address, which a tunnel has not.
                *request.message_mut() = self::address(index, *address, *prefix);
                request.execute().await
            }
            Change::Route { destination, prefix, .. } => {
                self.handle.route().add(route(index, *destination, *prefix)?).execute().await
            }
        };
        tolerate(made, &[Errno::EXIST])
    }

    /// Takes a change back; what is gone already counts as taken back.
    pub(super) async fn undo(&self, index: u32, change: &Change) -> Result<(), NetlinkError> {
        let gone = [Errno::NODEV, Errno::SRCH, Errno::ADDRNOTAVAIL, Errno::NOENT];
        let undone = match change {
            Change::LinkUp { .. } => {
                let message = LinkUnspec::new_with_index(index).down().build();
                self.handle.link().set(message).execute().await
            }
            Change::Address { address, prefix, .. } => {
                self.handle.address().del(self::address(index, *address, *prefix)).execute().await
            }
            Change::Route { destination, prefix, .. } => {
                self.handle.route().del(route(index, *destination, *prefix)?).execute().await
            }
        };
        tolerate(undone, &gone)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn address(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.attributes.push(AddressAttribute::Local(address));
    message
}

fn route(index: u32, destination: IpAddr, prefix: u8) -> Result<RouteMessage, NetlinkError> {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination, prefix)
        .map_err(|error| NetlinkError::Broken(error.to_string()))?
        .output_interface(index);
    // The kernel wants to be told that IPv4 without a gateway means "on this link".
    Ok(match destination {
        IpAddr::V4(_) => builder.scope(RouteScope::Link).build(),
        IpAddr::V6(_) => builder.build(),
    })
}

fn tolerate(answer: Result<(), Error>, fine: &[Errno]) -> Result<(), NetlinkError> {
    match answer.map_err(NetlinkError::from) {
        Err(NetlinkError::Refused(errno)) if fine.contains(&errno) => Ok(()),
        other => other,
    }
}

impl From<Error> for NetlinkError {
    fn from(error: Error) -> Self {
        if let Error::NetlinkError(message) = &error
            && message.raw_code() != 0
        {
            return Self::Refused(Errno::from_raw_os_error(message.raw_code().saturating_abs()));
        }
        Self::Broken(error.to_string())
    }
}

//! Hears from the kernel when a default route or the carrier of a link changes.

use std::collections::BTreeMap;
use std::io;

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteType};
use rtnetlink::sys::{AsyncSocket as _, SocketAddr};

/// `RTMGRP_*` of `linux/rtnetlink.h`: links, IPv4 routes, IPv6 routes.
const GROUPS: u32 = 0x1 | 0x40 | 0x400;

/// A subscription to the kernel's news; ends when dropped.
#[derive(Debug)]
pub struct RouteWatch {
    news: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    connection: tokio::task::JoinHandle<()>,
    /// Whether a link has a carrier, by its number.
    carriers: BTreeMap<u32, bool>,
}

impl RouteWatch {
    /// Subscribes; must be called within a tokio runtime. Needs no rights.
    ///
    /// # Errors
    ///
    /// When the kernel gives no netlink socket.
    pub fn open() -> io::Result<Self> {
        let (mut connection, _, news) = rtnetlink::new_connection()?;
        connection.socket_mut().socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { news, connection: tokio::spawn(connection), carriers: BTreeMap::new() })
    }

    /// Waits until a default route came or went, or a link other than `ours` gained or lost its carrier.
    pub async fn changed(&mut self, ours: &str) {
        while let Some((message, _)) = self.news.next().await {
            let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
            let worth_telling = if let RouteNetlinkMessage::NewRoute(route)
            | RouteNetlinkMessage::DelRoute(route) = &message
            {
                is_default(route)
            } else if let RouteNetlinkMessage::NewLink(link) = &message {
                self.has_flapped(link, ours)
            } else {
                if let RouteNetlinkMessage::DelLink(link) = &message {
                    self.carriers.remove(&link.header.index);
                }
                false
            };
            if worth_telling {
                return;
            }
        }
        // The kernel has hung up; addresses are watched apart from this.
        std::future::pending().await
    }

    fn has_flapped(&mut self, link: &LinkMessage, ours: &str) -> bool {
        let named =
            |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == ours);
        if link.attributes.iter().any(named) {
            return false;
        }
        let carrier = link.header.flags.contains(LinkFlags::LowerUp);
        let before = self.carriers.insert(link.header.index, carrier);
        before.is_some_and(|before| before != carrier)
    }
}

impl Drop for RouteWatch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn is_default(route: &RouteMessage) -> bool {
    let header = &route.header;
    header.destination_prefix_length == 0 && header.kind == RouteType::Unicast
}

//! Which port everything goes through: the one asked for, or the first free one.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use warren_dataplane::io::SharedUdp;

use crate::config::{PORT_TRIES, Port};
use crate::control::{Cause, Failure, Result};

/// The sockets of both families on one port. A machine without IPv6 does with one.
pub(super) fn bind(port: Port) -> Result<(Vec<SharedUdp>, u16)> {
    let (first, tries) = match port {
        Port::From(first) => (first, PORT_TRIES),
        Port::Fixed(first) => (first, 1),
    };
    for port in (first..=u16::MAX).take(tries.into()) {
        match bind_both(port) {
            Ok(sockets) => return Ok((sockets, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(Failure::new(
                    Cause::Failed,
                    format!("cannot listen on port {port}/udp: {error}"),
                ));
            }
        }
    }
    Err(match port {
        Port::Fixed(port) => {
            Failure::new(Cause::PortInUse, format!("port {port} is used by another program"))
                .hint("choose another with --port N, or leave --port out to take the next free one")
        }
        Port::From(first) => Failure::new(
            Cause::PortInUse,
            format!(
                "the ports from {first} to {} are all used by other programs",
                first.saturating_add(tries - 1)
            ),
        )
        .hint("choose one with --port N"),
    })
}

fn bind_both(port: u16) -> io::Result<Vec<SharedUdp>> {
    // TCP shares the number: a port that another program serves on TCP is not ours. It is bound for
    // good by the control plane, a moment later.
    drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?);
    let v4 = SharedUdp::bind((Ipv4Addr::UNSPECIFIED, port).into())?;
    match SharedUdp::bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(error) => {
            tracing::info!(%error, "no IPv6 on this machine");
            Ok(vec![v4])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_passed_over_unless_it_was_asked_for() {
        let taken = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(bind(Port::Fixed(port)).unwrap_err().cause, Cause::PortInUse);
        let (_sockets, found) = bind(Port::From(port)).unwrap();
        assert!(found > port);
    }
}

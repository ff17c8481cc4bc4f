//! May this process make a tunnel at all? Asked first, answered in one message.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::control::{Cause, Failure, Result};

/// Bit of `CAP_NET_ADMIN` in a capability set (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// Checks `CAP_NET_ADMIN` and `/dev/net/tun`. `again` is the command that would work, for the message.
pub fn may_make_a_tunnel(again: &str) -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if effective_capabilities(&status).is_some_and(|held| held & (1 << CAP_NET_ADMIN) == 0) {
        return Err(Failure::new(
            Cause::NotPrivileged,
            "this needs the right to make network interfaces (CAP_NET_ADMIN)",
        )
        .hint(format!("run `sudo {again}`")));
    }
    tun_device(Path::new("/dev/net/tun"))
}

fn tun_device(path: &Path) -> Result<()> {
    let shown = path.display();
    let Err(error) = OpenOptions::new().read(true).write(true).open(path) else { return Ok(()) };
    let in_a_container = format!("in a container, pass the device: --device {shown} --cap-add NET_ADMIN");
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Err(Failure::new(Cause::NotPrivileged, format!("{shown} may not be opened: {error}"))
            .hint(format!("run as root; {in_a_container}")));
    }
    let message = if path.exists() {
        // The node is there but its driver is not: ENODEV, ENXIO.
        format!("{shown} has no driver: {error}")
    } else {
        format!("there is no {shown}, so no tunnel can be made")
    };
    Err(Failure::new(Cause::NoTun, message)
        .hint(format!("load the driver: `sudo modprobe tun`; {in_a_container}")))
}

/// The effective capability set in a `/proc/PID/status`.
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        let status = "Name:\twarren\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n";
        assert_eq!(effective_capabilities(status), Some(1 << CAP_NET_ADMIN));
        assert_eq!(effective_capabilities("Name:\twarren\n"), None);
    }

    #[test]
    fn a_missing_tun_device_says_how_to_get_one() {
        let failure = tun_device(Path::new("/nonexistent/tun")).unwrap_err();
        assert_eq!(failure.cause, Cause::NoTun);
        assert!(failure.hint.unwrap().contains("modprobe tun"));
    }
}

//! Where things are on disk, and with which modes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::control::{Failure, Result};

/// Keys, records and the journal.
pub const STATE: &str = "/var/lib/warren";
/// The local API.
pub const SOCKET: &str = "/run/warren/warren.sock";
/// The configuration file that is read, when it is there, without being asked for.
pub const FILE: &str = "/etc/warren/warren.toml";

/// Nobody but the daemon's own user.
const PRIVATE: u32 = 0o700;

/// Makes a folder that only its owner may enter; narrows the mode of one that is there.
pub fn make_private_dir(path: &Path) -> Result<()> {
    let make = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(path)?;
        let held = fs::metadata(path)?.permissions().mode();
        if held & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE))?;
        }
        Ok(())
    };
    make().map_err(|source| Failure::io(path.display(), &source))
}

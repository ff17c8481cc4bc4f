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

/// Makes a folder that only its owner may enter.
///
/// One that is there keeps its mode unless it is empty: what is in it may be somebody else's business,
/// and our own files in it have narrow modes of their own.
pub fn make_private_dir(path: &Path) -> Result<()> {
    let make = || -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(path)?;
        let held = fs::metadata(path)?.permissions().mode();
        if held & 0o077 != 0 && fs::read_dir(path)?.next().is_none() {
            fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE))?;
        }
        Ok(())
    };
    make().map_err(|source| Failure::io(path.display(), &source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_folder_is_private_and_one_in_use_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a/b");
        make_private_dir(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        make_private_dir(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), 0o755);
    }

    #[test]
    fn a_file_in_the_way_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("file")).unwrap();
        assert!(make_private_dir(&dir.path().join("file/state")).is_err());
    }
}

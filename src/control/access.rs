//! Who may ask: the socket's owner, root, and the group `warren` where there is one.
//!
//! The kernel checks the socket's mode when a client connects; nothing behind it asks again. A client's
//! user and process are read from the kernel too, and logged, so that it is known who changed what.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, chown};
use rustix::process::umask;
use tokio::net::UnixListener;
use tracing::{info, warn};

use super::failure::{Cause, Failure, Result};

/// Members of this group may use the daemon.
pub const GROUP: &str = "warren";
/// Owner and group may connect; connecting needs the right to write.
const SOCKET_MODE: u32 = 0o660;
/// What a unix socket's path may be long, less the closing zero (`sun_path`, unix(7)).
const PATH_MAX: usize = 107;

/// A listening socket that only the right users can reach, and which is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file, so that a successor's socket is never removed.
    file: (u64, u64),
}

impl Door {
    /// Opens the socket; one that a dead daemon left is replaced, a living daemon's is refused.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        if path.as_os_str().len() > PATH_MAX {
            let message = format!("the socket's path is longer than {PATH_MAX} bytes: {shown}");
            return Err(Failure::new(Cause::Misuse, message).hint("choose a shorter one with --socket PATH"));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(|source| Failure::io(folder.display(), &source))?;
        match super::client::probe(path).await {
            Probe::Nobody => {}
            Probe::Alive => {
                let message = format!("a daemon already answers at {shown}");
                return Err(Failure::new(Cause::AlreadyRunning, message)
                    .hint("`warren status` asks it, `warren down` stops it; a second one needs its own --socket and --state"));
            }
            Probe::NotASocket => {
                let message = format!("{shown} is there, and is no socket");
                return Err(Failure::new(Cause::Misuse, message)
                    .hint("remove it, or choose another path with --socket PATH"));
            }
        }
        let (listener, file) = bind(path, folder).map_err(|source| Failure::io(shown, &source))?;
        Ok(Self { listener, path: path.to_path_buf(), file })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(socket = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// What is at the socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing, or what a dead daemon left.
    Nobody,
    /// Somebody accepts connections.
    Alive,
    /// Another kind of file.
    NotASocket,
}

/// Whether a file that refuses connections is a socket.
pub(super) fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Binds beside the path and renames: nobody can connect before owner and mode are right, and there is
/// no moment without a socket when a stale one is replaced.
fn bind(path: &Path, folder: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let draft = folder.join(format!(".{}", std::process::id()));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = umask(Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(&draft);
    umask(before);
    let listener = bound?;
    let finish = || -> io::Result<(u64, u64)> {
        if let Some(group) = group_id() {
            match chown(&draft, None, Some(Gid::from_raw(group))) {
                Ok(()) => info!(group = GROUP, "members of the group may use this daemon"),
                Err(error) => warn!(group = GROUP, %error, "cannot give the socket to the group"),
            }
        }
        fs::set_permissions(&draft, fs::Permissions::from_mode(SOCKET_MODE))?;
        let meta = fs::symlink_metadata(&draft)?;
        fs::rename(&draft, path)?;
        Ok((meta.dev(), meta.ino()))
    };
    match finish() {
        Ok(file) => Ok((listener, file)),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

/// Number of the group `warren`, if this machine has one.
pub(super) fn group_id() -> Option<u32> {
    group_in(&fs::read_to_string("/etc/group").ok()?)
}

/// Finds the group in the text of group(5).
fn group_in(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(GROUP)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        let text = "root:x:0:\nwarren-old:x:5:\nwarren:x:989:ann,bob\n";
        assert_eq!(group_in(text), Some(989));
        assert_eq!(group_in("wheel:x:10:\n"), None);
        assert_eq!(group_in("warren:x\n"), None);
    }
}

//! One daemon per state folder: a lock that the kernel lets go of, however the daemon ends.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::config::paths;
use crate::control::{Cause, Failure, Result};

/// Held while a daemon works on a state folder.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the folder (mode 0700) when it is missing, and locks it.
    pub fn acquire(state: &Path) -> Result<Self> {
        paths::make_private_dir(state)?;
        let path = state.join("lock");
        let io = |source| Failure::io(path.display(), &source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(already_running(state, &mut file)),
            Err(errno) => return Err(io(errno.into())),
        }
        // The number is for the message of the next one only; the lock itself is the kernel's.
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(io)?;
        Ok(Self { _file: file })
    }
}

fn already_running(state: &Path, file: &mut File) -> Failure {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut pid));
    let who = match (read, pid.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!(" (process {pid})"),
        _ => String::new(),
    };
    Failure::new(Cause::AlreadyRunning, format!("a daemon{who} already works on {}", state.display())).hint(
        "`warren status` asks it, `warren down` stops it; a second one needs its own --state and --socket",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateLock::acquire(dir.path()).unwrap();
        let failure = StateLock::acquire(dir.path()).unwrap_err();
        assert_eq!(failure.cause, Cause::AlreadyRunning);
        assert!(failure.message.contains(&std::process::id().to_string()), "{failure}");
        drop(held);
        StateLock::acquire(dir.path()).unwrap();
    }
}

//! The errors of the dataplane in the words of the local API.

use warren_dataplane::engine::CommandError;
use warren_dataplane::io::{CommandFailed, TunError};

use crate::control::{Cause, Failure};

/// No network interface.
pub(super) fn tun(error: &TunError) -> Failure {
    match error {
        TunError::NoDevice => Failure::new(Cause::NoTun, error.to_string()),
        TunError::NotPermitted => {
            Failure::new(Cause::NotPrivileged, error.to_string()).hint("run the same command with sudo")
        }
        TunError::NameTaken(_) => {
            Failure::new(Cause::TunNameTaken, error.to_string()).hint("for example --tun warren1")
        }
        TunError::BadName(_) => Failure::new(Cause::Misuse, error.to_string()),
        TunError::Io(_) => Failure::new(Cause::Failed, error.to_string()),
    }
}

/// A command the dataplane did not carry out.
pub(super) fn command(error: &CommandFailed) -> Failure {
    let cause = match error {
        CommandFailed::Refused(CommandError::UnknownPeer) => Cause::NotConnected,
        CommandFailed::Refused(_) | CommandFailed::Stopped(_) | CommandFailed::Detached => Cause::Failed,
    };
    Failure::new(cause, error.to_string())
}

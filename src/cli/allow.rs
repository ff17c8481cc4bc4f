//! `warren allow` and `warren deny`: what a peer may do on this device.

use super::args::Change;
use super::output::Printer;
use crate::control::client::Client;
use crate::control::{GrantChange, Result};

pub(super) async fn run(change: Change, allow: bool, client: &Client, printer: Printer) -> Result<()> {
    let change = GrantChange { peer: change.peer, allow, grants: change.grants };
    let outcome = client.set_grants(&change).await?;
    printer.json(&outcome);
    let word = if allow { "allowed" } else { "denied" };
    for grant in &outcome.changed {
        printer.remark(format_args!("{grant} is now {word} for {}", outcome.peer));
    }
    for grant in &outcome.unchanged {
        printer.remark(format_args!("{grant} is already {word} for {}", outcome.peer));
    }
    printer.line(format_args!("{} may use: {}", outcome.peer, outcome.mine));
    Ok(())
}

//! `warren down`: stops the daemon and waits until the machine is as it was.

use super::output::Printer;
use crate::control::client::Client;
use crate::control::{Cause, Result};

pub(super) async fn run(client: &Client, printer: Printer) -> Result<()> {
    match client.down().await {
        Ok(()) => {
            printer.remark("warren is off; this machine is as it was before");
            printer.json(&serde_json::json!({ "running": false, "changed": true }));
            Ok(())
        }
        Err(failure) if failure.cause == Cause::NotRunning => {
            printer.remark("warren is off already");
            printer.json(&serde_json::json!({ "running": false, "changed": false }));
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

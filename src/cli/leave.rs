//! `warren leave`: this device is no member any more.

use super::output::Printer;
use crate::control::Result;
use crate::control::client::Client;

pub(super) async fn run(client: &Client, printer: Printer) -> Result<()> {
    let mesh = client.status().await?.mesh.map(|mesh| mesh.name);
    client.leave().await?;
    match &mesh {
        Some(mesh) => {
            printer.remark(format_args!("left the mesh {mesh}; to come back, this device needs a new invite"))
        }
        None => printer.remark("this device was in no mesh"),
    }
    printer.json(&serde_json::json!({ "left": mesh }));
    Ok(())
}

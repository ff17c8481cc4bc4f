//! `warren join CODE`: asks the running daemon to join a mesh, and tells how it goes.

use futures::{Stream, StreamExt as _};

use super::args::Join;
use super::output::{Printer, Style};
use super::values::Span;
use super::{code, status};
use crate::config::resolve::valid_name;
use crate::control::client::Client;
use crate::control::{Cause, Failure, JoinEvent, JoinRequest, Relation, Result};

pub(super) async fn run(join: Join, client: &Client, printer: Printer) -> Result<()> {
    let code = code::need(&join.code)?;
    let name = join.name.as_deref().map(valid_name).transpose()?;
    let request = JoinRequest { code, name };
    follow(client.join(&request).await?, printer).await
}

/// Prints the steps until the first peer answers.
pub(super) async fn follow(
    mut steps: impl Stream<Item = Result<JoinEvent>> + Unpin,
    printer: Printer,
) -> Result<()> {
    let mut last = None;
    while let Some(step) = steps.next().await {
        let step = step?;
        printer.json(&step);
        words(&step, printer).iter().for_each(|line| printer.remark(line));
        last = Some(step);
    }
    match last {
        Some(JoinEvent::Connected { .. }) => Ok(()),
        Some(JoinEvent::Admitted(_)) => {
            printer.warning(
                "this device is a member, but no peer answers yet; `warren status` shows when one does",
            );
            Ok(())
        }
        Some(JoinEvent::Searching | JoinEvent::Terms(_) | JoinEvent::Other) | None => {
            Err(Failure::new(Cause::Failed, "the daemon stopped before this device was a member")
                .hint("start it and try the same code again: `sudo warren up CODE`"))
        }
    }
}

/// One step in words.
pub(super) fn words(step: &JoinEvent, printer: Printer) -> Vec<String> {
    match step {
        JoinEvent::Searching => vec!["looking for a member of the mesh ...".to_owned()],
        JoinEvent::Terms(terms) => {
            let whose = match terms.relation {
                Relation::Own => "as one more device of",
                Relation::Guest => "as a guest of",
            };
            let mesh = printer.err(&terms.mesh, Style::Bold);
            let members = status::members(terms.members);
            let ends = Span(terms.expires_in_s);
            vec![
                format!("found the mesh {mesh} ({members}); joining {whose} {}", terms.inviter),
                format!("it allows this device: {}; the invite ends in {ends}", terms.grants),
            ]
        }
        JoinEvent::Admitted(admitted) => {
            let joined = printer.err("joined:", Style::Good);
            let name = printer.err(&admitted.name, Style::Bold);
            vec![format!(
                "{joined} this device is {name} at {}, let in by {}",
                admitted.ipv4, admitted.witness
            )]
        }
        JoinEvent::Connected { peer } => {
            vec![format!("{} {peer} answers", printer.err("connected:", Style::Good))]
        }
        JoinEvent::Other => Vec::new(),
    }
}

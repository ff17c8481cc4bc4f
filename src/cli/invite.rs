//! `warren invite`: makes a code for the next device; lists and withdraws what was made.

use super::args::{Invite, InviteCommand};
use super::output::{Cell, Printer, Style, Table};
use super::qr::{self, Ink};
use super::status::WIDTH;
use super::values::Span;
use crate::control::client::Client;
use crate::control::{self, InviteState, InviteTerms, NewInvite, Relation, Result};

pub(super) async fn run(invite: Invite, client: &Client, printer: Printer) -> Result<()> {
    match invite.command {
        Some(InviteCommand::List { all }) => list(all, client, printer).await,
        Some(InviteCommand::Revoke { id }) => revoke(&id, client, printer).await,
        None => create(invite, client, printer).await,
    }
}

async fn create(invite: Invite, client: &Client, printer: Printer) -> Result<()> {
    let terms = InviteTerms {
        relation: if invite.guest { Relation::Guest } else { Relation::Own },
        uses: invite.uses,
        expires_s: invite.expires.seconds,
        allow: invite.allow.map(|allow| allow.0),
        only: invite.only,
    };
    let made = client.create_invite(&terms).await?;
    printer.json(&made);
    show(&made, invite.qr, printer);
    Ok(())
}

/// Prints a new code: alone on stdout, what it is and its picture on stderr.
pub(super) fn show(made: &NewInvite, picture: bool, printer: Printer) {
    let invite = &made.invite;
    let whom = match (invite.relation, invite.uses) {
        (Relation::Own, 1) => "one more device of yours".to_owned(),
        (Relation::Own, uses) => format!("{uses} more devices of yours"),
        (Relation::Guest, 1) => "one device of somebody else".to_owned(),
        (Relation::Guest, uses) => format!("{uses} devices of other people"),
    };
    printer.remark(format_args!(
        "invite {} for {whom}, for {}; allows {}",
        short(&invite.id),
        Span(invite.expires_in_s),
        invite.grants,
    ));
    if picture {
        printer.remark(format_args!("\n{}\n", draw(&made.code, printer)));
    }
    printer.line(&made.code);
    printer.remark(format_args!("on the other device: {}", printer.err("sudo warren up CODE", Style::Bold)));
}

/// The code as a picture: black on white where the terminal has colours, else for a dark terminal.
fn draw(code: &str, printer: Printer) -> String {
    let (ink, style) =
        if printer.colours_stderr() { (Ink::Dark, Some(Style::Paper)) } else { (Ink::Light, None) };
    let lines = qr::lines(code, ink);
    let painted = lines.iter().map(|line| match style {
        Some(style) => printer.err(line, style),
        None => line.clone(),
    });
    painted.collect::<Vec<_>>().join("\n")
}

async fn list(all: bool, client: &Client, printer: Printer) -> Result<()> {
    let mut invites = client.invites().await?;
    invites.retain(|invite| all || invite.state == InviteState::Open);
    printer.json(&invites);
    if invites.is_empty() {
        printer.remark("no invites; `warren invite` makes one");
        return Ok(());
    }
    let mut table = Table::default();
    let head = ["ID", "FOR", "USED", "ENDS", "BY", "ALLOWS", "ADMITTED"];
    table.row(head.map(|word| Cell::new(word).style(Style::Dim)).to_vec());
    for invite in &invites {
        table.row(vec![
            Cell::new(short(&invite.id)).style(Style::Bold),
            Cell::new(invite.relation.word()),
            Cell::new(format_args!("{}/{}", invite.used_by.len(), invite.uses)),
            Cell::new(ends(invite)),
            Cell::new(&invite.by),
            Cell::new(&invite.grants),
            Cell::new(invite.used_by.join(", ")),
        ]);
    }
    for line in table.lines(printer, WIDTH) {
        printer.line(line);
    }
    Ok(())
}

fn ends(invite: &control::Invite) -> String {
    match invite.state {
        InviteState::Open | InviteState::Other => format!("in {}", Span(invite.expires_in_s)),
        InviteState::Expired => "expired".to_owned(),
        InviteState::UsedUp => "used up".to_owned(),
        InviteState::Revoked => "revoked".to_owned(),
        InviteState::Void => "void: its maker was removed".to_owned(),
    }
}

async fn revoke(id: &str, client: &Client, printer: Printer) -> Result<()> {
    let invite = client.revoke_invite(id).await?;
    printer.json(&invite);
    printer.remark(format_args!("invite {} is revoked: nobody can join with it any more", short(&invite.id)));
    Ok(())
}

/// Enough of an id for people.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

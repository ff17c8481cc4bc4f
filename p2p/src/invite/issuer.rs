//! The member's side: making invites, and letting newcomers in.

use std::net::SocketAddr;

use super::message::{Request, Response, Standing, Terms};
use super::terms::{InviteTerms, TermsError};
use super::{InviteCode, Refusal};
use crate::identity::{DeviceId, Identity};
use crate::limits::{CLOCK_TOLERANCE, JOIN_RESPONSE_BYTES};
use crate::membership::{Extended, Log};
use crate::record::{Body, Invite, Join, Record, RecordError, RecordId, Timestamp, Verified};

/// An invite that was made: the record to publish, and the code to hand out.
#[derive(Debug)]
pub struct Issued {
    /// To be added to the log and pushed to others, before the code is shown.
    pub record: Verified<Record>,
    /// To be shown once.
    pub code: InviteCode,
}

/// Why no invite was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// There are no such terms.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// This device is no admin.
    #[error("only an admin of the mesh makes invites")]
    NotAdmin,
    /// The record broke a rule; a defect of Warren.
    #[error("the invite could not be signed: {0}")]
    Record(#[from] RecordError),
}

impl Issued {
    /// Makes an invite on these terms, with a secret random `seed`.
    pub fn new(
        log: &Log,
        identity: &Identity,
        terms: InviteTerms,
        doors: &[SocketAddr],
        seed: [u8; 16],
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        if !log.roster().is_admin(&identity.device_id()) {
            return Err(IssueError::NotAdmin);
        }
        // The key comes from the seed alone; the code of an invite that has no record yet tells it.
        let draft = InviteCode::new(seed, log.mesh(), &RecordId::from_bytes([0; 32]), &[]);
        let invite = terms.into_invite(draft.invite_identity().device_id(), now)?;
        let record = log.compose(identity, Body::Invite(invite), now)?;
        let code = InviteCode::new(seed, log.mesh(), &record.id(), doors);
        Ok(Self { record, code })
    }
}

/// What came of a newcomer's request.
#[derive(Debug)]
pub struct Admission {
    /// To be sent, once what is below is stored.
    pub response: Response,
    /// The log with the newcomer in it, to be stored before the answer is sent and to take the log's place. If
    /// storing fails, [`Refusal::Fault`] is the answer.
    pub extended: Option<Box<Extended>>,
}

impl Admission {
    fn says(response: Response) -> Self {
        Self { response, extended: None }
    }

    fn refuses(refusal: Refusal) -> Self {
        Self::says(Response::Refused(refusal))
    }
}

/// A member's answer to a newcomer whose connection proved that it holds the secret half of `key`. Questions are
/// answered whatever state the invite is in, so that the newcomer learns why it cannot join.
pub fn answer(
    log: &Log,
    identity: &Identity,
    key: &DeviceId,
    request: &Request,
    now: Timestamp,
) -> Admission {
    if !log.roster().is_member(&identity.device_id()) {
        return Admission::refuses(Refusal::NotAMember);
    }
    match request {
        Request::Ask { terms, now: theirs } => {
            if now.distance(*theirs) > CLOCK_TOLERANCE {
                return Admission::refuses(Refusal::ClockWrong { here: now, there: *theirs });
            }
            Admission::says(describe(log, key, terms, now))
        }
        Request::Join(join) => admit(log, identity, key, join, now),
    }
}

fn describe(log: &Log, key: &DeviceId, terms: &[u8; 16], now: Timestamp) -> Response {
    let roster = log.roster();
    let found = roster.invite_by_terms(terms).filter(|(_, state)| state.invite.key == *key);
    let Some((id, state)) = found else { return Response::Refused(Refusal::UnknownInvite) };
    let genesis = log.get(&log.mesh().into()).map(|genesis| genesis.bytes().to_vec());
    let invite = log.get(id).map(|invite| invite.bytes().to_vec());
    let (Some(genesis), Some(invite)) = (genesis, invite) else {
        return Response::Refused(Refusal::UnknownInvite);
    };
    let standing = match roster.check_invite(id, now) {
        Ok(_) => Standing::Open,
        Err(refusal) => Standing::Closed(refusal),
    };
    let members = u32::try_from(roster.members().len()).unwrap_or(u32::MAX);
    let inviter = roster.member(&state.author).map(|inviter| inviter.name.clone());
    Response::Terms(Box::new(Terms { genesis, invite, standing, members, inviter, now }))
}

fn admit(log: &Log, identity: &Identity, key: &DeviceId, join: &Join, now: Timestamp) -> Admission {
    if join.newcomer.key != *key {
        return Admission::refuses(Refusal::Forged);
    }
    let roster = log.roster();
    match roster.check_join(join, now) {
        Ok(()) => {}
        Err(Refusal::AlreadyMember) => {
            // The answer was lost on the way, or the device lost its records. Its signature shows that it is
            // that member, so it may have them, and no use is spent.
            return Admission::says(welcome(log, [identity.device_id(), join.newcomer.device]));
        }
        Err(refusal) => return Admission::refuses(refusal),
    }
    let Ok(record) = log.compose(identity, Body::Join(Box::new(join.clone())), now) else {
        return Admission::refuses(Refusal::Forged);
    };
    let extended = log.extended(vec![record]);
    if !extended.log.roster().is_member(&join.newcomer.device) {
        // The record would not stand: the time it needs (after the witness' own joining) is past the invite's
        // end, say.
        let not_after = invite_of(log, join).map_or(now, |invite| invite.not_after);
        return Admission::refuses(Refusal::Expired { not_after, now });
    }
    let response = welcome(&extended.log, [identity.device_id(), join.newcomer.device]);
    Admission { response, extended: Some(Box::new(extended)) }
}

fn invite_of<'a>(log: &'a Log, join: &Join) -> Option<&'a Invite> {
    log.roster().invites().get(&join.newcomer.invite).map(|state| &state.invite)
}

/// As much of the log as fits one answer; first of all what shows that these devices are in.
fn welcome(log: &Log, devices: [DeviceId; 2]) -> Response {
    let first = log.proof_of(&devices);
    let rest = log.records().map(Verified::id).filter(|id| !first.contains(id));
    let mut room = JOIN_RESPONSE_BYTES - 16;
    let ids = log.in_order(first.iter().copied()).into_iter().chain(rest);
    let fits = ids.filter_map(|id| log.get(&id)).map_while(|record| {
        room = room.checked_sub(record.bytes().len() + 8)?;
        Some(record.bytes().to_vec())
    });
    Response::Admitted { records: fits.collect() }
}

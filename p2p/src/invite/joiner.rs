//! The newcomer's side: what it asks, and what it believes.

use super::message::{Request, Response, Standing, Terms};
use super::terms::TermsShown;
use super::{InviteCode, Refusal};
use crate::identity::{DeviceId, Identity};
use crate::limits::{CLOCK_TOLERANCE, NAME_ATTEMPTS};
use crate::membership::Log;
use crate::record::{
    Body, Invite, Join, Name, Newcomer, Os, Record, RecordError, RecordId, Timestamp, Verified,
};

/// What a newcomer wants to be.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its name.
    pub name: Name,
    /// Whether a person asked for that name: then another is not good enough.
    pub name_is_asked_for: bool,
    /// Its operating system.
    pub os: Os,
}

/// Why an answer is not believed, or is a no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinCheckError {
    /// The member refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A record in the answer does not verify.
    #[error("the member that answered sent a record that does not verify: {0}")]
    Record(#[from] RecordError),
    /// The answer speaks of another mesh than the code.
    #[error("the member that answered belongs to another mesh than the invite code")]
    ForeignMesh,
    /// The terms are not those of the code.
    #[error("the member that answered showed other terms than those of the invite code")]
    OtherTerms,
    /// The records do not show that this device and the member are in the mesh.
    #[error("the member that answered did not prove that this device is a member now")]
    NotAdmitted,
    /// The answer does not fit the question.
    #[error("the member that answered said something out of turn")]
    OutOfTurn,
}

/// A newcomer on its way in: one for each member asked.
///
/// In this order: [`Joiner::ask`], [`Joiner::handle_terms`], [`Joiner::request`], [`Joiner::handle_admitted`]. A
/// refusal of the name makes [`Joiner::handle_admitted`] return a new request while there is one to make.
#[derive(Debug)]
pub struct Joiner {
    code: InviteCode,
    identity: Identity,
    wish: Wish,
    /// The name asked for next.
    name: Name,
    attempts: u32,
    invite: Option<RecordId>,
}

/// What follows from a member's answer to a request to join.
#[derive(Debug)]
pub enum Progress {
    /// The device is a member: the records that show it, in a log.
    Admitted(Box<Log>),
    /// The name was taken; ask again with another.
    Retry(Request),
}

impl Joiner {
    /// A newcomer that will be `identity` in the mesh of `code`.
    pub fn new(code: InviteCode, identity: Identity, wish: Wish) -> Self {
        let name = wish.name.clone();
        Self { code, identity, wish, name, attempts: 0, invite: None }
    }

    /// A newcomer that knows the Invite record's id already and need not ask.
    pub fn for_invite(code: InviteCode, identity: Identity, wish: Wish, invite: RecordId) -> Self {
        Self { invite: Some(invite), ..Self::new(code, identity, wish) }
    }

    /// The first question.
    pub fn ask(&self, now: Timestamp) -> Request {
        Request::Ask { terms: self.code.terms(), now }
    }

    /// Checks that the terms are those of the code, and that the invite can be used.
    pub fn handle_terms(
        &mut self,
        response: &Response,
        now: Timestamp,
    ) -> Result<TermsShown, JoinCheckError> {
        let terms = match response {
            Response::Terms(terms) => terms,
            Response::Refused(refusal) => return Err(refusal.clone().into()),
            Response::Admitted { .. } => return Err(JoinCheckError::OutOfTurn),
        };
        let (id, shown) = self.read(terms)?;
        // The clock first: it may be the very reason why an invite seems to have expired.
        if now.distance(terms.now) > CLOCK_TOLERANCE {
            return Err(Refusal::ClockWrong { here: now, there: terms.now }.into());
        }
        match &terms.standing {
            Standing::Open => {}
            Standing::Closed(refusal) => return Err(refusal.clone().into()),
        }
        self.invite = Some(id);
        Ok(shown)
    }

    /// The request to be let in. None before the terms were seen.
    pub fn request(&self) -> Result<Request, JoinCheckError> {
        let invite = self.invite.ok_or(JoinCheckError::OutOfTurn)?;
        let mesh = self.code.mesh();
        let invite_identity = self.code.invite_identity();
        let newcomer = Newcomer {
            invite,
            key: invite_identity.device_id(),
            device: self.identity.device_id(),
            name: self.name.clone(),
            os: self.wish.os.clone(),
            wireguard: self.identity.wireguard_public(&mesh, 0),
            epoch: 0,
        };
        let message = |message: Result<Vec<u8>, _>| message.map_err(RecordError::Codec);
        let invite_signature = invite_identity.sign(&message(newcomer.invite_message(&mesh))?);
        let device_signature = self.identity.sign(&message(newcomer.device_message(&mesh))?);
        Ok(Request::Join(Box::new(Join { newcomer, invite_signature, device_signature })))
    }

    /// Checks that the records show this device and the member `witness` in the mesh.
    pub fn handle_admitted(
        &mut self,
        witness: Option<&DeviceId>,
        response: &Response,
    ) -> Result<Progress, JoinCheckError> {
        let records = match response {
            Response::Admitted { records } => records,
            Response::Refused(Refusal::NameTaken { taken, suggestion }) if self.may_rename() => {
                self.attempts += 1;
                // Where many of one name come at once, the suggestion may be taken when it is asked for; the next
                // one is for the name wished for, not for that with two numbers.
                self.name =
                    if *taken == self.wish.name { suggestion.clone() } else { self.wish.name.clone() };
                return Ok(Progress::Retry(self.request()?));
            }
            Response::Refused(refusal) => return Err(refusal.clone().into()),
            Response::Terms(_) => return Err(JoinCheckError::OutOfTurn),
        };
        let verified = records.iter().map(|bytes| Verified::from_bytes(bytes));
        let log = Log::from_records(self.code.mesh(), verified.collect::<Result<_, _>>()?);
        let roster = log.roster();
        // That this device is a member rests on its own signature; whoever lost its records is one by an invite of
        // old.
        let own = roster.member(&self.identity.device_id()).ok_or(JoinCheckError::NotAdmitted)?;
        let witnessed = witness.is_none_or(|witness| roster.is_member(witness));
        if witnessed && roster.is_member(&own.witness) {
            Ok(Progress::Admitted(Box::new(log)))
        } else {
            Err(JoinCheckError::NotAdmitted)
        }
    }

    fn may_rename(&self) -> bool {
        !self.wish.name_is_asked_for && self.attempts < NAME_ATTEMPTS
    }

    fn read(&self, terms: &Terms) -> Result<(RecordId, TermsShown), JoinCheckError> {
        let genesis = Verified::<Record>::from_bytes(&terms.genesis)?;
        let invite = Verified::<Record>::from_bytes(&terms.invite)?;
        let Body::Genesis(founding) = &genesis.record().body else {
            return Err(JoinCheckError::ForeignMesh);
        };
        let mesh = self.code.mesh();
        if mesh != genesis.id().into() || invite.record().mesh != mesh {
            return Err(JoinCheckError::ForeignMesh);
        }
        let Body::Invite(invitation) = &invite.record().body else { return Err(JoinCheckError::OtherTerms) };
        let same_terms = invite.id().as_bytes().starts_with(&self.code.terms());
        if !same_terms || invitation.key != self.code.invite_identity().device_id() {
            return Err(JoinCheckError::OtherTerms);
        }
        let Invite { relation, uses, not_after, grants, only, .. } = invitation.clone();
        let shown = TermsShown {
            mesh_name: founding.mesh_name.clone(),
            relation,
            uses,
            not_after,
            grants,
            only,
            members: terms.members,
            inviter: terms.inviter.clone(),
        };
        Ok((invite.id(), shown))
    }
}

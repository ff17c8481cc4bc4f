//! Letting newcomers in: the member's answers to whoever holds an invite key.

use std::net::SocketAddr;

use super::{Node, Now};
use crate::{
    discovery::Source,
    identity::DeviceId,
    invite::{Request, Response, answer},
    membership::Refusal,
};

impl Node {
    /// The holder of an invite key asks for the terms or to be let in. A Join is on disk, and on its way to everybody
    /// connected, before the newcomer hears that it is in.
    pub fn handle_join(
        &mut self,
        key: DeviceId,
        request: &Request,
        from: Option<SocketAddr>,
        now: Now,
    ) -> Response {
        let admission = answer(&self.log, &self.identity, &key, request, now.wall);
        let Some(extended) = admission.extended else { return admission.response };
        if self.adopt(&extended, None, now).is_err() {
            return Response::Refused(Refusal::Fault);
        }
        if let (Request::Join(join), Some(address)) = (request, from) {
            tracing::info!(device = %join.newcomer.device.short(), name = %join.newcomer.name, "let a device in");
            // It will call from the same socket as itself.
            self.book.heard(join.newcomer.device, address, Source::Itself, now.wall);
        }
        admission.response
    }
}

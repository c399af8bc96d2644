//! Exports and imports networks ([`gureum_control::Control::export`]).

use super::clerk::{Answer, Clerk};
use crate::admin::{Reply, TwinReply, TwinRequest};

impl Clerk {
    pub(super) fn twin(&self, request: TwinRequest) -> Answer<Reply> {
        let reply = match request {
            TwinRequest::Export { scope, vpc } => {
                let document = self.control.export(scope.as_ref(), vpc.as_deref());
                document.map(TwinReply::Document)
            }
            TwinRequest::Import { answers, options } => {
                let imported = self.runtime.block_on(self.control.import(&answers, &options));
                imported.map(TwinReply::Imported)
            }
        };
        let reply = reply.unwrap_or_else(|refused| TwinReply::Refused(refused.0));
        Ok(Reply::Twin(Box::new(reply)))
    }
}

//! How an agent makes an instance known by the instance's own credentials (IMDS-30), and asks for a
//! role where its instance has none. AWS's models do not have these operations; its agents call them.

use gureum_api::{ApiError, Signature};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::{call::Answer, control::Control, iam::authorize::Source};

const REGISTER: &str = "RegisterManagedInstance";
const ASK_FOR_ROLE: &str = "RequestManagedInstanceRoleToken";

impl Control {
    /// The operation that [`Control::registration`] answers, if a request is for one.
    pub fn registration_operation(headers: &HeaderMap) -> Option<&'static str> {
        let target = headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSSM.")?;
        [REGISTER, ASK_FOR_ROLE].into_iter().find(|operation| *operation == target)
    }

    /// Answers an operation that [`Control::registration_operation`] names.
    pub fn registration(
        &self,
        operation: &str,
        signature: &Signature,
        source: &Source,
    ) -> Answer<Value> {
        let caller = self.admitted(signature, &format!("ssm:{operation}"), source)?;
        let Some(instance) = caller.instance() else {
            // Machines that are no instances have an activation, which nobody can make here.
            let message = "The activation isn't valid.";
            return Err(ApiError::new("InvalidActivation", message));
        };
        if operation == REGISTER {
            return Ok(json!({ "InstanceId": instance }));
        }
        // The role of Default Host Management Configuration.
        let account = &caller.account;
        Err(ApiError::new(
            "AccessDeniedException",
            format!(
                "Systems Manager's instance management role is not configured for account: {account}"
            ),
        ))
    }
}

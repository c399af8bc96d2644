//! Who the caller is.

use gureum_api::sts;
use gureum_store::Snapshot;

use crate::call::{Answer, Call};

/// Credentials that were issued to nobody in particular are the root user's of their account.
pub(crate) fn caller_identity(
    call: &Call,
    _: &Snapshot,
    _: &sts::GetCallerIdentityRequest,
) -> Answer<sts::GetCallerIdentityResponse> {
    let account = call.account();
    Ok(sts::GetCallerIdentityResponse {
        user_id: Some(account.to_string()),
        account: Some(account.to_string()),
        arn: Some(format!("arn:aws:iam::{account}:root")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::Cloud;

    #[test]
    fn a_caller_is_the_root_of_the_account_that_their_key_names() {
        let cloud = Cloud::new();
        let call = cloud.of_account("000000000042");
        let r = sts::GetCallerIdentityRequest {};
        let caller = caller_identity(&call, &cloud.records(), &r).expect("somebody");
        assert_eq!(caller.account.as_deref(), Some("000000000042"));
        assert_eq!(caller.arn.as_deref(), Some("arn:aws:iam::000000000042:root"));
    }
}

//! What is asked of callers and of their refusals.

use gureum_api::{ApiError, sts};
use gureum_store::Snapshot;
use gureum_types::AccountId;

use crate::{
    call::{Answer, Call, text},
    credential,
    iam::authorize,
};

/// Whoever has a key that nobody issued is the root user of their account.
pub(crate) fn identity(
    call: &Call,
    _: &Snapshot,
    _: &sts::GetCallerIdentityRequest,
) -> Answer<sts::GetCallerIdentityResponse> {
    Ok(sts::GetCallerIdentityResponse {
        user_id: Some(call.caller.user_id()),
        account: Some(call.caller.account.to_string()),
        arn: Some(call.caller.arn()),
    })
}

/// The account of an access key: of one that was issued here it is told by the id itself.
pub(crate) fn access_key_info(
    call: &Call,
    _: &Snapshot,
    r: &sts::GetAccessKeyInfoRequest,
) -> Answer<sts::GetAccessKeyInfoResponse> {
    let id = text(&r.access_key_id, "AccessKeyId")?;
    let own = || (id == call.caller.access_key_id).then(|| call.caller.account.clone());
    let account: Option<AccountId> = credential::issuer(id).or_else(own);
    let account = account.ok_or_else(|| {
        ApiError::new("ValidationError", format!("The access key {id} was not issued here."))
    })?;
    Ok(sts::GetAccessKeyInfoResponse { account: Some(account.to_string()) })
}

pub(crate) fn decode_message(
    _: &Call,
    _: &Snapshot,
    r: &sts::DecodeAuthorizationMessageRequest,
) -> Answer<sts::DecodeAuthorizationMessageResponse> {
    let decoded = authorize::decoded(text(&r.encoded_message, "EncodedMessage")?);
    let decoded = decoded.ok_or_else(|| {
        ApiError::new(
            "InvalidAuthorizationMessageException",
            "The message cannot be decoded: it is none that a refusal came with.",
        )
    })?;
    Ok(sts::DecodeAuthorizationMessageResponse { decoded_message: Some(decoded) })
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
        let caller = identity(&call, &cloud.records(), &r).expect("somebody");
        assert_eq!(caller.account.as_deref(), Some("000000000042"));
        assert_eq!(caller.arn.as_deref(), Some("arn:aws:iam::000000000042:root"));
    }
}

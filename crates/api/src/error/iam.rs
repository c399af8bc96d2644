//! Errors of IAM. Its codes are few and say the kind of mistake; the sentence says the thing.

use http::StatusCode;

use super::ApiError;

impl ApiError {
    /// Nothing has that name.
    pub fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND)
    }

    /// The name is taken.
    pub fn entity_already_exists(message: impl Into<String>) -> Self {
        Self::new("EntityAlreadyExists", message).with_status(StatusCode::CONFLICT)
    }

    /// Something hangs on what shall be deleted.
    pub fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflict", message).with_status(StatusCode::CONFLICT)
    }

    /// One more than IAM allows of something.
    pub fn exceeds_iam_quota(quota: &str, limit: usize) -> Self {
        Self::iam_limit(format!("Cannot exceed quota for {quota}: {limit}"))
    }

    /// As [`Self::exceeds_iam_quota`], where IAM has a sentence of its own.
    pub fn iam_limit(message: impl Into<String>) -> Self {
        Self::new("LimitExceeded", message).with_status(StatusCode::CONFLICT)
    }

    /// A text that is no policy, or none of the kind that is wanted.
    pub fn malformed_policy_document(message: impl Into<String>) -> Self {
        Self::new("MalformedPolicyDocument", message)
    }

    /// A value that is well-formed, but cannot be.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new("InvalidInput", message)
    }

    /// A value that is not well-formed.
    pub fn validation_error(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// A role that belongs to an AWS service.
    pub fn protected_role(name: &str) -> Self {
        Self::new(
            "UnmodifiableEntity",
            format!(
                "Cannot perform the operation on the protected role '{name}' - this role is only \
                 modifiable by AWS"
            ),
        )
    }
}

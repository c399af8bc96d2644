//! Who calls and what they may do: the same in every protocol, under another code in each.

use http::StatusCode;

use super::ApiError;
use crate::{service::Protocol, signature::Unproven};

/// Authentication, before the operation is looked at.
impl ApiError {
    /// No credentials in the request.
    pub fn missing_authentication_token() -> Self {
        Self::new("MissingAuthenticationToken", "Request is missing Authentication Token")
            .with_status(StatusCode::FORBIDDEN)
    }

    /// Credentials that are not written as Signature Version 4 wants.
    pub fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new("IncompleteSignature", message)
    }

    /// Signed for something else.
    pub fn signature_mismatch(message: impl Into<String>) -> Self {
        Self::new("SignatureDoesNotMatch", message).with_status(StatusCode::FORBIDDEN)
    }

    /// An access key or session token that nobody issued, or that is not to be used any more.
    pub fn unknown_credentials(protocol: Protocol) -> Self {
        let message = "The security token included in the request is invalid.";
        match protocol {
            Protocol::Ec2Query => Self::auth_failure(),
            Protocol::AwsQuery => {
                Self::new("InvalidClientTokenId", message).with_status(StatusCode::FORBIDDEN)
            }
            Protocol::AwsJson11 => Self::new("UnrecognizedClientException", message),
        }
    }

    /// A session's credentials after its end.
    pub fn expired_token(protocol: Protocol) -> Self {
        let message = "The security token included in the request is expired";
        match protocol {
            Protocol::Ec2Query => Self::request_expired(),
            Protocol::AwsQuery => {
                Self::new("ExpiredToken", message).with_status(StatusCode::FORBIDDEN)
            }
            Protocol::AwsJson11 => Self::new("ExpiredTokenException", message),
        }
    }

    /// A signature that proves nothing.
    pub fn unproven(protocol: Protocol, why: Unproven) -> Self {
        match (protocol, why) {
            (Protocol::Ec2Query, Unproven::Stale(_)) => Self::request_expired(),
            (Protocol::Ec2Query, Unproven::Wrong(_)) => Self::auth_failure(),
            (_, Unproven::Stale(sentence) | Unproven::Wrong(Some(sentence))) => {
                Self::signature_mismatch(sentence)
            }
            (_, Unproven::Wrong(None)) => Self::signature_mismatch(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            ),
        }
    }

    /// EC2 says the same whatever is wrong with the credentials.
    fn auth_failure() -> Self {
        Self::new("AuthFailure", "AWS was not able to validate the provided access credentials")
            .with_status(StatusCode::UNAUTHORIZED)
    }

    fn request_expired() -> Self {
        Self::new("RequestExpired", "Request has expired.")
    }
}

/// Authorisation.
impl ApiError {
    /// A policy is in the way, or none allows it (API-3). EC2 does not say it all in the open but in
    /// an encoded message.
    pub fn access_denied(protocol: Protocol, sentence: &str, encoded: &str) -> Self {
        match protocol {
            Protocol::Ec2Query => Self::new(
                "UnauthorizedOperation",
                format!(
                    "You are not authorized to perform this operation. {sentence}. Encoded \
                     authorization failure message: {encoded}"
                ),
            )
            .with_status(StatusCode::FORBIDDEN),
            Protocol::AwsQuery => {
                Self::new("AccessDenied", sentence).with_status(StatusCode::FORBIDDEN)
            }
            Protocol::AwsJson11 => Self::new("AccessDeniedException", sentence),
        }
    }
}

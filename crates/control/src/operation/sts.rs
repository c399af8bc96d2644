//! STS's operations.

use super::operations;
use crate::resource::sts::{caller, session};

operations! { sts
    AssumeRole: write session::assume_role, obeyed [
        "DurationSeconds", "ExternalId", "Policy", "PolicyArns", "RoleArn", "RoleSessionName",
        "Tags",
    ];
    DecodeAuthorizationMessage: read caller::decode_message, obeyed ["EncodedMessage"];
    GetAccessKeyInfo: read caller::access_key_info, obeyed ["AccessKeyId"];
    GetCallerIdentity: read caller::identity, obeyed [];
    GetFederationToken: write session::federation_token, obeyed [
        "DurationSeconds", "Name", "Policy", "PolicyArns", "Tags",
    ];
    GetSessionToken: write session::session_token, obeyed ["DurationSeconds"];
}

//! Errors of CloudWatch Logs.

use std::fmt::Display;

use super::ApiError;

impl ApiError {
    /// A value that CloudWatch Logs does not take.
    pub fn logs_invalid_parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// No such log group.
    pub fn log_group_not_found() -> Self {
        Self::new("ResourceNotFoundException", "The specified log group does not exist.")
    }

    /// A log group of that name is there.
    pub fn log_group_exists() -> Self {
        Self::new("ResourceAlreadyExistsException", "The specified log group already exists")
    }

    /// No such log stream.
    pub fn log_stream_not_found() -> Self {
        Self::new("ResourceNotFoundException", "The specified log stream does not exist.")
    }

    /// A log stream of that name is there.
    pub fn log_stream_exists() -> Self {
        Self::new("ResourceAlreadyExistsException", "The specified log stream already exists")
    }

    /// No such metric filter.
    pub fn metric_filter_not_found() -> Self {
        Self::new("ResourceNotFoundException", "The specified metric filter does not exist.")
    }

    /// No such resource policy.
    pub fn log_resource_policy_not_found(name: impl Display) -> Self {
        let message = format!("Policy with name [{name}] does not exist");
        Self::new("ResourceNotFoundException", message)
    }

    /// No such query, or one that is forgotten.
    pub fn log_query_not_found() -> Self {
        Self::new("ResourceNotFoundException", "The specified query does not exist.")
    }

    /// A token that none of our answers had.
    pub fn logs_invalid_token() -> Self {
        Self::logs_invalid_parameter("The specified nextToken is invalid.")
    }
}

//! Errors about instances, key pairs and tags.

use std::fmt::Display;

use super::ApiError;

/// Instances, key pairs, tags.
impl ApiError {
    /// Not stopped (EC2-4).
    pub fn cannot_start(instance: impl Display) -> Self {
        let message =
            format!("The instance '{instance}' is not in a state from which it can be started.");
        Self::new("IncorrectInstanceState", message)
    }

    /// Not running (EC2-4).
    pub fn cannot_stop(instance: impl Display) -> Self {
        let message =
            format!("This instance '{instance}' is not in a state from which it can be stopped.");
        Self::new("IncorrectInstanceState", message)
    }

    /// Any other thing that the instance's state does not allow (EC2-4).
    pub fn incorrect_instance_state(message: impl Into<String>) -> Self {
        Self::new("IncorrectInstanceState", message)
    }

    /// Termination protection (EC2-6).
    pub fn termination_protected(instance: impl Display) -> Self {
        Self::operation_not_permitted(format!(
            "The instance '{instance}' may not be terminated. Modify its 'disableApiTermination' \
             instance attribute and try again."
        ))
    }

    /// The type is not offered in the zone (SUB-11).
    pub fn unsupported_in_zone(instance_type: &str, zone: &str, offered: &[&str]) -> Self {
        let message = format!(
            "Your requested instance type ({instance_type}) is not supported in your requested \
             Availability Zone ({zone}). Please retry your request by not specifying an \
             Availability Zone or choosing {}.",
            offered.join(", ")
        );
        Self::new("Unsupported", message)
    }

    /// The machine cannot take one more; `detail` tells the log what to change. AWS answers 500,
    /// which clients retry for minutes: right for a passing shortage, not for a limit of this machine.
    pub fn insufficient_capacity(detail: impl Display) -> Self {
        Self::new(
            "InsufficientInstanceCapacity",
            "Insufficient capacity. Please wait a few minutes before requesting again.",
        )
        .with_internal(detail)
    }

    /// Interfaces and an instance-level subnet or group at once (EC2-19). `what` is `subnet ID`
    /// or `security groups`.
    pub fn interfaces_and_instance_level(what: &str) -> Self {
        let article = if what.ends_with('s') { "" } else { "an " };
        Self::invalid_parameter_combination(format!(
            "Network interfaces and {article}instance-level {what} may not be specified on the \
             same request"
        ))
    }

    /// Group names with a subnet (EC2-20).
    pub fn group_name_with_subnet() -> Self {
        Self::invalid_parameter_combination(
            "The parameter groupName cannot be used with the parameter subnet",
        )
    }

    /// No subnet named and no default VPC (EC2-21).
    pub fn no_default_vpc() -> Self {
        Self::new(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and \
             default VPC.",
        )
    }

    /// The name is taken (EC2-14).
    pub fn duplicate_key_pair(name: &str) -> Self {
        let message = format!("The keypair '{name}' already exists.");
        Self::new("InvalidKeyPair.Duplicate", message)
    }

    /// Not a public key (EC2-14).
    pub fn invalid_key_format() -> Self {
        Self::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    }

    /// More than 50 tags (EC2-27).
    pub fn tag_limit_exceeded() -> Self {
        Self::limit_exceeded(
            "TagLimitExceeded",
            "The maximum number of Tags for a resource has been reached.",
        )
    }

    /// A key that AWS keeps for itself (EC2-27).
    pub fn reserved_tag_key(key: &str) -> Self {
        Self::invalid_parameter_value(format!(
            "Tag keys starting with 'aws:' are reserved for internal use ({key})"
        ))
    }
}

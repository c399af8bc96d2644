//! The fields of a record: their names, their order, the version that brought each.

use gureum_api::ApiError;

use crate::call::Answer;

macro_rules! fields {
    ($($version:literal { $($field:ident $name:literal,)* })*) => {
        /// A field of a record (FL-22).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field {
            $($($field,)*)*
        }

        /// All fields, in AWS's order (FL-20, FL-22).
        const ALL: &[(&str, Field)] = &[$($(($name, Field::$field),)*)*];

        impl Field {
            /// The name.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $($(Self::$field => $name,)*)*
                }
            }

            /// The version of records that brought it.
            pub(crate) const fn version(self) -> u8 {
                match self {
                    $($(Self::$field)|* => $version,)*
                }
            }
        }
    };
}

fields! {
    2 {
        Version "version",
        AccountId "account-id",
        InterfaceId "interface-id",
        SrcAddr "srcaddr",
        DstAddr "dstaddr",
        SrcPort "srcport",
        DstPort "dstport",
        Protocol "protocol",
        Packets "packets",
        Bytes "bytes",
        Start "start",
        End "end",
        Action "action",
        LogStatus "log-status",
    }
    3 {
        VpcId "vpc-id",
        SubnetId "subnet-id",
        InstanceId "instance-id",
        TcpFlags "tcp-flags",
        Type "type",
        PktSrcAddr "pkt-srcaddr",
        PktDstAddr "pkt-dstaddr",
    }
    4 {
        Region "region",
        AzId "az-id",
        SublocationType "sublocation-type",
        SublocationId "sublocation-id",
    }
    5 {
        PktSrcAwsService "pkt-src-aws-service",
        PktDstAwsService "pkt-dst-aws-service",
        FlowDirection "flow-direction",
        TrafficPath "traffic-path",
    }
    7 {
        EcsClusterArn "ecs-cluster-arn",
        EcsClusterName "ecs-cluster-name",
        EcsContainerInstanceArn "ecs-container-instance-arn",
        EcsContainerInstanceId "ecs-container-instance-id",
        EcsContainerId "ecs-container-id",
        EcsSecondContainerId "ecs-second-container-id",
        EcsServiceName "ecs-service-name",
        EcsTaskDefinitionArn "ecs-task-definition-arn",
        EcsTaskArn "ecs-task-arn",
        EcsTaskId "ecs-task-id",
    }
    8 {
        RejectReason "reject-reason",
    }
    9 {
        ResourceId "resource-id",
    }
    10 {
        EncryptionStatus "encryption-status",
    }
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }
}

/// The name in `${name}`.
fn name_in(word: &str) -> Option<&str> {
    word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
}

/// The default format (FL-20).
pub(crate) fn default_format() -> String {
    let fields = ALL.iter().filter(|(_, field)| field.version() == 2);
    fields.map(|(name, _)| format!("${{{name}}}")).collect::<Vec<_>>().join(" ")
}

/// Checks a format of one's own (FL-21).
pub(crate) fn checked_format(given: &str) -> Answer<String> {
    let mut unknown = Vec::new();
    for word in given.split_whitespace() {
        if name_in(word).and_then(Field::named).is_none() {
            unknown.push(name_in(word).unwrap_or(word));
        }
    }
    match unknown.is_empty() {
        true => Ok(given.split_whitespace().collect::<Vec<_>>().join(" ")),
        false => Err(ApiError::new(
            "InvalidParameter",
            format!("Unknown fields provided: [{}]", unknown.join(", ")),
        )),
    }
}

/// The fields of a checked format, in its order.
pub(crate) fn fields_of(format: &str) -> Vec<Field> {
    format.split_whitespace().filter_map(name_in).filter_map(Field::named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_format_is_that_of_version_2() {
        // FL-20
        assert_eq!(
            default_format(),
            "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} \
             ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
        );
    }

    #[test]
    fn a_format_is_made_of_known_fields() {
        // FL-21, FL-22
        assert_eq!(ALL.len(), 42);
        let text = ALL.iter().map(|(name, _)| format!("${{{name}}}")).collect::<Vec<_>>().join(" ");
        assert_eq!(checked_format(&text), Ok(text.clone()));
        let fields = fields_of(&text);
        assert!(fields.iter().zip(ALL).all(|(field, (name, _))| field.name() == *name));
        assert!(fields.is_sorted_by_key(|field| field.version()));
        assert_eq!(checked_format("${version}  ${vpc-id}"), Ok("${version} ${vpc-id}".to_owned()));
        for (text, unknown) in [("${colour} ${version}", "colour"), ("version", "version")] {
            let error = checked_format(text).expect_err("unknown");
            assert_eq!(error.code, "InvalidParameter");
            assert_eq!(error.message, format!("Unknown fields provided: [{unknown}]"));
        }
    }
}

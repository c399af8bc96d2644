//! The services and how each speaks: names, versions, protocols, operations.

use crate::{
    generated::{ec2, iam, ssm, sts},
    shape::Structure,
};

/// An AWS service that Gureum serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Compute Cloud, with Virtual Private Cloud.
    Ec2,
    /// Identity and Access Management.
    Iam,
    /// Systems Manager.
    Ssm,
    /// Security Token Service.
    Sts,
}

/// How requests and responses of a service look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Form parameters in, EC2's own XML out (API-1).
    Ec2Query,
    /// Form parameters in, XML with a result wrapper out.
    AwsQuery,
    /// JSON both ways, the operation in `X-Amz-Target`.
    AwsJson11,
}

/// A service on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    /// Which service.
    pub service: Service,
    /// The API version that requests name.
    pub version: &'static str,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its name in a credential scope.
    pub signing_name: &'static str,
    /// What precedes the operation in `X-Amz-Target`; empty for query protocols.
    pub target_prefix: &'static str,
    /// The namespace of XML responses; empty for JSON.
    pub xml_namespace: &'static str,
}

impl Service {
    /// All services.
    pub const ALL: [Self; 4] = [Self::Ec2, Self::Iam, Self::Ssm, Self::Sts];

    /// How the service looks on the wire.
    pub const fn info(self) -> &'static ServiceInfo {
        match self {
            Self::Ec2 => &ec2::INFO,
            Self::Iam => &iam::INFO,
            Self::Ssm => &ssm::INFO,
            Self::Sts => &sts::INFO,
        }
    }

    /// The service of that name in a credential scope.
    pub fn from_signing_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.info().signing_name == name)
    }

    /// The operation of that name, if it is served.
    pub fn operation(self, name: &str) -> Option<Operation> {
        match self {
            Self::Ec2 => ec2::Operation::from_name(name).map(Operation::Ec2),
            Self::Iam => iam::Operation::from_name(name).map(Operation::Iam),
            Self::Ssm => ssm::Operation::from_name(name).map(Operation::Ssm),
            Self::Sts => sts::Operation::from_name(name).map(Operation::Sts),
        }
    }
}

/// An operation of any service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Of EC2.
    Ec2(ec2::Operation),
    /// Of IAM.
    Iam(iam::Operation),
    /// Of Systems Manager.
    Ssm(ssm::Operation),
    /// Of STS.
    Sts(sts::Operation),
}

impl Operation {
    /// The operation's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ec2(operation) => operation.name(),
            Self::Iam(operation) => operation.name(),
            Self::Ssm(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
        }
    }

    /// The service it belongs to.
    pub const fn service(self) -> Service {
        match self {
            Self::Ec2(_) => Service::Ec2,
            Self::Iam(_) => Service::Iam,
            Self::Ssm(_) => Service::Ssm,
            Self::Sts(_) => Service::Sts,
        }
    }
}

/// An operation as a type: what goes in, what comes out.
pub trait Op {
    /// The request.
    type Input: Structure + Default + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static;
    /// The response; `()` where the model has none.
    type Output: Structure + Default + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static;
    /// The operation's name on the wire.
    const NAME: &'static str;
    /// The service it belongs to.
    const SERVICE: &'static ServiceInfo;
}

//! The services and how each speaks: names, versions, protocols, operations.

use crate::{
    generated::{ec2, ec2_instance_connect, iam, logs, ssm, sts},
    shape::Structure,
};

/// An AWS service that Gureum serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Elastic Compute Cloud, with Virtual Private Cloud.
    Ec2,
    /// EC2 Instance Connect: keys for a minute.
    Ec2InstanceConnect,
    /// Identity and Access Management.
    Iam,
    /// CloudWatch Logs.
    Logs,
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
    pub const ALL: [Self; 6] =
        [Self::Ec2, Self::Ec2InstanceConnect, Self::Iam, Self::Logs, Self::Ssm, Self::Sts];

    /// How the service looks on the wire.
    pub const fn info(self) -> &'static ServiceInfo {
        match self {
            Self::Ec2 => &ec2::INFO,
            Self::Ec2InstanceConnect => &ec2_instance_connect::INFO,
            Self::Iam => &iam::INFO,
            Self::Logs => &logs::INFO,
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
            Self::Ec2InstanceConnect => {
                ec2_instance_connect::Operation::from_name(name).map(Operation::Ec2InstanceConnect)
            }
            Self::Iam => iam::Operation::from_name(name).map(Operation::Iam),
            Self::Logs => logs::Operation::from_name(name).map(Operation::Logs),
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
    /// Of EC2 Instance Connect.
    Ec2InstanceConnect(ec2_instance_connect::Operation),
    /// Of IAM.
    Iam(iam::Operation),
    /// Of CloudWatch Logs.
    Logs(logs::Operation),
    /// Of Systems Manager.
    Ssm(ssm::Operation),
    /// Of STS.
    Sts(sts::Operation),
}

impl Operation {
    /// All operations, service by service.
    pub fn all() -> impl Iterator<Item = Self> {
        let ec2 = ec2::Operation::ALL.iter().copied().map(Self::Ec2);
        let connect = ec2_instance_connect::Operation::ALL.iter().copied();
        let connect = connect.map(Self::Ec2InstanceConnect);
        let iam = iam::Operation::ALL.iter().copied().map(Self::Iam);
        let logs = logs::Operation::ALL.iter().copied().map(Self::Logs);
        let ssm = ssm::Operation::ALL.iter().copied().map(Self::Ssm);
        let sts = sts::Operation::ALL.iter().copied().map(Self::Sts);
        ec2.chain(connect).chain(iam).chain(logs).chain(ssm).chain(sts)
    }

    /// The operation's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ec2(operation) => operation.name(),
            Self::Ec2InstanceConnect(operation) => operation.name(),
            Self::Iam(operation) => operation.name(),
            Self::Logs(operation) => operation.name(),
            Self::Ssm(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
        }
    }

    /// An empty request.
    pub fn input(self) -> Box<dyn Structure> {
        match self {
            Self::Ec2(operation) => operation.input(),
            Self::Ec2InstanceConnect(operation) => operation.input(),
            Self::Iam(operation) => operation.input(),
            Self::Logs(operation) => operation.input(),
            Self::Ssm(operation) => operation.input(),
            Self::Sts(operation) => operation.input(),
        }
    }

    /// The service it belongs to.
    pub const fn service(self) -> Service {
        match self {
            Self::Ec2(_) => Service::Ec2,
            Self::Ec2InstanceConnect(_) => Service::Ec2InstanceConnect,
            Self::Iam(_) => Service::Iam,
            Self::Logs(_) => Service::Logs,
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

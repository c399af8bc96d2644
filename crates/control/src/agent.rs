//! Why an instance is not there for Session Manager although its packets pass: what tools beside the
//! API ask, for people who look for what they have forgotten (SSM-1, SSM-5, SSM-6).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_types::{
    AccountId, NetworkInterfaceId, VpcEndpointId,
    record::{
        DhcpOptions, Instance, InstanceState, ManagedInstance, NetworkInterface, Role, Vpc,
        VpcEndpoint, VpcEndpointKind,
    },
};

use crate::{
    call::Call,
    control::{Control, Found},
    iam::{
        authorize::{Source, SourceEndpoint, authorize_action},
        caller::{Caller, Principal},
        resource::{Target, of_ssm},
    },
    reconcile::role_credentials::{of_instance, trusts_ec2},
    resource::iam_instance_profile,
};

/// What an agent does, and through which service.
const REGISTERS: (&str, &str) = ("ssm", "ssm:UpdateInstanceInformation");
const SPEAKS: [(&str, &str); 4] = [
    ("ssmmessages", "ssmmessages:CreateControlChannel"),
    ("ssmmessages", "ssmmessages:OpenControlChannel"),
    ("ssmmessages", "ssmmessages:CreateDataChannel"),
    ("ssmmessages", "ssmmessages:OpenDataChannel"),
];

/// Something that keeps an agent from Systems Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A short name, for programs: `no-instance-profile`.
    pub name: &'static str,
    /// A sentence.
    pub text: String,
}

impl Obstacle {
    fn new(name: &'static str, text: String) -> Self {
        Self { name, text }
    }
}

impl Control {
    /// What keeps the agent of an instance from Systems Manager, besides packets; none where nothing
    /// does. `through` says by which endpoint the agent's requests to a service (`ssm`) go, if by one.
    pub fn obstacles(
        &self,
        instance: &Found<Instance>,
        through: impl Fn(&str) -> Option<VpcEndpointId>,
    ) -> Vec<Obstacle> {
        let Found { scope, record } = instance;
        let id = &record.id;
        if record.state != InstanceState::Running {
            let state = record.state.name();
            return vec![Obstacle::new("not-running", format!("{id} is {state}"))];
        }
        let role = match self.role_of(&scope.account, record) {
            Ok(role) => role,
            Err(obstacle) => return vec![obstacle],
        };
        let denied = self.denied(instance, &role, through);
        if !denied.is_empty() {
            return denied;
        }
        match self.config().gateway.is_connected(id) {
            true => Vec::new(),
            false => vec![self.absent(instance)],
        }
    }

    /// The role that an instance acts by.
    fn role_of(&self, account: &AccountId, instance: &Instance) -> Result<Arc<Role>, Obstacle> {
        let (records, id) = (self.snapshot(), &instance.id);
        let Some(association) = &instance.iam_instance_profile else {
            let text = format!(
                "{id} has no instance profile, so its agent has no credentials: give it one with a \
                 role that AmazonSSMManagedInstanceCore is attached to, and reboot it (SSM-1, SSM-6)"
            );
            return Err(Obstacle::new("no-instance-profile", text));
        };
        let arn = &association.arn;
        let profile = iam_instance_profile::profile(&records, instance).ok_or_else(|| {
            Obstacle::new("no-instance-profile", format!("{arn}, the profile of {id}, was deleted"))
        })?;
        let role = iam_instance_profile::role(&records, account, profile);
        let role = role.ok_or_else(|| {
            Obstacle::new("no-role", format!("{arn}, the profile of {id}, has no role"))
        })?;
        if !trusts_ec2(role) {
            let text = format!("the role {} does not trust ec2.amazonaws.com", role.name);
            return Err(Obstacle::new("role-not-trusted", text));
        }
        Ok(role.clone())
    }

    /// What the role, or the policy of an endpoint, does not let the agent do (SSM-5, VPCE-13).
    fn denied(
        &self,
        instance: &Found<Instance>,
        role: &Arc<Role>,
        through: impl Fn(&str) -> Option<VpcEndpointId>,
    ) -> Vec<Obstacle> {
        let (records, Found { scope, record }) = (self.snapshot(), instance);
        let caller = Caller {
            account: scope.account.clone(),
            access_key_id: String::new(),
            principal: Principal::Role {
                role: role.clone(),
                session: record.id.to_string(),
                instance: Some(record.id.clone()),
            },
            session: of_instance(&records, record, role).cloned(),
            chunks: None,
        };
        let call = Call {
            scope: scope.clone(),
            caller,
            now: (self.config().clock)(),
            endpoint: String::new(),
            config: self.config().clone(),
        };
        let of_itself = [("InstanceId".to_owned(), record.id.as_str().into())];
        let itself = of_ssm(&call, &records, "UpdateInstanceInformation", &of_itself);
        let itself = itself.into_iter().next().unwrap_or_else(Target::none);
        let asked = std::iter::once((REGISTERS, itself))
            .chain(SPEAKS.into_iter().map(|action| (action, Target::none())));
        let refused = asked.filter_map(|((service, action), target)| {
            let endpoint = through(service).and_then(|id| self.source_endpoint(&id));
            let source = Source { address: None, is_secure: true, endpoint };
            authorize_action(&call, &records, action, &target, &source).err()
        });
        refused.map(|error| Obstacle::new("denied", error.message)).collect()
    }

    fn source_endpoint(&self, id: &VpcEndpointId) -> Option<SourceEndpoint> {
        let records = self.snapshot();
        let endpoint = records.referrers::<VpcEndpoint>(id.as_str()).next()?;
        Some(SourceEndpoint {
            vpc: endpoint.vpc_id.clone(),
            id: id.to_string(),
            policy: endpoint.policy.clone(),
        })
    }

    /// Why an agent that may come is not there.
    fn absent(&self, instance: &Found<Instance>) -> Obstacle {
        let id = &instance.record.id;
        let known = self.snapshot().find::<ManagedInstance>(&instance.scope, id.as_str()).is_some();
        let text = match known {
            true => format!("the agent of {id} was here and is not connected now (SSM-7)"),
            false => format!(
                "the agent of {id} has not registered yet: one that began without a role looks again \
                 after minutes, later hours, or at a reboot (SSM-6)"
            ),
        };
        Obstacle::new("not-connected", text)
    }

    /// The VPC of an interface.
    pub fn vpc_of(&self, interface: &Found<NetworkInterface>) -> Option<Found<Vpc>> {
        let (records, scope) = (self.snapshot(), interface.scope.clone());
        let record = records.find::<Vpc>(&scope, interface.record.vpc_id.as_str())?.clone();
        Some(Found { scope, record })
    }

    /// The instance that an interface is attached to.
    pub fn instance_of(&self, interface: &Found<NetworkInterface>) -> Option<Found<Instance>> {
        let (records, scope) = (self.snapshot(), interface.scope.clone());
        let id = &interface.record.attachment.as_ref()?.instance_id;
        let record = records.find::<Instance>(&scope, id.as_str())?.clone();
        Some(Found { scope, record })
    }

    /// The interface endpoint that has an address in a VPC.
    pub fn endpoint_at(&self, vpc: &Found<Vpc>, address: Ipv4Addr) -> Option<VpcEndpointId> {
        let records = self.snapshot();
        let has_address = |id: &NetworkInterfaceId| {
            let interface = records.find::<NetworkInterface>(&vpc.scope, id.as_str());
            interface.is_some_and(|it| it.private_addresses.contains(&address))
        };
        let mut endpoints = records.referrers::<VpcEndpoint>(vpc.record.id.as_str());
        let found = endpoints.find(|endpoint| match &endpoint.kind {
            VpcEndpointKind::Interface(it) => it.interfaces.iter().any(has_address),
            VpcEndpointKind::Gateway { .. } => false,
        });
        found.map(|endpoint| endpoint.id.clone())
    }

    /// The interface endpoints for a service (`com.amazonaws.ap-northeast-2.ssm`) in a VPC, and for
    /// each why the service's own name does not mean it, if it does not (VPCE-9, VPCE-10).
    pub fn endpoints_for(&self, vpc: &Vpc, service: &str) -> Vec<(VpcEndpointId, Option<String>)> {
        let records = self.snapshot();
        let endpoints = records.referrers::<VpcEndpoint>(vpc.id.as_str());
        let found = endpoints.filter(|it| it.service_name == service && it.deleted.is_none());
        let found = found.filter_map(|endpoint| {
            let VpcEndpointKind::Interface(interface) = &endpoint.kind else { return None };
            let state = endpoint.state.name();
            let why = if state != "available" {
                Some(format!("it is {state}"))
            } else if !interface.private_dns {
                Some("its private DNS is off".to_owned())
            } else if interface.private_dns_for_inbound_only {
                Some("its private DNS is for inbound resolvers alone".to_owned())
            } else {
                (!vpc.enable_dns_hostnames).then(|| format!("{} has no DNS host names", vpc.id))
            };
            Some((endpoint.id.clone(), why))
        });
        found.collect()
    }

    /// The resolvers that a VPC's DHCP options name instead of Amazon's (DHCP-3).
    pub fn foreign_resolvers(&self, vpc: &Found<Vpc>) -> Vec<String> {
        let records = self.snapshot();
        let id = vpc.record.dhcp_options.as_ref();
        let options = id.and_then(|id| records.find::<DhcpOptions>(&vpc.scope, id.as_str()));
        let servers = options.and_then(|options| {
            let mut all = options.configurations.iter();
            all.find(|(key, _)| key == "domain-name-servers")
        });
        let servers = servers.map(|(_, values)| values.clone()).unwrap_or_default();
        match servers.iter().any(|it| it == "AmazonProvidedDNS") {
            true => Vec::new(),
            false => servers,
        }
    }
}

//! What a request is about: the resources that its parameters name, as ARNs with their tags.
//!
//! Ids tell their kind by their prefix, so nothing has to be said of single operations but where
//! AWS looks at fewer resources than a request names ([`ec2_narrowed`]) or at more, those that are
//! about to be made ([`ec2_created`]).

use gureum_store::Snapshot;
use gureum_types::{
    AccountId, Region, Tags,
    record::{
        Address, CustomerGateway, DhcpOptions, EgressOnlyInternetGateway, FlowLog, Group, Instance,
        InstanceProfile, InternetGateway, KeyPair, ManagedPolicy, NatGateway, NetworkAcl,
        NetworkInsightsAccessScope, NetworkInsightsAccessScopeAnalysis, NetworkInsightsAnalysis,
        NetworkInsightsPath, NetworkInterface, PrefixList, Role, RouteTable, Scope, SecurityGroup,
        SecurityGroupRule, Subnet, TransitGateway, TransitGatewayRouteTable,
        TransitGatewayVpcAttachment, User, Volume, Vpc, VpcEndpoint, VpcEndpointService,
        VpnConnection, VpnGateway,
    },
};

use super::{
    caller::{Caller, arn},
    condition::Context,
};
use crate::{
    call::{Call, Named},
    resource::own_parameter,
};

/// A parameter: its whole name, its text.
pub(crate) type Leaf<'a> = (String, std::borrow::Cow<'a, str>);

/// A resource that an action is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its ARN; of what is about to be made with `*` for its id; `*` alone for none.
    pub(crate) arn: String,
    /// What is known of it and not of the request as a whole: keys and values.
    pub(crate) keys: Vec<(String, String)>,
}

impl Target {
    /// No resource in particular.
    pub(crate) fn none() -> Self {
        Self::of("*")
    }

    pub(crate) fn of(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), keys: Vec::new() }
    }

    fn tagged(mut self, services: &[&str], tags: &Tags) -> Self {
        for (key, value) in tags {
            for service in services {
                self.keys.push((format!("{service}{key}"), value.clone()));
            }
        }
        self
    }

    pub(super) fn key(mut self, key: &str, value: impl Into<String>) -> Self {
        self.keys.push((key.to_owned(), value.into()));
        self
    }
}

/// Where the tags of EC2's resources are seen.
const EC2_TAGS: [&str; 2] = ["aws:ResourceTag/", "ec2:ResourceTag/"];

/// The prefixes of EC2's ids, with the name of the kind in ARNs. Longer ones come first where one
/// begins as another does.
const EC2_KINDS: [(&str, &str); 32] = [
    ("acl-", "network-acl"),
    ("ami-", "image"),
    ("cgw-", "customer-gateway"),
    ("dopt-", "dhcp-options"),
    ("eigw-", "egress-only-internet-gateway"),
    ("eipalloc-", "elastic-ip"),
    ("eni-", "network-interface"),
    ("fl-", "vpc-flow-log"),
    ("i-", "instance"),
    ("igw-", "internet-gateway"),
    ("key-", "key-pair"),
    ("lt-", "launch-template"),
    ("nat-", "natgateway"),
    ("nia-", "network-insights-analysis"),
    ("nip-", "network-insights-path"),
    ("nis-", "network-insights-access-scope"),
    ("nisa-", "network-insights-access-scope-analysis"),
    ("pcx-", "vpc-peering-connection"),
    ("pl-", "prefix-list"),
    ("rtb-", "route-table"),
    ("sg-", "security-group"),
    ("sgr-", "security-group-rule"),
    ("subnet-", "subnet"),
    ("tgw-", "transit-gateway"),
    ("tgw-attach-", "transit-gateway-attachment"),
    ("tgw-rtb-", "transit-gateway-route-table"),
    ("vgw-", "vpn-gateway"),
    ("vol-", "volume"),
    ("vpc-", "vpc"),
    ("vpce-", "vpc-endpoint"),
    ("vpce-svc-", "vpc-endpoint-service"),
    ("vpn-", "vpn-connection"),
];

fn is_hexadecimal_id(tail: &str) -> bool {
    matches!(tail.len(), 8 | 17) && tail.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The kind of an id.
fn ec2_kind(id: &str) -> Option<&'static str> {
    let fits = |prefix: &str| id.strip_prefix(prefix).is_some_and(is_hexadecimal_id);
    EC2_KINDS.iter().find(|(prefix, _)| fits(prefix)).map(|(_, kind)| *kind)
}

/// The kinds that AWS looks at, where a request names others too.
fn ec2_narrowed(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "CreateNetworkInsightsAccessScope" => &["network-insights-access-scope"],
        "CreateNetworkInsightsPath" => &["network-insights-path"],
        "CreateRoute" | "DeleteRoute" | "ReplaceRoute" => &["route-table"],
        "CreateVpcPeeringConnection" => &["vpc", "vpc-peering-connection"],
        _ => return None,
    })
}

/// Parameters that name resources which AWS does not look at: peers of rules, the other side of a
/// peering, filters, and what is no name at all.
fn is_looked_at(operation: &str, name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    let ignored = ["ClientToken", "Description", "Filter", "PeerVpcId", "Tag", "TagSpecification"];
    if ignored.contains(&first) {
        return false;
    }
    let of_rules = operation.contains("SecurityGroup") && first.starts_with("IpPermission");
    !of_rules
}

/// The kinds of what an operation makes.
fn ec2_created(operation: &str) -> Vec<String> {
    let list = |kinds: &[&str]| kinds.iter().map(|it| (*it).to_owned()).collect();
    match operation {
        "AllocateAddress" => list(&["elastic-ip"]),
        "CopyImage" | "RegisterImage" => list(&["image"]),
        "CreateDefaultSubnet" => list(&["subnet"]),
        "CreateDefaultVpc" => list(&["vpc"]),
        "CreateFlowLogs" => list(&["vpc-flow-log"]),
        "CreateManagedPrefixList" => list(&["prefix-list"]),
        "CreateNatGateway" => list(&["natgateway"]),
        "CreateNetworkAclEntry"
        | "CreateRoute"
        | "CreateTags"
        | "CreateTransitGatewayRoute"
        | "CreateVpnConnectionRoute" => Vec::new(),
        "CreateTransitGatewayVpcAttachment" => list(&["transit-gateway-attachment"]),
        "CreateVpcEndpointServiceConfiguration" => list(&["vpc-endpoint-service"]),
        "ImportKeyPair" => list(&["key-pair"]),
        "RunInstances" => list(&["instance", "network-interface", "volume"]),
        "StartNetworkInsightsAccessScopeAnalysis" => {
            list(&["network-insights-access-scope-analysis"])
        }
        "StartNetworkInsightsAnalysis" => list(&["network-insights-analysis"]),
        operation => operation.strip_prefix("Create").map(kebab).into_iter().collect(),
    }
}

/// `InternetGateway` as `internet-gateway`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (place, character) in name.char_indices() {
        if character.is_ascii_uppercase() && place > 0 {
            out.push('-');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}

/// Whether an operation only looks: such are on no resource in particular.
pub(crate) fn only_looks(operation: &str) -> bool {
    ["Describe", "Get", "List", "Search"].iter().any(|prefix| operation.starts_with(prefix))
}

/// What an operation of EC2 is on.
pub(crate) fn of_ec2(
    call: &Call,
    records: &Snapshot,
    operation: &str,
    leaves: &[Leaf<'_>],
) -> Vec<Target> {
    if only_looks(operation) {
        return vec![Target::none()];
    }
    let mut found = Vec::new();
    let narrowed = ec2_narrowed(operation);
    let fits = |kind: &str| narrowed.is_none_or(|kinds| kinds.contains(&kind));
    for (_, text) in leaves.iter().filter(|(name, _)| is_looked_at(operation, name)) {
        for id in named_by(records, text) {
            if let Some(kind) = ec2_kind(&id).filter(|kind| fits(kind)) {
                found.push(ec2_target(call, records, kind, &id));
            }
        }
    }
    let text = |wanted: &str| leaves.iter().find(|(name, _)| name == wanted).map(|(_, text)| text);
    let created = ec2_created(operation);
    if let Some(name) = text("KeyName").filter(|_| !created.iter().any(|it| it == "key-pair")) {
        let pair = records.key_pair_named(&call.scope, name);
        let target = Target::of(call.arn("key-pair", name));
        found.push(match pair {
            Some(pair) => target.tagged(&EC2_TAGS, &pair.tags),
            None => target,
        });
    }
    for kind in created {
        let id = match text("KeyName").filter(|_| kind == "key-pair") {
            Some(name) => name.as_ref(),
            None => "*",
        };
        let mut target = Target::of(call.arn(&kind, id));
        if let Some(vpc) = text("VpcId").filter(|_| kind != "vpc") {
            target = target.key("ec2:Vpc", call.arn("vpc", vpc));
        }
        if let Some(kind) = text("InstanceType").filter(|_| kind == "instance") {
            target = target.key("ec2:InstanceType", kind.as_ref());
        }
        if let Some(subnet) = text("SubnetId").filter(|_| kind != "volume") {
            target = target.key("ec2:Subnet", call.arn("subnet", subnet));
            if let Some(subnet) = records.find::<Subnet>(&call.scope, subnet) {
                target = target.key("ec2:Vpc", call.arn("vpc", &subnet.vpc_id));
            }
        }
        for (key, value) in tags_on_creation(leaves, &kind) {
            target = target.key(&format!("aws:RequestTag/{key}"), value).key("aws:TagKeys", key);
        }
        found.push(target);
    }
    found.sort_by(|a, b| a.arn.cmp(&b.arn));
    found.dedup_by(|a, b| a.arn == b.arn);
    match found.is_empty() {
        true => vec![Target::none()],
        false => found,
    }
}

/// The ids behind one: an association is a part of what it associates.
fn named_by(records: &Snapshot, text: &str) -> Vec<String> {
    let of = |ids: &mut dyn Iterator<Item = String>| ids.collect::<Vec<_>>();
    match text.rsplit_once('-').map_or("", |(prefix, _)| prefix) {
        "rtbassoc" => of(&mut records.referrers::<RouteTable>(text).map(|it| it.id.to_string())),
        "aclassoc" => of(&mut records.referrers::<NetworkAcl>(text).map(|it| it.id.to_string())),
        "eipassoc" => {
            of(&mut records.referrers::<Address>(text).map(|it| it.allocation_id.to_string()))
        }
        "eni-attach" => {
            let interfaces = records.referrers::<NetworkInterface>(text);
            of(&mut interfaces.flat_map(|it| {
                let instance = it.attachment.as_ref().map(|it| it.instance_id.to_string());
                instance.into_iter().chain([it.id.to_string()])
            }))
        }
        "vpc-cidr-assoc" => of(&mut records.referrers::<Vpc>(text).map(|it| it.id.to_string())),
        "subnet-cidr-assoc" => {
            of(&mut records.referrers::<Subnet>(text).map(|it| it.id.to_string()))
        }
        _ => vec![text.to_owned()],
    }
}

/// The tags that a request gives to what it makes of a kind.
pub(crate) fn tags_on_creation<'a>(leaves: &'a [Leaf<'_>], kind: &str) -> Vec<(&'a str, &'a str)> {
    let mut tags = Vec::new();
    for (name, _) in leaves.iter().filter(|(_, text)| text == kind) {
        if let Some(specification) = name.strip_suffix(".ResourceType")
            && specification.starts_with("TagSpecification.")
        {
            tags.extend(tags_below(leaves, &format!("{specification}.Tag.")));
        }
    }
    tags
}

/// Keys and values of the tags whose parameters begin so.
pub(crate) fn tags_below<'a>(leaves: &'a [Leaf<'_>], prefix: &str) -> Vec<(&'a str, &'a str)> {
    let below = |name: &'a str, member: &str| name.strip_prefix(prefix)?.strip_suffix(member);
    let mut tags = Vec::new();
    for (name, key) in leaves {
        if let Some(number) = below(name, ".Key") {
            let wanted = format!("{prefix}{number}.Value");
            let value = leaves.iter().find(|(name, _)| *name == wanted);
            tags.push((key.as_ref(), value.map_or("", |(_, value)| value.as_ref())));
        }
    }
    tags
}

fn ec2_target(call: &Call, records: &Snapshot, kind: &str, id: &str) -> Target {
    // Images belong to nobody in particular.
    let arn = match kind {
        "image" => format!("arn:aws:ec2:{}::image/{id}", call.region()),
        _ => call.arn(kind, id),
    };
    let target = Target::of(arn);
    let place = Place { call, records, id };
    match kind {
        "customer-gateway" => place.tags::<CustomerGateway>(target),
        "dhcp-options" => place.tags::<DhcpOptions>(target),
        "egress-only-internet-gateway" => place.tags::<EgressOnlyInternetGateway>(target),
        "elastic-ip" => place.tags::<Address>(target),
        "instance" => place.of::<Instance>(target, |it, target| {
            target
                .key("ec2:InstanceType", &it.instance_type)
                .key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
                .key("ec2:Subnet", call.arn("subnet", &it.subnet_id))
        }),
        "internet-gateway" => place.tags::<InternetGateway>(target),
        "key-pair" => place.tags::<KeyPair>(target),
        "natgateway" => place.tags::<NatGateway>(target),
        "network-acl" => place.of::<NetworkAcl>(target, |it, target| {
            target.key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
        }),
        "network-insights-access-scope" => place.tags::<NetworkInsightsAccessScope>(target),
        "network-insights-access-scope-analysis" => {
            place.tags::<NetworkInsightsAccessScopeAnalysis>(target)
        }
        "network-insights-analysis" => place.tags::<NetworkInsightsAnalysis>(target),
        "network-insights-path" => place.tags::<NetworkInsightsPath>(target),
        "network-interface" => place.of::<NetworkInterface>(target, |it, target| {
            target
                .key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
                .key("ec2:Subnet", call.arn("subnet", &it.subnet_id))
        }),
        "prefix-list" => place.tags::<PrefixList>(target),
        "route-table" => place.of::<RouteTable>(target, |it, target| {
            target.key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
        }),
        "security-group" => place.of::<SecurityGroup>(target, |it, target| {
            target.key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
        }),
        "security-group-rule" => place.tags::<SecurityGroupRule>(target),
        "subnet" => place
            .of::<Subnet>(target, |it, target| target.key("ec2:Vpc", call.arn("vpc", &it.vpc_id))),
        "transit-gateway" => place.tags::<TransitGateway>(target),
        "transit-gateway-attachment" => place.tags::<TransitGatewayVpcAttachment>(target),
        "transit-gateway-route-table" => place.tags::<TransitGatewayRouteTable>(target),
        "volume" => place.tags::<Volume>(target),
        "vpc" => place.tags::<Vpc>(target),
        "vpc-endpoint" => place.of::<VpcEndpoint>(target, |it, target| {
            target.key("ec2:Vpc", call.arn("vpc", &it.vpc_id))
        }),
        "vpc-endpoint-service" => place.tags::<VpcEndpointService>(target),
        "vpn-connection" => place.tags::<VpnConnection>(target),
        "vpn-gateway" => place.tags::<VpnGateway>(target),
        "vpc-flow-log" => place.tags::<FlowLog>(target),
        // Others are told by their names alone.
        _ => target,
    }
}

struct Place<'a> {
    call: &'a Call,
    records: &'a Snapshot,
    id: &'a str,
}

impl Place<'_> {
    fn of<T: Named>(&self, target: Target, more: impl Fn(&T, Target) -> Target) -> Target {
        match self.records.find::<T>(&self.call.scope, self.id) {
            Some(record) => more(record, target.tagged(&EC2_TAGS, record.tags())),
            None => target,
        }
    }

    fn tags<T: Named>(&self, target: Target) -> Target {
        self.of::<T>(target, |_, target| target)
    }
}

/// The instance of an id anywhere in the caller's account, for services that speak of instances.
pub(crate) fn instance(call: &Call, records: &Snapshot, id: &str) -> Target {
    let target = Target::of(call.arn("instance", id));
    match records.find::<Instance>(&call.scope, id) {
        Some(instance) => target
            .tagged(&["aws:ResourceTag/", "ec2:ResourceTag/", "ssm:resourceTag/"], &instance.tags),
        None => target,
    }
}

/// What an operation of IAM is on.
pub(crate) fn of_iam(
    call: &Call,
    records: &Snapshot,
    operation: &str,
    leaves: &[Leaf<'_>],
) -> Vec<Target> {
    let text = |wanted: &str| {
        leaves.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_ref())
    };
    let place = Iam { account: call.account(), records, path: text("Path").unwrap_or("/") };
    let mut found = Vec::new();
    // A group is what its members are added to, a profile what a role is put into, and what a
    // policy is attached to is the resource, not the policy.
    if let Some(name) = text("GroupName") {
        found.push(place.group(name));
    } else if let Some(name) = text("InstanceProfileName") {
        found.push(place.instance_profile(name));
    } else if let Some(name) = text("RoleName") {
        found.push(place.role(name));
    } else if let Some(name) = text("UserName") {
        found.push(place.user(name));
    } else if let Some(name) = text("PolicyArn") {
        found.push(place.policy(name));
    } else if let Some(name) = text("PolicyName") {
        found.push(Target::of(arn(place.account, "policy", place.path, name)));
    } else if is_of_own_user(operation)
        && let Some(user) = call.caller.user()
    {
        found.push(place.user(&user.name));
    }
    if found.is_empty() {
        found.push(Target::none());
    }
    for target in &mut found {
        for (parameter, key) in
            [("PolicyArn", "iam:PolicyARN"), ("PermissionsBoundary", "iam:PermissionsBoundary")]
        {
            if let Some(value) = text(parameter) {
                target.keys.push((key.to_owned(), value.to_owned()));
            }
        }
        for prefix in ["Tags.member.", "TagKeys.member."] {
            for (key, value) in tags_below(leaves, prefix) {
                target.keys.push((format!("aws:RequestTag/{key}"), value.to_owned()));
                target.keys.push(("aws:TagKeys".to_owned(), key.to_owned()));
            }
        }
    }
    found
}

/// Operations that mean the caller's own user when they name none.
fn is_of_own_user(operation: &str) -> bool {
    operation == "GetUser" || operation.contains("AccessKey") || operation == "UpdateUser"
}

struct Iam<'a> {
    account: &'a AccountId,
    records: &'a Snapshot,
    /// The path of what is about to be made.
    path: &'a str,
}

impl Iam<'_> {
    fn scope(&self) -> Scope {
        Scope::global(self.account.clone())
    }

    fn user(&self, name: &str) -> Target {
        let found = self.records.find::<User>(&self.scope(), &name.to_ascii_lowercase());
        match found {
            Some(it) => Target::of(arn(self.account, "user", &it.path, &it.name))
                .tagged(&["aws:ResourceTag/", "iam:ResourceTag/"], &it.tags),
            None => Target::of(arn(self.account, "user", self.path, name)),
        }
    }

    fn group(&self, name: &str) -> Target {
        let found = self.records.find::<Group>(&self.scope(), &name.to_ascii_lowercase());
        let path = found.map_or(self.path, |it| &it.path);
        Target::of(arn(self.account, "group", path, name))
    }

    fn role(&self, name: &str) -> Target {
        role(self.records, self.account, name)
            .unwrap_or_else(|| Target::of(arn(self.account, "role", self.path, name)))
    }

    fn instance_profile(&self, name: &str) -> Target {
        let found = self.records.find::<InstanceProfile>(&self.scope(), &name.to_ascii_lowercase());
        match found {
            Some(it) => Target::of(arn(self.account, "instance-profile", &it.path, &it.name))
                .tagged(&["aws:ResourceTag/", "iam:ResourceTag/"], &it.tags),
            None => Target::of(arn(self.account, "instance-profile", self.path, name)),
        }
    }

    fn policy(&self, arn: &str) -> Target {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let found = self.records.find::<ManagedPolicy>(&self.scope(), &name.to_ascii_lowercase());
        match found {
            Some(it) => Target::of(arn).tagged(&["aws:ResourceTag/", "iam:ResourceTag/"], &it.tags),
            None => Target::of(arn),
        }
    }
}

/// A role of an account that is there.
pub(crate) fn role(records: &Snapshot, account: &AccountId, name: &str) -> Option<Target> {
    let scope = Scope::global(account.clone());
    let role = records.find::<Role>(&scope, &name.to_ascii_lowercase())?;
    let target = Target::of(arn(account, "role", &role.path, &role.name));
    Some(target.tagged(&["aws:ResourceTag/", "iam:ResourceTag/"], &role.tags))
}

/// What an operation of Systems Manager is on.
pub(crate) fn of_ssm(
    call: &Call,
    records: &Snapshot,
    operation: &str,
    leaves: &[Leaf<'_>],
) -> Vec<Target> {
    let arn = |account: &str, rest: &str| {
        Target::of(format!("arn:aws:ssm:{}:{account}:{rest}", call.region()))
    };
    let account = call.account().as_str();
    let parameter = |name: &str| {
        if let Some(found) = own_parameter::find(call, records, name) {
            let target = arn(account, &format!("parameter/{}", found.name.trim_start_matches('/')));
            return target.tagged(&["aws:ResourceTag/", "ssm:resourceTag/"], &found.tags);
        }
        let name = own_parameter::without_selector(name);
        if name.starts_with("arn:") {
            return Target::of(name);
        }
        // The parameters below /aws are AWS's own.
        let owner = if name.starts_with("/aws/") { "" } else { account };
        arn(owner, &format!("parameter/{}", name.trim_start_matches('/')))
    };
    let document = |name: &str| {
        // Those whose names begin so are AWS's own.
        let owner = if name.starts_with("AWS-") { "" } else { account };
        arn(owner, &format!("document/{name}"))
    };
    let of_parameter = |(name, text): &Leaf<'_>| name == "ResourceType" && text == "Parameter";
    let tags_parameter = leaves.iter().any(of_parameter);
    let mut found = Vec::new();
    for (name, text) in leaves {
        let text = text.as_ref();
        match name.split('.').next().unwrap_or_default() {
            "Name" | "Names" | "Path" if operation.contains("Parameter") => {
                found.push(parameter(text));
            }
            "Target" | "InstanceId" | "InstanceIds" if text.starts_with("i-") => {
                found.push(instance(call, records, text));
            }
            "Targets" if text.starts_with("i-") => found.push(instance(call, records, text)),
            "DocumentName" => found.push(document(text)),
            "Name" if operation.contains("Document") => found.push(document(text)),
            "ResourceId" if tags_parameter => found.push(parameter(text)),
            "ResourceId" => found.push(document(text)),
            "SessionId" => found.push(arn(account, &format!("session/{text}"))),
            _ => {}
        }
    }
    match found.is_empty() {
        true => vec![Target::none()],
        false => found,
    }
}

/// What an operation of CloudWatch Logs is on.
pub(crate) fn of_logs(call: &Call, operation: &str, leaves: &[Leaf<'_>]) -> Vec<Target> {
    let stream = leaves.iter().find(|(name, _)| name == "logStreamName");
    let stream = stream.map_or("", |(_, text)| text.as_ref());
    let group = |name: &str| Target::of(log_arn(call.region(), call.account(), name, stream));
    let mut found = Vec::new();
    for (name, text) in leaves {
        match name.split('.').next().unwrap_or_default() {
            "logGroupName" | "logGroupNames" => found.push(group(text)),
            "logGroupIdentifier" | "logGroupIdentifiers" => {
                found.push(match text.starts_with("arn:") {
                    true => {
                        let arn = text.strip_suffix(":*").unwrap_or(text);
                        Target::of(format!("{arn}:log-stream:{stream}"))
                    }
                    false => group(text),
                });
            }
            // Tags are on the group itself, whose name has nothing behind it.
            "resourceArn" => found.push(Target::of(text.strip_suffix(":*").unwrap_or(text))),
            _ => {}
        }
    }
    match found.is_empty() {
        // Of all groups, as if of one without a name: a policy for some of them does not do.
        true if operation == "DescribeLogGroups" => vec![group("")],
        true => vec![Target::none()],
        false => found,
    }
}

/// A log group as policies see it, which is always with a stream, if only an empty one.
pub(crate) fn log_arn(region: &Region, account: &AccountId, group: &str, stream: &str) -> String {
    format!("arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}")
}

/// Adds what is known of the delivery of logs that are of an account and region.
pub(crate) fn add_delivery(context: &mut Context, scope: &Scope) {
    let Scope { account, region } = scope;
    context.add("aws:PrincipalIsAWSService", "true");
    context.add("aws:PrincipalServiceName", crate::flow_windows::LOG_DELIVERY);
    context.add("aws:SourceAccount", account.as_str());
    context.add("aws:SourceArn", format!("arn:aws:logs:{region}:{account}:*"));
}

/// Adds what is known of a caller.
pub(crate) fn add_caller(context: &mut Context, caller: &Caller) {
    use super::caller::Principal;
    context.add("aws:PrincipalArn", caller.principal_arn());
    context.add("aws:PrincipalAccount", caller.account.as_str());
    context.add("aws:PrincipalType", caller.kind());
    context.add("aws:userid", caller.user_id());
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    let mut tags = Tags::new();
    match &caller.principal {
        Principal::Root | Principal::Instance(_) | Principal::Federated { .. } => {}
        Principal::User(user) => {
            context.add("aws:username", user.name.clone());
            tags.extend(user.tags.clone());
        }
        Principal::Role { role, instance, .. } => {
            tags.extend(role.tags.clone());
            if let Some(instance) = instance {
                context.add("ec2:SourceInstanceARN", instance.as_str());
            }
        }
    }
    if let Some(session) = &caller.session {
        tags.extend(session.tags.clone());
        context.add("aws:TokenIssueTime", session.issued.to_string());
    }
    for (key, value) in tags {
        context.add(&format!("aws:PrincipalTag/{key}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::Cloud;

    #[test]
    fn log_groups_are_named_with_their_streams() {
        let cloud = Cloud::new();
        let all = "arn:aws:logs:ap-northeast-2:123456789012:log-group:";
        let own = format!("{all}/flow");
        for (operation, leaves, expected) in [
            ("CreateLogGroup", vec![("logGroupName", "/flow")], format!("{own}:log-stream:")),
            (
                "PutLogEvents",
                vec![("logGroupName", "/flow"), ("logStreamName", "eni-1")],
                format!("{own}:log-stream:eni-1"),
            ),
            ("StartQuery", vec![("logGroupNames.1", "/flow")], format!("{own}:log-stream:")),
            ("FilterLogEvents", vec![("logGroupIdentifier", &own)], format!("{own}:log-stream:")),
            ("DescribeLogGroups", vec![], format!("{all}:log-stream:")),
            ("TagResource", vec![("resourceArn", &own)], own.clone()),
            ("PutResourcePolicy", vec![("policyName", "p")], "*".to_owned()),
        ] {
            let leaves: Vec<Leaf<'_>> =
                leaves.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
            let found = of_logs(&cloud.call, operation, &leaves);
            assert_eq!(found, [Target::of(expected)], "{operation}");
        }
    }
}

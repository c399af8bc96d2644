//! What every operation answers when the request is bad, from its shape.
//!
//! [`every_operation_has_an_error_case`] knows the code of each error; generated requests, good
//! only by halves, are after what nobody thought of.

mod common;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use common::{
    Cloud, Wishes,
    wire::{self, Chooser, Members, Part},
};
use gureum_api::{
    Operation, Protocol, Service,
    shape::{Check, Member, Slot},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

/// Operations that take nothing: there is nothing to get wrong but a parameter that they have not.
const WITHOUT_INPUT: [&str; 2] = ["GetAccountSummary", "GetCallerIdentity"];

/// Operations that take nothing but `DryRun`.
const ONLY_DRY_RUN: [&str; 8] = [
    "CreateDefaultVpc",
    "DescribeVpcBlockPublicAccessOptions",
    "DisableEbsEncryptionByDefault",
    "EnableEbsEncryptionByDefault",
    "GetEbsDefaultKmsKeyId",
    "GetEbsEncryptionByDefault",
    "GetInstanceMetadataDefaults",
    "ResetEbsDefaultKmsKeyId",
];

/// A kind of id: the members that take it, its prefix, the codes of one that is not there and of
/// one that is none (API-11).
type Kind = (&'static [&'static str], &'static str, &'static str, &'static str);

/// Members stand here without the `s` of a list, and with their operation where it alone means
/// that kind.
const KINDS: &[Kind] = &[
    (&["VpcId", "PeerVpcId"], "vpc", "InvalidVpcID.NotFound", "InvalidVpcID.Malformed"),
    (&["SubnetId"], "subnet", "InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed"),
    (&["RouteTableId"], "rtb", "InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed"),
    (
        &["TransitGatewayRouteTableId"],
        "tgw-rtb",
        "InvalidRouteTableID.NotFound",
        "InvalidRouteTableId.Malformed",
    ),
    (
        &["InternetGatewayId"],
        "igw",
        "InvalidInternetGatewayID.NotFound",
        "InvalidInternetGatewayId.Malformed",
    ),
    (
        &["EgressOnlyInternetGatewayId"],
        "eigw",
        "InvalidGatewayID.NotFound",
        "InvalidEgressOnlyInternetGatewayId.Malformed",
    ),
    (
        &["DescribePlacementGroups.GroupId"],
        "pg",
        "InvalidPlacementGroupId.NotFound",
        "InvalidPlacementGroupId.Malformed",
    ),
    (&["GroupId"], "sg", "InvalidGroup.NotFound", "InvalidGroupId.Malformed"),
    (
        &["SecurityGroupRuleId"],
        "sgr",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSecurityGroupRuleId.Malformed",
    ),
    (&["NetworkAclId"], "acl", "InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed"),
    (&["DhcpOptionsId"], "dopt", "InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed"),
    (&["PrefixListId"], "pl", "InvalidPrefixListID.NotFound", "InvalidPrefixListId.Malformed"),
    (&["NatGatewayId"], "nat", "NatGatewayNotFound", "NatGatewayMalformed"),
    (&["VpcEndpointId"], "vpce", "InvalidVpcEndpointId.NotFound", "InvalidVpcEndpointId.Malformed"),
    (
        &["VpcPeeringConnectionId"],
        "pcx",
        "InvalidVpcPeeringConnectionID.NotFound",
        "InvalidVpcPeeringConnectionId.Malformed",
    ),
    (
        &["NetworkInterfaceId"],
        "eni",
        "InvalidNetworkInterfaceID.NotFound",
        "InvalidNetworkInterfaceId.Malformed",
    ),
    (
        &["NetworkInterfacePermissionId"],
        "eni-perm",
        "InvalidPermissionID.NotFound",
        "InvalidPermissionID.Malformed",
    ),
    (
        &["DetachNetworkInterface.AttachmentId"],
        "eni-attach",
        "InvalidAttachmentID.NotFound",
        "InvalidAttachmentID.Malformed",
    ),
    (
        &["AllocationId"],
        "eipalloc",
        "InvalidAllocationID.NotFound",
        "InvalidAllocationID.Malformed",
    ),
    (
        &["DisassociateAddress.AssociationId", "DisassociateNatGatewayAddress.AssociationId"],
        "eipassoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
    ),
    (
        &["DisassociateRouteTable.AssociationId", "ReplaceRouteTableAssociation.AssociationId"],
        "rtbassoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
    ),
    (
        &["ReplaceNetworkAclAssociation.AssociationId"],
        "aclassoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
    ),
    (
        &[
            "DescribeIamInstanceProfileAssociations.AssociationId",
            "DisassociateIamInstanceProfile.AssociationId",
        ],
        "iip-assoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
    ),
    (
        &["DisassociateVpcCidrBlock.AssociationId"],
        "vpc-cidr-assoc",
        "InvalidVpcCidrBlockAssociationID.NotFound",
        "InvalidVpcCidrBlockAssociationIdError.Malformed",
    ),
    (
        &["DisassociateSubnetCidrBlock.AssociationId"],
        "subnet-cidr-assoc",
        "InvalidSubnetCidrBlockAssociationID.NotFound",
        "InvalidSubnetCidrBlockAssociationId.Malformed",
    ),
    (
        &["SubnetCidrReservationId"],
        "scr",
        "InvalidSubnetCidrReservationID.NotFound",
        "InvalidSubnetCidrReservationID.Malformed",
    ),
    (&["ImageId", "SourceImageId"], "ami", "InvalidAMIID.NotFound", "InvalidAMIID.Malformed"),
    (&["InstanceId"], "i", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"),
    (&["VolumeId"], "vol", "InvalidVolume.NotFound", "InvalidVolumeID.Malformed"),
    (
        &["SnapshotId", "SourceSnapshotId"],
        "snap",
        "InvalidSnapshot.NotFound",
        "InvalidSnapshotID.Malformed",
    ),
    (&["KeyPairId"], "key", "InvalidKeyPair.NotFound", "InvalidParameterValue"),
    (
        &["LaunchTemplateId"],
        "lt",
        "InvalidLaunchTemplateId.NotFoundException",
        "InvalidLaunchTemplateId.Malformed",
    ),
    (&["VpnGatewayId"], "vgw", "InvalidVpnGatewayID.NotFound", "InvalidVpnGatewayID.Malformed"),
    (
        &["CustomerGatewayId"],
        "cgw",
        "InvalidCustomerGatewayID.NotFound",
        "InvalidCustomerGatewayId.Malformed",
    ),
    (
        &["TransitGatewayId"],
        "tgw",
        "InvalidTransitGatewayID.NotFound",
        "InvalidTransitGatewayID.Malformed",
    ),
    (
        &["TransitGatewayAttachmentId"],
        "tgw-attach",
        "InvalidTransitGatewayAttachmentID.NotFound",
        "InvalidTransitGatewayAttachmentID.Malformed",
    ),
    (
        &["VpnConnectionId"],
        "vpn",
        "InvalidVpnConnectionID.NotFound",
        "InvalidVpnConnectionID.Malformed",
    ),
    (
        &["ServiceId"],
        "vpce-svc",
        "InvalidVpcEndpointServiceId.NotFound",
        "InvalidVpcEndpointServiceId.Malformed",
    ),
    (&["FlowLogId"], "fl", "InvalidFlowLogId.NotFound", "InvalidFlowLogId.Malformed"),
    (
        &["NetworkInsightsAccessScopeAnalysisId"],
        "nisa",
        "InvalidNetworkInsightsAccessScopeAnalysisId.NotFound",
        "InvalidNetworkInsightsAccessScopeAnalysisId.Malformed",
    ),
    (
        &["NetworkInsightsAccessScopeId"],
        "nis",
        "InvalidNetworkInsightsAccessScopeId.NotFound",
        "InvalidNetworkInsightsAccessScopeId.Malformed",
    ),
    (
        &["NetworkInsightsAnalysisId"],
        "nia",
        "InvalidNetworkInsightsAnalysisId.NotFound",
        "InvalidNetworkInsightsAnalysisId.Malformed",
    ),
    (
        &["NetworkInsightsPathId"],
        "nip",
        "InvalidNetworkInsightsPathId.NotFound",
        "InvalidNetworkInsightsPathId.Malformed",
    ),
    (
        &["ExclusionId"],
        "vpcbpa-exclude",
        "InvalidVpcBlockPublicAccessExclusionId.NotFound",
        "InvalidVpcBlockPublicAccessExclusionId.Malformed",
    ),
];

/// What an operation of EC2 needs before it looks at its ids, beyond what the model requires.
const NEEDS: &[(&str, &[(&str, &str)])] = &[
    ("AssociateRouteTable", &[("SubnetId", "subnet-0ffffffffffffffff")]),
    ("CopyImage", &[("SourceRegion", "ap-northeast-2")]),
    ("CopySnapshot", &[("SourceRegion", "ap-northeast-2")]),
    (
        "CreateRoute",
        &[("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", "igw-0ffffffffffffffff")],
    ),
    ("CreateVolume", &[("AvailabilityZone", "ap-northeast-2a")]),
    ("CreateVpnConnection", &[("Type", "ipsec.1")]),
    ("CreateVpcPeeringConnection", &[("PeerVpcId", "vpc-0ffffffffffffffff")]),
    ("DeleteRoute", &[("DestinationCidrBlock", "0.0.0.0/0")]),
    ("ModifyLaunchTemplate", &[("SetDefaultVersion", "1")]),
    (
        "ReplaceRoute",
        &[("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", "igw-0ffffffffffffffff")],
    ),
];

/// Operations that do not refuse for an id that is not there, and why; those whose ids do not
/// stand alone have cases of their own.
const ANOTHER_WAY: &[(&str, &str)] = &[
    ("AssociateAddress", "which id is looked at depends on the target"),
    ("AssociateIamInstanceProfile", "the profile is a structure of its own"),
    ("CreateLaunchTemplateVersion", "the data are a structure of their own"),
    ("CreateNatGateway", "which ids it takes depends on its kind"),
    ("DeleteKeyPair", "one that is not there counts as deleted (EC2-14)"),
    ("DeleteVpcEndpointServiceConfigurations", "each service has its own result in the answer"),
    ("DeleteVpcEndpoints", "each endpoint has its own result in the answer"),
    ("ReplaceIamInstanceProfileAssociation", "the profile is a structure of its own"),
];

/// Operations of IAM and of CloudWatch Logs whose names are new ones; two need another name first.
const NAMES_NOTHING_THERE: &[&str] = &[
    "CreateAccountAlias",
    "CreateGroup",
    "CreateInstanceProfile",
    "CreateLogGroup",
    "CreatePolicy",
    "CreateRole",
    "CreateServiceLinkedRole",
    "CreateUser",
    "DeleteAccessKey",
    "GetContextKeysForCustomPolicy",
    "GetContextKeysForPrincipalPolicy",
    "SimulateCustomPolicy",
    "SimulatePrincipalPolicy",
    "UpdateAccessKey",
];

/// An operation, its parameters, the code.
type Own = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// What no rule tells.
const OWN: &[Own] = &[
    ("AllocateAddress", &[("Address", "203.0.113.7")], "UnsupportedOperation"),
    ("AssociateAddress", &[], "MissingParameter"),
    (
        "AssociateIamInstanceProfile",
        &[("IamInstanceProfile.Name", "nonesuch"), ("InstanceId", "i-0ffffffffffffffff")],
        "InvalidInstanceID.NotFound",
    ),
    ("AssumeRole", &[], "AccessDenied"),
    ("AuthorizeSecurityGroupIngress", &[], "MissingParameter"),
    ("CreateAccessKey", &[("UserName", "nonesuch")], "NoSuchEntity"),
    ("CreateDefaultSubnet", &[], "MissingParameter"),
    ("CreateDefaultVpc", &[], "DefaultVpcAlreadyExists"),
    ("CreateInternetGateway", VPC_TAG, "InvalidParameterValue"),
    (
        "CreateLaunchTemplateVersion",
        &[
            ("LaunchTemplateData.InstanceType", "t2.micro"),
            ("LaunchTemplateId", "lt-0ffffffffffffffff"),
        ],
        "InvalidLaunchTemplateId.NotFoundException",
    ),
    (
        "CreateNatGateway",
        &[("ConnectivityType", "private"), ("SubnetId", "subnet-0ffffffffffffffff")],
        "InvalidSubnetID.NotFound",
    ),
    (
        "CreateNetworkInsightsAccessScope",
        &[
            ("ClientToken", "t"),
            ("MatchPath.1.Source.ResourceStatement.ResourceType.1", "AWS::EC2::Nonesuch"),
        ],
        "InvalidParameterValue",
    ),
    (
        "CreateNetworkInsightsPath",
        &[
            ("ClientToken", "t"),
            ("Destination", "i-0ffffffffffffffff"),
            ("Protocol", "tcp"),
            ("Source", "igw-0ffffffffffffffff"),
        ],
        "InvalidInternetGatewayID.NotFound",
    ),
    ("CreatePlacementGroup", &[], "MissingParameter"),
    ("CreateServiceLinkedRole", &[("AWSServiceName", "nonesuch")], "InvalidInput"),
    ("CreateTransitGateway", VPC_TAG, "InvalidParameterValue"),
    ("CreateUser", &[("UserName", "a b")], "ValidationError"),
    ("CreateVpc", &[], "MissingParameter"),
    ("CreateVpcEndpointServiceConfiguration", &[], "MissingParameter"),
    ("DeleteAccessKey", NOBODYS_KEY, "NoSuchEntity"),
    ("DeleteKeyPair", &[("KeyPairId", "nonesuch")], "InvalidParameterValue"),
    ("DeletePlacementGroup", &[("GroupName", "nonesuch")], "InvalidPlacementGroup.Unknown"),
    ("DeleteResourcePolicy", &[], "InvalidParameterException"),
    ("DeleteResourcePolicy", &[("policyName", "nonesuch")], "ResourceNotFoundException"),
    (
        "DeleteVpcEndpointServiceConfigurations",
        &[("ServiceId.1", "nonesuch")],
        "InvalidVpcEndpointServiceId.Malformed",
    ),
    ("DeleteVpcEndpoints", &[("VpcEndpointId.1", "nonesuch")], "InvalidVpcEndpointId.Malformed"),
    ("DescribeAccountAttributes", &[("AttributeName.1", "nonesuch")], "InvalidParameterValue"),
    ("DescribeAvailabilityZones", &[("ZoneName.1", "nonesuch")], "InvalidParameterValue"),
    ("DescribeInstanceTypes", &[("InstanceType.1", "nonesuch")], "InvalidInstanceType"),
    ("DescribeLogStreams", &[], "InvalidParameterException"),
    ("DescribeRegions", &[("RegionName.1", "nonesuch")], "InvalidParameterValue"),
    ("DescribeVpcEndpointServices", &[("ServiceName.1", "nonesuch")], "InvalidServiceName"),
    ("DisassociateKmsKey", &[], "InvalidParameterException"),
    ("FilterLogEvents", &[], "InvalidParameterException"),
    ("GetParameter", &[("Name", "nonesuch")], "ParameterNotFound"),
    ("GetContextKeysForCustomPolicy", &[("PolicyInputList.member.1", "nonesuch")], "InvalidInput"),
    ("GetContextKeysForPrincipalPolicy", NOBODY, "NoSuchEntity"),
    ("GetUser", &[("UserName", "nonesuch")], "NoSuchEntity"),
    ("ImportKeyPair", &[("KeyName", "k"), ("PublicKeyMaterial", "eA==")], "InvalidKey.Format"),
    ("ListAccessKeys", &[("UserName", "nonesuch")], "NoSuchEntity"),
    ("PutResourcePolicy", &[], "InvalidParameterException"),
    (
        "ReplaceIamInstanceProfileAssociation",
        &[
            ("AssociationId", "iip-assoc-0ffffffffffffffff"),
            ("IamInstanceProfile.Name", "nonesuch"),
        ],
        "InvalidAssociationID.NotFound",
    ),
    (
        "SendSSHPublicKey",
        &[
            ("InstanceId", "i-0ffffffffffffffff"),
            ("InstanceOSUser", "ec2-user"),
            (
                "SSHPublicKey",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDdRvHtn0FLl2FtNRTTk1Yqb1e2gyW9FXPMbmXUoh1D",
            ),
        ],
        "EC2InstanceNotFoundException",
    ),
    (
        "SimulateCustomPolicy",
        &[("ActionNames.member.1", "s3:GetObject"), ("PolicyInputList.member.1", "nonesuch")],
        "InvalidInput",
    ),
    (
        "SimulatePrincipalPolicy",
        &[NOBODY[0], ("ActionNames.member.1", "s3:GetObject")],
        "NoSuchEntity",
    ),
    ("UpdateAccessKey", &[NOBODYS_KEY[0], NOBODYS_KEY[1], ("Status", "Inactive")], "NoSuchEntity"),
];

const NOBODYS_KEY: &[(&str, &str)] =
    &[("AccessKeyId", "AKIAIOSFODNN7EXAMPLE"), ("UserName", "nonesuch")];

const NOBODY: &[(&str, &str)] = &[("PolicySourceArn", "arn:aws:iam::111122223333:user/nonesuch")];

const VPC_TAG: &[(&str, &str)] = &[
    ("TagSpecification.1.ResourceType", "vpc"),
    ("TagSpecification.1.Tag.1.Key", "team"),
    ("TagSpecification.1.Tag.1.Value", "red"),
];

/// A bad request and the codes that it may get.
struct Case {
    what: String,
    body: Vec<u8>,
    codes: Vec<&'static str>,
}

/// What is required, with values that the model takes.
struct Required {
    /// These members too.
    and: Vec<&'static str>,
}

impl Chooser for Required {
    fn has(&mut self, member: &'static Member, depth: usize) -> bool {
        member.required || depth < 2 && self.and.contains(&member.name)
    }

    fn count(&mut self, member: &'static Member, _depth: usize) -> usize {
        member.count.0.max(1) as usize
    }

    fn scalar(&mut self, member: &'static Member, slot: Slot<'_>) -> Value {
        let text = match (member.name, member.check) {
            (_, Check::OneOf(values)) => values[0].to_owned(),
            (name, _) if name.contains("Cidr") => "10.9.0.0/24".to_owned(),
            (name, _) if name.ends_with("PolicyDocument") => {
                r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned()
            }
            ("PolicyArn" | "PermissionsBoundary", _) => {
                "arn:aws:iam::111122223333:policy/nonesuch".to_owned()
            }
            ("VersionId", _) => "v1".to_owned(),
            ("AccessKeyId", _) => "AKIAIOSFODNN7EXAMPLE".to_owned(),
            (_, Check::Length(min, _)) => format!("{:x<1$}", "nonesuch", min as usize),
            _ => "nonesuch".to_owned(),
        };
        match slot {
            Slot::Text(_) => text.into(),
            Slot::Bool(_) => false.into(),
            Slot::Blob(_) => "eA==".into(),
            _ => match member.check {
                Check::Range(min, _) => min.max(1).into(),
                _ => 1.into(),
            },
        }
    }
}

fn good(operation: Operation, and: &[&'static str]) -> Members {
    wire::members(&mut *operation.input(), &mut Required { and: and.to_vec() }, 0)
}

/// A request with one member's value, or that of every element of it, replaced.
fn replaced(mut request: Members, name: &str, value: &Value) -> Members {
    for (member, part) in &mut request {
        if member.name == name {
            *part = match part {
                Part::List(_) => Part::List(vec![Part::Scalar(value.clone())]),
                _ => Part::Scalar(value.clone()),
            };
        }
    }
    request
}

fn kind(operation: Operation, member: &Member) -> Option<&'static Kind> {
    let name = member.name.strip_suffix('s').filter(|it| it.ends_with("Id")).unwrap_or(member.name);
    let with_operation = format!("{}.{name}", operation.name());
    KINDS.iter().find(|(members, ..)| members.iter().any(|it| *it == name || *it == with_operation))
}

/// The codes of a protocol for what is missing and for a value that a member cannot have.
fn codes(operation: Operation) -> [&'static str; 2] {
    match (operation.service(), operation.service().info().protocol) {
        (Service::Logs, _) => ["InvalidParameterException"; 2],
        (_, Protocol::Ec2Query) => ["MissingParameter", "InvalidParameterValue"],
        (_, Protocol::AwsQuery) => ["ValidationError"; 2],
        (_, Protocol::AwsJson11) => ["ValidationException"; 2],
    }
}

/// The error cases of an operation, by the rules and of its own.
fn cases(operation: Operation) -> Vec<Case> {
    let [missing, invalid] = codes(operation);
    let mut found = Vec::new();
    let mut add = |what: String, request: &Members, codes: &[&'static str]| {
        found.push(Case { what, body: wire::body(operation, request), codes: codes.to_vec() });
    };
    let table = operation.input().members();
    let required: Vec<_> = table.iter().filter(|member| member.required).collect();
    // Before anything else, a session of a role asks whether there may be one (IAM).
    if operation.name() != "AssumeRole" {
        if !required.is_empty() {
            add("nothing of what is required".into(), &Vec::new(), &[missing]);
        }
        for member in table {
            let value = match member.check {
                Check::OneOf(_) => json!("nonesuch"),
                Check::Range(min, _) if min > i64::from(i32::MIN) => json!(min - 1),
                _ => continue,
            };
            let request = replaced(good(operation, &[member.name]), member.name, &value);
            add(format!("{} is {value}", member.name), &request, &[invalid]);
        }
    }
    if let Some(filters) = table.iter().find(|it| matches!(it.name, "Filters" | "Filter")) {
        // Versions are those of a template, which it asks for first.
        let code = match operation.name() {
            "DescribeLaunchTemplateVersions" => missing,
            _ => invalid,
        };
        // Its name is that of nothing, as every text is.
        let request = good(operation, &[filters.name, "Name", "Values"]);
        if operation.service() == Service::Ec2 && required.is_empty() {
            add("an unknown filter".into(), &request, &[code]);
        }
    }
    if operation.service() == Service::Ec2 && !another_way(operation) {
        let ids = table.iter().filter(|member| kind(operation, member).is_some());
        let (must, may): (Vec<_>, Vec<_>) = ids.partition(|member| member.required);
        let chosen: Vec<&Member> =
            if must.is_empty() { may.into_iter().take(1).collect() } else { must };
        let names: Vec<_> = chosen.iter().map(|member| member.name).collect();
        if !chosen.is_empty() {
            let kinds = chosen.iter().filter_map(|member| kind(operation, member));
            let (unknown, malformed): (Vec<_>, Vec<_>) =
                kinds.map(|(.., unknown, malformed)| (*unknown, *malformed)).unzip();
            for (what, codes) in [("unknown", unknown), ("malformed", malformed)] {
                let mut request = good(operation, &names);
                for member in &chosen {
                    let prefix = kind(operation, member).map(|(_, prefix, ..)| prefix);
                    let id = match (what, prefix) {
                        ("unknown", Some(prefix)) => format!("{prefix}-0ffffffffffffffff"),
                        _ => "nonesuch".to_owned(),
                    };
                    request = replaced(request, member.name, &id.into());
                }
                let needs = NEEDS.iter().find(|(name, _)| *name == operation.name());
                for (name, value) in needs.map_or(&[][..], |(_, needs)| needs) {
                    request.retain(|(member, _)| member.name != *name);
                    let member = table.iter().find(|it| it.name == *name || it.query == *name);
                    request.push((member.expect(name), Part::Scalar((*value).into())));
                }
                add(format!("{what} {names:?}"), &request, &codes);
            }
        }
    }
    let of_names = !required.is_empty() && !NAMES_NOTHING_THERE.contains(&operation.name());
    match operation.service() {
        Service::Iam if of_names => {
            add("names of nothing".into(), &good(operation, &[]), &["NoSuchEntity"]);
        }
        Service::Logs if of_names && required.iter().any(|it| names_a_log(it)) => {
            let code = "ResourceNotFoundException";
            add("names of nothing".into(), &good(operation, &[]), &[code]);
        }
        _ => {}
    }
    for (_, parameters, code) in OWN.iter().filter(|(name, ..)| *name == operation.name()) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let body = match operation.service().info().protocol {
            Protocol::AwsJson11 => {
                let object: serde_json::Map<_, _> =
                    parameters.iter().map(owned).map(|(n, v)| (n, v.into())).collect();
                Value::from(object).to_string().into_bytes()
            }
            _ => wire::form_body(operation, &parameters.iter().map(owned).collect::<Vec<_>>()),
        };
        found.push(Case { what: format!("{parameters:?}"), body, codes: vec![code] });
    }
    if ONLY_DRY_RUN.contains(&operation.name()) {
        let body = wire::form_body(operation, &[("DryRun".into(), "perhaps".into())]);
        found.push(Case { what: "DryRun is no boolean".into(), body, codes: vec![invalid] });
    }
    if WITHOUT_INPUT.contains(&operation.name()) {
        let body = wire::form_body(operation, &[("Colour".into(), "red".into())]);
        found.push(Case { what: "an unknown parameter".into(), body, codes: vec![invalid] });
    }
    found
}

fn another_way(operation: Operation) -> bool {
    ANOTHER_WAY.iter().any(|(name, _)| *name == operation.name())
}

/// Whether a required member of CloudWatch Logs names something that must be there.
fn names_a_log(member: &Member) -> bool {
    matches!(member.name, "logGroupName" | "logGroupIdentifier" | "resourceArn" | "queryId")
}

fn cloud() -> Cloud {
    Cloud::with(Wishes { running: false, ..Wishes::default() })
}

#[tokio::test]
async fn every_operation_has_an_error_case() {
    let cloud = cloud();
    // The account's first call makes its default network.
    cloud.ec2("DescribeVpcs", &[]).await.ok();
    let before = cloud.control.snapshot().revision();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for operation in Operation::all() {
        let cases = cases(operation);
        if cases.is_empty() {
            wrong.push(format!("{operation:?} has no error case: give it one in OWN"));
        }
        for Case { what, body, codes } in cases {
            let reply = cloud.send_body(operation, &body).await;
            asked += 1;
            let after = cloud.control.snapshot().revision();
            if after != before {
                wrong.push(format!("{operation:?}, {what}: changed something"));
                break;
            }
            if reply.status == 200 {
                wrong.push(format!("{operation:?}, {what}: was done, expected {codes:?}"));
                continue;
            }
            let code = wire::well_formed_refusal(operation.service(), &reply);
            if !codes.contains(&code.as_str()) {
                wrong.push(format!("{operation:?}, {what}: {codes:?}, found {}", reply.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} bad requests");
    assert!(asked > 700, "{asked}");
}

/// The tables name what is there, and only where it is true.
#[test]
fn the_tables_fit_the_model() {
    let names: BTreeSet<_> = Operation::all().map(|it| it.name()).collect();
    let own = OWN.iter().map(|(name, ..)| *name);
    let needs = NEEDS.iter().map(|(name, _)| *name);
    let another_way = ANOTHER_WAY.iter().map(|(name, _)| *name);
    for name in own.chain(needs).chain(another_way).chain(NAMES_NOTHING_THERE.iter().copied()) {
        assert!(names.contains(name), "{name} is not served");
    }
    let with = |wanted: &[&str]| -> Vec<_> {
        let fits = |it: &Operation| {
            it.input().members().iter().map(|it| it.name).eq(wanted.iter().copied())
        };
        let mut found: Vec<_> = Operation::all().filter(fits).map(|it| it.name()).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(with(&[]), WITHOUT_INPUT);
    assert_eq!(with(&["DryRun"]), ONLY_DRY_RUN);
}

/// How long generated requests are thrown. `GUREUM_BAD_REQUESTS` says otherwise, in seconds.
const SECONDS: u64 = 8;

/// Fills requests with what is right, nearly right and wrong.
struct Wild<'a> {
    random: &'a mut StdRng,
    /// Ids of what is there.
    there: &'a [String],
    /// How many scalars may still be made, so that no request grows without end.
    left: usize,
}

impl Chooser for Wild<'_> {
    fn has(&mut self, member: &'static Member, depth: usize) -> bool {
        let chance = if member.required { 0.9 } else { 0.25 / (depth + 1) as f64 };
        self.left > 0 && self.random.random_bool(chance)
    }

    fn count(&mut self, member: &'static Member, depth: usize) -> usize {
        let most = usize::try_from(member.count.1).unwrap_or(usize::MAX);
        match self.random.random_range(0..20) {
            0 => 0,
            1 if depth == 0 => most.saturating_add(1).min(200),
            2 if depth == 0 => most.min(200),
            _ => self.random.random_range(1..3),
        }
    }

    fn scalar(&mut self, member: &'static Member, slot: Slot<'_>) -> Value {
        self.left = self.left.saturating_sub(1);
        if self.random.random_bool(0.08) {
            return self.nonsense();
        }
        match (slot, member.check) {
            (Slot::Text(_), Check::OneOf(values)) => {
                self.random.random_range(0..20_usize).checked_sub(1).map_or_else(
                    || values[0].to_lowercase().into(),
                    |number| values[number % values.len()].into(),
                )
            }
            (Slot::Text(_), check) => self.text(member.name, check).into(),
            (Slot::Bool(_), _) => self.random.random_bool(0.5).into(),
            (Slot::Blob(_), _) => {
                ["eA==", "eA", "", "====", "c3NoLXJzYSBBQUFB"].choose(self.random).copied().into()
            }
            (Slot::Time(_), _) => match self.random.random_range(0..3) {
                0 => json!("2021-09-03T01:02:03Z"),
                1 => json!(1_630_630_923),
                _ => json!(i64::MIN),
            },
            (_, Check::Range(min, max)) => {
                let numbers = [min, max, min.saturating_sub(1), max.saturating_add(1), min + 1];
                numbers.choose(self.random).copied().into()
            }
            _ => [0, 1, 2, 8, 22, 65_535, 65_536, -1, i64::from(i32::MAX), i64::MAX, i64::MIN]
                .choose(self.random)
                .copied()
                .into(),
        }
    }
}

impl Wild<'_> {
    fn nonsense(&mut self) -> Value {
        let long = "x".repeat(self.random.random_range(1..3_000));
        let values = [
            json!(""),
            json!("\0"),
            json!("a\0b\u{1}\u{fffe}"),
            json!("<&>\"'%00 ]]>"),
            json!("한글 😀"),
            json!("-1"),
            json!("99999999999999999999999999"),
            json!("1e400"),
            json!("*"),
            json!("true"),
            json!(long),
            json!({ "a": [null] }),
            json!([]),
            Value::Null,
        ];
        values.choose(self.random).cloned().unwrap_or_default()
    }

    fn text(&mut self, name: &str, check: Check) -> String {
        if let (Check::Length(min, max), 0) = (check, self.random.random_range(0..6)) {
            let lengths =
                [min.saturating_sub(1), min, max.min(5_000), max.saturating_add(1).min(5_000)];
            let length = lengths.choose(self.random).copied().unwrap_or_default();
            return "n".repeat(length as usize);
        }
        let mut values = vec![
            "nonesuch".to_owned(),
            "vpc-".to_owned(),
            "vpc-0ffffffffffffffff".to_owned(),
            "i-zzzzzzzzzzzzzzzzz".to_owned(),
            "arn:aws:iam::111122223333:role/nonesuch".to_owned(),
            "arn:aws:logs:ap-northeast-2:111122223333:log-group:g:*".to_owned(),
            "arn:aws:iam::::".to_owned(),
        ];
        if name.contains("Cidr") || name.contains("Ip") || name.contains("Address") {
            let blocks =
                ["10.1.7.0/24", "10.1.0.0/33", "0.0.0.0/0", "10.1.1.9", "::/0", "2001:db8::1", "/"];
            values.extend(blocks.map(str::to_owned));
        }
        if name.contains("Document") || name.contains("olicy") {
            values.push(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned());
            values.push("{".repeat(500));
            values
                .push(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#.to_owned());
        }
        if name.contains("Zone") {
            values.push("ap-northeast-2a".to_owned());
        }
        if name == "Name" || name.contains("attern") || name.contains("query") {
            let more = [
                "vpc-id",
                "tag:",
                "tag:Name",
                "state",
                "[a, b=*, ...]",
                "{ $.a = 1 }",
                "fields @message",
            ];
            values.extend(more.map(str::to_owned));
        }
        // Most of what names something shall find it.
        if self.random.random_bool(0.6) {
            let base = name.trim_end_matches('s').trim_end_matches("Id").to_lowercase();
            let fitting: Vec<_> = self.there.iter().filter(|it| is_of(it, &base)).collect();
            if let Some(id) = fitting.choose(self.random) {
                return (*id).clone();
            }
            if let Some(id) = self.there.choose(self.random) {
                values.push(id.clone());
            }
        }
        values.choose(self.random).cloned().unwrap_or_default()
    }
}

/// Whether an id is what a member of that name takes.
fn is_of(id: &str, base: &str) -> bool {
    let prefix = id.rsplit_once('-').map_or(id, |(prefix, _)| prefix);
    KINDS.iter().any(|(members, it, ..)| {
        *it == prefix && members.iter().any(|it| it.trim_end_matches("Id").to_lowercase() == base)
    })
}

/// What goes wrong with bytes on their way.
fn spoilt(mut body: Vec<u8>, json: bool, random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..40) {
        0 => body.truncate(random.random_range(0..=body.len())),
        1 => {
            let at = random.random_range(0..=body.len());
            body.insert(at, 0xff);
        }
        2 => body.extend_from_slice(if json { b"}" } else { b"&a.b.c.d.e.1.2.3=%FF&=&%&x" }),
        3 => body.insert(0, 0),
        4 if json => {
            body = [br#"{"a":"#.repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
        }
        4 => body.extend(format!("&Filter{}=x", ".1".repeat(500)).bytes()),
        _ => {}
    }
    body
}

/// Things to name, one or two of many kinds.
async fn ground(cloud: &Cloud) -> Vec<String> {
    let (vpc, subnet) = cloud.network().await;
    let of_vpc = [("VpcId", vpc.as_str())];
    let group = [("GroupName", "g"), ("GroupDescription", "d"), of_vpc[0]];
    let mut found = vec![subnet.clone()];
    for (action, parameters, element) in [
        ("CreateSecurityGroup", &group[..], "groupId"),
        ("CreateRouteTable", &of_vpc, "routeTableId"),
        ("CreateNetworkAcl", &of_vpc, "networkAclId"),
        ("CreateInternetGateway", &[], "internetGatewayId"),
        ("AllocateAddress", &[], "allocationId"),
        ("CreateNetworkInterface", &[("SubnetId", subnet.as_str())], "networkInterfaceId"),
        ("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId"),
    ] {
        found.push(cloud.make(action, parameters, element).await);
    }
    found.push(vpc);
    found.push(cloud.image().await);
    found
}

/// Nothing panics, nothing is a server's error, what is refused is refused in the protocol's own
/// form and changes nothing. `GUREUM_SEED` repeats a run.
#[tokio::test]
async fn generated_requests_are_answered_or_refused_in_form() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_nanos();
    let seed = number("GUREUM_SEED").unwrap_or(now as u64);
    println!("GUREUM_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let seconds = number("GUREUM_BAD_REQUESTS").unwrap_or(SECONDS);
    let until = Instant::now() + Duration::from_secs(seconds);
    let operations: Vec<_> = Operation::all().collect();
    let (mut done, mut refused) = (0_u32, 0_u32);
    // At least once each, whatever time it takes.
    while done + refused < operations.len() as u32 || Instant::now() < until {
        let cloud = cloud();
        let there = ground(&cloud).await;
        for &operation in &operations {
            let mut wild = Wild { random: &mut random, there: &there, left: 60 };
            let request = wire::members(&mut *operation.input(), &mut wild, 0);
            let json = operation.service().info().protocol == Protocol::AwsJson11;
            let body = spoilt(wire::body(operation, &request), json, &mut random);
            let before = cloud.control.snapshot().revision();
            let reply = cloud.send_body(operation, &body).await;
            let asked = || format!("{operation:?}: {}", String::from_utf8_lossy(&body));
            assert!(reply.status < 500, "{}: {}", asked(), reply.body);
            wire::assert_readable(operation.service(), &reply);
            if reply.status == 200 {
                done += 1;
                continue;
            }
            refused += 1;
            println!("{}", asked());
            wire::well_formed_refusal(operation.service(), &reply);
            let after = cloud.control.snapshot().revision();
            assert_eq!(after, before, "{} was refused and changed something", asked());
        }
    }
    println!("{done} done, {refused} refused");
    assert!(done > 20 && refused > 100, "{done} done, {refused} refused");
}

//! The table of operations: which handler does which, and which parameters each acts on.
//!
//! The match has no wildcard, so an operation that is added to the models has a handler or
//! nothing compiles.

use std::sync::Arc;

use bytes::Bytes;
use gureum_api::{ApiError, ApiRequest, Op, Operation, ec2, ec2::op, response, ssm, sts};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::Instance;
use http::Response;

use crate::{
    accept,
    call::{Answer, Call},
    resource::{
        address, dhcp_options, egress_only_internet_gateway, image, instance, instance_attribute,
        instance_type, internet_gateway, key_pair, launch, managed_prefix_list, nat_gateway,
        network_acl, network_interface, place, prefix_list, route, route_table, security_group,
        security_group_reference, ssm as parameter, sts as identity, subnet, subnet_block, volume,
        vpc, vpc_block, vpc_peering_connection,
    },
    tags,
};

/// An answer on the wire.
pub(crate) type Wire = Response<Bytes>;
/// Answers from a snapshot.
pub(crate) type Read = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Wire> + Send>;
/// Changes records and answers; may run again.
pub(crate) type Write = Box<dyn Fn(&Call, &mut Transaction) -> Answer<Wire> + Send>;
/// Does what takes long, then says what to change.
pub(crate) type Prepare = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Write> + Send>;
/// Finds the instance whose console is asked for.
pub(crate) type Find = Box<dyn FnOnce(&Call, &Snapshot) -> Answer<Arc<Instance>> + Send>;
/// Answers with what a console shows.
pub(crate) type Show = Box<dyn FnOnce(&Call, &Instance, Vec<u8>) -> Wire + Send>;

/// What there is to do for a request.
pub(crate) enum Work {
    /// Look.
    Read(Read),
    /// Change.
    Write(Write),
    /// Change, after something long that needs no transaction.
    Prepare(Prepare),
    /// Ask Linux for a console.
    Console(Find, Show),
}

fn read<O: Op>(
    r: &ApiRequest,
    id: &str,
    accepted: &[&str],
    handler: fn(&Call, &Snapshot, &O::Input) -> Answer<O::Output>,
) -> Answer<Work> {
    let input = r.decode::<O>()?;
    accept::only(&input, accepted)?;
    let id = id.to_owned();
    Ok(Work::Read(Box::new(move |call, records| {
        let output = handler(call, records, &input)?;
        match accept::is_dry_run(&input) {
            true => Err(ApiError::dry_run()),
            false => Ok(response::<O>(&output, &id)),
        }
    })))
}

fn write<O: Op>(
    r: &ApiRequest,
    id: &str,
    accepted: &[&str],
    handler: fn(&Call, &mut Transaction, &O::Input) -> Answer<O::Output>,
) -> Answer<Work> {
    let input = r.decode::<O>()?;
    accept::only(&input, accepted)?;
    let id = id.to_owned();
    Ok(Work::Write(Box::new(move |call, tx| {
        let output = handler(call, tx, &input)?;
        // A rehearsal goes all the way; its error takes everything back (API-3).
        match accept::is_dry_run(&input) {
            true => Err(ApiError::dry_run()),
            false => Ok(response::<O>(&output, &id)),
        }
    })))
}

/// A key takes long to make: not inside a transaction, and not for a rehearsal.
fn create_key_pair(r: &ApiRequest, id: &str) -> Answer<Work> {
    let input = r.decode::<op::CreateKeyPair>()?;
    accept::only(&input, &["KeyName", "KeyType", "KeyFormat", "TagSpecifications"])?;
    let id = id.to_owned();
    Ok(Work::Prepare(Box::new(move |call, records| {
        key_pair::check(call, records, &input)?;
        if accept::is_dry_run(&input) {
            return Err(ApiError::dry_run());
        }
        let made = key_pair::prepare(call, records, &input)?;
        let write: Write = Box::new(move |call, tx| {
            let output = key_pair::create(call, tx, &input, &made)?;
            Ok(response::<op::CreateKeyPair>(&output, &id))
        });
        Ok(write)
    })))
}

fn console_output(r: &ApiRequest, id: &str) -> Answer<Work> {
    let input = r.decode::<op::GetConsoleOutput>()?;
    accept::only(&input, &["InstanceId", "Latest"])?;
    let id = id.to_owned();
    let dry_run = accept::is_dry_run(&input);
    let find: Find = Box::new(move |call, records| {
        let found = instance::for_console(call, records, &input.instance_id)?;
        if dry_run { Err(ApiError::dry_run()) } else { Ok(found) }
    });
    let show: Show = Box::new(move |call, instance, bytes| {
        let output = instance::shown_console(call, instance, &bytes);
        response::<op::GetConsoleOutput>(&output, &id)
    });
    Ok(Work::Console(find, show))
}

/// What a launch acts on.
const RUN_INSTANCES: &[&str] = &[
    "BlockDeviceMappings.DeviceName",
    "BlockDeviceMappings.Ebs.DeleteOnTermination",
    "BlockDeviceMappings.Ebs.Encrypted",
    "BlockDeviceMappings.Ebs.Iops",
    "BlockDeviceMappings.Ebs.SnapshotId",
    "BlockDeviceMappings.Ebs.Throughput",
    "BlockDeviceMappings.Ebs.VolumeSize",
    "BlockDeviceMappings.Ebs.VolumeType",
    "ClientToken",
    "CreditSpecification",
    "DisableApiStop",
    "DisableApiTermination",
    "EbsOptimized",
    "EnablePrimaryIpv6",
    "HibernationOptions",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "KeyName",
    "MaxCount",
    "MetadataOptions",
    "MinCount",
    "Monitoring",
    "NetworkInterfaces.AssociatePublicIpAddress",
    "NetworkInterfaces.ConnectionTrackingSpecification",
    "NetworkInterfaces.DeleteOnTermination",
    "NetworkInterfaces.Description",
    "NetworkInterfaces.DeviceIndex",
    "NetworkInterfaces.Groups",
    "NetworkInterfaces.InterfaceType",
    "NetworkInterfaces.Ipv6AddressCount",
    "NetworkInterfaces.Ipv6Addresses",
    "NetworkInterfaces.NetworkCardIndex",
    "NetworkInterfaces.NetworkInterfaceId",
    "NetworkInterfaces.PrimaryIpv6",
    "NetworkInterfaces.PrivateIpAddress",
    "NetworkInterfaces.PrivateIpAddresses",
    "NetworkInterfaces.SecondaryPrivateIpAddressCount",
    "NetworkInterfaces.SubnetId",
    "Placement.AvailabilityZone",
    "Placement.Tenancy",
    "PrivateDnsNameOptions",
    "PrivateIpAddress",
    "SecurityGroupIds",
    "SecurityGroups",
    "SubnetId",
    "TagSpecifications",
    "UserData",
];

/// What to do for a request.
pub(crate) fn work(r: &ApiRequest, id: &str) -> Answer<Work> {
    match r.operation {
        Operation::Ec2(operation) => ec2_work(operation, r, id),
        Operation::Iam(operation) => match operation {},
        Operation::Ssm(operation) => ssm_work(operation, r, id),
        Operation::Sts(sts::Operation::GetCallerIdentity) => {
            read::<sts::op::GetCallerIdentity>(r, id, &[], identity::caller_identity)
        }
    }
}

fn ssm_work(operation: ssm::Operation, r: &ApiRequest, id: &str) -> Answer<Work> {
    use ssm::{Operation as E, op};
    match operation {
        E::GetParameter => {
            read::<op::GetParameter>(r, id, &["Name", "WithDecryption"], parameter::parameter)
        }
        E::GetParameters => {
            read::<op::GetParameters>(r, id, &["Names", "WithDecryption"], parameter::parameters)
        }
        E::GetParametersByPath => read::<op::GetParametersByPath>(
            r,
            id,
            &["Path", "Recursive", "ParameterFilters", "WithDecryption", "MaxResults", "NextToken"],
            parameter::parameters_by_path,
        ),
    }
}

#[rustfmt::skip]
fn ec2_work(operation: ec2::Operation, r: &ApiRequest, id: &str) -> Answer<Work> {
    use ec2::Operation as E;
    match operation {
        E::CreateKeyPair => create_key_pair(r, id),
        E::GetConsoleOutput => console_output(r, id),
        E::RunInstances => write::<op::RunInstances>(r, id, RUN_INSTANCES, launch::run),
        E::AcceptVpcPeeringConnection => write::<op::AcceptVpcPeeringConnection>(r, id, &["VpcPeeringConnectionId"], vpc_peering_connection::accept),
        E::AllocateAddress => write::<op::AllocateAddress>(r, id, &["Domain", "NetworkBorderGroup", "TagSpecifications"], address::allocate),
        E::AssignIpv6Addresses => write::<op::AssignIpv6Addresses>(r, id, &["NetworkInterfaceId", "Ipv6Addresses", "Ipv6AddressCount"], network_interface::assign_ipv6),
        E::AssignPrivateIpAddresses => write::<op::AssignPrivateIpAddresses>(r, id, &["NetworkInterfaceId", "PrivateIpAddresses", "SecondaryPrivateIpAddressCount", "AllowReassignment"], network_interface::assign_ipv4),
        E::AssignPrivateNatGatewayAddress => write::<op::AssignPrivateNatGatewayAddress>(r, id, &["NatGatewayId", "PrivateIpAddresses", "PrivateIpAddressCount"], nat_gateway::assign_addresses),
        E::AssociateAddress => write::<op::AssociateAddress>(r, id, &["AllocationId", "PublicIp", "PrivateIpAddress", "AllowReassociation", "InstanceId", "NetworkInterfaceId"], address::associate),
        E::AssociateDhcpOptions => write::<op::AssociateDhcpOptions>(r, id, &["DhcpOptionsId", "VpcId"], dhcp_options::associate),
        E::AssociateNatGatewayAddress => write::<op::AssociateNatGatewayAddress>(r, id, &["NatGatewayId", "AllocationIds", "PrivateIpAddresses"], nat_gateway::associate_addresses),
        E::AssociateRouteTable => write::<op::AssociateRouteTable>(r, id, &["GatewayId", "SubnetId", "RouteTableId"], route_table::associate),
        E::AssociateSubnetCidrBlock => write::<op::AssociateSubnetCidrBlock>(r, id, &["SubnetId", "Ipv6CidrBlock"], subnet_block::associate),
        E::AssociateVpcCidrBlock => write::<op::AssociateVpcCidrBlock>(r, id, &["CidrBlock", "VpcId", "AmazonProvidedIpv6CidrBlock", "Ipv6CidrBlockNetworkBorderGroup"], vpc_block::associate),
        E::AttachInternetGateway => write::<op::AttachInternetGateway>(r, id, &["InternetGatewayId", "VpcId"], internet_gateway::attach),
        E::AttachNetworkInterface => write::<op::AttachNetworkInterface>(r, id, &["NetworkCardIndex", "NetworkInterfaceId", "InstanceId", "DeviceIndex"], network_interface::attach),
        E::AuthorizeSecurityGroupEgress => write::<op::AuthorizeSecurityGroupEgress>(r, id, &["TagSpecifications", "GroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "IpPermissions"], security_group::authorize_egress),
        E::AuthorizeSecurityGroupIngress => write::<op::AuthorizeSecurityGroupIngress>(r, id, &["CidrIp", "FromPort", "GroupId", "GroupName", "IpPermissions", "IpProtocol", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "ToPort", "TagSpecifications"], security_group::authorize_ingress),
        E::CreateDefaultSubnet => write::<op::CreateDefaultSubnet>(r, id, &["AvailabilityZone", "AvailabilityZoneId"], subnet::create_default),
        E::CreateDefaultVpc => write::<op::CreateDefaultVpc>(r, id, &[], vpc::create_default),
        E::CreateDhcpOptions => write::<op::CreateDhcpOptions>(r, id, &["DhcpConfigurations", "TagSpecifications"], dhcp_options::create),
        E::CreateEgressOnlyInternetGateway => write::<op::CreateEgressOnlyInternetGateway>(r, id, &["ClientToken", "VpcId", "TagSpecifications"], egress_only_internet_gateway::create),
        E::CreateInternetGateway => write::<op::CreateInternetGateway>(r, id, &["TagSpecifications"], internet_gateway::create),
        E::CreateManagedPrefixList => write::<op::CreateManagedPrefixList>(r, id, &["PrefixListName", "Entries", "MaxEntries", "TagSpecifications", "AddressFamily", "ClientToken"], managed_prefix_list::create),
        E::CreateNatGateway => write::<op::CreateNatGateway>(r, id, &["AvailabilityMode", "AllocationId", "ClientToken", "SubnetId", "VpcId", "AvailabilityZoneAddresses", "TagSpecifications", "ConnectivityType", "PrivateIpAddress", "SecondaryAllocationIds", "SecondaryPrivateIpAddresses", "SecondaryPrivateIpAddressCount"], nat_gateway::create),
        E::CreateNetworkAcl => write::<op::CreateNetworkAcl>(r, id, &["TagSpecifications", "ClientToken", "VpcId"], network_acl::create),
        E::CreateNetworkAclEntry => write::<op::CreateNetworkAclEntry>(r, id, &["NetworkAclId", "RuleNumber", "Protocol", "RuleAction", "Egress", "CidrBlock", "Ipv6CidrBlock", "IcmpTypeCode", "PortRange"], network_acl::create_entry),
        E::CreateNetworkInterface => write::<op::CreateNetworkInterface>(r, id, &["InterfaceType", "TagSpecifications", "ClientToken", "SubnetId", "Description", "PrivateIpAddress", "Groups", "PrivateIpAddresses", "SecondaryPrivateIpAddressCount", "Ipv6Addresses", "Ipv6AddressCount", "EnablePrimaryIpv6", "ConnectionTrackingSpecification"], network_interface::create),
        E::CreateRoute => write::<op::CreateRoute>(r, id, &["DestinationPrefixListId", "RouteTableId", "DestinationCidrBlock", "GatewayId", "DestinationIpv6CidrBlock", "EgressOnlyInternetGatewayId", "InstanceId", "NetworkInterfaceId", "VpcPeeringConnectionId", "NatGatewayId"], route::create),
        E::CreateRouteTable => write::<op::CreateRouteTable>(r, id, &["TagSpecifications", "ClientToken", "VpcId"], route_table::create),
        E::CreateSecurityGroup => write::<op::CreateSecurityGroup>(r, id, &["Description", "GroupName", "VpcId", "TagSpecifications"], security_group::create),
        E::CreateSubnet => write::<op::CreateSubnet>(r, id, &["TagSpecifications", "AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "VpcId", "Ipv6CidrBlock", "Ipv6Native"], subnet::create),
        E::CreateTags => write::<op::CreateTags>(r, id, &["Resources", "Tags"], tags::create),
        E::CreateVpc => write::<op::CreateVpc>(r, id, &["CidrBlock", "TagSpecifications", "InstanceTenancy", "AmazonProvidedIpv6CidrBlock", "Ipv6CidrBlockNetworkBorderGroup"], vpc::create),
        E::CreateVpcPeeringConnection => write::<op::CreateVpcPeeringConnection>(r, id, &["VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion", "TagSpecifications"], vpc_peering_connection::create),
        E::DeleteDhcpOptions => write::<op::DeleteDhcpOptions>(r, id, &["DhcpOptionsId"], dhcp_options::delete),
        E::DeleteEgressOnlyInternetGateway => write::<op::DeleteEgressOnlyInternetGateway>(r, id, &["EgressOnlyInternetGatewayId"], egress_only_internet_gateway::delete),
        E::DeleteInternetGateway => write::<op::DeleteInternetGateway>(r, id, &["InternetGatewayId"], internet_gateway::delete),
        E::DeleteKeyPair => write::<op::DeleteKeyPair>(r, id, &["KeyName", "KeyPairId"], key_pair::delete),
        E::DeleteManagedPrefixList => write::<op::DeleteManagedPrefixList>(r, id, &["PrefixListId"], managed_prefix_list::delete),
        E::DeleteNatGateway => write::<op::DeleteNatGateway>(r, id, &["NatGatewayId"], nat_gateway::delete),
        E::DeleteNetworkAcl => write::<op::DeleteNetworkAcl>(r, id, &["NetworkAclId"], network_acl::delete),
        E::DeleteNetworkAclEntry => write::<op::DeleteNetworkAclEntry>(r, id, &["NetworkAclId", "RuleNumber", "Egress"], network_acl::delete_entry),
        E::DeleteNetworkInterface => write::<op::DeleteNetworkInterface>(r, id, &["NetworkInterfaceId"], network_interface::delete),
        E::DeleteRoute => write::<op::DeleteRoute>(r, id, &["DestinationPrefixListId", "RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock"], route::delete),
        E::DeleteRouteTable => write::<op::DeleteRouteTable>(r, id, &["RouteTableId"], route_table::delete),
        E::DeleteSecurityGroup => write::<op::DeleteSecurityGroup>(r, id, &["GroupId", "GroupName"], security_group::delete),
        E::DeleteSubnet => write::<op::DeleteSubnet>(r, id, &["SubnetId"], subnet::delete),
        E::DeleteTags => write::<op::DeleteTags>(r, id, &["Resources", "Tags"], tags::delete),
        E::DeleteVpc => write::<op::DeleteVpc>(r, id, &["VpcId"], vpc::delete),
        E::DeleteVpcPeeringConnection => write::<op::DeleteVpcPeeringConnection>(r, id, &["VpcPeeringConnectionId"], vpc_peering_connection::delete),
        E::DescribeAccountAttributes => read::<op::DescribeAccountAttributes>(r, id, &["AttributeNames"], place::describe_account_attributes),
        E::DescribeAddresses => read::<op::DescribeAddresses>(r, id, &["PublicIps", "Filters", "AllocationIds"], address::describe),
        E::DescribeAddressesAttribute => read::<op::DescribeAddressesAttribute>(r, id, &["AllocationIds", "Attribute", "MaxResults", "NextToken"], address::describe_attribute),
        E::DescribeAvailabilityZones => read::<op::DescribeAvailabilityZones>(r, id, &["ZoneNames", "ZoneIds", "AllAvailabilityZones", "Filters"], place::describe_zones),
        E::DescribeDhcpOptions => read::<op::DescribeDhcpOptions>(r, id, &["DhcpOptionsIds", "NextToken", "MaxResults", "Filters"], dhcp_options::describe),
        E::DescribeEgressOnlyInternetGateways => read::<op::DescribeEgressOnlyInternetGateways>(r, id, &["EgressOnlyInternetGatewayIds", "MaxResults", "NextToken", "Filters"], egress_only_internet_gateway::describe),
        E::DescribeImages => read::<op::DescribeImages>(r, id, &["ExecutableUsers", "ImageIds", "Owners", "IncludeDeprecated", "IncludeDisabled", "MaxResults", "NextToken", "Filters"], image::describe),
        E::DescribeInstanceAttribute => read::<op::DescribeInstanceAttribute>(r, id, &["InstanceId", "Attribute"], instance_attribute::describe),
        E::DescribeInstanceCreditSpecifications => read::<op::DescribeInstanceCreditSpecifications>(r, id, &["Filters", "InstanceIds", "MaxResults", "NextToken"], instance_attribute::describe_credits),
        E::DescribeInstanceStatus => read::<op::DescribeInstanceStatus>(r, id, &["InstanceIds", "Filters", "NextToken", "MaxResults", "IncludeManagedResources", "IncludeAllInstances"], instance::describe_status),
        E::DescribeInstanceTypeOfferings => read::<op::DescribeInstanceTypeOfferings>(r, id, &["LocationType", "Filters", "MaxResults", "NextToken"], instance_type::describe_offerings),
        E::DescribeInstanceTypes => read::<op::DescribeInstanceTypes>(r, id, &["InstanceTypes", "Filters", "MaxResults", "NextToken", "IncludeUnsupportedInRegion"], instance_type::describe),
        E::DescribeInstances => read::<op::DescribeInstances>(r, id, &["InstanceIds", "Filters", "NextToken", "MaxResults", "IncludeManagedResources"], instance::describe),
        E::DescribeInternetGateways => read::<op::DescribeInternetGateways>(r, id, &["NextToken", "MaxResults", "InternetGatewayIds", "Filters"], internet_gateway::describe),
        E::DescribeKeyPairs => read::<op::DescribeKeyPairs>(r, id, &["KeyNames", "KeyPairIds", "IncludePublicKey", "Filters"], key_pair::describe),
        E::DescribeManagedPrefixLists => read::<op::DescribeManagedPrefixLists>(r, id, &["Filters", "MaxResults", "NextToken", "PrefixListIds"], managed_prefix_list::describe),
        E::DescribeNatGateways => read::<op::DescribeNatGateways>(r, id, &["Filter", "MaxResults", "NatGatewayIds", "NextToken"], nat_gateway::describe),
        E::DescribeNetworkAcls => read::<op::DescribeNetworkAcls>(r, id, &["NextToken", "MaxResults", "NetworkAclIds", "Filters"], network_acl::describe),
        E::DescribeNetworkInterfaceAttribute => read::<op::DescribeNetworkInterfaceAttribute>(r, id, &["NetworkInterfaceId", "Attribute"], network_interface::describe_attribute),
        E::DescribeNetworkInterfaces => read::<op::DescribeNetworkInterfaces>(r, id, &["NetworkInterfaceIds", "Filters", "NextToken", "MaxResults", "IncludeManagedResources"], network_interface::describe),
        E::DescribePrefixLists => read::<op::DescribePrefixLists>(r, id, &["Filters", "MaxResults", "NextToken", "PrefixListIds"], prefix_list::describe),
        E::DescribeRegions => read::<op::DescribeRegions>(r, id, &["RegionNames", "AllRegions", "Filters"], place::describe_regions),
        E::DescribeRouteTables => read::<op::DescribeRouteTables>(r, id, &["NextToken", "MaxResults", "RouteTableIds", "Filters"], route_table::describe),
        E::DescribeSecurityGroupReferences => read::<op::DescribeSecurityGroupReferences>(r, id, &["GroupId"], security_group_reference::describe_references),
        E::DescribeSecurityGroupRules => read::<op::DescribeSecurityGroupRules>(r, id, &["Filters", "SecurityGroupRuleIds", "NextToken", "MaxResults"], security_group::describe_rules),
        E::DescribeSecurityGroups => read::<op::DescribeSecurityGroups>(r, id, &["GroupIds", "GroupNames", "NextToken", "MaxResults", "Filters"], security_group::describe),
        E::DescribeStaleSecurityGroups => read::<op::DescribeStaleSecurityGroups>(r, id, &["VpcId", "MaxResults", "NextToken"], security_group_reference::describe_stale),
        E::DescribeSubnets => read::<op::DescribeSubnets>(r, id, &["Filters", "SubnetIds", "NextToken", "MaxResults"], subnet::describe),
        E::DescribeTags => read::<op::DescribeTags>(r, id, &["Filters", "MaxResults", "NextToken"], tags::describe),
        E::DescribeVolumes => read::<op::DescribeVolumes>(r, id, &["VolumeIds", "Filters", "NextToken", "MaxResults", "IncludeManagedResources"], volume::describe),
        E::DescribeVpcAttribute => read::<op::DescribeVpcAttribute>(r, id, &["Attribute", "VpcId"], vpc::describe_attribute),
        E::DescribeVpcPeeringConnections => read::<op::DescribeVpcPeeringConnections>(r, id, &["NextToken", "MaxResults", "VpcPeeringConnectionIds", "Filters"], vpc_peering_connection::describe),
        E::DescribeVpcs => read::<op::DescribeVpcs>(r, id, &["Filters", "VpcIds", "NextToken", "MaxResults"], vpc::describe),
        E::DetachInternetGateway => write::<op::DetachInternetGateway>(r, id, &["InternetGatewayId", "VpcId"], internet_gateway::detach),
        E::DetachNetworkInterface => write::<op::DetachNetworkInterface>(r, id, &["AttachmentId", "Force"], network_interface::detach),
        E::DisassociateAddress => write::<op::DisassociateAddress>(r, id, &["AssociationId", "PublicIp"], address::disassociate),
        E::DisassociateNatGatewayAddress => write::<op::DisassociateNatGatewayAddress>(r, id, &["NatGatewayId", "AssociationIds", "MaxDrainDurationSeconds"], nat_gateway::disassociate_addresses),
        E::DisassociateRouteTable => write::<op::DisassociateRouteTable>(r, id, &["AssociationId"], route_table::disassociate),
        E::DisassociateSubnetCidrBlock => write::<op::DisassociateSubnetCidrBlock>(r, id, &["AssociationId"], subnet_block::disassociate),
        E::DisassociateVpcCidrBlock => write::<op::DisassociateVpcCidrBlock>(r, id, &["AssociationId"], vpc_block::disassociate),
        E::GetInstanceUefiData => read::<op::GetInstanceUefiData>(r, id, &["InstanceId"], instance_attribute::uefi_data),
        E::GetManagedPrefixListAssociations => read::<op::GetManagedPrefixListAssociations>(r, id, &["PrefixListId", "MaxResults", "NextToken"], managed_prefix_list::associations),
        E::GetManagedPrefixListEntries => read::<op::GetManagedPrefixListEntries>(r, id, &["PrefixListId", "TargetVersion", "MaxResults", "NextToken"], managed_prefix_list::entries),
        E::ImportKeyPair => write::<op::ImportKeyPair>(r, id, &["TagSpecifications", "KeyName", "PublicKeyMaterial"], key_pair::import),
        E::ModifyInstanceAttribute => write::<op::ModifyInstanceAttribute>(r, id, &["InstanceId", "Attribute", "Value", "SourceDestCheck", "DisableApiStop", "DisableApiTermination", "EbsOptimized", "InstanceType", "InstanceInitiatedShutdownBehavior", "UserData", "Groups", "BlockDeviceMappings.DeviceName", "BlockDeviceMappings.Ebs.DeleteOnTermination"], instance_attribute::modify),
        E::ModifyInstanceCreditSpecification => write::<op::ModifyInstanceCreditSpecification>(r, id, &["ClientToken", "InstanceCreditSpecifications"], instance_attribute::modify_credits),
        E::ModifyInstanceMetadataOptions => write::<op::ModifyInstanceMetadataOptions>(r, id, &["InstanceId", "HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags"], instance_attribute::modify_metadata_options),
        E::ModifyManagedPrefixList => write::<op::ModifyManagedPrefixList>(r, id, &["PrefixListId", "CurrentVersion", "PrefixListName", "AddEntries", "RemoveEntries", "MaxEntries"], managed_prefix_list::modify),
        E::ModifyNetworkInterfaceAttribute => write::<op::ModifyNetworkInterfaceAttribute>(r, id, &["NetworkInterfaceId", "AssociatePublicIpAddress", "Description", "SourceDestCheck", "Groups", "Attachment.AttachmentId", "Attachment.DeleteOnTermination", "ConnectionTrackingSpecification", "EnablePrimaryIpv6"], network_interface::modify_attribute),
        E::ModifySecurityGroupRules => write::<op::ModifySecurityGroupRules>(r, id, &["GroupId", "SecurityGroupRules"], security_group::modify_rules),
        E::ModifySubnetAttribute => write::<op::ModifySubnetAttribute>(r, id, &["AssignIpv6AddressOnCreation", "MapPublicIpOnLaunch", "SubnetId", "EnableDns64", "PrivateDnsHostnameTypeOnLaunch", "EnableResourceNameDnsARecordOnLaunch", "EnableResourceNameDnsAAAARecordOnLaunch"], subnet::modify_attribute),
        E::ModifyVpcAttribute => write::<op::ModifyVpcAttribute>(r, id, &["EnableDnsHostnames", "EnableDnsSupport", "VpcId", "EnableNetworkAddressUsageMetrics"], vpc::modify_attribute),
        E::ModifyVpcPeeringConnectionOptions => write::<op::ModifyVpcPeeringConnectionOptions>(r, id, &["VpcPeeringConnectionId", "AccepterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc", "RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc"], vpc_peering_connection::modify_options),
        E::RebootInstances => write::<op::RebootInstances>(r, id, &["InstanceIds"], instance::reboot),
        E::RejectVpcPeeringConnection => write::<op::RejectVpcPeeringConnection>(r, id, &["VpcPeeringConnectionId"], vpc_peering_connection::reject),
        E::ReleaseAddress => write::<op::ReleaseAddress>(r, id, &["AllocationId", "PublicIp", "NetworkBorderGroup"], address::release),
        E::ReplaceNetworkAclAssociation => write::<op::ReplaceNetworkAclAssociation>(r, id, &["AssociationId", "NetworkAclId"], network_acl::replace_association),
        E::ReplaceNetworkAclEntry => write::<op::ReplaceNetworkAclEntry>(r, id, &["NetworkAclId", "RuleNumber", "Protocol", "RuleAction", "Egress", "CidrBlock", "Ipv6CidrBlock", "IcmpTypeCode", "PortRange"], network_acl::replace_entry),
        E::ReplaceRoute => write::<op::ReplaceRoute>(r, id, &["DestinationPrefixListId", "LocalTarget", "RouteTableId", "DestinationCidrBlock", "GatewayId", "DestinationIpv6CidrBlock", "EgressOnlyInternetGatewayId", "InstanceId", "NetworkInterfaceId", "VpcPeeringConnectionId", "NatGatewayId"], route::replace),
        E::ReplaceRouteTableAssociation => write::<op::ReplaceRouteTableAssociation>(r, id, &["AssociationId", "RouteTableId"], route_table::replace_association),
        E::ResetNetworkInterfaceAttribute => write::<op::ResetNetworkInterfaceAttribute>(r, id, &["NetworkInterfaceId", "SourceDestCheck"], network_interface::reset_attribute),
        E::RestoreManagedPrefixListVersion => write::<op::RestoreManagedPrefixListVersion>(r, id, &["PrefixListId", "PreviousVersion", "CurrentVersion"], managed_prefix_list::restore),
        E::RevokeSecurityGroupEgress => write::<op::RevokeSecurityGroupEgress>(r, id, &["SecurityGroupRuleIds", "GroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "IpPermissions"], security_group::revoke_egress),
        E::RevokeSecurityGroupIngress => write::<op::RevokeSecurityGroupIngress>(r, id, &["CidrIp", "FromPort", "GroupId", "GroupName", "IpPermissions", "IpProtocol", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "ToPort", "SecurityGroupRuleIds"], security_group::revoke_ingress),
        E::StartInstances => write::<op::StartInstances>(r, id, &["InstanceIds"], instance::start),
        E::StopInstances => write::<op::StopInstances>(r, id, &["InstanceIds", "Hibernate", "SkipOsShutdown", "Force"], instance::stop),
        E::TerminateInstances => write::<op::TerminateInstances>(r, id, &["InstanceIds", "Force", "SkipOsShutdown"], instance::terminate),
        E::UnassignIpv6Addresses => write::<op::UnassignIpv6Addresses>(r, id, &["NetworkInterfaceId", "Ipv6Addresses"], network_interface::unassign_ipv6),
        E::UnassignPrivateIpAddresses => write::<op::UnassignPrivateIpAddresses>(r, id, &["NetworkInterfaceId", "PrivateIpAddresses"], network_interface::unassign_ipv4),
        E::UnassignPrivateNatGatewayAddress => write::<op::UnassignPrivateNatGatewayAddress>(r, id, &["NatGatewayId", "PrivateIpAddresses", "MaxDrainDurationSeconds"], nat_gateway::unassign_addresses),
        E::UpdateSecurityGroupRuleDescriptionsEgress => write::<op::UpdateSecurityGroupRuleDescriptionsEgress>(r, id, &["GroupId", "GroupName", "IpPermissions", "SecurityGroupRuleDescriptions"], security_group::describe_egress_anew),
        E::UpdateSecurityGroupRuleDescriptionsIngress => write::<op::UpdateSecurityGroupRuleDescriptionsIngress>(r, id, &["GroupId", "GroupName", "IpPermissions", "SecurityGroupRuleDescriptions"], security_group::describe_ingress_anew),
    }
}

#[cfg(test)]
mod tests {
    use gureum_api::{Service, ec2, iam, ssm, sts};

    /// The match above is exhaustive over the generated operations; this ties those to the file
    /// that people edit.
    #[test]
    fn every_operation_of_the_models_is_served() {
        let models = include_str!("../../../models/operations.toml");
        let mut services = 0;
        for service in Service::ALL {
            let header = format!("[{}.operations]", service.info().signing_name);
            let section = models.split(&header).nth(1).expect("a section").split("\n[").next();
            let names = section.unwrap_or_default().split('"').skip(1).step_by(2);
            for name in names {
                assert!(service.operation(name).is_some(), "{name} has no handler");
                services += 1;
            }
        }
        let generated = ec2::Operation::ALL.len()
            + iam::Operation::ALL.len()
            + ssm::Operation::ALL.len()
            + sts::Operation::ALL.len();
        assert_eq!(services, generated, "the file was read to its end");
    }
}

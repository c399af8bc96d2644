//! EC2's operations.

use gureum_api::{ApiError, ApiRequest, ec2::op, response};

use super::{Find, Parameters, Show, Work, Write, analyze, operations, read_input, upload};
use crate::{
    accept,
    call::Answer,
    resource::{
        address, block_public_access, customer_gateway, dhcp_options, egress_only_internet_gateway,
        flow_log, iam_instance_profile, image, instance, instance_attribute, instance_option,
        instance_type, internet_gateway, key_pair, launch, launch_template, managed_prefix_list,
        nat_gateway, network_acl,
        network_insights::{access_scope, analysis as insights_analysis, path as insights_path},
        network_interface, network_interface_permission, own_image, place, placement_group,
        prefix_list, region_settings, route, route_table, security_group, security_group_reference,
        snapshot, subnet, subnet_block, subnet_cidr_reservation, transit_gateway, volume,
        volume_attachment, volume_change, vpc, vpc_block, vpc_classic_link, vpc_endpoint,
        vpc_peering_connection, vpn_connection, vpn_gateway,
    },
    tags,
};

operations! { ec2
    AcceptTransitGatewayVpcAttachment: write transit_gateway::attachment::accept, obeyed [
        "TransitGatewayAttachmentId",
    ];
    AcceptVpcEndpointConnections: write vpc_endpoint::offered::accept, obeyed [
        "ServiceId", "VpcEndpointIds",
    ];
    AcceptVpcPeeringConnection: write vpc_peering_connection::accept, obeyed [
        "VpcPeeringConnectionId",
    ];
    AllocateAddress: write address::allocate, obeyed [
        "Domain", "NetworkBorderGroup", "TagSpecifications",
    ];
    AssignIpv6Addresses: write network_interface::assign_ipv6, obeyed [
        "Ipv6AddressCount", "Ipv6Addresses", "NetworkInterfaceId",
    ];
    AssignPrivateIpAddresses: write network_interface::assign_ipv4, obeyed [
        "AllowReassignment", "NetworkInterfaceId", "PrivateIpAddresses",
        "SecondaryPrivateIpAddressCount",
    ];
    AssignPrivateNatGatewayAddress: write nat_gateway::assign_addresses, obeyed [
        "NatGatewayId", "PrivateIpAddressCount", "PrivateIpAddresses",
    ];
    AssociateAddress: write address::associate, obeyed [
        "AllocationId", "AllowReassociation", "InstanceId", "NetworkInterfaceId",
        "PrivateIpAddress", "PublicIp",
    ];
    AssociateDhcpOptions: write dhcp_options::associate, obeyed ["DhcpOptionsId", "VpcId"];
    AssociateIamInstanceProfile: write iam_instance_profile::associate, obeyed [
        "IamInstanceProfile", "InstanceId",
    ];
    AssociateNatGatewayAddress: write nat_gateway::associate_addresses, obeyed [
        "AllocationIds", "NatGatewayId", "PrivateIpAddresses",
    ];
    AssociateRouteTable: write route_table::associate, obeyed [
        "GatewayId", "RouteTableId", "SubnetId",
    ];
    AssociateSubnetCidrBlock: write subnet_block::associate, obeyed ["Ipv6CidrBlock", "SubnetId"];
    AssociateTransitGatewayRouteTable: write transit_gateway::table::associate, obeyed [
        "TransitGatewayAttachmentId", "TransitGatewayRouteTableId",
    ];
    AssociateVpcCidrBlock: write vpc_block::associate, obeyed [
        "AmazonProvidedIpv6CidrBlock", "CidrBlock", "Ipv6CidrBlockNetworkBorderGroup", "VpcId",
    ];
    AttachInternetGateway: write internet_gateway::attach, obeyed ["InternetGatewayId", "VpcId"];
    AttachNetworkInterface: write network_interface::attach, obeyed [
        "DeviceIndex", "InstanceId", "NetworkCardIndex", "NetworkInterfaceId",
    ];
    AttachVolume: write volume_attachment::attach, obeyed ["InstanceId", "VolumeId"], recorded [
        "Device",
    ];
    AttachVpnGateway: write vpn_gateway::attach, obeyed ["VpcId", "VpnGatewayId"];
    AuthorizeSecurityGroupEgress: write security_group::authorize_egress, obeyed [
        "CidrIp", "FromPort", "GroupId", "IpPermissions", "IpProtocol", "SourceSecurityGroupName",
        "SourceSecurityGroupOwnerId", "TagSpecifications", "ToPort",
    ];
    AuthorizeSecurityGroupIngress: write security_group::authorize_ingress, obeyed [
        "CidrIp", "FromPort", "GroupId", "GroupName", "IpPermissions", "IpProtocol",
        "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "TagSpecifications", "ToPort",
    ];
    CopyImage: write own_image::copy, obeyed [
        "ClientToken", "CopyImageTags", "Description", "Name", "SourceImageId", "SourceRegion",
        "TagSpecifications",
    ], recorded [
        "Encrypted",
    ];
    CopySnapshot: write snapshot::copy, obeyed [
        "Description", "DestinationRegion", "PresignedUrl", "SourceRegion", "SourceSnapshotId",
        "TagSpecifications",
    ], recorded [
        "Encrypted", "KmsKeyId",
    ];
    CreateCustomerGateway: write customer_gateway::create, obeyed [
        "TagSpecifications", "Type",
    ], recorded [
        "BgpAsn", "BgpAsnExtended", "CertificateArn", "DeviceName", "IpAddress", "PublicIp",
    ];
    CreateDefaultSubnet: write subnet::create_default, obeyed [
        "AvailabilityZone", "AvailabilityZoneId",
    ];
    CreateDefaultVpc: write vpc::create_default, obeyed [];
    CreateDhcpOptions: write dhcp_options::create, obeyed [
        "DhcpConfigurations", "TagSpecifications",
    ];
    CreateEgressOnlyInternetGateway: write egress_only_internet_gateway::create, obeyed [
        "ClientToken", "TagSpecifications", "VpcId",
    ];
    CreateFlowLogs: write flow_log::create, obeyed [
        "ClientToken", "LogDestination", "LogDestinationType", "LogGroupName", "ResourceIds",
        "ResourceType", "TagSpecifications",
    ], recorded [
        "DeliverCrossAccountRole", "DeliverLogsPermissionArn", "DestinationOptions", "LogFormat",
        "MaxAggregationInterval", "TrafficType",
    ];
    CreateImage: write own_image::create, obeyed [
        "Description", "InstanceId", "Name", "NoReboot", "TagSpecifications",
    ];
    CreateInternetGateway: write internet_gateway::create, obeyed ["TagSpecifications"];
    CreateKeyPair: custom create_key_pair, obeyed [
        "KeyFormat", "KeyName", "KeyType", "TagSpecifications",
    ];
    CreateLaunchTemplate: write launch_template::create, obeyed [
        "ClientToken", "LaunchTemplateData", "LaunchTemplateName", "TagSpecifications",
        "VersionDescription",
    ];
    CreateLaunchTemplateVersion: write launch_template::create_version, obeyed [
        "ClientToken", "LaunchTemplateData", "LaunchTemplateId", "LaunchTemplateName",
        "SourceVersion", "VersionDescription",
    ];
    CreateManagedPrefixList: write managed_prefix_list::create, obeyed [
        "AddressFamily", "ClientToken", "Entries", "MaxEntries", "PrefixListName",
        "TagSpecifications",
    ];
    CreateNatGateway: write nat_gateway::create, obeyed [
        "AllocationId", "AvailabilityMode", "AvailabilityZoneAddresses", "ClientToken",
        "ConnectivityType", "PrivateIpAddress", "SecondaryAllocationIds",
        "SecondaryPrivateIpAddressCount", "SecondaryPrivateIpAddresses", "SubnetId",
        "TagSpecifications", "VpcId",
    ];
    CreateNetworkAcl: write network_acl::create, obeyed [
        "ClientToken", "TagSpecifications", "VpcId",
    ];
    CreateNetworkAclEntry: write network_acl::create_entry, obeyed [
        "CidrBlock", "Egress", "IcmpTypeCode", "Ipv6CidrBlock", "NetworkAclId", "PortRange",
        "Protocol", "RuleAction", "RuleNumber",
    ];
    CreateNetworkInsightsAccessScope: write access_scope::create, obeyed [
        "ClientToken", "ExcludePaths", "MatchPaths", "TagSpecifications",
    ];
    CreateNetworkInsightsPath: write insights_path::create, obeyed [
        "ClientToken", "Destination", "DestinationIp", "DestinationPort", "FilterAtDestination",
        "FilterAtSource", "Protocol", "Source", "SourceIp", "TagSpecifications",
    ];
    CreateNetworkInterface: write network_interface::create, obeyed [
        "ClientToken", "ConnectionTrackingSpecification", "Description", "EnablePrimaryIpv6",
        "Groups", "InterfaceType", "Ipv6AddressCount", "Ipv6Addresses", "PrivateIpAddress",
        "PrivateIpAddresses", "SecondaryPrivateIpAddressCount", "SubnetId", "TagSpecifications",
    ];
    CreateNetworkInterfacePermission: write network_interface_permission::create, obeyed [
        "NetworkInterfaceId",
    ], recorded [
        "AwsAccountId", "Permission",
    ];
    CreatePlacementGroup: write placement_group::create, obeyed [
        "GroupName", "TagSpecifications",
    ], recorded [
        "PartitionCount", "SpreadLevel", "Strategy",
    ];
    CreateRoute: write route::create, obeyed [
        "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId",
        "EgressOnlyInternetGatewayId", "GatewayId", "InstanceId", "NatGatewayId",
        "NetworkInterfaceId", "RouteTableId", "TransitGatewayId", "VpcPeeringConnectionId",
    ];
    CreateRouteTable: write route_table::create, obeyed [
        "ClientToken", "TagSpecifications", "VpcId",
    ];
    CreateSecurityGroup: write security_group::create, obeyed [
        "Description", "GroupName", "TagSpecifications", "VpcId",
    ];
    CreateSnapshot: write snapshot::create, obeyed ["Description", "TagSpecifications", "VolumeId"];
    CreateSubnet: write subnet::create, obeyed [
        "AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "Ipv6CidrBlock", "Ipv6Native",
        "TagSpecifications", "VpcId",
    ];
    CreateSubnetCidrReservation: write subnet_cidr_reservation::create, obeyed [
        "Cidr", "Description", "SubnetId", "TagSpecifications",
    ], recorded [
        "ReservationType",
    ];
    CreateTags: write tags::create, obeyed ["Resources", "Tags"];
    CreateTransitGateway: write transit_gateway::create, obeyed [
        "Description", "Options.DefaultRouteTableAssociation",
        "Options.DefaultRouteTablePropagation", "TagSpecifications",
    ], recorded [
        "Options.AmazonSideAsn", "Options.AutoAcceptSharedAttachments", "Options.DnsSupport",
        "Options.MulticastSupport", "Options.SecurityGroupReferencingSupport",
        "Options.TransitGatewayCidrBlocks", "Options.VpnEcmpSupport",
    ];
    CreateTransitGatewayRoute: write transit_gateway::route::create, obeyed [
        "Blackhole", "DestinationCidrBlock", "TransitGatewayAttachmentId",
        "TransitGatewayRouteTableId",
    ];
    CreateTransitGatewayRouteTable: write transit_gateway::table::create, obeyed [
        "TagSpecifications", "TransitGatewayId",
    ];
    CreateTransitGatewayVpcAttachment: write transit_gateway::attachment::create, obeyed [
        "SubnetIds", "TagSpecifications", "TransitGatewayId", "VpcId",
    ], recorded [
        "Options",
    ];
    CreateVolume: write volume_attachment::create, obeyed [
        "AvailabilityZone", "AvailabilityZoneId", "ClientToken", "SnapshotId",
        "TagSpecifications",
    ], recorded [
        "Encrypted", "Iops", "KmsKeyId", "Size", "Throughput", "VolumeType",
    ];
    CreateVpc: write vpc::create, obeyed [
        "AmazonProvidedIpv6CidrBlock", "CidrBlock",
        "Ipv6CidrBlockNetworkBorderGroup", "TagSpecifications",
    ], recorded ["InstanceTenancy"];
    CreateVpcBlockPublicAccessExclusion: write block_public_access::create_exclusion, obeyed [
        "InternetGatewayExclusionMode", "SubnetId", "TagSpecifications", "VpcId",
    ];
    CreateVpcEndpoint: write vpc_endpoint::create, obeyed [
        "ClientToken", "DnsOptions.DnsRecordIpType", "IpAddressType", "PolicyDocument",
        "PrivateDnsEnabled", "RouteTableIds", "SecurityGroupIds", "ServiceName", "ServiceRegion",
        "SubnetConfigurations.Ipv4", "SubnetConfigurations.SubnetId", "SubnetIds",
        "TagSpecifications", "VpcEndpointType", "VpcId",
    ], recorded [
        "DnsOptions.PrivateDnsOnlyForInboundResolverEndpoint",
    ];
    CreateVpcEndpointServiceConfiguration: write vpc_endpoint::offered::create, obeyed [
        "AcceptanceRequired", "ClientToken", "SupportedRegions", "TagSpecifications",
    ], recorded [
        "GatewayLoadBalancerArns", "NetworkLoadBalancerArns", "PrivateDnsName",
        "SupportedIpAddressTypes",
    ];
    CreateVpcPeeringConnection: write vpc_peering_connection::create, obeyed [
        "PeerOwnerId", "PeerRegion", "PeerVpcId", "TagSpecifications", "VpcId",
    ];
    CreateVpnConnection: write vpn_connection::create, obeyed [
        "CustomerGatewayId", "TagSpecifications", "TransitGatewayId", "Type", "VpnGatewayId",
    ], recorded [
        "Options",
    ];
    CreateVpnConnectionRoute: write vpn_connection::create_route, obeyed [
        "VpnConnectionId",
    ], recorded [
        "DestinationCidrBlock",
    ];
    CreateVpnGateway: write vpn_gateway::create, obeyed ["TagSpecifications", "Type"], recorded [
        "AmazonSideAsn", "AvailabilityZone",
    ];
    DeleteCustomerGateway: write customer_gateway::delete, obeyed ["CustomerGatewayId"];
    DeleteDhcpOptions: write dhcp_options::delete, obeyed ["DhcpOptionsId"];
    DeleteEgressOnlyInternetGateway: write egress_only_internet_gateway::delete, obeyed [
        "EgressOnlyInternetGatewayId",
    ];
    DeleteFlowLogs: write flow_log::delete, obeyed ["FlowLogIds"];
    DeleteInternetGateway: write internet_gateway::delete, obeyed ["InternetGatewayId"];
    DeleteKeyPair: write key_pair::delete, obeyed ["KeyName", "KeyPairId"];
    DeleteLaunchTemplate: write launch_template::delete, obeyed [
        "LaunchTemplateId", "LaunchTemplateName",
    ];
    DeleteLaunchTemplateVersions: write launch_template::delete_versions, obeyed [
        "LaunchTemplateId", "LaunchTemplateName", "Versions",
    ];
    DeleteManagedPrefixList: write managed_prefix_list::delete, obeyed ["PrefixListId"];
    DeleteNatGateway: write nat_gateway::delete, obeyed ["NatGatewayId"];
    DeleteNetworkAcl: write network_acl::delete, obeyed ["NetworkAclId"];
    DeleteNetworkAclEntry: write network_acl::delete_entry, obeyed [
        "Egress", "NetworkAclId", "RuleNumber",
    ];
    DeleteNetworkInsightsAccessScope: write access_scope::delete, obeyed [
        "NetworkInsightsAccessScopeId",
    ];
    DeleteNetworkInsightsAccessScopeAnalysis: write access_scope::delete_analysis, obeyed [
        "NetworkInsightsAccessScopeAnalysisId",
    ];
    DeleteNetworkInsightsAnalysis: write insights_analysis::delete, obeyed [
        "NetworkInsightsAnalysisId",
    ];
    DeleteNetworkInsightsPath: write insights_path::delete, obeyed [
        "NetworkInsightsPathId",
    ];
    DeleteNetworkInterface: write network_interface::delete, obeyed ["NetworkInterfaceId"];
    DeleteNetworkInterfacePermission: write network_interface_permission::delete, obeyed [
        "Force", "NetworkInterfacePermissionId",
    ];
    DeletePlacementGroup: write placement_group::delete, obeyed ["GroupName"];
    DeleteRoute: write route::delete, obeyed [
        "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId",
        "RouteTableId",
    ];
    DeleteRouteTable: write route_table::delete, obeyed ["RouteTableId"];
    DeleteSecurityGroup: write security_group::delete, obeyed ["GroupId", "GroupName"];
    DeleteSnapshot: write snapshot::delete, obeyed ["SnapshotId"];
    DeleteSubnet: write subnet::delete, obeyed ["SubnetId"];
    DeleteSubnetCidrReservation: write subnet_cidr_reservation::delete, obeyed [
        "SubnetCidrReservationId",
    ];
    DeleteTags: write tags::delete, obeyed ["Resources", "Tags"];
    DeleteTransitGateway: write transit_gateway::delete, obeyed ["TransitGatewayId"];
    DeleteTransitGatewayRoute: write transit_gateway::route::delete, obeyed [
        "DestinationCidrBlock", "TransitGatewayRouteTableId",
    ];
    DeleteTransitGatewayRouteTable: write transit_gateway::table::delete, obeyed [
        "TransitGatewayRouteTableId",
    ];
    DeleteTransitGatewayVpcAttachment: write transit_gateway::attachment::delete, obeyed [
        "TransitGatewayAttachmentId",
    ];
    DeleteVolume: write volume_attachment::delete, obeyed ["VolumeId"];
    DeleteVpc: write vpc::delete, obeyed ["VpcId"];
    DeleteVpcBlockPublicAccessExclusion: write block_public_access::delete_exclusion, obeyed [
        "ExclusionId",
    ];
    DeleteVpcEndpointServiceConfigurations: write vpc_endpoint::offered::delete, obeyed [
        "ServiceIds",
    ];
    DeleteVpcEndpoints: write vpc_endpoint::delete, obeyed ["VpcEndpointIds"];
    DeleteVpcPeeringConnection: write vpc_peering_connection::delete, obeyed [
        "VpcPeeringConnectionId",
    ];
    DeleteVpnConnection: write vpn_connection::delete, obeyed ["VpnConnectionId"];
    DeleteVpnConnectionRoute: write vpn_connection::delete_route, obeyed [
        "DestinationCidrBlock", "VpnConnectionId",
    ];
    DeleteVpnGateway: write vpn_gateway::delete, obeyed ["VpnGatewayId"];
    DeregisterImage: write own_image::deregister, obeyed ["DeleteAssociatedSnapshots", "ImageId"];
    DescribeAccountAttributes: read place::describe_account_attributes, obeyed ["AttributeNames"];
    DescribeAddressTransfers: read address::describe_transfers, obeyed [
        "AllocationIds", "MaxResults", "NextToken",
    ];
    DescribeAddresses: read address::describe, obeyed ["AllocationIds", "Filters", "PublicIps"];
    DescribeAddressesAttribute: read address::describe_attribute, obeyed [
        "AllocationIds", "Attribute", "MaxResults", "NextToken",
    ];
    DescribeAvailabilityZones: read place::describe_zones, obeyed [
        "AllAvailabilityZones", "Filters", "ZoneIds", "ZoneNames",
    ];
    DescribeCustomerGateways: read customer_gateway::describe, obeyed [
        "CustomerGatewayIds", "Filters",
    ];
    DescribeDhcpOptions: read dhcp_options::describe, obeyed [
        "DhcpOptionsIds", "Filters", "MaxResults", "NextToken",
    ];
    DescribeEgressOnlyInternetGateways: read egress_only_internet_gateway::describe, obeyed [
        "EgressOnlyInternetGatewayIds", "Filters", "MaxResults", "NextToken",
    ];
    DescribeFlowLogs: read flow_log::describe, obeyed [
        "Filter", "FlowLogIds", "MaxResults", "NextToken",
    ];
    DescribeIamInstanceProfileAssociations: read iam_instance_profile::describe, obeyed [
        "AssociationIds", "Filters", "MaxResults", "NextToken",
    ];
    DescribeImageAttribute: read own_image::describe_attribute, obeyed ["Attribute", "ImageId"];
    DescribeImages: read image::describe, obeyed [
        "ExecutableUsers", "Filters", "ImageIds", "IncludeDeprecated", "IncludeDisabled",
        "MaxResults", "NextToken", "Owners",
    ];
    DescribeInstanceAttribute: read instance_attribute::describe, obeyed [
        "Attribute", "InstanceId",
    ];
    DescribeInstanceCreditSpecifications: read instance_attribute::describe_credits, obeyed [
        "Filters", "InstanceIds", "MaxResults", "NextToken",
    ];
    DescribeInstanceStatus: read instance::describe_status, obeyed [
        "Filters", "IncludeAllInstances", "IncludeManagedResources", "InstanceIds", "MaxResults",
        "NextToken",
    ];
    DescribeInstanceTypeOfferings: read instance_type::describe_offerings, obeyed [
        "Filters", "LocationType", "MaxResults", "NextToken",
    ];
    DescribeInstanceTypes: read instance_type::describe, obeyed [
        "Filters", "IncludeUnsupportedInRegion", "InstanceTypes", "MaxResults", "NextToken",
    ];
    DescribeInstances: custom instance::describe_each, obeyed [
        "Filters", "IncludeManagedResources", "InstanceIds", "MaxResults", "NextToken",
    ];
    DescribeInternetGateways: read internet_gateway::describe, obeyed [
        "Filters", "InternetGatewayIds", "MaxResults", "NextToken",
    ];
    DescribeKeyPairs: read key_pair::describe, obeyed [
        "Filters", "IncludePublicKey", "KeyNames", "KeyPairIds",
    ];
    DescribeLaunchTemplateVersions: read launch_template::describe_versions, obeyed [
        "Filters", "IncludeManagedResources", "LaunchTemplateId", "LaunchTemplateName",
        "MaxResults", "MaxVersion", "MinVersion", "NextToken", "ResolveAlias", "Versions",
    ];
    DescribeLaunchTemplates: read launch_template::describe, obeyed [
        "Filters", "IncludeManagedResources", "LaunchTemplateIds", "LaunchTemplateNames",
        "MaxResults", "NextToken",
    ];
    DescribeManagedPrefixLists: read managed_prefix_list::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "PrefixListIds",
    ];
    DescribeNatGateways: read nat_gateway::describe, obeyed [
        "Filter", "MaxResults", "NatGatewayIds", "NextToken",
    ];
    DescribeNetworkAcls: read network_acl::describe, obeyed [
        "Filters", "MaxResults", "NetworkAclIds", "NextToken",
    ];
    DescribeNetworkInsightsAccessScopeAnalyses: read access_scope::describe_analyses, obeyed [
        "AnalysisStartTimeBegin", "AnalysisStartTimeEnd", "Filters", "MaxResults",
        "NetworkInsightsAccessScopeAnalysisIds", "NetworkInsightsAccessScopeId", "NextToken",
    ];
    DescribeNetworkInsightsAccessScopes: read access_scope::describe, obeyed [
        "Filters", "MaxResults", "NetworkInsightsAccessScopeIds", "NextToken",
    ];
    DescribeNetworkInsightsAnalyses: read insights_analysis::describe, obeyed [
        "AnalysisEndTime", "AnalysisStartTime", "Filters", "MaxResults",
        "NetworkInsightsAnalysisIds", "NetworkInsightsPathId", "NextToken",
    ];
    DescribeNetworkInsightsPaths: read insights_path::describe, obeyed [
        "Filters", "MaxResults", "NetworkInsightsPathIds", "NextToken",
    ];
    DescribeNetworkInterfaceAttribute: read network_interface::describe_attribute, obeyed [
        "Attribute", "NetworkInterfaceId",
    ];
    DescribeNetworkInterfacePermissions: read network_interface_permission::describe, obeyed [
        "Filters", "MaxResults", "NetworkInterfacePermissionIds", "NextToken",
    ];
    DescribeNetworkInterfaces: read network_interface::describe, obeyed [
        "Filters", "IncludeManagedResources", "MaxResults", "NetworkInterfaceIds", "NextToken",
    ];
    DescribePlacementGroups: read placement_group::describe, obeyed [
        "Filters", "GroupIds", "GroupNames",
    ];
    DescribePrefixLists: read prefix_list::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "PrefixListIds",
    ];
    DescribeRegions: read place::describe_regions, obeyed ["AllRegions", "Filters", "RegionNames"];
    DescribeRouteTables: read route_table::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "RouteTableIds",
    ];
    DescribeSecurityGroupReferences: read security_group_reference::describe_references, obeyed [
        "GroupId",
    ];
    DescribeSecurityGroupRules: read security_group::describe_rules, obeyed [
        "Filters", "MaxResults", "NextToken", "SecurityGroupRuleIds",
    ];
    DescribeSecurityGroups: read security_group::describe, obeyed [
        "Filters", "GroupIds", "GroupNames", "MaxResults", "NextToken",
    ];
    DescribeSnapshotAttribute: read snapshot::describe_attribute, obeyed [
        "Attribute", "SnapshotId",
    ];
    DescribeSnapshots: read snapshot::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "OwnerIds", "RestorableByUserIds",
        "SnapshotIds",
    ];
    DescribeStaleSecurityGroups: read security_group_reference::describe_stale, obeyed [
        "MaxResults", "NextToken", "VpcId",
    ];
    DescribeSubnets: read subnet::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "SubnetIds",
    ];
    DescribeTags: read tags::describe, obeyed ["Filters", "MaxResults", "NextToken"];
    DescribeTransitGatewayAttachments: read transit_gateway::attachment::describe_any, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayAttachmentIds",
    ];
    DescribeTransitGatewayRouteTables: read transit_gateway::table::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayRouteTableIds",
    ];
    DescribeTransitGatewayVpcAttachments: read transit_gateway::attachment::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayAttachmentIds",
    ];
    DescribeTransitGateways: read transit_gateway::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayIds",
    ];
    DescribeVolumeAttribute: read volume_change::describe_attribute, obeyed [
        "Attribute", "VolumeId",
    ];
    DescribeVolumeStatus: read volume_change::describe_status, obeyed [
        "Filters", "IncludeManagedResources", "MaxResults", "NextToken", "VolumeIds",
    ];
    DescribeVolumes: read volume::describe, obeyed [
        "Filters", "IncludeManagedResources", "MaxResults", "NextToken", "VolumeIds",
    ];
    DescribeVolumesModifications: read volume_change::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "VolumeIds",
    ];
    DescribeVpcAttribute: read vpc::describe_attribute, obeyed ["Attribute", "VpcId"];
    DescribeVpcBlockPublicAccessExclusions: read block_public_access::describe_exclusions, obeyed [
        "ExclusionIds", "Filters", "MaxResults", "NextToken",
    ];
    DescribeVpcBlockPublicAccessOptions: read block_public_access::describe, obeyed [];
    DescribeVpcClassicLink: read vpc_classic_link::describe, obeyed ["Filters", "VpcIds"];
    DescribeVpcClassicLinkDnsSupport: read vpc_classic_link::describe_dns_support, obeyed [
        "MaxResults", "NextToken", "VpcIds",
    ];
    DescribeVpcEndpointAssociations: read vpc_endpoint::describe_associations, obeyed [
        "Filters", "MaxResults", "NextToken", "VpcEndpointIds",
    ];
    DescribeVpcEndpointConnections: read vpc_endpoint::offered::describe_connections, obeyed [
        "Filters", "MaxResults", "NextToken",
    ];
    DescribeVpcEndpointServiceConfigurations: read vpc_endpoint::offered::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "ServiceIds",
    ];
    DescribeVpcEndpointServicePermissions: read vpc_endpoint::offered::permissions, obeyed [
        "Filters", "MaxResults", "NextToken", "ServiceId",
    ];
    DescribeVpcEndpointServices: read vpc_endpoint::describe_services, obeyed [
        "Filters", "MaxResults", "NextToken", "ServiceNames", "ServiceRegions",
    ];
    DescribeVpcEndpoints: read vpc_endpoint::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "VpcEndpointIds",
    ];
    DescribeVpcPeeringConnections: read vpc_peering_connection::describe, obeyed [
        "Filters", "MaxResults", "NextToken", "VpcPeeringConnectionIds",
    ];
    DescribeVpcs: read vpc::describe, obeyed ["Filters", "MaxResults", "NextToken", "VpcIds"];
    DescribeVpnConnections: read vpn_connection::describe, obeyed ["Filters", "VpnConnectionIds"];
    DescribeVpnGateways: read vpn_gateway::describe, obeyed ["Filters", "VpnGatewayIds"];
    DetachInternetGateway: write internet_gateway::detach, obeyed ["InternetGatewayId", "VpcId"];
    DetachNetworkInterface: write network_interface::detach, obeyed ["AttachmentId", "Force"];
    DetachVolume: write volume_attachment::detach, obeyed [
        "Device", "Force", "InstanceId", "VolumeId",
    ];
    DetachVpnGateway: write vpn_gateway::detach, obeyed ["VpcId", "VpnGatewayId"];
    DisableEbsEncryptionByDefault: write region_settings::disable_ebs_encryption, obeyed [];
    DisableTransitGatewayRouteTablePropagation: write transit_gateway::table::disable_propagation, obeyed [
        "TransitGatewayAttachmentId", "TransitGatewayRouteTableId",
    ];
    DisableVgwRoutePropagation: write vpn_gateway::disable_propagation, obeyed [
        "GatewayId", "RouteTableId",
    ];
    DisassociateAddress: write address::disassociate, obeyed ["AssociationId", "PublicIp"];
    DisassociateIamInstanceProfile: write iam_instance_profile::disassociate, obeyed [
        "AssociationId",
    ];
    DisassociateNatGatewayAddress: write nat_gateway::disassociate_addresses, obeyed [
        "AssociationIds", "MaxDrainDurationSeconds", "NatGatewayId",
    ];
    DisassociateRouteTable: write route_table::disassociate, obeyed ["AssociationId"];
    DisassociateSubnetCidrBlock: write subnet_block::disassociate, obeyed ["AssociationId"];
    DisassociateTransitGatewayRouteTable: write transit_gateway::table::disassociate, obeyed [
        "TransitGatewayAttachmentId", "TransitGatewayRouteTableId",
    ];
    DisassociateVpcCidrBlock: write vpc_block::disassociate, obeyed ["AssociationId"];
    EnableEbsEncryptionByDefault: write region_settings::enable_ebs_encryption, obeyed [];
    EnableTransitGatewayRouteTablePropagation: write transit_gateway::table::enable_propagation, obeyed [
        "TransitGatewayAttachmentId", "TransitGatewayRouteTableId",
    ];
    EnableVgwRoutePropagation: write vpn_gateway::enable_propagation, obeyed [
        "GatewayId", "RouteTableId",
    ];
    GetConsoleOutput: custom console_output, obeyed ["InstanceId", "Latest"];
    GetFlowLogsIntegrationTemplate: custom integration_template, obeyed [
        "ConfigDeliveryS3DestinationArn", "FlowLogId", "IntegrateServices",
    ];
    GetConsoleScreenshot: read instance_option::console_screenshot, obeyed ["InstanceId", "WakeUp"];
    GetEbsDefaultKmsKeyId: read region_settings::ebs_key, obeyed [];
    GetEbsEncryptionByDefault: read region_settings::ebs_encryption, obeyed [];
    GetInstanceMetadataDefaults: read region_settings::metadata_defaults, obeyed [];
    GetInstanceUefiData: read instance_attribute::uefi_data, obeyed ["InstanceId"];
    GetLaunchTemplateData: read launch_template::of_instance, obeyed ["InstanceId"];
    GetManagedPrefixListAssociations: read managed_prefix_list::associations, obeyed [
        "MaxResults", "NextToken", "PrefixListId",
    ];
    GetManagedPrefixListEntries: read managed_prefix_list::entries, obeyed [
        "MaxResults", "NextToken", "PrefixListId", "TargetVersion",
    ];
    GetNetworkInsightsAccessScopeAnalysisFindings: read access_scope::get_findings, obeyed [
        "MaxResults", "NetworkInsightsAccessScopeAnalysisId", "NextToken",
    ];
    GetNetworkInsightsAccessScopeContent: read access_scope::get_content, obeyed [
        "NetworkInsightsAccessScopeId",
    ];
    GetPasswordData: read instance_option::password_data, obeyed ["InstanceId"];
    GetSecurityGroupsForVpc: read security_group::for_vpc, obeyed [
        "Filters", "MaxResults", "NextToken", "VpcId",
    ];
    GetSubnetCidrReservations: read subnet_cidr_reservation::get, obeyed [
        "Filters", "MaxResults", "NextToken", "SubnetId",
    ];
    GetTransitGatewayAttachmentPropagations: read transit_gateway::table::propagations_of, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayAttachmentId",
    ];
    GetTransitGatewayRouteTableAssociations: read transit_gateway::table::associations, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayRouteTableId",
    ];
    GetTransitGatewayRouteTablePropagations: read transit_gateway::table::propagations, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayRouteTableId",
    ];
    ImportKeyPair: write key_pair::import, obeyed [
        "KeyName", "PublicKeyMaterial", "TagSpecifications",
    ];
    ModifyAddressAttribute: write address::modify_attribute, obeyed ["AllocationId"], recorded [
        "DomainName",
    ];
    ModifyEbsDefaultKmsKeyId: write region_settings::modify_ebs_key, obeyed [], recorded [
        "KmsKeyId",
    ];
    ModifyImageAttribute: write own_image::modify_attribute, obeyed [
        "Attribute", "Description", "ImageId", "LaunchPermission.Add.Group",
        "LaunchPermission.Add.UserId", "LaunchPermission.Remove.Group",
        "LaunchPermission.Remove.UserId", "OperationType", "UserGroups", "UserIds", "Value",
    ], recorded [
        "ImdsSupport",
    ];
    ModifyInstanceAttribute: write instance_attribute::modify, obeyed [
        "Attribute", "BlockDeviceMappings.DeviceName",
        "BlockDeviceMappings.Ebs.DeleteOnTermination", "DisableApiStop", "DisableApiTermination",
        "Groups", "InstanceId", "InstanceInitiatedShutdownBehavior", "InstanceType",
        "SourceDestCheck", "UserData", "Value",
    ], recorded [
        "EbsOptimized",
    ];
    ModifyInstanceCreditSpecification: write instance_attribute::modify_credits, obeyed [
        "ClientToken",
    ], recorded [
        "InstanceCreditSpecifications",
    ];
    ModifyInstanceMaintenanceOptions: write instance_option::modify_maintenance, obeyed [
        "InstanceId",
    ], recorded [
        "AutoRecovery", "RebootMigration",
    ];
    ModifyInstanceMetadataDefaults: write region_settings::modify_metadata_defaults, obeyed [
        "HttpEndpoint", "HttpPutResponseHopLimit", "HttpTokens", "InstanceMetadataTags",
    ];
    ModifyInstanceMetadataOptions: write instance_attribute::modify_metadata_options, obeyed [
        "HttpEndpoint", "HttpProtocolIpv6", "HttpPutResponseHopLimit", "HttpTokens", "InstanceId",
        "InstanceMetadataTags",
    ];
    ModifyInstancePlacement: write instance_option::modify_placement, obeyed [
        "InstanceId",
    ], recorded [
        "GroupId", "GroupName", "PartitionNumber", "Tenancy",
    ];
    ModifyLaunchTemplate: write launch_template::modify, obeyed [
        "DefaultVersion", "LaunchTemplateId", "LaunchTemplateName",
    ];
    ModifyManagedPrefixList: write managed_prefix_list::modify, obeyed [
        "AddEntries", "CurrentVersion", "MaxEntries", "PrefixListId", "PrefixListName",
        "RemoveEntries",
    ];
    ModifyNetworkInterfaceAttribute: write network_interface::modify_attribute, obeyed [
        "AssociatePublicIpAddress", "Attachment.AttachmentId", "Attachment.DeleteOnTermination",
        "ConnectionTrackingSpecification", "Description", "EnablePrimaryIpv6", "Groups",
        "NetworkInterfaceId", "SourceDestCheck",
    ];
    ModifySecurityGroupRules: write security_group::modify_rules, obeyed [
        "GroupId", "SecurityGroupRules",
    ];
    ModifySnapshotAttribute: write snapshot::modify_attribute, obeyed [
        "Attribute", "CreateVolumePermission", "GroupNames", "OperationType", "SnapshotId",
        "UserIds",
    ];
    ModifySubnetAttribute: write subnet::modify_attribute, obeyed [
        "AssignIpv6AddressOnCreation", "EnableDns64", "EnableResourceNameDnsAAAARecordOnLaunch",
        "EnableResourceNameDnsARecordOnLaunch", "MapPublicIpOnLaunch",
        "PrivateDnsHostnameTypeOnLaunch", "SubnetId",
    ];
    ModifyTransitGateway: write transit_gateway::modify, obeyed [
        "Options.AssociationDefaultRouteTableId", "Options.DefaultRouteTableAssociation",
        "Options.DefaultRouteTablePropagation", "Options.PropagationDefaultRouteTableId",
        "TransitGatewayId",
    ], recorded [
        "Description", "Options.AddTransitGatewayCidrBlocks", "Options.AmazonSideAsn",
        "Options.AutoAcceptSharedAttachments", "Options.DnsSupport",
        "Options.RemoveTransitGatewayCidrBlocks", "Options.SecurityGroupReferencingSupport",
        "Options.VpnEcmpSupport",
    ];
    ModifyTransitGatewayVpcAttachment: write transit_gateway::attachment::modify, obeyed [
        "AddSubnetIds", "RemoveSubnetIds", "TransitGatewayAttachmentId",
    ], recorded [
        "Options",
    ];
    ModifyVolume: write volume_change::modify, obeyed ["VolumeId"], recorded [
        "Iops", "Size", "Throughput", "VolumeType",
    ];
    ModifyVolumeAttribute: write volume_change::modify_attribute, obeyed ["VolumeId"], recorded [
        "AutoEnableIO",
    ];
    ModifyVpcAttribute: write vpc::modify_attribute, obeyed [
        "EnableDnsHostnames", "EnableDnsSupport", "VpcId",
    ], recorded ["EnableNetworkAddressUsageMetrics"];
    ModifyVpcBlockPublicAccessExclusion: write block_public_access::modify_exclusion, obeyed [
        "ExclusionId", "InternetGatewayExclusionMode",
    ];
    ModifyVpcBlockPublicAccessOptions: write block_public_access::modify, obeyed [
        "InternetGatewayBlockMode",
    ];
    ModifyVpcEndpoint: write vpc_endpoint::modify, obeyed [
        "AddRouteTableIds", "AddSecurityGroupIds", "AddSubnetIds", "DnsOptions.DnsRecordIpType",
        "IpAddressType", "PolicyDocument", "PrivateDnsEnabled", "RemoveRouteTableIds",
        "RemoveSecurityGroupIds", "RemoveSubnetIds", "ResetPolicy", "SubnetConfigurations.Ipv4",
        "SubnetConfigurations.SubnetId", "VpcEndpointId",
    ], recorded [
        "DnsOptions.PrivateDnsOnlyForInboundResolverEndpoint",
    ];
    ModifyVpcEndpointServiceConfiguration: write vpc_endpoint::offered::modify, obeyed [
        "AcceptanceRequired", "AddSupportedRegions", "RemoveSupportedRegions", "ServiceId",
    ], recorded [
        "AddGatewayLoadBalancerArns", "AddNetworkLoadBalancerArns", "AddSupportedIpAddressTypes",
        "PrivateDnsName", "RemoveGatewayLoadBalancerArns", "RemoveNetworkLoadBalancerArns",
        "RemovePrivateDnsName", "RemoveSupportedIpAddressTypes",
    ];
    ModifyVpcEndpointServicePermissions: write vpc_endpoint::offered::modify_permissions, obeyed [
        "AddAllowedPrincipals", "RemoveAllowedPrincipals", "ServiceId",
    ];
    ModifyVpcPeeringConnectionOptions: write vpc_peering_connection::modify_options, obeyed [
        "AccepterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc",
        "RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc",
        "VpcPeeringConnectionId",
    ];
    ModifyVpnConnection: write vpn_connection::modify, obeyed [
        "CustomerGatewayId", "TransitGatewayId", "VpnConnectionId", "VpnGatewayId",
    ];
    ModifyVpnConnectionOptions: write vpn_connection::modify_options, obeyed [
        "VpnConnectionId",
    ], recorded [
        "LocalIpv4NetworkCidr", "LocalIpv6NetworkCidr", "RemoteIpv4NetworkCidr",
        "RemoteIpv6NetworkCidr", "TunnelBandwidth",
    ];
    ModifyVpnTunnelOptions: write vpn_connection::modify_tunnel, obeyed [
        "SkipTunnelReplacement", "VpnConnectionId", "VpnTunnelOutsideIpAddress",
    ], recorded [
        "TunnelOptions",
    ];
    MonitorInstances: write instance_option::monitor, obeyed ["InstanceIds"];
    RebootInstances: write instance::reboot, obeyed ["InstanceIds"];
    RegisterImage: write own_image::register, obeyed [
        "BlockDeviceMappings.DeviceName", "BlockDeviceMappings.Ebs.SnapshotId", "Description",
        "Name", "RootDeviceName", "TagSpecifications",
    ], recorded [
        "Architecture", "BlockDeviceMappings.Ebs.DeleteOnTermination",
        "BlockDeviceMappings.Ebs.VolumeSize", "BlockDeviceMappings.Ebs.VolumeType", "BootMode",
        "EnaSupport", "ImdsSupport", "SriovNetSupport", "VirtualizationType",
    ];
    RejectTransitGatewayVpcAttachment: write transit_gateway::attachment::reject, obeyed [
        "TransitGatewayAttachmentId",
    ];
    RejectVpcEndpointConnections: write vpc_endpoint::offered::reject, obeyed [
        "ServiceId", "VpcEndpointIds",
    ];
    RejectVpcPeeringConnection: write vpc_peering_connection::reject, obeyed [
        "VpcPeeringConnectionId",
    ];
    ReleaseAddress: write address::release, obeyed [
        "AllocationId", "NetworkBorderGroup", "PublicIp",
    ];
    ReplaceIamInstanceProfileAssociation: write iam_instance_profile::replace, obeyed [
        "AssociationId", "IamInstanceProfile",
    ];
    ReplaceNetworkAclAssociation: write network_acl::replace_association, obeyed [
        "AssociationId", "NetworkAclId",
    ];
    ReplaceNetworkAclEntry: write network_acl::replace_entry, obeyed [
        "CidrBlock", "Egress", "IcmpTypeCode", "Ipv6CidrBlock", "NetworkAclId", "PortRange",
        "Protocol", "RuleAction", "RuleNumber",
    ];
    ReplaceRoute: write route::replace, obeyed [
        "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId",
        "EgressOnlyInternetGatewayId", "GatewayId", "InstanceId", "LocalTarget", "NatGatewayId",
        "NetworkInterfaceId", "RouteTableId", "TransitGatewayId", "VpcPeeringConnectionId",
    ];
    ReplaceRouteTableAssociation: write route_table::replace_association, obeyed [
        "AssociationId", "RouteTableId",
    ];
    ReplaceTransitGatewayRoute: write transit_gateway::route::replace, obeyed [
        "Blackhole", "DestinationCidrBlock", "TransitGatewayAttachmentId",
        "TransitGatewayRouteTableId",
    ];
    ResetAddressAttribute: write address::reset_attribute, obeyed ["AllocationId", "Attribute"];
    ResetEbsDefaultKmsKeyId: write region_settings::reset_ebs_key, obeyed [];
    ResetImageAttribute: write own_image::reset_attribute, obeyed ["Attribute", "ImageId"];
    ResetNetworkInterfaceAttribute: write network_interface::reset_attribute, obeyed [
        "NetworkInterfaceId", "SourceDestCheck",
    ];
    ResetSnapshotAttribute: write snapshot::reset_attribute, obeyed ["Attribute", "SnapshotId"];
    RestoreManagedPrefixListVersion: write managed_prefix_list::restore, obeyed [
        "CurrentVersion", "PrefixListId", "PreviousVersion",
    ];
    RevokeSecurityGroupEgress: write security_group::revoke_egress, obeyed [
        "CidrIp", "FromPort", "GroupId", "IpPermissions", "IpProtocol", "SecurityGroupRuleIds",
        "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "ToPort",
    ];
    RevokeSecurityGroupIngress: write security_group::revoke_ingress, obeyed [
        "CidrIp", "FromPort", "GroupId", "GroupName", "IpPermissions", "IpProtocol",
        "SecurityGroupRuleIds", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "ToPort",
    ];
    RunInstances: write launch::run, obeyed [
        "BlockDeviceMappings.DeviceName", "BlockDeviceMappings.Ebs.DeleteOnTermination",
        "BlockDeviceMappings.Ebs.SnapshotId", "BlockDeviceMappings.Ebs.VolumeSize",
        "ClientToken", "DisableApiStop", "DisableApiTermination", "EnablePrimaryIpv6",
        "IamInstanceProfile", "ImageId", "InstanceInitiatedShutdownBehavior",
        "InstanceType", "Ipv6AddressCount", "Ipv6Addresses", "KeyName", "LaunchTemplate", "MaxCount",
        "MetadataOptions", "MinCount", "NetworkInterfaces.AssociatePublicIpAddress",
        "NetworkInterfaces.ConnectionTrackingSpecification",
        "NetworkInterfaces.DeleteOnTermination", "NetworkInterfaces.Description",
        "NetworkInterfaces.DeviceIndex", "NetworkInterfaces.Groups",
        "NetworkInterfaces.InterfaceType", "NetworkInterfaces.Ipv6AddressCount",
        "NetworkInterfaces.Ipv6Addresses", "NetworkInterfaces.NetworkCardIndex",
        "NetworkInterfaces.NetworkInterfaceId", "NetworkInterfaces.PrimaryIpv6",
        "NetworkInterfaces.PrivateIpAddress", "NetworkInterfaces.PrivateIpAddresses",
        "NetworkInterfaces.SecondaryPrivateIpAddressCount", "NetworkInterfaces.SubnetId",
        "Placement.AvailabilityZone", "PrivateDnsNameOptions", "PrivateIpAddress",
        "SecurityGroupIds", "SecurityGroups", "SubnetId", "TagSpecifications", "UserData",
    ], recorded [
        "BlockDeviceMappings.Ebs.Encrypted", "BlockDeviceMappings.Ebs.Iops",
        "BlockDeviceMappings.Ebs.KmsKeyId", "BlockDeviceMappings.Ebs.Throughput",
        "BlockDeviceMappings.Ebs.VolumeType", "CreditSpecification", "EbsOptimized",
        "HibernationOptions", "MaintenanceOptions.AutoRecovery", "Monitoring",
        "Placement.GroupId", "Placement.GroupName", "Placement.PartitionNumber",
        "Placement.Tenancy",
    ];
    SearchTransitGatewayRoutes: read transit_gateway::route::search, obeyed [
        "Filters", "MaxResults", "NextToken", "TransitGatewayRouteTableId",
    ];
    SendDiagnosticInterrupt: read instance_option::diagnostic_interrupt, obeyed ["InstanceId"];
    StartInstances: write instance::start, obeyed ["InstanceIds"];
    StartNetworkInsightsAccessScopeAnalysis: custom start_access_scope_analysis, obeyed [
        "ClientToken", "NetworkInsightsAccessScopeId", "TagSpecifications",
    ];
    StartNetworkInsightsAnalysis: custom start_analysis, obeyed [
        "ClientToken", "FilterInArns", "FilterOutArns", "NetworkInsightsPathId",
        "TagSpecifications",
    ], recorded [
        "AdditionalAccounts",
    ];
    StopInstances: write instance::stop, obeyed [
        "Force", "Hibernate", "InstanceIds", "SkipOsShutdown",
    ];
    TerminateInstances: write instance::terminate, obeyed [
        "Force", "InstanceIds", "SkipOsShutdown",
    ];
    UnassignIpv6Addresses: write network_interface::unassign_ipv6, obeyed [
        "Ipv6Addresses", "NetworkInterfaceId",
    ];
    UnassignPrivateIpAddresses: write network_interface::unassign_ipv4, obeyed [
        "NetworkInterfaceId", "PrivateIpAddresses",
    ];
    UnassignPrivateNatGatewayAddress: write nat_gateway::unassign_addresses, obeyed [
        "MaxDrainDurationSeconds", "NatGatewayId", "PrivateIpAddresses",
    ];
    UnmonitorInstances: write instance_option::unmonitor, obeyed ["InstanceIds"];
    UpdateSecurityGroupRuleDescriptionsEgress: write security_group::describe_egress_anew, obeyed [
        "GroupId", "GroupName", "IpPermissions", "SecurityGroupRuleDescriptions",
    ];
    UpdateSecurityGroupRuleDescriptionsIngress: write security_group::describe_ingress_anew, obeyed [
        "GroupId", "GroupName", "IpPermissions", "SecurityGroupRuleDescriptions",
    ];
}

/// Reachability Analyzer runs within the call.
fn start_analysis(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    use insights_analysis::{prepare, start};
    analyze::<op::StartNetworkInsightsAnalysis, _>(r, id, parameters, prepare, start)
}

/// The template goes into a bucket.
fn integration_template(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    upload::<op::GetFlowLogsIntegrationTemplate>(r, id, parameters, flow_log::integration_template)
}

/// Network Access Analyzer runs within the call as well.
fn start_access_scope_analysis(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    use access_scope::{prepare, start};
    analyze::<op::StartNetworkInsightsAccessScopeAnalysis, _>(r, id, parameters, prepare, start)
}

/// A key takes long to make: not inside a transaction, and not for a rehearsal.
fn create_key_pair(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    let input = read_input::<op::CreateKeyPair>(r, parameters)?;
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

fn console_output(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    let input = read_input::<op::GetConsoleOutput>(r, parameters)?;
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

"""Mistakes about addresses, interfaces, instances, key pairs and tags."""

from mistakes_network import missing


def launch(**more):
    """A launch that would work; a value of None takes a parameter away."""
    whole = {
        "ImageId": "{image}",
        "InstanceType": "t2.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": "{subnet}",
        "SecurityGroupIds": ["{web}"],
        **more,
    }
    return {key: value for key, value in whole.items() if value is not None}


def interface(index=0, **more):
    return {"DeviceIndex": index, "SubnetId": "{subnet}", **more}


def tagged(kind, *pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs]}]


MANY_TAGS = [{"Key": f"key-{number}", "Value": ""} for number in range(51)]

ADDRESS = [
    ("AssociateAddress", {"AllocationId": "{free_allocation}", "NetworkInterfaceId": "{other_eni}"}, "Gateway.NotAttached", "Network {other_vpc} is not attached to any internet gateway", "no gateway (IGW-14)"),
    ("AssociateAddress", {"AllocationId": "{allocation}", "NetworkInterfaceId": "{eni_c}", "AllowReassociation": False}, "Resource.AlreadyAssociated", None, "associated, not to be moved (EIP-3)"),
    ("AssociateAddress", {"AllocationId": "{free_allocation}", "InstanceId": "{instance}"}, "InvalidInstanceID|InvalidParameterCombination|InvalidParameterValue", None, "instance with two interfaces (EIP-4)"),
    ("AssociateAddress", {"AllocationId": "{free_allocation}"}, "MissingParameter|InvalidParameterCombination", None, "no target"),
    ("AssociateAddress", {"AllocationId": "{free_allocation}", "NetworkInterfaceId": "{eni}", "PrivateIpAddress": "10.1.1.200"}, "InvalidParameterValue|InvalidParameterCombination", None, "an address that the interface has not"),
    ("ReleaseAddress", {"AllocationId": "{allocation}"}, "InvalidIPAddress.InUse", "Address {address} is in use.", "associated (EIP-7)"),
    ("ReleaseAddress", {}, "MissingParameter", None, "no id (API-12)"),
    ("DisassociateAddress", {}, "MissingParameter", None, "no id (API-12)"),
]

INTERFACE = [
    ("CreateNetworkInterface", {"SubnetId": "{subnet}", "PrivateIpAddress": "10.1.1.10"}, "InvalidIPAddress.InUse", "Address 10.1.1.10 is in use.", "address taken (SUB-3)"),
    *[
        ("CreateNetworkInterface", {"SubnetId": "{subnet}", "PrivateIpAddress": address}, "InvalidParameterValue", f"Address {address} is in subnet's reserved address range", f"{address} is reserved (SUB-2, SUB-3)")
        for address in ("10.1.1.0", "10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.255")
    ],
    ("CreateNetworkInterface", {"SubnetId": "{subnet}", "PrivateIpAddress": "10.1.2.10"}, "InvalidParameterValue", None, "address outside of the subnet"),
    ("CreateNetworkInterface", {"SubnetId": "{subnet}", "PrivateIpAddress": "10.1.1.999"}, "InvalidParameterValue", None, "no address"),
    ("CreateNetworkInterface", {"SubnetId": "{subnet}", "Groups": ["{other_group}"]}, "InvalidParameter|InvalidGroup.NotFound|InvalidParameterValue", None, "group of another VPC (SG-27)"),
    ("CreateNetworkInterface", {"SubnetId": "{subnet}", "Groups": "{extra}"}, "SecurityGroupsPerInterfaceLimitExceeded", None, "six groups (SG-21, SG-23)"),
    ("CreateNetworkInterface", {}, "MissingParameter", missing("subnetId"), "no subnet (API-12)"),
    ("AttachNetworkInterface", {"NetworkInterfaceId": "{spare_eni}", "InstanceId": "{instance}", "DeviceIndex": 1}, "InvalidParameterValue", "Instance '{instance}' already has an interface attached at device index '1'.", "index used (ENI-4)"),
    ("AttachNetworkInterface", {"NetworkInterfaceId": "{spare_eni}", "InstanceId": "{instance}", "DeviceIndex": 2}, "AttachmentLimitExceeded", None, "a third of two (ENI-5)"),
    ("AttachNetworkInterface", {"NetworkInterfaceId": "{eni_c}", "InstanceId": "{protected}", "DeviceIndex": 1}, "InvalidParameterCombination|InvalidParameterValue", None, "other zone (ENI-4)"),
    ("AttachNetworkInterface", {"NetworkInterfaceId": "{attached_eni}", "InstanceId": "{protected}", "DeviceIndex": 1}, "InvalidParameterValue|InvalidNetworkInterface.InUse", None, "attached already"),
    ("AttachNetworkInterface", {"NetworkInterfaceId": "{spare_eni}", "InstanceId": "{terminated}", "DeviceIndex": 1}, "IncorrectState|IncorrectInstanceState|InvalidInstanceID.NotFound", None, "terminated instance (ENI-4)"),
    ("DetachNetworkInterface", {"AttachmentId": "{primary_attachment}"}, "OperationNotPermitted", "The network interface at device index 0 cannot be detached.", "device 0 (ENI-3)"),
    ("DeleteNetworkInterface", {"NetworkInterfaceId": "{attached_eni}"}, "InvalidParameterValue", "~Network interface '{attached_eni}' is currently in use.*", "attached (ENI-6)"),
    ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "{eni}", "Groups": ["{other_group}"]}, "InvalidParameter|InvalidGroup.NotFound|InvalidParameterValue", None, "group of another VPC (SG-28)"),
    ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "{eni}", "Groups": "{extra}"}, "SecurityGroupsPerInterfaceLimitExceeded", None, "six groups (SG-23)"),
    ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": "{eni}", "Groups": ["web"]}, "InvalidGroupId.Malformed|InvalidGroup.NotFound|InvalidSecurityGroupID.NotFound", None, "a name instead of an id (SG-28)"),
]

LAUNCH = [
    ("RunInstances", launch(SecurityGroupIds=["{other_group}"]), "InvalidParameter", "Security group {other_group} and subnet {subnet} belong to different networks.", "group of another VPC (SG-27)"),
    ("RunInstances", launch(SubnetId="{subnet_b}"), "Unsupported", "Your requested instance type (t2.micro) is not supported in your requested Availability Zone (ap-northeast-2b). Please retry your request by not specifying an Availability Zone or choosing ap-northeast-2a, ap-northeast-2c.", "t2.micro in 2b (SUB-11)"),
    ("RunInstances", launch(SecurityGroupIds="{extra}"), "SecurityGroupsPerInstanceLimitExceeded", None, "six groups (SG-23)"),
    ("RunInstances", launch(ImageId="ami-0ffffffffffffffff"), "InvalidAMIID.NotFound", "The image id '[ami-0ffffffffffffffff]' does not exist", "unknown image (API-11)"),
    ("RunInstances", launch(ImageId="debian"), "InvalidAMIID.Malformed", None, "malformed image id"),
    ("RunInstances", launch(ImageId=None), "MissingParameter", missing("ImageId"), "no image (API-12)"),
    ("RunInstances", launch(KeyName="nobody"), "InvalidKeyPair.NotFound", "The key pair 'nobody' does not exist", "unknown key (EC2-14)"),
    ("RunInstances", launch(InstanceType="t9.mega"), "InvalidParameterValue", None, "unknown type"),
    ("RunInstances", launch(MinCount=2, MaxCount=1), "InvalidParameterValue|InvalidParameterCombination", None, "minimum over maximum (EC2-22)"),
    ("RunInstances", launch(MinCount=0), "InvalidParameterValue", None, "minimum 0"),
    ("RunInstances", launch(MinCount=None), "MissingParameter", missing("MinCount"), "no minimum (API-12)"),
    ("RunInstances", launch(MaxCount=None), "MissingParameter", missing("MaxCount"), "no maximum (API-12)"),
    ("RunInstances", launch(SubnetId="{small}", MinCount=12, MaxCount=12), "InsufficientFreeAddressesInSubnet", None, "twelve into eleven addresses (SUB-2, SUB-4)"),
    ("RunInstances", launch(SecurityGroupIds=None, NetworkInterfaces=[interface()]), "InvalidParameterCombination", "Network interfaces and an instance-level subnet ID may not be specified on the same request", "interfaces and subnet (EC2-19)"),
    ("RunInstances", launch(SubnetId=None, NetworkInterfaces=[interface()]), "InvalidParameterCombination", "Network interfaces and instance-level security groups may not be specified on the same request", "interfaces and groups (EC2-19)"),
    ("RunInstances", launch(SecurityGroupIds=None, SecurityGroups=["web"]), "InvalidParameterCombination", "The parameter groupName cannot be used with the parameter subnet", "group names and subnet (EC2-20)"),
    ("RunInstances", launch(SubnetId=None, SecurityGroupIds=None, NetworkInterfaces=[interface(0, AssociatePublicIpAddress=True), interface(1)]), "InvalidParameterCombination", "The associatePublicIPAddress parameter cannot be specified when launching with multiple network interfaces.", "public address and two interfaces (PUB-2)"),
    ("RunInstances", launch(SubnetId=None, SecurityGroupIds=None, NetworkInterfaces=[interface(0), interface(1), interface(2)]), "AttachmentLimitExceeded|InvalidParameterValue", None, "three interfaces on a t2.micro (ENI-5)"),
    ("RunInstances", launch(PrivateIpAddress="10.1.1.10"), "InvalidIPAddress.InUse", "Address 10.1.1.10 is in use.", "address taken (SUB-3)"),
    ("RunInstances", launch(PrivateIpAddress="10.1.1.1"), "InvalidParameterValue", "Address 10.1.1.1 is in subnet's reserved address range", "address reserved (SUB-3)"),
    ("RunInstances", launch(PrivateIpAddress="10.1.2.9"), "InvalidParameterValue", None, "address outside of the subnet"),
    ("RunInstances", launch(PrivateIpAddress="10.1.1.99", MinCount=2, MaxCount=2), "InvalidParameterCombination|InvalidParameterValue", None, "one address for two"),
    ("RunInstances", launch(UserData="x" * 16385), "InvalidParameterValue", None, "user data over 16 KB (EC2-10)"),
    ("RunInstances", launch(IamInstanceProfile={"Name": "nobody"}), "InvalidParameterValue", "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name", "unknown profile (EC2-17)"),
    ("RunInstances", launch(InstanceInitiatedShutdownBehavior="explode"), "InvalidParameterValue", None, "unknown shutdown behaviour (EC2-9)"),
    ("RunInstances", launch(MetadataOptions={"HttpTokens": "perhaps"}), "InvalidParameterValue", None, "metadata tokens (IMDS-8)"),
    ("RunInstances", launch(MetadataOptions={"HttpPutResponseHopLimit": 65}), "InvalidParameterValue", None, "hop limit 65 (IMDS-7)"),
    ("RunInstances", launch(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]), "InvalidBlockDeviceMapping|InvalidParameterValue", None, "root volume smaller than the image"),
    ("RunInstances", launch(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "tape"}}]), "InvalidParameterValue|UnknownVolumeType", None, "unknown volume type"),
    ("RunInstances", launch(TagSpecifications=tagged("instance", ("ok", "1"), ("aws:mine", "2"))), "InvalidParameterValue", None, "tag key of AWS: nothing is launched (EC2-27)"),
    ("RunInstances", launch(TagSpecifications=tagged("vpc", ("ok", "1"))), "InvalidParameterValue", None, "tags for something else (EC2-27)"),
]

STATE = [
    ("StartInstances", {"InstanceIds": ["{terminated}"]}, "IncorrectInstanceState", "The instance '{terminated}' is not in a state from which it can be started.", "terminated (EC2-4)"),
    ("StopInstances", {"InstanceIds": ["{terminated}"]}, "IncorrectInstanceState", "This instance '{terminated}' is not in a state from which it can be stopped.", "terminated (EC2-4)"),
    ("RebootInstances", {"InstanceIds": ["{terminated}"]}, "IncorrectInstanceState|InvalidInstanceID.NotFound", None, "terminated (EC2-4)"),
    ("StopInstances", {"InstanceIds": ["{instance}", "i-0ffffffffffffffff"]}, "InvalidInstanceID.NotFound", "The instance ID 'i-0ffffffffffffffff' does not exist", "one bad id: none is stopped (EC2-2)"),
    ("TerminateInstances", {"InstanceIds": ["i-0ffffffffffffffff", "i-0fffffffffffffffe"]}, "InvalidInstanceID.NotFound", "~The instance IDs 'i-0f{16}, i-0f{15}e' do not exist|The instance IDs 'i-0f{15}e, i-0f{16}' do not exist", "two unknown (EC2-5)"),
    ("TerminateInstances", {"InstanceIds": ["{protected}"]}, "OperationNotPermitted", "The instance '{protected}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", "protected (EC2-6)"),
    ("TerminateInstances", {"InstanceIds": ["x"]}, "InvalidInstanceID.Malformed", 'Invalid id: "x"', "malformed (EC2-5)"),
    ("TerminateInstances", {}, "MissingParameter", missing("InstanceId.*"), "no id (API-12)"),
    ("ModifyInstanceAttribute", {"InstanceId": "{instance}", "InstanceType": {"Value": "t2.small"}}, "IncorrectInstanceState", None, "type while running (EC2-8)"),
    ("ModifyInstanceAttribute", {"InstanceId": "{instance}", "UserData": {"Value": b"x"}}, "IncorrectInstanceState", None, "user data while running (EC2-8)"),
    ("ModifyInstanceAttribute", {"InstanceId": "{stopped}", "InstanceType": {"Value": "t9.mega"}}, "InvalidParameterValue|InvalidInstanceAttributeValue", None, "unknown type"),
    ("ModifyInstanceAttribute", {"InstanceId": "{instance}", "SourceDestCheck": {"Value": False}}, "InvalidInstanceID|InvalidParameterCombination", None, "check of an instance with two interfaces (SDC-2)"),
    ("ModifyInstanceMetadataOptions", {"InstanceId": "{instance}", "HttpPutResponseHopLimit": 0}, "InvalidParameterValue", None, "hop limit 0 (IMDS-7)"),
]

KEY = [
    ("CreateKeyPair", {"KeyName": "key"}, "InvalidKeyPair.Duplicate", "The keypair 'key' already exists.", "name used (EC2-14)"),
    ("ImportKeyPair", {"KeyName": "key", "PublicKeyMaterial": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGTk/6LnS7u0fWqYWcVZ5NPtWTkOTlUnCXRuLkXTbgVp"}, "InvalidKeyPair.Duplicate", "The keypair 'key' already exists.", "name used (EC2-14)"),
    ("ImportKeyPair", {"KeyName": "new", "PublicKeyMaterial": b"this is no key"}, "InvalidKey.Format", None, "no key (EC2-14)"),
    ("CreateKeyPair", {"KeyName": "k" * 256}, "InvalidParameterValue", None, "name too long (EC2-12)"),
    ("CreateKeyPair", {"KeyName": ""}, "InvalidParameterValue|MissingParameter", None, "empty name"),
    ("CreateKeyPair", {}, "MissingParameter", missing("KeyName"), "no name (API-12)"),
    ("CreateKeyPair", {"KeyName": "new", "KeyType": "dsa"}, "InvalidParameterValue", None, "unknown type (EC2-12)"),
    ("CreateKeyPair", {"KeyName": "new", "KeyFormat": "der"}, "InvalidParameterValue", None, "unknown format (EC2-12)"),
]

TAGS = [
    ("CreateTags", {"Resources": ["{vpc}"], "Tags": [{"Key": "aws:mine", "Value": "1"}]}, "InvalidParameterValue", None, "key of AWS (EC2-27)"),
    ("CreateTags", {"Resources": ["{vpc}"], "Tags": MANY_TAGS}, "TagLimitExceeded", None, "51 tags (EC2-27)"),
    ("CreateTags", {"Resources": ["{vpc}"], "Tags": [{"Key": "k" * 129, "Value": ""}]}, "InvalidParameterValue", None, "key too long (EC2-27)"),
    ("CreateTags", {"Resources": ["{vpc}"], "Tags": [{"Key": "k", "Value": "v" * 257}]}, "InvalidParameterValue", None, "value too long (EC2-27)"),
    ("CreateTags", {"Resources": ["{vpc}", "subnet-0ffffffffffffffff"], "Tags": [{"Key": "k", "Value": ""}]}, "InvalidSubnetID.NotFound", "The subnet ID 'subnet-0ffffffffffffffff' does not exist", "one unknown of two: none is tagged (EC2-27)"),
    ("CreateTags", {"Resources": ["thing"], "Tags": [{"Key": "k", "Value": ""}]}, "InvalidID", None, "an id of no kind"),
    ("CreateTags", {"Resources": ["{vpc}"]}, "MissingParameter", None, "no tags (API-12)"),
    ("CreateVpc", {"CidrBlock": "10.9.0.0/16", "TagSpecifications": tagged("subnet", ("Name", "x"))}, "InvalidParameterValue", None, "tags for something else (EC2-27)"),
    ("CreateVpc", {"CidrBlock": "10.9.0.0/16", "TagSpecifications": tagged("vpc", ("aws:x", "x"))}, "InvalidParameterValue", None, "tag key of AWS: nothing is made (EC2-27)"),
]

ROWS = ADDRESS + INTERFACE + LAUNCH + STATE + KEY + TAGS

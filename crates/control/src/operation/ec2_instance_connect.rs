//! EC2 Instance Connect's operations.

use super::operations;
use crate::resource::instance_connect;

operations! { ec2_instance_connect
    SendSSHPublicKey: write instance_connect::send_key, obeyed [
        "AvailabilityZone", "InstanceId", "InstanceOSUser", "SSHPublicKey",
    ];
}

//! The handlers, one file a resource: what its operations check, change and answer.

pub(crate) mod address;
pub(crate) mod cidr;
pub(crate) mod default_vpc;
pub(crate) mod dhcp_options;
pub(crate) mod idempotency;
pub(crate) mod image;
pub(crate) mod instance;
pub(crate) mod instance_attribute;
pub(crate) mod instance_type;
pub(crate) mod internet_gateway;
pub(crate) mod key_pair;
pub(crate) mod launch;
pub(crate) mod network_acl;
pub(crate) mod network_interface;
pub(crate) mod place;
pub(crate) mod prefix_list;
pub(crate) mod public_ip;
pub(crate) mod route_table;
pub(crate) mod security_group;
pub(crate) mod security_group_rule;
pub(crate) mod ssm;
pub(crate) mod sts;
pub(crate) mod subnet;
pub(crate) mod volume;
pub(crate) mod vpc;

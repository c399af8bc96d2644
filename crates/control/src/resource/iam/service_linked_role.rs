//! Roles that AWS services use on their own. No service uses one here; they are there for what
//! asks for them.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Permissions, Role};

use super::{named, new_name, now, role, scope, unique_id, with_name};
use crate::call::{Answer, Call, given};

/// The path that all of them are under.
const PATH: &str = "/aws-service-role/";

/// The services that have such roles: their names, what their roles are called, and the policy of
/// AWS's that they have.
const SERVICES: &[(&str, &str, Option<&str>)] = &[
    ("autoscaling", "AutoScaling", Some("AutoScalingServiceRolePolicy")),
    ("ec2", "EC2", None),
    ("ec2fleet", "EC2Fleet", Some("AWSEC2FleetServiceRolePolicy")),
    ("ecs", "ECS", Some("AmazonECSServiceRolePolicy")),
    ("eks", "AmazonEKS", Some("AmazonEKSServiceRolePolicy")),
    ("eks-fargate", "AmazonEKSForFargate", Some("AmazonEKSForFargateServiceRolePolicy")),
    ("eks-nodegroup", "AmazonEKSNodegroup", Some("AWSServiceRoleForAmazonEKSNodegroup")),
    ("elasticloadbalancing", "ElasticLoadBalancing", None),
    ("rds", "RDS", Some("AmazonRDSServiceRolePolicy")),
    ("spot", "EC2Spot", Some("AWSEC2SpotServiceRolePolicy")),
    ("spotfleet", "EC2SpotFleet", None),
    ("ssm", "AmazonSSM", Some("AmazonSSMServiceRolePolicy")),
    ("transitgateway", "VPCTransitGateway", None),
];

/// Whether a role belongs to a service.
pub(crate) fn is_one(role: &Role) -> bool {
    role.path.starts_with(PATH)
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateServiceLinkedRoleRequest,
) -> Answer<iam::CreateServiceLinkedRoleResponse> {
    let service = r.aws_service_name.as_deref().unwrap_or_default();
    let short = service.strip_suffix(".amazonaws.com").unwrap_or_default();
    let Some((_, name, policy)) = SERVICES.iter().find(|(known, ..)| *known == short) else {
        let message = format!("The service principal {service} has no service-linked role here.");
        return Err(ApiError::invalid_input(message));
    };
    let suffix = match (short, given(&r.custom_suffix)) {
        (_, None) => String::new(),
        ("autoscaling", Some(suffix)) => format!("_{suffix}"),
        _ => {
            let message = format!("Custom suffix is not allowed for {service}");
            return Err(ApiError::invalid_input(message));
        }
    };
    let name = format!("AWSServiceRoleFor{name}{suffix}");
    if with_name::<Role>(call, tx, &name).is_some() {
        return Err(ApiError::invalid_input(format!(
            "Service role name {name} has been taken in this account, please try a different \
             suffix."
        )));
    }
    let arn = policy.map(|policy| format!("arn:aws:iam::aws:policy{PATH}{policy}"));
    let permissions = Permissions { attached: arn.into_iter().collect(), ..Permissions::default() };
    let role = Role {
        name: new_name::<Role>(call, tx, &Some(name), "roleName")?,
        id: unique_id::<Role>(call),
        path: format!("{PATH}{service}/"),
        description: given(&r.description).map(str::to_owned),
        assume_role_policy: format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Action":["sts:AssumeRole"],"Effect":"Allow","Principal":{{"Service":["{service}"]}}}}]}}"#
        ),
        max_session_duration: 3600,
        permissions,
        permissions_boundary: None,
        last_used: None,
        created: now(call),
        tags: gureum_types::Tags::new(),
    };
    let role = tx.put(&scope(call), role);
    let role = role::shown_short(call, &role);
    Ok(iam::CreateServiceLinkedRoleResponse { role: Some(role) })
}

/// Deleted at once: the task that AWS would have for it is over when its id is answered.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteServiceLinkedRoleRequest,
) -> Answer<iam::DeleteServiceLinkedRoleResponse> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    if !is_one(&role) {
        let message = format!("Role {} is not a service-linked role.", role.name);
        return Err(ApiError::invalid_input(message));
    }
    tx.remove::<Role>(&scope(call), &role.name.to_ascii_lowercase());
    let service = role.path.trim_start_matches(PATH).trim_end_matches('/');
    let number = format!("{:016x}", call.random());
    let task = format!("task{PATH}{service}/{}/{number}", role.name);
    Ok(iam::DeleteServiceLinkedRoleResponse { deletion_task_id: Some(task) })
}

/// No task is kept, since each was over when its id was answered.
pub(crate) fn deletion_status(
    _: &Call,
    _: &Snapshot,
    r: &iam::GetServiceLinkedRoleDeletionStatusRequest,
) -> Answer<iam::GetServiceLinkedRoleDeletionStatusResponse> {
    let task = r.deletion_task_id.as_deref().unwrap_or_default();
    let parts: Vec<_> = task.split('/').collect();
    let is_ours =
        |number: &str| number.len() == 16 && number.bytes().all(|b| b.is_ascii_hexdigit());
    match parts[..] {
        ["task", "aws-service-role", _, _, number] if is_ours(number) => {
            Ok(iam::GetServiceLinkedRoleDeletionStatusResponse {
                status: Some("SUCCEEDED".into()),
                reason: None,
            })
        }
        _ => Err(ApiError::no_such_entity(format!("The deletion task {task} cannot be found."))),
    }
}

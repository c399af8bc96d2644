//! Roles of instances: profiles on instances, and what the metadata service is given to show.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Cloud, Wishes, refused};
use gureum_types::{
    InstanceId,
    record::{SessionCredential, SessionPrincipal},
    view::{InstanceProfileView, ProfileGives},
};

const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;

/// A role in a profile of the same name; the profile's ARN and id.
async fn profile(cloud: &Cloud, name: &str) -> (String, String) {
    let role = [("RoleName", name), ("AssumeRolePolicyDocument", TRUST)];
    cloud.iam("CreateRole", &role).await.ok();
    let made = cloud.iam("CreateInstanceProfile", &[("InstanceProfileName", name)]).await.ok();
    let into = [("InstanceProfileName", name), ("RoleName", name)];
    cloud.iam("AddRoleToInstanceProfile", &into).await.ok();
    (made.text("Arn"), made.text("InstanceProfileId"))
}

/// What the services are given of an instance's profile.
fn shown(cloud: &Cloud, id: &str) -> Option<InstanceProfileView> {
    let view = cloud.linux.view()?;
    view.instances.get(&id.parse::<InstanceId>().expect("an id"))?.instance_profile.clone()
}

/// Waits until the services have what is wanted.
async fn until<T>(
    cloud: &Cloud,
    id: &str,
    wanted: impl Fn(Option<InstanceProfileView>) -> Option<T>,
) -> T {
    let mut applied = cloud.linux.applied();
    let waited = async {
        loop {
            if let Some(found) = wanted(shown(cloud, id)) {
                return found;
            }
            applied.changed().await.expect("a cloud");
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), waited).await {
        Ok(found) => found,
        Err(_) => panic!("never came: {:?}", shown(cloud, id)),
    }
}

/// Waits for credentials of a role.
async fn credentials(cloud: &Cloud, id: &str, role: &str) -> Arc<SessionCredential> {
    until(cloud, id, |profile| match profile?.gives {
        ProfileGives::Role(name, session) if name == role => Some(session),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_launch_takes_a_profile_by_name_or_arn_and_shows_it() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let (arn, profile_id) = profile(&cloud, "ssm").await;
    let by_name = cloud.instance(&subnet, &[("IamInstanceProfile.Name", "ssm")]).await;
    let by_arn = cloud.instance(&subnet, &[("IamInstanceProfile.Arn", &arn)]).await;
    let without = cloud.instance(&subnet, &[]).await;
    for id in [&by_name, &by_arn] {
        credentials(&cloud, id, "ssm").await;
        let reply = cloud.ec2("DescribeInstances", &[("InstanceId.1", id)]).await.ok();
        let wanted = format!(
            "<iamInstanceProfile><arn>{arn}</arn><id>{profile_id}</id></iamInstanceProfile>"
        );
        assert!(reply.body.contains(&wanted), "{}", reply.body);
    }
    for (filter, value) in [
        ("iam-instance-profile.arn", arn.as_str()),
        ("iam-instance-profile.id", profile_id.as_str()),
        ("iam-instance-profile.name", "ssm"),
    ] {
        let filter = [("Filter.1.Name", filter), ("Filter.1.Value.1", value)];
        let mut found = cloud.ec2("DescribeInstances", &filter).await.ok().all("instanceId");
        found.sort();
        let mut wanted = [by_name.clone(), by_arn.clone()];
        wanted.sort();
        assert_eq!(found, wanted, "{filter:?}, not {without}");
    }
    let image = cloud.image().await;
    let launch = |profile: &'static [(&'static str, &'static str)]| {
        let mut parameters = vec![
            ("ImageId", image.as_str()),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", subnet.as_str()),
        ];
        parameters.extend(profile);
        parameters
    };
    refused(
        &cloud,
        &[
            (
                "RunInstances",
                &launch(&[("IamInstanceProfile.Name", "nobody")]),
                "InvalidParameterValue",
                "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM \
                 Instance Profile name", // EC2-17
            ),
            (
                "RunInstances",
                &launch(&[(
                    "IamInstanceProfile.Arn",
                    "arn:aws:iam::444455556666:instance-profile/ssm",
                )]),
                "InvalidParameterValue",
                "Invalid IAM Instance Profile ARN",
            ),
            (
                "RunInstances",
                &launch(&[("IamInstanceProfile.Name", "ssm"), ("IamInstanceProfile.Arn", "x")]),
                "InvalidParameterCombination",
                "iamInstanceProfile.name",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_running_instance_gets_another_role_and_loses_it() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let (arn, _) = profile(&cloud, "one").await;
    let (other, _) = profile(&cloud, "two").await;
    let id = cloud.instance(&subnet, &[]).await;
    let instance = ("InstanceId", id.as_str());
    let made = cloud
        .ec2("AssociateIamInstanceProfile", &[instance, ("IamInstanceProfile.Name", "one")])
        .await
        .ok();
    let association = made.text("associationId");
    assert!(association.starts_with("iip-assoc-0"), "{association}");
    assert_eq!((made.text("state"), made.text("arn")), ("associating".into(), arn.clone()));
    let first = credentials(&cloud, &id, "one").await; // EC2-18
    let of_instance = [("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", id.as_str())];
    let listed = cloud.ec2("DescribeIamInstanceProfileAssociations", &of_instance).await.ok();
    assert_eq!(listed.text("associationId"), association);
    assert_eq!(
        (listed.text("state"), listed.text("instanceId")),
        ("associated".into(), id.clone())
    );
    let none = [("Filter.1.Name", "state"), ("Filter.1.Value.1", "disassociated")];
    let none = cloud.ec2("DescribeIamInstanceProfileAssociations", &none).await.ok();
    assert!(none.all("associationId").is_empty());
    let unknown = "iip-assoc-00000000000000000";
    refused(
        &cloud,
        &[
            (
                "AssociateIamInstanceProfile",
                &[instance, ("IamInstanceProfile.Name", "two")],
                "IncorrectState",
                &format!("There is an existing association for instance {id}"),
            ),
            (
                "AssociateIamInstanceProfile",
                &[instance, ("IamInstanceProfile.Name", "nobody")],
                "InvalidParameterValue",
                "Invalid IAM Instance Profile name",
            ),
            (
                "AssociateIamInstanceProfile",
                &[("InstanceId", "i-00000000000000000"), ("IamInstanceProfile.Name", "two")],
                "InvalidInstanceID.NotFound",
                "i-00000000000000000",
            ),
            ("AssociateIamInstanceProfile", &[instance], "MissingParameter", "IamInstanceProfile"),
            (
                "ReplaceIamInstanceProfileAssociation",
                &[("AssociationId", unknown), ("IamInstanceProfile.Name", "two")],
                "InvalidAssociationID.NotFound",
                unknown,
            ),
            (
                "DisassociateIamInstanceProfile",
                &[("AssociationId", unknown)],
                "InvalidAssociationID.NotFound",
                unknown,
            ),
            (
                "DescribeIamInstanceProfileAssociations",
                &[("AssociationId.1", "x")],
                "InvalidAssociationID.Malformed",
                "x",
            ),
            (
                "DescribeIamInstanceProfileAssociations",
                &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
                "InvalidParameterValue",
                "colour",
            ),
        ],
    )
    .await;

    let replace = [("AssociationId", association.as_str()), ("IamInstanceProfile.Arn", &other)];
    let made = cloud.ec2("ReplaceIamInstanceProfileAssociation", &replace).await.ok();
    let replaced = made.text("associationId");
    assert_ne!(replaced, association);
    let second = credentials(&cloud, &id, "two").await;
    assert_ne!(first.access_key_id, second.access_key_id);
    let gone = [("AssociationId", replaced.as_str())];
    let gone = cloud.ec2("DisassociateIamInstanceProfile", &gone).await.ok();
    assert_eq!(gone.text("state"), "disassociating");
    until(&cloud, &id, |profile| profile.is_none().then_some(())).await;
    let listed = cloud.ec2("DescribeIamInstanceProfileAssociations", &[]).await.ok();
    assert!(listed.all("associationId").is_empty());
    // As on AWS a session is good until it ends, whatever became of the profile.
    let records = cloud.control.snapshot();
    let kept = records.everywhere::<SessionCredential>().filter(|(_, it)| **it == first);
    assert_eq!(kept.count(), 1);
    // A terminated instance has none.
    cloud
        .ec2("AssociateIamInstanceProfile", &[instance, ("IamInstanceProfile.Name", "one")])
        .await
        .ok();
    cloud.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "terminated").await;
    let listed = cloud.ec2("DescribeIamInstanceProfileAssociations", &[]).await.ok();
    assert!(listed.all("associationId").is_empty());
    let late = [instance, ("IamInstanceProfile.Name", "one")];
    let late = cloud.ec2("AssociateIamInstanceProfile", &late).await;
    assert_eq!(late.code(), "IncorrectInstanceState");
}

// IMDS-27
#[tokio::test]
async fn credentials_of_a_role_are_renewed_before_they_end() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    profile(&cloud, "ssm").await;
    let id = cloud.instance(&subnet, &[("IamInstanceProfile.Name", "ssm")]).await;
    let first = credentials(&cloud, &id, "ssm").await;
    assert!(first.access_key_id.starts_with("ASIA") && first.access_key_id.len() == 20);
    assert_eq!(first.secret.len(), 40);
    assert_eq!(first.expires.seconds() - first.issued.seconds(), 6 * 3600);
    cloud.advance(Duration::from_secs(5 * 3600));
    cloud
        .ec2("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")])
        .await
        .ok();
    assert_eq!(credentials(&cloud, &id, "ssm").await, first, "good for an hour yet");
    cloud.advance(Duration::from_secs(54 * 60));
    let second = until(&cloud, &id, |profile| match profile?.gives {
        ProfileGives::Role(_, session) if session != first => Some(session),
        _ => None,
    })
    .await;
    assert!(first.expires.seconds() - second.issued.seconds() >= 300, "five minutes before");
    assert_eq!(second.expires.seconds() - second.issued.seconds(), 6 * 3600);
    // What is long over is forgotten.
    cloud.advance(Duration::from_secs(40 * 3600));
    let mut watch = cloud.control.watch();
    while cloud.control.snapshot().everywhere::<SessionCredential>().any(|(_, it)| *it == first) {
        watch.changed().await.expect("a store");
    }
}

#[tokio::test]
async fn the_role_decides_what_an_instance_gets() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let (_, profile_id) = profile(&cloud, "r").await;
    let id = cloud.instance(&subnet, &[("IamInstanceProfile.Name", "r")]).await;
    let first = credentials(&cloud, &id, "r").await;
    // IMDS-28
    let trust = TRUST.replace("ec2", "lambda");
    let update = [("RoleName", "r"), ("PolicyDocument", trust.as_str())];
    cloud.iam("UpdateAssumeRolePolicy", &update).await.ok();
    until(&cloud, &id, |it| (it?.gives == ProfileGives::Unauthorized("r".into())).then_some(()))
        .await;
    let update = [("RoleName", "r"), ("PolicyDocument", TRUST)];
    cloud.iam("UpdateAssumeRolePolicy", &update).await.ok();
    credentials(&cloud, &id, "r").await;
    // Another role of the same name is another one.
    let both = [("InstanceProfileName", "r"), ("RoleName", "r")];
    cloud.iam("RemoveRoleFromInstanceProfile", &both).await.ok();
    until(&cloud, &id, |it| (it?.gives == ProfileGives::NoRole).then_some(())).await;
    cloud.iam("DeleteRole", &both[1..]).await.ok();
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
    cloud.iam("CreateRole", &role).await.ok();
    cloud.iam("AddRoleToInstanceProfile", &both).await.ok();
    let second = credentials(&cloud, &id, "r").await;
    assert_ne!(first.principal, second.principal);
    // So is another profile of the same name: the instance has the one that it was given.
    cloud.iam("RemoveRoleFromInstanceProfile", &both).await.ok();
    cloud.iam("DeleteInstanceProfile", &both[..1]).await.ok();
    until(&cloud, &id, |it| (it?.gives == ProfileGives::Deleted).then_some(())).await;
    cloud.iam("CreateInstanceProfile", &both[..1]).await.ok();
    cloud.iam("AddRoleToInstanceProfile", &both).await.ok();
    let profile = shown(&cloud, &id).expect("an association");
    assert_eq!((profile.gives, profile.id), (ProfileGives::Deleted, profile_id));
}

#[tokio::test]
async fn an_instance_that_is_off_needs_no_credentials() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    profile(&cloud, "r").await;
    let id = cloud.instance(&subnet, &[]).await;
    cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "stopped").await;
    let parameters = [("InstanceId", id.as_str()), ("IamInstanceProfile.Name", "r")];
    cloud.ec2("AssociateIamInstanceProfile", &parameters).await.ok();
    until(&cloud, &id, |it| (it?.gives == ProfileGives::Pending).then_some(())).await;
    let records = cloud.control.snapshot();
    let of_role = |it: &SessionCredential| matches!(it.principal, SessionPrincipal::Role { .. });
    assert!(!records.everywhere::<SessionCredential>().any(|(_, it)| of_role(it)));
    cloud.ec2("StartInstances", &[("InstanceId.1", &id)]).await.ok();
    credentials(&cloud, &id, "r").await;
}

#[tokio::test]
async fn profiles_of_two_accounts_are_two() {
    let cloud = Cloud::with(Wishes::default());
    let other = cloud.as_seen_by("444455556666", "ap-northeast-2");
    profile(&cloud, "r").await;
    let (_, subnet) = other.network().await;
    let image = other.image().await;
    let launch = [
        ("ImageId", image.as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
        ("IamInstanceProfile.Name", "r"),
    ];
    assert_eq!(other.ec2("RunInstances", &launch).await.code(), "InvalidParameterValue");
}

//! An instance that has a role finds its credentials.

use std::time::Duration;

use gureum_e2e::{Cloud, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(120);

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A role in a profile of the same name, as scripts make it with the AWS CLI and its waiters.
fn role_in_profile(cloud: &Cloud, name: &str) {
    let role = ["iam", "create-role", "--role-name", name, "--assume-role-policy-document", TRUST];
    cloud.aws_args(role).ok();
    for words in [
        format!("iam wait role-exists --role-name {name}"),
        format!(
            "iam attach-role-policy --role-name {name} --policy-arn \
             arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM"
        ),
        format!("iam create-instance-profile --instance-profile-name {name}"),
        format!("iam wait instance-profile-exists --instance-profile-name {name}"),
        format!(
            "iam add-role-to-instance-profile --instance-profile-name {name} --role-name {name}"
        ),
    ] {
        cloud.aws(&words).ok();
    }
}

#[test]
fn hosts_an_instance_finds_the_credentials_of_its_role() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    role_in_profile(&cloud, "first");
    role_in_profile(&cloud, "second");
    let mut stage = Stage::open(&cloud);
    let id = stage.run_instances("role", 1).remove(0);
    stage.wait_ready(&id);
    let ask = |path: &str| {
        let url = format!("http://169.254.169.254/latest/meta-data/iam/{path}");
        cloud.exec(&id, &format!("curl -sf --max-time 5 {url}"))
    };
    assert_ne!(ask("").status, 0, "IMDS-26: nothing without a profile");
    let associate = cloud.aws(&format!(
        "ec2 associate-iam-instance-profile --instance-id {id} --iam-instance-profile Name=first"
    ));
    let association = &associate.json()["IamInstanceProfileAssociation"]["AssociationId"];
    let association = association.as_str().expect("an id").to_owned();
    let role = || ask("security-credentials/").stdout;
    wait("EC2-18: the role of a running instance", PATIENCE, || role() == "first");
    let info = ask("info").json();
    assert_eq!(info["Code"], "Success", "IMDS-26");
    let arn = "arn:aws:iam::123456789012:instance-profile/first";
    assert_eq!(info["InstanceProfileArn"], arn);
    let first = ask("security-credentials/first").json();
    assert_eq!((&first["Code"], &first["Type"]), (&"Success".into(), &"AWS-HMAC".into()));
    let key = first["AccessKeyId"].as_str().expect("a key");
    assert!(key.starts_with("ASIA"), "IMDS-27: {key}");

    cloud
        .aws(&format!(
            "ec2 replace-iam-instance-profile-association --association-id {association} \
             --iam-instance-profile Name=second"
        ))
        .ok();
    wait("the role of another profile", PATIENCE, || role() == "second");
    let second = ask("security-credentials/second").json();
    assert_ne!(first["AccessKeyId"], second["AccessKeyId"]);
    let query = "IamInstanceProfileAssociations[0].AssociationId";
    let association = cloud.aws(&format!(
        "ec2 describe-iam-instance-profile-associations --query {query} --output text"
    ));
    let association = association.ok().trim().to_owned();
    cloud
        .aws(&format!("ec2 disassociate-iam-instance-profile --association-id {association}"))
        .ok();
    wait("nothing without a profile", PATIENCE, || ask("").status != 0);
}

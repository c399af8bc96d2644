//! Volumes (EC2-26), snapshots, images that people make, and launch templates.

mod common;

use common::{Cloud, refused};

const ZONE: (&str, &str) = ("AvailabilityZone", "ap-northeast-2a");

#[tokio::test]
async fn a_volume_is_attached_changed_and_deleted() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let made = [
        ZONE,
        ("Size", "10"),
        ("VolumeType", "gp3"),
        ("Iops", "4000"),
        ("ClientToken", "once"),
        ("TagSpecification.1.ResourceType", "volume"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "data"),
    ];
    let first = cloud.ec2("CreateVolume", &made).await.ok();
    let volume = first.text("volumeId");
    assert_eq!((first.text("status"), first.text("throughput")), ("creating".into(), "125".into()));
    assert_eq!(cloud.make("CreateVolume", &made, "volumeId").await, volume, "API-4");
    let v = ("VolumeId", volume.as_str());
    let instance = cloud.instance(&subnet, &[]).await;
    let elsewhere = cloud.subnet(&vpc, "10.1.9.0/24", "ap-northeast-2c").await;
    let far = cloud.instance(&elsewhere, &[]).await;
    let i = ("InstanceId", instance.as_str());
    let device = ("Device", "/dev/sdf");
    let root =
        [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", instance.as_str())];
    let root = cloud.make("DescribeVolumes", &root, "volumeId").await;
    refused(
        &cloud,
        &[
            ("CreateVolume", &[ZONE], "MissingParameter", "Size"),
            (
                "CreateVolume",
                &[("AvailabilityZone", "mars-1a"), ("Size", "1")],
                "InvalidZone.NotFound",
                "mars-1a",
            ),
            ("CreateVolume", &[ZONE, ("Size", "20000")], "InvalidParameterValue", "too large"),
            (
                "CreateVolume",
                &[ZONE, ("Size", "10"), ("Iops", "100")],
                "InvalidParameterCombination",
                "iops is not supported for gp2",
            ),
            (
                "CreateVolume",
                &[ZONE, ("Size", "10"), ("VolumeType", "io1")],
                "MissingParameter",
                "iops",
            ),
            (
                "CreateVolume",
                &[ZONE, ("SnapshotId", "snap-0123456789abcdef0")],
                "InvalidSnapshot.NotFound",
                "does not exist",
            ),
            (
                "CreateVolume",
                &[ZONE, ("Size", "10"), ("MultiAttachEnabled", "true")],
                "UnsupportedOperation",
                "MultiAttachEnabled",
            ),
            (
                "AttachVolume",
                &[v, ("InstanceId", &far), device],
                "InvalidVolume.ZoneMismatch",
                "same availability zone",
            ),
            (
                "AttachVolume",
                &[v, i, ("Device", "/tmp/x")],
                "InvalidParameterValue",
                "not a valid EBS device name",
            ),
            (
                "AttachVolume",
                &[v, i, ("Device", "/dev/xvda")],
                "InvalidParameterValue",
                "already in use",
            ),
            ("DetachVolume", &[v], "IncorrectState", "available"),
            ("DetachVolume", &[("VolumeId", &root)], "OperationNotPermitted", "root volume"),
        ],
    )
    .await;
    let attached = cloud.ec2("AttachVolume", &[v, i, device]).await.ok();
    assert_eq!(attached.text("status"), "attaching");
    let shown = cloud.ec2("DescribeVolumes", &[("VolumeId.1", &volume)]).await.ok();
    assert!(
        shown.body.contains("<status>in-use</status>")
            && shown.body.contains("<status>attached</status>")
    );
    let described = cloud.ec2("DescribeInstances", &[("InstanceId.1", &instance)]).await.ok();
    assert!(described.body.contains("<deviceName>/dev/sdf</deviceName>"));
    refused(
        &cloud,
        &[
            ("AttachVolume", &[v, i, ("Device", "/dev/sdg")], "VolumeInUse", "already attached"),
            ("DeleteVolume", &[v], "VolumeInUse", &format!("attached to {instance}")),
            (
                "DetachVolume",
                &[v, ("Device", "/dev/sdg")],
                "InvalidAttachment.NotFound",
                "not attached",
            ),
            ("ModifyVolume", &[v, ("Size", "5")], "InvalidParameterValue", "smaller"),
            (
                "DescribeVolumesModifications",
                &[("VolumeId.1", &volume)],
                "InvalidVolumeModification.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    let larger = [v, ("Size", "20"), ("VolumeType", "gp2")];
    assert_eq!(cloud.make("ModifyVolume", &larger, "modificationState").await, "modifying");
    let changed = cloud.ec2("DescribeVolumesModifications", &[("VolumeId.1", &volume)]).await.ok();
    assert_eq!(
        (changed.text("originalSize"), changed.text("targetSize")),
        ("10".into(), "20".into())
    );
    assert_eq!(changed.text("modificationState"), "completed");
    let shown = cloud.ec2("DescribeVolumes", &[("VolumeId.1", &volume)]).await.ok();
    assert_eq!(
        (shown.text("size"), shown.text("iops"), shown.get("throughput")),
        ("20".into(), "100".into(), None)
    );
    cloud.ec2("ModifyVolumeAttribute", &[v, ("AutoEnableIO.Value", "true")]).await.ok();
    let attribute = [v, ("Attribute", "autoEnableIO")];
    assert_eq!(cloud.make("DescribeVolumeAttribute", &attribute, "value").await, "true");
    let status = cloud.ec2("DescribeVolumeStatus", &[("VolumeId.1", &volume)]).await.ok();
    assert!(status.body.contains("<status>ok</status>"), "{}", status.body);
    cloud.ec2("DetachVolume", &[v]).await.ok();
    cloud.ec2("DeleteVolume", &[v]).await.ok();
    assert_eq!(cloud.ec2("DeleteVolume", &[v]).await.code(), "InvalidVolume.NotFound");
}

#[tokio::test]
async fn snapshots_and_images_are_kept_and_shared() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let instance = cloud.instance(&subnet, &[]).await;
    let volume = cloud.make("DescribeVolumes", &[], "volumeId").await;
    let made = [("VolumeId", volume.as_str()), ("Description", "nightly")];
    let first = cloud.ec2("CreateSnapshot", &made).await.ok();
    let snapshot = first.text("snapshotId");
    assert_eq!(first.text("status"), "pending");
    let own = [("Owner.1", "self")];
    let shown = cloud.ec2("DescribeSnapshots", &own).await.ok();
    assert_eq!((shown.text("status"), shown.text("progress")), ("completed".into(), "100%".into()));
    let s = ("SnapshotId", snapshot.as_str());
    let from = [ZONE, s];
    assert_eq!(cloud.make("CreateVolume", &from, "size").await, "8", "as large as its snapshot");
    let other = cloud.as_seen_by("444455556666", "ap-northeast-2");
    let hidden = other.ec2("DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await;
    assert_eq!(hidden.code(), "InvalidSnapshot.NotFound");
    let share = [s, ("CreateVolumePermission.Add.1.UserId", "444455556666")];
    cloud.ec2("ModifySnapshotAttribute", &share).await.ok();
    other.ec2("DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await.ok();
    let attribute = [s, ("Attribute", "createVolumePermission")];
    assert_eq!(cloud.make("DescribeSnapshotAttribute", &attribute, "userId").await, "444455556666");
    cloud.ec2("ResetSnapshotAttribute", &attribute).await.ok();
    let elsewhere = cloud.as_seen_by(&cloud.account, "us-east-1");
    let copy = [("SourceRegion", "ap-northeast-2"), ("SourceSnapshotId", snapshot.as_str())];
    let copied = elsewhere.make("CopySnapshot", &copy, "snapshotId").await;
    let shown = elsewhere.ec2("DescribeSnapshots", &[("SnapshotId.1", &copied)]).await.ok();
    assert_eq!(
        (shown.text("description"), shown.text("volumeId")),
        ("nightly".into(), "vol-ffffffff".into())
    );
    // Images.
    let i = ("InstanceId", instance.as_str());
    let made = [i, ("Name", "golden"), ("NoReboot", "true"), ("Description", "d")];
    let image = cloud.make("CreateImage", &made, "imageId").await;
    let a = ("ImageId", image.as_str());
    let shown = cloud.ec2("DescribeImages", &[("Owner.1", "self")]).await.ok();
    assert_eq!(
        (shown.all("imageId"), shown.text("sourceInstanceId")),
        (vec![image.clone()], instance.clone())
    );
    let of_image = shown.text("snapshotId");
    let launch = [a, ("MinCount", "1"), ("MaxCount", "1"), ("SubnetId", subnet.as_str())];
    refused(
        &cloud,
        &[
            ("CreateImage", &made, "InvalidAMIName.Duplicate", &image),
            (
                "CreateImage",
                &[i, ("Name", "what?")],
                "InvalidAMIName.Malformed",
                "between 3 and 128",
            ),
            ("RunInstances", &launch, "UnsupportedOperation", "cannot be launched from the image"),
            ("DeleteSnapshot", &[("SnapshotId", &of_image)], "InvalidSnapshot.InUse", &image),
            (
                "RegisterImage",
                &[("Name", "bare"), ("RootDeviceName", "/dev/xvda")],
                "InvalidBlockDeviceMapping",
                "No root snapshot",
            ),
            (
                "DeregisterImage",
                &[("ImageId", "ami-0123456789abcdef0")],
                "InvalidAMIID.NotFound",
                "does not exist",
            ),
            (
                "DeregisterImage",
                &[("ImageId", &cloud.image().await)],
                "AuthFailure",
                "Not authorized",
            ),
            ("ModifyImageAttribute", &[a], "MissingParameter", "Attribute"),
        ],
    )
    .await;
    assert_eq!(
        other.ec2("DescribeImages", &[("ImageId.1", &image)]).await.code(),
        "InvalidAMIID.NotFound"
    );
    let share = [a, ("LaunchPermission.Add.1.UserId", "444455556666")];
    cloud.ec2("ModifyImageAttribute", &share).await.ok();
    other.ec2("DescribeImages", &[("ImageId.1", &image)]).await.ok();
    cloud.ec2("ModifyImageAttribute", &[a, ("Description.Value", "better")]).await.ok();
    let attribute = [a, ("Attribute", "description")];
    assert_eq!(cloud.make("DescribeImageAttribute", &attribute, "value").await, "better");
    cloud.ec2("ResetImageAttribute", &[a, ("Attribute", "launchPermission")]).await.ok();
    let copy =
        [("SourceRegion", "ap-northeast-2"), ("SourceImageId", image.as_str()), ("Name", "copied")];
    let copied = elsewhere.make("CopyImage", &copy, "imageId").await;
    let shown = elsewhere.ec2("DescribeImages", &[("ImageId.1", &copied)]).await.ok();
    assert_eq!(shown.text("sourceImageId"), image);
    let registered = [
        ("Name", "registered"),
        ("RootDeviceName", "/dev/xvda"),
        ("Architecture", "x86_64"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot.as_str()),
    ];
    let registered = cloud.make("RegisterImage", &registered, "imageId").await;
    let tag = [("ResourceId.1", registered.as_str()), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")];
    cloud.ec2("CreateTags", &tag).await.ok();
    let gone = [a, ("DeleteAssociatedSnapshots", "true")];
    assert_eq!(cloud.make("DeregisterImage", &gone, "returnCode").await, "success");
    assert_eq!(
        cloud.ec2("DescribeImages", &[("ImageId.1", &image)]).await.code(),
        "InvalidAMIID.NotFound"
    );
}

#[tokio::test]
async fn instances_are_launched_by_versions_of_a_template() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let data = |name: &'static str| format!("LaunchTemplateData.{name}");
    let names: Vec<String> = [
        "ImageId",
        "InstanceType",
        "SecondaryOnly",
        "TagSpecification.1.ResourceType",
        "TagSpecification.1.Tag.1.Key",
        "TagSpecification.1.Tag.1.Value",
        "Monitoring.Enabled",
        "NetworkInterface.1.DeviceIndex",
        "NetworkInterface.1.SubnetId",
    ]
    .into_iter()
    .map(data)
    .collect();
    let made = [
        ("LaunchTemplateName", "web"),
        ("ClientToken", "once"),
        (names[0].as_str(), image.as_str()),
        (names[1].as_str(), "t3.nano"),
        (names[3].as_str(), "instance"),
        (names[4].as_str(), "Name"),
        (names[5].as_str(), "from-template"),
        (names[6].as_str(), "true"),
        (names[7].as_str(), "0"),
        (names[8].as_str(), subnet.as_str()),
        ("TagSpecification.1.ResourceType", "launch-template"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    let template = cloud.make("CreateLaunchTemplate", &made, "launchTemplateId").await;
    assert_eq!(
        cloud.make("CreateLaunchTemplate", &made, "launchTemplateId").await,
        template,
        "API-4"
    );
    let t = ("LaunchTemplateId", template.as_str());
    let second = [
        t,
        ("SourceVersion", "1"),
        ("VersionDescription", "larger"),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
    ];
    let second = cloud.ec2("CreateLaunchTemplateVersion", &second).await.ok();
    assert_eq!((second.text("versionNumber"), second.text("imageId")), ("2".into(), image.clone()));
    assert_eq!(second.text("instanceType"), "t3.micro");
    let shown = cloud.ec2("DescribeLaunchTemplates", &[("LaunchTemplateName.1", "web")]).await.ok();
    assert_eq!(
        (shown.text("defaultVersionNumber"), shown.text("latestVersionNumber")),
        ("1".into(), "2".into())
    );
    let run = async |more: &[(&str, &str)]| {
        let mut parameters = vec![
            ("LaunchTemplate.LaunchTemplateName", "web"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        parameters.extend(more);
        cloud.ec2("RunInstances", &parameters).await
    };
    let first = run(&[]).await.ok();
    assert_eq!(
        (first.text("instanceType"), first.text("subnetId")),
        ("t3.nano".into(), subnet.clone())
    );
    for tag in ["from-template", &template, "aws:ec2launchtemplate:version"] {
        assert!(first.body.contains(tag), "{tag}");
    }
    assert!(first.body.contains("<monitoring><state>enabled</state>"));
    let latest = run(&[
        ("LaunchTemplate.Version", "$Latest"),
        ("InstanceType", "t2.micro"),
        ("Placement.AvailabilityZone", ""),
    ])
    .await
    .ok();
    assert_eq!(latest.text("instanceType"), "t2.micro", "what the launch says goes before");
    let filter = [("Filter.1.Name", "key"), ("Filter.1.Value.1", "aws:ec2launchtemplate:version")];
    let mut versions = cloud.ec2("DescribeTags", &filter).await.ok().all("value");
    versions.sort();
    assert_eq!(versions, ["1", "2"]);
    cloud.ec2("ModifyLaunchTemplate", &[t, ("SetDefaultVersion", "2")]).await.ok();
    let by_number = [t, ("LaunchTemplateVersion.1", "$Default")];
    let default = cloud.ec2("DescribeLaunchTemplateVersions", &by_number).await.ok();
    assert_eq!(
        (default.text("versionNumber"), default.text("defaultVersion")),
        ("2".into(), "true".into())
    );
    let id = first.text("instanceId");
    let again = cloud.ec2("GetLaunchTemplateData", &[("InstanceId", &id)]).await.ok();
    assert_eq!(
        (again.text("imageId"), again.text("instanceType")),
        (image.clone(), "t3.nano".into())
    );
    refused(
        &cloud,
        &[
            (
                "CreateLaunchTemplate",
                &[("LaunchTemplateName", "web"), ("LaunchTemplateData.ImageId", &image)],
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "already in use",
            ),
            (
                "CreateLaunchTemplate",
                &[("LaunchTemplateName", "a b c"), ("LaunchTemplateData.ImageId", &image)],
                "InvalidLaunchTemplateName.MalformedException",
                "between 3 and 128",
            ),
            (
                "CreateLaunchTemplate",
                &[("LaunchTemplateName", "other"), ("LaunchTemplateData.UserData", "%%")],
                "InvalidUserData.Malformed",
                "BASE64",
            ),
            (
                "DescribeLaunchTemplates",
                &[("LaunchTemplateId.1", "lt-0123456789abcdef0")],
                "InvalidLaunchTemplateId.NotFoundException",
                "does not exist",
            ),
            (
                "DescribeLaunchTemplates",
                &[("LaunchTemplateName.1", "none")],
                "InvalidLaunchTemplateName.NotFoundException",
                "none",
            ),
            (
                "DescribeLaunchTemplateVersions",
                &[t, ("LaunchTemplateVersion.1", "9")],
                "InvalidLaunchTemplateId.VersionNotFound",
                "9",
            ),
            (
                "RunInstances",
                &[
                    ("LaunchTemplate.LaunchTemplateId", &template),
                    ("LaunchTemplate.Version", "9"),
                    ("MinCount", "1"),
                    ("MaxCount", "1"),
                ],
                "InvalidLaunchTemplateId.VersionNotFound",
                "9",
            ),
            (
                "DeleteLaunchTemplate",
                &[("LaunchTemplateName", "none")],
                "InvalidLaunchTemplateName.NotFoundException",
                "none",
            ),
        ],
    )
    .await;
    let odd = [
        t,
        ("LaunchTemplateData.RamDiskId", "ari-1"),
        ("LaunchTemplateData.ImageId", image.as_str()),
    ];
    let odd = cloud.make("CreateLaunchTemplateVersion", &odd, "versionNumber").await;
    let refusal = run(&[("LaunchTemplate.Version", odd.as_str())]).await.refusal();
    assert!(refusal.0 == "UnsupportedOperation" && refusal.1.contains("RamDiskId"), "{refusal:?}");
    let gone = [
        t,
        ("LaunchTemplateVersion.1", "1"),
        ("LaunchTemplateVersion.2", "2"),
        ("LaunchTemplateVersion.3", "77"),
    ];
    let gone = cloud.ec2("DeleteLaunchTemplateVersions", &gone).await.ok();
    assert_eq!(gone.all("versionNumber"), ["1", "2", "77"]);
    assert_eq!(gone.text("code"), "unexpectedError", "the default version stays");
    cloud.ec2("DeleteLaunchTemplate", &[t]).await.ok();
}

/// Times in answers are those of the calls, and stay.
#[tokio::test]
async fn creation_times_are_true() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let hour = std::time::Duration::from_secs(3600);
    let time = |hours: i64| gureum_types::Timestamp(common::BEGIN + hours * 3_600_000).to_string();
    cloud.advance(hour);
    let volume = cloud.make("CreateVolume", &[ZONE, ("Size", "1")], "volumeId").await;
    let key =
        cloud.make("CreateKeyPair", &[("KeyName", "k"), ("KeyType", "ed25519")], "keyPairId").await;
    cloud.advance(hour);
    let snapshot = cloud.make("CreateSnapshot", &[("VolumeId", &volume)], "snapshotId").await;
    let template = [("LaunchTemplateName", "web"), ("LaunchTemplateData.ImageId", image.as_str())];
    let template = cloud.make("CreateLaunchTemplate", &template, "launchTemplateId").await;
    let instance = cloud.instance(&subnet, &[]).await;
    cloud.advance(hour);
    cloud.ec2("StopInstances", &[("InstanceId.1", &instance)]).await.ok();
    cloud.until_state(&instance, "stopped").await;
    cloud.ec2("CreateSnapshot", &[("VolumeId", &volume)]).await.ok();
    for (action, parameter, id, element, hours) in [
        ("DescribeVolumes", "VolumeId.1", &volume, "createTime", 1),
        ("DescribeKeyPairs", "KeyPairId.1", &key, "createTime", 1),
        ("DescribeSnapshots", "SnapshotId.1", &snapshot, "startTime", 2),
        ("DescribeLaunchTemplates", "LaunchTemplateId.1", &template, "createTime", 2),
        ("DescribeInstances", "InstanceId.1", &instance, "launchTime", 2),
    ] {
        let shown = cloud.ec2(action, &[(parameter, id.as_str())]).await.ok();
        assert_eq!(shown.text(element), time(hours), "{action}");
    }
}

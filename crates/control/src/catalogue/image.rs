//! Machine images: the names that people look for, and what stands behind them.
//!
//! Behind every name is the same Debian for now, and each description says so; it differs in the
//! login user, the root device and the default of the metadata service.

use std::{collections::HashMap, sync::LazyLock};

use gureum_types::{ImageId, REGIONS, Region};
use sha2::{Digest as _, Sha256};

/// An image of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) owner: &'static str,
    /// What it is in AWS's own words, before ours.
    description: &'static str,
    /// As in answers: RFC 3339.
    pub(crate) created: &'static str,
    pub(crate) root_device: &'static str,
    pub(crate) volume_type: &'static str,
    /// Whether instances require tokens of the metadata service (IMDS-8).
    pub(crate) imds_v2: bool,
    /// As in [`gureum_types::host::InstanceSpec::flavor`].
    pub(crate) flavor: &'static str,
    pub(crate) login_user: &'static str,
    /// The folder of the root file system.
    pub(crate) rootfs: &'static str,
    pub(crate) boot_mode: &'static str,
}

const AMAZON: &str = "137112412989";
const DEBIAN: &str = "136693071363";
const CANONICAL: &str = "099720109477";

/// GiB of the root volume of every image (EC2-26).
pub(crate) const ROOT_GIB: u32 = 8;

const fn amazon_linux_2(name: &'static str, created: &'static str) -> Image {
    Image {
        name,
        owner: AMAZON,
        description: "Amazon Linux 2 AMI",
        created,
        root_device: "/dev/xvda",
        volume_type: "gp2",
        imds_v2: false,
        flavor: "amzn2",
        login_user: "ec2-user",
        rootfs: "debian-12",
        boot_mode: "legacy-bios",
    }
}

const fn amazon_linux_2023(name: &'static str, created: &'static str) -> Image {
    Image {
        name,
        owner: AMAZON,
        description: "Amazon Linux 2023 AMI",
        created,
        root_device: "/dev/xvda",
        volume_type: "gp3",
        imds_v2: true,
        flavor: "al2023",
        login_user: "ec2-user",
        rootfs: "debian-12",
        boot_mode: "uefi-preferred",
    }
}

const fn debian(name: &'static str, created: &'static str) -> Image {
    Image {
        name,
        owner: DEBIAN,
        description: "Debian 12",
        created,
        root_device: "/dev/xvda",
        volume_type: "gp2",
        imds_v2: false,
        flavor: "debian",
        login_user: "admin",
        rootfs: "debian-12",
        boot_mode: "legacy-bios",
    }
}

const fn ubuntu(
    name: &'static str,
    description: &'static str,
    volume_type: &'static str,
    created: &'static str,
) -> Image {
    Image {
        name,
        owner: CANONICAL,
        description,
        created,
        root_device: "/dev/sda1",
        volume_type,
        imds_v2: false,
        flavor: "ubuntu",
        login_user: "ubuntu",
        rootfs: "debian-12",
        boot_mode: "uefi-preferred",
    }
}

/// All images. They are the same in every region, with ids of their own in each.
pub(crate) const IMAGES: &[Image] = &[
    amazon_linux_2("amzn2-ami-hvm-2.0.20210813.1-x86_64-gp2", "2021-08-20T00:10:38.000Z"),
    amazon_linux_2("amzn2-ami-hvm-2.0.20230404.1-x86_64-gp2", "2023-04-11T20:08:54.000Z"),
    amazon_linux_2("amzn2-ami-hvm-2.0.20240131.0-x86_64-gp2", "2024-02-02T02:46:12.000Z"),
    amazon_linux_2("amzn2-ami-hvm-2.0.20250201.0-x86_64-gp2", "2025-02-05T20:54:19.000Z"),
    amazon_linux_2(
        "amzn2-ami-kernel-5.10-hvm-2.0.20240131.0-x86_64-gp2",
        "2024-02-02T02:46:30.000Z",
    ),
    amazon_linux_2(
        "amzn2-ami-kernel-5.10-hvm-2.0.20250201.0-x86_64-gp2",
        "2025-02-05T20:54:37.000Z",
    ),
    amazon_linux_2023("al2023-ami-2023.3.20240131.0-kernel-6.1-x86_64", "2024-02-01T18:29:05.000Z"),
    amazon_linux_2023("al2023-ami-2023.6.20250203.1-kernel-6.1-x86_64", "2025-02-04T20:02:48.000Z"),
    debian("debian-12-amd64-20240211-1654", "2024-02-11T22:44:02.000Z"),
    debian("debian-12-amd64-20250210-2019", "2025-02-10T10:21:11.000Z"),
    ubuntu(
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240301",
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        "gp2",
        "2024-03-01T07:02:30.000Z",
    ),
    ubuntu(
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20250115",
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        "gp2",
        "2025-01-15T09:04:29.000Z",
    ),
    ubuntu(
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250115",
        "Canonical, Ubuntu, 24.04, amd64 noble image",
        "gp3",
        "2025-01-15T08:31:17.000Z",
    ),
];

impl Image {
    /// What is behind the name, said plainly.
    pub(crate) fn description(&self) -> String {
        format!("Gureum: Debian 12 under this name ({})", self.description)
    }
}

/// The id of an image in a region: always the same.
pub(crate) fn image_id(region: &Region, image: &Image) -> ImageId {
    let digest = Sha256::digest(format!("{region}/{}", image.name));
    let mut bits = [0; 8];
    bits.copy_from_slice(&digest[..8]);
    ImageId::new(u64::from_be_bytes(bits))
}

/// The image with an id in a region.
pub(crate) fn image_with_id(region: &Region, id: &str) -> Option<&'static Image> {
    // Instances are shown with facts of their images, so ids are worked out once only.
    static KNOWN: LazyLock<HashMap<ImageId, (Region, &Image)>> = LazyLock::new(|| {
        let regions = REGIONS.iter().filter_map(|(name, _)| name.parse::<Region>().ok());
        regions
            .flat_map(|region| {
                IMAGES.iter().map(move |image| (image_id(&region, image), (region.clone(), image)))
            })
            .collect()
    });
    let (known, image) = KNOWN.get(&id.parse::<ImageId>().ok()?)?;
    (known == region).then_some(*image)
}

/// The image that an instance boots: its own, or where that is one of an account of AWS whose
/// network has a twin here, the newest Amazon Linux 2023.
pub(crate) fn bootable(region: &Region, id: &str) -> Option<&'static Image> {
    image_with_id(region, id).or_else(|| newest("al2023-ami-2023"))
}

/// The newest image whose name begins so.
pub(crate) fn newest(prefix: &str) -> Option<&'static Image> {
    IMAGES.iter().filter(|image| image.name.starts_with(prefix)).max_by_key(|image| image.created)
}

/// Names of public parameters with the beginning of the name of the image that they give.
const PARAMETERS: &[(&str, &str)] = &[
    ("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64", "al2023-ami-2023"),
    ("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "al2023-ami-2023"),
    ("/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2", "amzn2-ami-hvm-"),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-gp2",
        "amzn2-ami-kernel-5.10-hvm-",
    ),
    (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-",
    ),
    (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-",
    ),
    (
        "/aws/service/canonical/ubuntu/server/jammy/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-",
    ),
    (
        "/aws/service/canonical/ubuntu/server/noble/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-",
    ),
    ("/aws/service/debian/release/12/latest/amd64", "debian-12-amd64-"),
    ("/aws/service/debian/release/bookworm/latest/amd64", "debian-12-amd64-"),
];

/// The public parameters of Systems Manager that name images, in the order of their names.
pub(crate) fn public_parameters() -> impl Iterator<Item = (&'static str, &'static Image)> {
    PARAMETERS.iter().filter_map(|(name, prefix)| Some((*name, newest(prefix)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_differ_between_regions() {
        let seoul: Region = "ap-northeast-2".parse().expect("a region");
        let tokyo: Region = "ap-northeast-1".parse().expect("a region");
        let ids: std::collections::BTreeSet<_> =
            IMAGES.iter().flat_map(|it| [image_id(&seoul, it), image_id(&tokyo, it)]).collect();
        assert_eq!(ids.len(), IMAGES.len() * 2);
        let first = image_id(&seoul, &IMAGES[0]);
        assert_eq!(image_with_id(&seoul, first.as_str()), Some(&IMAGES[0]));
        assert_eq!(image_with_id(&tokyo, first.as_str()), None);
        assert_eq!(first, image_id(&seoul, &IMAGES[0]));
    }

    #[test]
    fn every_public_parameter_gives_an_image() {
        assert_eq!(public_parameters().count(), PARAMETERS.len());
        assert!(PARAMETERS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn the_name_of_the_lab_finds_the_newest() {
        let image = newest("amzn2-ami-hvm-").expect("an image");
        assert_eq!(image.name, "amzn2-ami-hvm-2.0.20250201.0-x86_64-gp2");
        assert_eq!((image.login_user, image.root_device), ("ec2-user", "/dev/xvda"));
        assert!(!image.imds_v2, "IMDS-8");
    }
}

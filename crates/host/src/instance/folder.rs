//! The folder of an instance: what is kept of it between starts, and what its shim is told.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Mutex,
};

use gureum_types::{InstanceId, host::InstanceSpec};
use serde::{Deserialize, Serialize};

use super::hold;
use crate::{
    error::{Context, HostError, Result},
    shim::config::SeedFile,
};

/// The file that holds the specification of the last start.
const SPEC: &str = "spec.json";
/// The file that holds what an instance was made from, for all its starts.
const ORIGIN: &str = "origin.json";

/// The folder of an instance.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

/// What an instance was made from. An image that is built anew does not change it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The image's root file system, links resolved.
    pub(super) rootfs: PathBuf,
    pub(super) id_base: u32,
    pub(super) id_count: u32,
}

/// The part of `image.json` that a start needs.
#[derive(Deserialize)]
struct ImageFacts {
    id_base: u32,
    id_count: u32,
}

impl Folder {
    pub(super) fn of(instances: &Path, id: &InstanceId) -> Self {
        Self { path: instances.join(id.as_str()) }
    }

    /// Makes it, for root alone: a guest's files are nobody else's business.
    pub(super) fn create(&self) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .context(|| format!("make {}", self.path.display()))
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        crate::shim::config::read(&self.file(name)).ok()
    }

    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let path = self.file(name);
        crate::shim::config::write(&path, value).context(|| format!("write {}", path.display()))
    }

    pub(super) fn spec(&self) -> Option<InstanceSpec> {
        self.read(SPEC)
    }

    pub(super) fn write_spec(&self, spec: &InstanceSpec) -> Result<()> {
        self.write(SPEC, spec)
    }

    /// What the instance was made from; at its first start, what the image is now.
    pub(super) fn origin(&self, images: &Path, image: &str) -> Result<Origin> {
        if let Some(origin) = self.read::<Origin>(ORIGIN) {
            return match origin.rootfs.is_dir() {
                true => Ok(origin),
                false => Err(HostError::Image(origin.rootfs, "it is gone".into())),
            };
        }
        let folder = images.join(image);
        let bad = |why: String| HostError::Image(folder.clone(), why);
        if image.is_empty() || image.contains('/') || image.starts_with('.') {
            return Err(bad("no such name".into()));
        }
        let facts = fs::read(folder.join("image.json")).map_err(|error| bad(error.to_string()))?;
        let facts: ImageFacts =
            serde_json::from_slice(&facts).map_err(|error| bad(error.to_string()))?;
        let rootfs =
            fs::canonicalize(folder.join("rootfs")).map_err(|error| bad(error.to_string()))?;
        let origin = Origin { rootfs, id_base: facts.id_base, id_count: facts.id_count };
        self.write(ORIGIN, &origin)?;
        // An image that is built anew must not slip under a disk that was begun on the old one,
        // not even because the power went before this was on disk.
        fs::File::open(self.file(ORIGIN))
            .and_then(|file| file.sync_all())
            .context(|| format!("write {}", self.file(ORIGIN).display()))?;
        Ok(origin)
    }

    /// Removes it with everything in it.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.context(|| format!("remove {}", self.path.display())),
        }
    }
}

/// What is written to a new disk: see `images/README.md`.
pub(super) fn seed(spec: &InstanceSpec) -> Vec<SeedFile> {
    let file = |path: &str, contents: String| SeedFile { path: path.into(), contents };
    let user = &spec.login_user;
    let mut files = vec![
        file(
            "/etc/cloud/cloud.cfg.d/90_gureum_user.cfg",
            format!(
                "system_info:\n  default_user:\n    name: {user}\n    gecos: EC2 Default User\n"
            ),
        ),
        file("/etc/hostname", format!("{}\n", spec.hostname)),
    ];
    files.extend(identity(&spec.flavor).map(|text| file("/etc/os-release", text)));
    files
}

/// The `/etc/os-release` of a flavor; none for what the image itself says.
fn identity(flavor: &str) -> Option<String> {
    let (name, id, like, version, pretty) = match flavor {
        "amzn2" => ("Amazon Linux", "amzn", "centos rhel fedora", "2", "Amazon Linux 2"),
        "al2023" => ("Amazon Linux", "amzn", "fedora", "2023", "Amazon Linux 2023"),
        "ubuntu" => ("Ubuntu", "ubuntu", "debian", "22.04", "Ubuntu 22.04 LTS"),
        _ => return None,
    };
    Some(format!(
        "NAME=\"{name}\"\nVERSION=\"{version}\"\nID=\"{id}\"\nID_LIKE=\"{like}\"\n\
         VERSION_ID=\"{version}\"\nPRETTY_NAME=\"{pretty} (Gureum, on Debian 12)\"\n"
    ))
}

/// A file that all instances of a cloud have in common, as its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudFile {
    /// Its absolute path in an instance.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub contents: Vec<u8>,
}

/// Writes the files that all instances share into a layer of their own below `folder`, named after
/// what is in it: a layer that instances run on is never changed. Root of the instances owns it.
/// Instances that are launched side by side take turns: the first writes it, all others find it.
pub(super) fn cloud_layer(
    folder: &Mutex<PathBuf>,
    files: &[CloudFile],
    owner: u32,
) -> Result<PathBuf> {
    use sha2::{Digest, Sha256};

    let mut hash = Sha256::new();
    hash.update(owner.to_be_bytes());
    for file in files {
        hash.update((file.path.len() as u64).to_be_bytes());
        hash.update(&file.path);
        hash.update(file.mode.to_be_bytes());
        hash.update((file.contents.len() as u64).to_be_bytes());
        hash.update(&file.contents);
    }
    let name: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    let folder = hold(folder);
    let layer = folder.join(&name);
    if layer.is_dir() {
        return Ok(layer);
    }
    let new = folder.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        make_folder(&new, owner)?;
        for file in files {
            let inside = Path::new(file.path.trim_start_matches('/'));
            if inside.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut path = new.clone();
            for part in inside.parent().into_iter().flatten() {
                path.push(part);
                make_folder(&path, owner)?;
            }
            let path = new.join(inside);
            let mut written = fs::File::create(&path)?;
            written.write_all(&file.contents)?;
            written.set_permissions(fs::Permissions::from_mode(file.mode))?;
            chown(&path, Some(owner), Some(owner))?;
            // A layer with a name is whole, also after a power cut: nobody looks into it again.
            written.sync_all()?;
        }
        fs::rename(&new, &layer)
    };
    fs::create_dir_all(&*folder)
        .and_then(|()| write())
        .context(|| format!("write the files of the cloud into {}", layer.display()))?;
    Ok(layer)
}

fn make_folder(path: &Path, owner: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => chown(path, Some(owner), Some(owner)),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn launches_side_by_side_share_one_whole_layer() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let folder = Mutex::new(scratch.path().join("layers"));
        let owner = nix::unistd::getuid().as_raw();
        let files: Vec<_> = (0..50)
            .map(|n| CloudFile {
                path: format!("/etc/ssl/{n}/ca.pem"),
                mode: 0o644,
                contents: vec![n; 4096],
            })
            .collect();
        let start = Barrier::new(8);
        let launch = || {
            start.wait();
            let layer = cloud_layer(&folder, &files, owner).expect("a layer");
            for file in &files {
                let found = fs::read(layer.join(file.path.trim_start_matches('/')));
                assert_eq!(found.expect("a file"), file.contents, "{}", file.path);
            }
            layer
        };
        let layers: Vec<_> = thread::scope(|scope| {
            let launches: Vec<_> = (0..8).map(|_| scope.spawn(launch)).collect();
            launches.into_iter().map(|launch| launch.join().expect("a launch")).collect()
        });
        assert!(layers.windows(2).all(|two| two[0] == two[1]), "{layers:?}");
    }
}

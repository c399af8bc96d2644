//! Running a person's own program inside the simulated internet, as that person.
//!
//! The daemon hands out two descriptors; the program's process enters by them, without root:
//! whoever owns a user namespace has all power in it and nowhere else. It then sees its own
//! machine, files and environment, but resolves names over the network of the namespace: the
//! resolver daemons that are reached over unix sockets, which know no network namespaces, are
//! hidden from it (traps 20).

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    unistd::{Uid, sethostname},
};

use crate::error::{Context, HostError, Result};

/// The way into the simulated internet; may be passed over a unix socket.
#[derive(Debug)]
pub struct InternetNamespaces {
    /// The user namespace that owns the network.
    pub user: OwnedFd,
    /// The network.
    pub network: OwnedFd,
}

/// What a process sees differently inside.
#[derive(Clone, Debug, Default)]
pub struct InternetView {
    /// The contents of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// The contents of the file of trusted certificates, instead of the machine's.
    pub ca_bundle: Option<Vec<u8>>,
    /// The name of the host, instead of the machine's.
    pub host_name: Option<String>,
    /// The person's home as `/etc/passwd` says, which some programs believe and not `HOME`.
    pub home: Option<PathBuf>,
}

/// Where distributions keep their trusted certificates.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Folders with sockets of resolver daemons.
const RESOLVERS: [&str; 3] = ["/run/systemd/resolve", "/run/nscd", "/run/avahi-daemon"];

/// Moves the calling process into the simulated internet, for good; it should then exec. It
/// keeps its user, environment and working directory. The process must have one thread.
pub fn enter_internet(namespaces: &InternetNamespaces, view: &InternetView) -> Result<()> {
    let cwd = std::env::current_dir().ok();
    // Root needs no key to the door, and as root of the machine it would be nobody behind it.
    if !Uid::effective().is_root() {
        setns(&namespaces.user, CloneFlags::CLONE_NEWUSER).map_err(|errno| match errno {
            nix::errno::Errno::EPERM => HostError::Failed(
                "this cloud belongs to another user; start it with sudo from your own account, \
                 or use sudo here"
                    .into(),
            ),
            errno => HostError::Kernel {
                what: "enter the user namespace of the internet".into(),
                source: errno.into(),
            },
        })?;
    }
    setns(&namespaces.network, CloneFlags::CLONE_NEWNET).context(|| "enter the internet")?;
    unshare(CloneFlags::CLONE_NEWNS).context(|| "make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .context(|| "keep mounts to ourselves")?;
    change_files(view)?;
    if let Some(name) = &view.host_name {
        unshare(CloneFlags::CLONE_NEWUTS).context(|| "make a namespace for a host's name")?;
        sethostname(name).context(|| format!("be called {name}"))?;
    }
    // The old working directory is still the same one, unless it lies below what was hidden.
    if let Some(cwd) = cwd {
        let _ = std::env::set_current_dir(cwd);
    }
    Ok(())
}

pub(crate) fn change_files(view: &InternetView) -> Result<()> {
    let nsswitch = fs::read_to_string("/etc/nsswitch.conf").ok().map(|text| plain_hosts(&text));
    let workshop = Workshop::open()?;
    for folder in RESOLVERS.map(Path::new) {
        if folder.is_dir() {
            hide(folder, &view.resolv_conf)?;
        }
    }
    workshop.replace(Path::new("/etc/resolv.conf"), view.resolv_conf.as_bytes())?;
    if let Some(nsswitch) = nsswitch {
        workshop.replace(Path::new("/etc/nsswitch.conf"), nsswitch.as_bytes())?;
    }
    if let Some(home) = &view.home {
        let users = fs::read_to_string("/etc/passwd").context(|| "read /etc/passwd")?;
        let users = with_home(&users, Uid::current().as_raw(), home);
        workshop.replace(Path::new("/etc/passwd"), users.as_bytes())?;
    }
    if let Some(bundle) = &view.ca_bundle {
        // One file may have several names; binding it twice does no harm.
        for path in BUNDLES.map(Path::new).into_iter().filter(|path| path.exists()) {
            workshop.replace(path, bundle)?;
        }
    }
    workshop.close()
}

/// `nsswitch.conf` with hosts from files and DNS alone.
fn plain_hosts(text: &str) -> String {
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| {
            let hosts = line.trim_start().starts_with("hosts:");
            if hosts { "hosts: files dns" } else { line }
        })
        .collect();
    if !lines.contains(&"hosts: files dns") {
        lines.push("hosts: files dns");
    }
    lines.join("\n") + "\n"
}

/// The list of users where one of them lives elsewhere.
fn with_home(users: &str, uid: u32, home: &Path) -> String {
    let mut text = String::with_capacity(users.len());
    for line in users.lines() {
        let mut fields: Vec<_> = line.split(':').collect();
        let home = home.to_string_lossy();
        if fields.get(2).is_some_and(|it| it.parse() == Ok(uid))
            && let Some(place) = fields.get_mut(5)
        {
            *place = &home;
        }
        text += &fields.join(":");
        text.push('\n');
    }
    text
}

/// Covers a folder of a resolver daemon. `/etc/resolv.conf` is often a link into it.
fn hide(folder: &Path, resolv_conf: &str) -> Result<()> {
    let what = || format!("hide {}", folder.display());
    mount_tmpfs(folder).context(what)?;
    for name in ["resolv.conf", "stub-resolv.conf"] {
        fs::write(folder.join(name), resolv_conf).context(what)?;
    }
    Ok(())
}

fn mount_tmpfs(path: &Path) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("gureum"), path, Some("tmpfs"), flags, Some("mode=755,size=16m"))
}

/// A file system in memory, mounted over some folder just as long as files are bound out of it.
struct Workshop {
    path: PathBuf,
}

impl Workshop {
    fn open() -> Result<Self> {
        let path = ["/tmp", "/var/tmp", "/mnt"].map(PathBuf::from).into_iter().find(|p| p.is_dir());
        let path = path.ok_or_else(|| HostError::Failed("there is no /tmp".into()))?;
        mount_tmpfs(&path).context(|| format!("cover {}", path.display()))?;
        Ok(Self { path })
    }

    /// Has the file behind `path` show other contents. A file that is not there stays so, but
    /// for the one that every resolver reads.
    fn replace(&self, path: &Path, contents: &[u8]) -> Result<()> {
        let what = || format!("replace {}", path.display());
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(HostError::Failed(format!(
                    "{} is missing or leads nowhere; make it a file, be it empty",
                    path.display()
                )));
            }
            Err(error) => return Err(error).context(what),
        };
        let name = path.to_string_lossy().replace('/', "_");
        let source = self.path.join(name);
        fs::write(&source, contents).context(what)?;
        let none = None::<&str>;
        mount(Some(&*source), &target, none, MsFlags::MS_BIND, none).context(what)
    }

    /// Uncovers the folder; what is bound out of the file system keeps it alive.
    fn close(self) -> Result<()> {
        umount2(&self.path, MntFlags::MNT_DETACH)
            .context(|| format!("uncover {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hosts_of_nsswitch_change() {
        let text = "passwd: files sss\nhosts: files resolve [!UNAVAIL=return] dns\n";
        assert_eq!(plain_hosts(text), "passwd: files sss\nhosts: files dns\n");
        assert_eq!(plain_hosts("passwd: files"), "passwd: files\nhosts: files dns\n");
    }

    #[test]
    fn one_user_alone_lives_elsewhere() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nmina:x:1000:1000:,,,:/home/mina:/bin/zsh\n+\n";
        let moved =
            "root:x:0:0:root:/root:/bin/bash\nmina:x:1000:1000:,,,:/data/desk:/bin/zsh\n+\n";
        assert_eq!(with_home(users, 1000, Path::new("/data/desk")), moved);
        assert_eq!(with_home(users, 1001, Path::new("/data/desk")), users);
    }
}

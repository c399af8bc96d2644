//! Whom sessions run as: `ssm-user`, made by the first session and not before (SSM-10); and the way
//! into a session's first process.
//!
//! A process that shall have a terminal of its own and another user begins as this very program
//! ([`enter`]), which changes itself and then becomes what was asked for.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// The first argument that makes this program the way in.
pub const ENTER: &str = "enter";

/// The name of the user.
pub(crate) const SSM_USER: &str = "ssm-user";
const SUDOERS: &str = "/etc/sudoers.d/ssm-agent-users";

/// A user of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    pub(crate) home: String,
}

impl User {
    /// The user of a name, if there is one.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        Self::read(name, &users, &fs::read_to_string("/etc/group").unwrap_or_default())
    }

    fn read(name: &str, users: &str, groups: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let user = users.lines().map(fields).find(|it| it.first().is_some_and(|it| it == name))?;
        let (uid, gid) = (user.get(2)?.parse().ok()?, user.get(3)?.parse().ok()?);
        let mut all = vec![gid];
        for group in groups.lines().map(fields) {
            if group.get(3).is_some_and(|members| members.split(',').any(|it| it == name)) {
                all.extend(group.get(2).and_then(|it| it.parse::<u32>().ok()));
            }
        }
        all.dedup();
        let home = user.get(5)?.clone();
        Some(Self { name: name.to_owned(), uid, gid, groups: all, home })
    }

    /// The user of sessions, made if it is missing.
    pub(crate) fn of_sessions() -> io::Result<Self> {
        if let Some(user) = Self::named(SSM_USER) {
            return Ok(user);
        }
        let made = Command::new("useradd").args(["-m", SSM_USER]).output()?;
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(io::Error::other(format!("cannot make {SSM_USER}: {why}")));
        }
        // Only with the user: whoever takes the right away later keeps it away.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o440).open(SUDOERS);
        let written = file.and_then(|mut file| {
            use io::Write as _;
            writeln!(file, "# User rules for {SSM_USER}\n{SSM_USER} ALL=(ALL) NOPASSWD:ALL")
        });
        if let Err(error) = written {
            tracing::warn!(%error, "{SSM_USER} may not use sudo");
        }
        Self::named(SSM_USER).ok_or_else(|| io::Error::other(format!("{SSM_USER} is not there")))
    }
}

/// A program that runs as a user, in a session of its own; with `terminal` its standard input is its
/// controlling terminal. `None` is whoever the agent runs as.
pub(crate) fn program(user: Option<&User>, terminal: bool, argv: &[String]) -> Command {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let mut command = Command::new(own);
    command.arg(ENTER).arg(if terminal { "terminal" } else { "plain" });
    command.arg(user.map_or("", |user| &user.name)).arg("--").args(argv);
    command.env("TERM", "xterm-256color");
    if std::env::var_os("LANG").is_none() {
        command.env("LANG", "C.UTF-8");
    }
    match user {
        Some(user) => command.env("HOME", &user.home).env("USER", &user.name),
        None => command.env("HOME", "/root"),
    };
    command
}

/// Becomes a program of a session; returns only where that cannot be.
pub fn enter(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let mut word = || arguments.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let (terminal, name, _) = (word() == "terminal", word(), word());
    let program = word();
    let changed = || -> io::Result<()> {
        rustix::process::setsid()?;
        if terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        if name.is_empty() {
            return Ok(());
        }
        let user = User::named(&name).ok_or(io::ErrorKind::NotFound)?;
        let groups: Vec<Gid> = user.groups.iter().map(|id| Gid::from_raw(*id)).collect();
        setgroups(&groups)?;
        setgid(Gid::from_raw(user.gid))?;
        setuid(Uid::from_raw(user.uid))?;
        Ok(())
    };
    match changed() {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_groups_that_list_it() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nssm-user:x:1001:1001::/home/ssm-user:/bin/sh\n";
        let groups = "root:x:0:\nwheel:x:10:ec2-user,ssm-user\nssm-user:x:1001:\n";
        let user = User::read("ssm-user", users, groups).expect("a user");
        assert_eq!((user.uid, user.gid, user.groups), (1001, 1001, vec![1001, 10]));
        assert_eq!(user.home, "/home/ssm-user");
        assert_eq!(User::read("nobody", users, groups), None);
    }
}

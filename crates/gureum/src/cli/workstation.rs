//! `gureum workstation`: a host in the simulated internet to work from, as a lab's Cloud9 is. The
//! programs are those of the person's machine; the name, the home, the credentials and the ssh agent
//! are its own. AWS's names lead to this cloud there, so no client needs to be told of an endpoint.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;

use super::{
    client::Daemon,
    env::{Changes, REGION, apply, key, variables},
    exec::OUR_FAILURE,
    internet::{enter_at, not_become},
    linux::Desk,
};
use crate::{
    failure::Failure,
    paths::{self, Person},
};

/// What the host is called.
const NAME: &str = "workstation";

/// What a new home has.
const FILES: [(&str, &str); 2] = [
    (
        ".bashrc",
        "# Yours to change: written once, by `gureum workstation`.\n\
         PS1='\\u@\\h:\\w\\$ '\n\
         command -v aws_completer >/dev/null && complete -C aws_completer aws\n",
    ),
    (".bash_profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n"),
];

/// The arguments of `gureum workstation`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "There, as at a lab's Cloud9 or CloudShell:
  * AWS's own names are this cloud's, over TLS, by a CA that is trusted: `aws` needs no flags
  * an ssh agent runs as long as the shell does, empty at first: ssh-add KEY; ssh -A …
  * the home stays: it is the folder `workstation` of the data directory. Yours is not seen, so \
neither are your own ~/.aws and ~/.ssh
  * programs are those of this machine; more may be put into ~/.local/bin. `aws ssm start-session` \
wants AWS's session-manager-plugin on the PATH
  * nothing leads out of the simulated internet, unless the cloud runs with --uplink

Exit status: that of CMD or the shell; 125 where the workstation could not be opened, 126 or 127 \
where CMD could not be started.

Examples:
  gureum workstation
  gureum workstation -- aws ec2 describe-instances
  gureum workstation -- git clone https://github.com/whchoi98/useful-shell.git
  gureum workstation -- bash -c 'ssh-add IMD-LAB.pem && ssh -A ec2-user@ec2-….amazonaws.com'")]
pub(crate) struct WorkstationArgs {
    /// A command instead of a shell, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs `gureum workstation`: enters, and becomes the shell or the command.
pub(crate) fn run(args: &WorkstationArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let home = paths::workstation(daemon.data_dir());
    let person = Person::current();
    let prepared = daemon.status().and_then(|_| furnish(&home, &person));
    let changes =
        prepared.and_then(|()| environment(daemon.data_dir(), &home, &person.home, &variables()));
    let changes = changes.map_err(|error| error.status(OUR_FAILURE))?;
    enter_at(daemon, Some(Desk { name: NAME, home: &home }))?;
    let mut command = with_agent(&args.command);
    apply(&changes, &mut command);
    command.current_dir(&home);
    Err(not_become(&mut command))
}

/// Makes the home and what a new one has. What is there is the person's.
fn furnish(home: &Path, person: &Person) -> Result<(), Failure> {
    if home.is_dir() {
        return Ok(());
    }
    let made = |path: &Path, error| Failure::file("make", path, &error);
    person.create_dir(home, 0o700).map_err(|error| made(home, error))?;
    for folder in [".ssh", ".local", ".local/bin"].map(|name| home.join(name)) {
        person.create_dir(&folder, 0o700).map_err(|error| made(&folder, error))?;
    }
    for (name, text) in FILES {
        let path = home.join(name);
        let write = || -> std::io::Result<()> {
            use std::io::Write as _;
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o644).open(&path)?;
            file.write_all(text.as_bytes())?;
            person.give(&path)
        };
        write().map_err(|error| made(&path, error))?;
    }
    Ok(())
}

/// Variables that lead to what is not there: proxies, agents and folders of the person's machine.
const ELSEWHERE: [&str; 16] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "GIT_CONFIG_GLOBAL",
    "HISTFILE",
];

/// What the environment there is changed by.
fn environment(
    data_dir: &Path,
    home: &Path,
    persons_home: &Path,
    variables: &[(String, String)],
) -> Result<Changes, Failure> {
    let misleads = |name: &str| name.starts_with("AWS_") || ELSEWHERE.contains(&name);
    let gone = variables.iter().filter(|(name, _)| misleads(name));
    let mut changes: Changes = gone.map(|(name, _)| (name.clone(), None)).collect();
    let (access_key, secret_key) = key(data_dir)?;
    let bundle = paths::ca_bundle(data_dir).to_string_lossy().into_owned();
    let own = home.join(".local/bin").to_string_lossy().into_owned();
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
    let values = [
        ("HOME", home.to_string_lossy().into_owned()),
        ("PATH", path.map_or_else(|| own.clone(), |path| format!("{own}:{path}"))),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", access_key),
        ("AWS_SECRET_ACCESS_KEY", secret_key),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        // Each for programs that bring a list of their own instead of the machine's.
        ("AWS_CA_BUNDLE", bundle.clone()),
        ("SSL_CERT_FILE", bundle.clone()),
        ("REQUESTS_CA_BUNDLE", bundle.clone()),
        ("NODE_EXTRA_CA_CERTS", bundle),
        // The person's own programs stay theirs: what `pip install --user` put there.
        ("PYTHONUSERBASE", persons_home.join(".local").to_string_lossy().into_owned()),
        ("GUREUM_DATA_DIR", data_dir.to_string_lossy().into_owned()),
    ];
    changes.extend(values.into_iter().map(|(name, value)| (name.to_owned(), Some(value))));
    Ok(changes)
}

/// The command, or a login shell, below an ssh agent that ends with it.
fn with_agent(command: &[OsString]) -> Command {
    let shell = [OsString::from("bash"), OsString::from("-l")];
    let words = if command.is_empty() { &shell[..] } else { command };
    // Of a command that is not there the agent would say so in its own words.
    let is_there = words.iter().take(1).any(|word| find(word).is_some());
    let found = if is_there { find(OsStr::new("ssh-agent")) } else { None };
    if found.is_none() && is_there {
        eprintln!("note: there is no ssh-agent here: `ssh -A` has no keys to offer");
    }
    let all: Vec<&OsStr> =
        found.iter().map(|path| path.as_os_str()).chain(words.iter().map(|it| &**it)).collect();
    // There is a word at least.
    let (program, rest) = all.split_at(1);
    let mut command = Command::new(program[0]);
    command.args(rest);
    command
}

/// The file of a program, by its name or path.
fn find(program: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joined to an absolute path, a folder has no say.
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_persons_own_aws_is_there() {
        let before = [
            ("AWS_PROFILE", "work"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("https_proxy", "http://proxy:3128"),
            ("PATH", "/usr/bin:/bin"),
            ("LANG", "ko_KR.UTF-8"),
        ];
        let before: Vec<_> = before.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let data = tempfile::tempdir().expect("a folder");
        let home = paths::workstation(data.path());
        let changes = environment(data.path(), &home, Path::new("/home/mina"), &before)
            .expect("an environment");
        let last = |name: &str| {
            let found = changes.iter().rev().find(|(changed, _)| changed == name);
            found.map(|(_, value)| value.as_deref())
        };
        for gone in ["AWS_PROFILE", "AWS_ENDPOINT_URL", "SSH_AUTH_SOCK", "https_proxy"] {
            assert_eq!(last(gone), Some(None), "{gone}");
        }
        assert_eq!(last("LANG"), None, "stays");
        assert_eq!(last("HOME"), Some(home.to_str()));
        assert_eq!(last("AWS_REGION"), Some(Some(REGION)));
        let path = last("PATH").flatten().expect("a path");
        assert!(path.ends_with("/workstation/.local/bin:/usr/bin:/bin"), "{path}");
    }

    #[test]
    fn a_home_is_furnished_once() {
        let data = tempfile::tempdir().expect("a folder");
        let home = paths::workstation(data.path());
        let person = Person::current();
        furnish(&home, &person).expect("a home");
        fs::write(home.join(".bashrc"), "PS1=mine\n").expect("written");
        furnish(&home, &person).expect("a home");
        assert_eq!(fs::read_to_string(home.join(".bashrc")).expect("read"), "PS1=mine\n");
        assert!(home.join(".ssh").is_dir());
    }

    #[test]
    fn a_shell_is_opened_where_no_command_is_given() {
        let words = |command: &Command| -> Vec<String> {
            let all = std::iter::once(command.get_program()).chain(command.get_args());
            all.map(|word| word.to_string_lossy().into_owned()).collect()
        };
        assert!(words(&with_agent(&[])).ends_with(&["bash".into(), "-l".into()]));
        let given = [OsString::from("aws"), OsString::from("--version")];
        assert!(words(&with_agent(&given)).ends_with(&["aws".into(), "--version".into()]));
    }
}

//! `gureum env`, `gureum aws`, `gureum terraform`: AWS clients pointed at the cloud, for a shell
//! or for one process, with credentials that are worthless on the real AWS.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use clap::{Args, ValueEnum};

use super::{client::Daemon, output};
use crate::{admin::Status, failure::Failure, paths, root_key};

/// The region of the lab, and of everybody who says no other.
pub(crate) const REGION: &str = "ap-northeast-2";

/// Nothing on the real AWS, and made so that one sees it.
pub(super) const ACCESS_KEY: &str = "AKIAGUREUMLOCALONLY0";
pub(super) const SECRET_KEY: &str = "worthless/on/the/real/AWS/+/local/only00";

/// Settings of the caller that would lead a client somewhere else than to the cloud, or make it
/// send a session token along that is none of ours.
const MISLEADING: [&str; 6] = [
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
];

/// The arguments of `gureum env`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  eval \"$(gureum env)\"
  gureum env | source              in fish
  eval \"$(gureum env --https-proxy)\"   for session-manager-plugin 1.2.889 and later
  eval \"$(gureum env --unset)\"     back to the AWS of your configuration files")]
pub(crate) struct EnvArgs {
    /// Print lines that take the variables away again
    #[arg(long)]
    unset: bool,
    /// Reach Systems Manager by AWS's own names, through an HTTPS proxy at the cloud's port: for
    /// clients that take no other. All other HTTPS of the shell goes to the simulated internet, too
    #[arg(long)]
    https_proxy: bool,
    /// Whose language the lines are in [default: from $SHELL]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
}

/// The arguments of a real program that is run against the cloud.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProgramArgs {
    /// The program's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(super) args: Vec<OsString>,
}

/// A shell's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash, zsh, dash, ksh
    #[value(alias = "sh", alias = "zsh")]
    Bash,
    /// fish
    Fish,
}

impl Shell {
    fn of_caller() -> Self {
        let shell = env::var_os("SHELL").unwrap_or_default();
        if Path::new(&shell).file_name() == Some(OsStr::new("fish")) {
            Self::Fish
        } else {
            Self::Bash
        }
    }

    fn line(self, name: &str, value: Option<&str>) -> String {
        match (self, value) {
            (Self::Bash, Some(value)) => {
                format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
            }
            (Self::Bash, None) => format!("unset {name}\n"),
            (Self::Fish, Some(value)) => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'\n")
            }
            (Self::Fish, None) => format!("set -e {name}\n"),
        }
    }
}

/// What a client's environment is changed by: a value, or none at all.
pub(crate) type Changes = Vec<(String, Option<String>)>;

/// Runs `gureum env`.
pub(crate) fn run(args: &EnvArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let shell = args.shell.unwrap_or_else(Shell::of_caller);
    let text: String = if args.unset {
        let names = NAMES.iter().chain(PROXY_NAMES.iter().filter(|_| args.https_proxy));
        let lines = names.map(|name| shell.line(name, None)).collect::<String>();
        let path = without_plugin(daemon.data_dir(), &variables());
        lines + &path.map(|path| shell.line(PATH, Some(&path))).unwrap_or_default()
    } else {
        let status = daemon.status()?;
        let mut changes = changes(&status, &variables())?;
        if args.https_proxy {
            changes.extend(through_proxy(&status));
        }
        changes.iter().map(|(name, value)| shell.line(name, value.as_deref())).collect()
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes a real program with the environment set.
pub(crate) fn exec(
    program: &str,
    args: &ProgramArgs,
    daemon: &Daemon,
) -> Result<ExitCode, Failure> {
    let mut command = Command::new(program);
    command.args(&args.args);
    match daemon.status() {
        Ok(status) => apply(&changes(&status, &variables())?, &mut command),
        // The program's own help needs no cloud.
        Err(_) if asks_for_help(&args.args) => {}
        Err(error) => return Err(error),
    }
    Err(not_run(program, &command.exec()))
}

/// Whether only the program's help is wanted, which touches nothing.
fn asks_for_help(arguments: &[OsString]) -> bool {
    matches!(arguments, [only] if ["--help", "-h", "-help", "help"].iter().any(|it| only == it))
}

/// Why a real program could not be become.
pub(super) fn not_run(program: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let error = Failure::new(format!("{program} is not installed, or not on the PATH"));
            let help = match program {
                "aws" => "`make setup` installs the AWS CLI; so does `pip install awscli`",
                "terraform" => "see https://developer.hashicorp.com/terraform/install",
                "ssh" => "install OpenSSH's client, as `apt install openssh-client`",
                _ => "",
            };
            let error = error.status(127);
            if help.is_empty() { error } else { error.help(help) }
        }
        _ => Failure::new(format!("cannot run {program}: {error}")).status(126),
    }
}

/// Changes the environment of a command.
pub(super) fn apply(changes: &Changes, command: &mut Command) {
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// All variables that [`changes`] gives a value.
const NAMES: [&str; 8] = [
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_DISABLED",
    "GUREUM_DATA_DIR",
];

/// All variables that [`through_proxy`] gives a value.
const PROXY_NAMES: [&str; 3] = ["HTTPS_PROXY", "AWS_ENDPOINT_URL_SSM", "SSL_CERT_FILE"];

/// What an environment needs besides so that clients find Systems Manager by AWS's own names.
fn through_proxy(status: &Status) -> Changes {
    let values = [
        status.endpoint.clone(),
        format!("https://ssm.{REGION}.amazonaws.com"),
        paths::ca_bundle(&status.data_dir).to_string_lossy().into_owned(),
    ];
    let pairs = PROXY_NAMES.iter().zip(values);
    pairs.map(|(name, value)| ((*name).to_owned(), Some(value))).collect()
}

/// The variables of this process, as far as they are text.
pub(super) fn variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The access key and secret that clients get: the root user's where one is needed.
pub(super) fn key(data_dir: &Path) -> Result<(String, String), Failure> {
    Ok(match root_key::read(&paths::root_key(data_dir))? {
        Some(key) => (key.access_key_id, key.secret_access_key),
        None => (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()),
    })
}

/// What an environment needs so that AWS clients reach this daemon and nothing else.
pub(super) fn changes(status: &Status, variables: &[(String, String)]) -> Result<Changes, Failure> {
    let (access_key, secret_key) = key(&status.data_dir)?;
    let bundle = paths::ca_bundle(&status.data_dir);
    let values = [
        status.endpoint.clone(),
        REGION.to_owned(),
        REGION.to_owned(),
        access_key,
        secret_key,
        bundle.to_string_lossy().into_owned(),
        "true".to_owned(),
        status.data_dir.to_string_lossy().into_owned(),
    ];
    let mut changes: Changes =
        NAMES.iter().zip(values).map(|(name, value)| ((*name).to_owned(), Some(value))).collect();
    // Only what is set is taken away, so that the lines stay readable. The endpoint of a single
    // service would win over ours.
    let misleading: BTreeSet<_> = variables
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| MISLEADING.contains(name) || name.starts_with("AWS_ENDPOINT_URL_"))
        .collect();
    changes.extend(misleading.into_iter().map(|name| (name.to_owned(), None)));
    changes.extend(past_proxy(&status.endpoint, variables));
    changes.extend(with_plugin(&status.data_dir, variables));
    Ok(changes)
}

/// Where programs are looked for.
const PATH: &str = "PATH";

fn path(variables: &[(String, String)]) -> &str {
    let path = variables.iter().find(|(name, _)| name == PATH);
    path.map_or("", |(_, value)| value.as_str())
}

/// Our client of Session Manager, behind all programs that are there: AWS's own is taken first.
fn with_plugin(data_dir: &Path, variables: &[(String, String)]) -> Changes {
    let (path, folder) = (path(variables), paths::plugin_dir(data_dir));
    let folder = folder.to_string_lossy();
    // A folder with a colon in its name cannot be said.
    if path.is_empty() || folder.contains(':') || path.split(':').any(|it| it == folder) {
        return Vec::new();
    }
    vec![(PATH.to_owned(), Some(format!("{path}:{folder}")))]
}

/// The path without it, where it is on it.
fn without_plugin(data_dir: &Path, variables: &[(String, String)]) -> Option<String> {
    let (path, folder) = (path(variables), paths::plugin_dir(data_dir));
    let folder = folder.to_string_lossy();
    let rest: Vec<_> = path.split(':').filter(|it| *it != folder).collect();
    let rest = rest.join(":");
    (rest != path).then_some(rest)
}

/// Where a proxy is configured, the cloud must not be looked for behind it.
fn past_proxy(endpoint: &str, variables: &[(String, String)]) -> Changes {
    let value = |wanted: &str| {
        variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    if ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .all(|name| value(name).is_none())
    {
        return Vec::new();
    }
    let host = endpoint.trim_start_matches("http://");
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let names = ["no_proxy", "NO_PROXY"];
    let known = names.iter().find_map(|name| value(name)).unwrap_or_default();
    if known.split(',').any(|entry| entry.trim() == host) {
        return Vec::new();
    }
    let list = if known.is_empty() { host.to_owned() } else { format!("{known},{host}") };
    names.iter().map(|name| ((*name).to_owned(), Some(list.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            pid: 1,
            endpoint: "http://127.0.0.1:4566".into(),
            socks: None,
            uplink: None,
            data_dir: "/home/mina o'hara/$cloud".into(),
            tag: "0badcafe".into(),
            instances_enabled: true,
            light: false,
            uptime_seconds: 0,
            applied_epoch: 0,
            counts: vec![],
            drops: vec![],
        }
    }

    fn lines(shell: Shell, changes: &Changes) -> String {
        changes.iter().map(|(name, value)| shell.line(name, value.as_deref())).collect()
    }

    /// What a real shell makes of the lines.
    fn evaluated(lines: &str, before: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut command = Command::new("bash");
        command.args(["-c", "eval \"$1\"; env -0", "bash", lines]).env_clear();
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        let output = command.envs(before.iter().copied()).output().expect("bash runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        let pairs = text.split('\0').filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn value<'a>(variables: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
        variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    #[test]
    fn bash_takes_the_lines_as_they_are_meant() {
        let before = [
            ("AWS_PROFILE", "work"),
            ("AWS_SESSION_TOKEN", "secret"),
            ("AWS_ENDPOINT_URL_EC2", "https://ec2.amazonaws.com"),
            ("AWS_MAX_ATTEMPTS", "7"),
        ];
        let owned: Vec<_> = before.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let after =
            evaluated(&lines(Shell::Bash, &changes(&status(), &owned).expect("changes")), &before);
        assert_eq!(value(&after, "AWS_ENDPOINT_URL"), Some("http://127.0.0.1:4566"));
        assert_eq!(value(&after, "AWS_REGION"), Some("ap-northeast-2"));
        assert_eq!(value(&after, "AWS_DEFAULT_REGION"), Some("ap-northeast-2"));
        assert_eq!(value(&after, "AWS_CA_BUNDLE"), Some("/home/mina o'hara/$cloud/ca/bundle.pem"));
        assert_eq!(value(&after, "GUREUM_DATA_DIR"), Some("/home/mina o'hara/$cloud"));
        assert_eq!(value(&after, "AWS_EC2_METADATA_DISABLED"), Some("true"));
        assert_eq!(value(&after, "AWS_ACCESS_KEY_ID").map(str::len), Some(20));
        assert_eq!(value(&after, "AWS_SECRET_ACCESS_KEY").map(str::len), Some(40));
        assert_eq!(value(&after, "AWS_MAX_ATTEMPTS"), Some("7"), "what does not mislead stays");
        for gone in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EC2"] {
            assert_eq!(value(&after, gone), None, "{gone}");
        }
    }

    #[test]
    fn our_plugin_comes_behind_all_programs_and_goes_again() {
        let ours = status().data_dir;
        let variable = |value: &str| [(PATH.to_owned(), value.to_owned())];
        let changes = with_plugin(&ours, &variable("/usr/bin:/bin"));
        let path = changes[0].1.clone().expect("a path");
        assert_eq!(path, "/usr/bin:/bin:/home/mina o'hara/$cloud/bin");
        assert_eq!(with_plugin(&ours, &variable(&path)), []);
        let back = without_plugin(&ours, &variable(&path));
        assert_eq!(back.as_deref(), Some("/usr/bin:/bin"));
        assert_eq!(without_plugin(&ours, &variable("/usr/bin")), None);
        assert_eq!(with_plugin(Path::new("/a:b"), &variable("/bin")), []);
    }

    #[test]
    fn unset_takes_back_what_was_set() {
        let set = lines(Shell::Bash, &changes(&status(), &[]).expect("changes"));
        let unset: String = NAMES.iter().map(|name| Shell::Bash.line(name, None)).collect();
        let after = evaluated(&(set + &unset), &[]);
        let ours = |name: &str| name.starts_with("AWS_") || name.starts_with("GUREUM_");
        assert!(after.iter().all(|(name, _)| !ours(name)), "{after:?}");
    }

    #[test]
    fn systems_manager_is_found_by_its_name_through_the_proxy() {
        let mut set = changes(&status(), &[]).expect("changes");
        set.extend(through_proxy(&status()));
        let after = evaluated(&lines(Shell::Bash, &set), &[("HTTPS_PROXY", "http://proxy:3128")]);
        assert_eq!(value(&after, "HTTPS_PROXY"), Some("http://127.0.0.1:4566"));
        let name = "https://ssm.ap-northeast-2.amazonaws.com";
        assert_eq!(value(&after, "AWS_ENDPOINT_URL_SSM"), Some(name));
        assert_eq!(value(&after, "SSL_CERT_FILE"), value(&after, "AWS_CA_BUNDLE"));
    }

    #[test]
    fn fish_has_a_language_of_its_own() {
        assert_eq!(Shell::Fish.line("A", Some(r"it's \ $x")), "set -gx A 'it\\'s \\\\ $x'\n");
        assert_eq!(Shell::Fish.line("A", None), "set -e A\n");
    }

    #[test]
    fn a_proxy_is_gone_past() {
        fn past(list: &[(&str, &str)]) -> Changes {
            let owned: Vec<_> = list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            past_proxy("http://127.0.0.1:4566", &owned)
        }
        assert!(past(&[]).is_empty());
        let proxy = ("http_proxy", "http://proxy:3128");
        let wanted = Some("localhost,127.0.0.1".to_owned());
        assert_eq!(past(&[proxy, ("NO_PROXY", "localhost")])[0], ("no_proxy".into(), wanted));
        assert!(past(&[proxy, ("no_proxy", "localhost, 127.0.0.1")]).is_empty());
    }

    #[test]
    fn a_missing_program_is_said_plainly() {
        let error = not_run("terraform", &io::ErrorKind::NotFound.into());
        assert_eq!(error.message, "terraform is not installed, or not on the PATH");
        assert!(error.help.is_some());
        assert_eq!(error.status, 127);
    }
}

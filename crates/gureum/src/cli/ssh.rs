//! `gureum ssh`: OpenSSH itself, from the simulated internet, to an instance's public name, with
//! the login user and key that the instance has. The person's own `known_hosts` is untouched.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;

use super::{client::Daemon, env::not_run, internet};
use crate::{admin::InstanceRow, failure::Failure, paths};

/// OpenSSH's own status for failures that are not the remote command's.
const SSH_FAILURE: u8 = 255;

/// The arguments of `gureum ssh`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The key is the one of -i, else ./<KeyName>.pem, else <KeyName>.pem in the folder \
`keys` of the data directory, else what your ssh agent offers.

Examples:
  gureum ssh PUBLIC-01
  gureum ssh PUBLIC-01 -- uptime
  gureum ssh BASTION -- -A                options of ssh go after -- too"
)]
pub(crate) struct SshArgs {
    /// The private key
    #[arg(long, short, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The user to log in as [default: the image's]
    #[arg(long, short, value_name = "USER")]
    login: Option<String>,
    /// The instance: its Name tag, id, address or DNS name
    name: String,
    /// What ssh is given after the host: options, a command
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Runs `gureum ssh`.
pub(crate) fn run(args: &SshArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let arguments = prepare(args, daemon).map_err(|error| error.status(SSH_FAILURE))?;
    internet::enter(daemon).map_err(|error| error.status(SSH_FAILURE))?;
    let error = Command::new("ssh").args(arguments).exec();
    Err(not_run("ssh", &error).status(SSH_FAILURE))
}

fn prepare(args: &SshArgs, daemon: &Daemon) -> Result<Vec<OsString>, Failure> {
    let instance = daemon.resolve(&args.name)?;
    refuse_light(&instance, "SSH server")?;
    let folder = env::current_dir().map_err(|e| Failure::new(format!("where am I: {e}")))?;
    let key = key(args.identity.as_deref(), instance.key_name.as_deref(), &folder, daemon)?;
    if key.is_none()
        && let Some(name) = &instance.key_name
    {
        eprintln!(
            "note: no {name}.pem here or in {}: offering what your ssh agent has (say -i FILE)",
            paths::keys_dir(daemon.data_dir()).display()
        );
    }
    arguments(args, &instance, key.as_deref(), daemon.data_dir())
}

/// The private key to offer.
fn key(
    given: Option<&Path>,
    name: Option<&str>,
    folder: &Path,
    daemon: &Daemon,
) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = given {
        std::fs::metadata(path).map_err(|error| Failure::file("read", path, &error))?;
        return Ok(Some(path.to_owned()));
    }
    Ok(key_in(name, &[folder.to_owned(), paths::keys_dir(daemon.data_dir())]))
}

/// The file of a key pair's private key in the first folder that has it.
pub(super) fn key_in(name: Option<&str>, folders: &[PathBuf]) -> Option<PathBuf> {
    // A key pair's name is any text; only a plain one can be a file's.
    let name = name.filter(|name| !name.contains('/') && !name.starts_with('.'))?;
    let file = format!("{name}.pem");
    folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// What an instance is called: its Name tag, else its id.
pub(super) fn called(instance: &InstanceRow) -> &str {
    instance.name.as_ref().unwrap_or(&instance.id)
}

/// Refuses what a light host has not.
pub(super) fn refuse_light(instance: &InstanceRow, lacking: &str) -> Result<(), Failure> {
    if !instance.light {
        return Ok(());
    }
    let called = called(instance);
    Err(Failure::new(format!("{called} is a light host: it has no {lacking}")).help(format!(
        "`gureum exec {called} -- CMD` runs a program of this machine in its network; \
         `gureum up` without --instances light boots real hosts"
    )))
}

/// The public DNS name of a running instance, or its address where its VPC gives no names.
pub(super) fn public_host(instance: &InstanceRow) -> Result<&str, Failure> {
    let called = called(instance);
    if instance.state != "running" {
        return Err(Failure::new(format!("{called} is {}", instance.state)));
    }
    let host = instance.public_dns_name.as_deref().or(instance.public_ip.as_deref());
    host.ok_or_else(|| {
        Failure::new(format!(
            "{called} has no public address: only its VPC reaches it, at {}",
            instance.private_ip
        ))
        .help(format!(
            "go through an instance that has one (gureum ssh BASTION -- -A, or ssh -J BASTION \
             {called}), or use `gureum exec {called}`"
        ))
    })
}

fn arguments(
    args: &SshArgs,
    instance: &InstanceRow,
    key: Option<&Path>,
    data_dir: &Path,
) -> Result<Vec<OsString>, Failure> {
    let host = public_host(instance)?;
    let known_hosts = paths::known_hosts(data_dir);
    let user = args.login.as_ref().unwrap_or(&instance.login_user);
    let mut list: Vec<OsString> = Vec::new();
    let mut option = |text: String| list.extend(["-o".into(), text.into()]);
    option(format!("UserKnownHostsFile=\"{}\"", known_hosts.display()));
    // An address comes to another instance one day, the id never does.
    option(format!("HostKeyAlias={}", instance.id));
    option("StrictHostKeyChecking=accept-new".into());
    option("LogLevel=ERROR".into());
    if let Some(key) = key {
        list.extend(["-i".into(), key.into()]);
    }
    list.push(format!("{user}@{host}").into());
    list.extend(args.arguments.iter().cloned());
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(public: Option<&str>) -> InstanceRow {
        InstanceRow {
            id: "i-0123456789abcdef0".into(),
            name: Some("PUBLIC-01".into()),
            state: "running".into(),
            instance_type: "t2.micro".into(),
            availability_zone: "ap-northeast-2a".into(),
            account: "123456789012".into(),
            region: "ap-northeast-2".into(),
            private_ip: "10.1.1.5".into(),
            private_dns_name: Some("ip-10-1-1-5.ap-northeast-2.compute.internal".into()),
            public_ip: public.map(|_| "198.18.0.10".into()),
            public_dns_name: public.map(Into::into),
            login_user: "ec2-user".into(),
            key_name: Some("IMD-LAB".into()),
            ready: true,
            light: false,
        }
    }

    fn args(rest: &[&str]) -> SshArgs {
        SshArgs {
            identity: None,
            login: None,
            name: "PUBLIC-01".into(),
            arguments: rest.iter().map(OsString::from).collect(),
        }
    }

    #[test]
    fn ssh_is_told_user_host_key_and_where_host_keys_are() {
        let row = instance(Some("ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com"));
        let list = arguments(&args(&["uptime"]), &row, Some(Path::new("k.pem")), Path::new("/d"));
        let list: Vec<_> = list.expect("arguments");
        let line = list.join(&OsString::from(" ")).into_string().expect("text");
        assert!(line.contains("-o UserKnownHostsFile=\"/d/known_hosts\""), "{line}");
        assert!(line.contains("-o HostKeyAlias=i-0123456789abcdef0"), "{line}");
        let end = "-i k.pem ec2-user@ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com uptime";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn without_a_public_address_the_ways_in_are_named() {
        let error = arguments(&args(&[]), &instance(None), None, Path::new("/d"));
        let error = error.expect_err("no address");
        assert!(error.message.contains("has no public address"), "{error}");
        assert!(error.help.expect("help").contains("gureum exec PUBLIC-01"));
    }

    #[test]
    fn an_instance_that_does_not_run_is_not_dialled() {
        let mut row = instance(Some("ec2-1"));
        row.state = "stopped".into();
        let error = arguments(&args(&[]), &row, None, Path::new("/d")).expect_err("stopped");
        assert_eq!(error.message, "PUBLIC-01 is stopped");
    }

    #[test]
    fn a_light_host_has_no_ssh_server() {
        let mut row = instance(Some("ec2-1"));
        assert!(refuse_light(&row, "SSH server").is_ok());
        row.light = true;
        let error = refuse_light(&row, "SSH server").expect_err("light");
        assert_eq!(error.message, "PUBLIC-01 is a light host: it has no SSH server");
        assert!(error.help.expect("help").contains("gureum exec PUBLIC-01"));
    }

    #[test]
    fn keys_are_found_here_first_and_then_with_the_data() {
        let data = tempfile::tempdir().expect("a folder");
        let here = tempfile::tempdir().expect("a folder");
        let daemon = Daemon::at(data.path());
        let find = |name| key(None, name, here.path(), &daemon).expect("no error");
        assert_eq!(find(Some("K")), None);
        std::fs::create_dir(data.path().join("keys")).expect("a folder");
        std::fs::write(data.path().join("keys/K.pem"), "").expect("a file");
        assert_eq!(find(Some("K")), Some(data.path().join("keys/K.pem")));
        std::fs::write(here.path().join("K.pem"), "").expect("a file");
        assert_eq!(find(Some("K")), Some(here.path().join("K.pem")));
        assert_eq!(find(Some("../K")), None);
        let missing = key(Some(Path::new("/no/such.pem")), None, here.path(), &daemon);
        assert!(missing.expect_err("missing").message.contains("/no/such.pem"));
    }
}

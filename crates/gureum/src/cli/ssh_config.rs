//! `gureum ssh-config`: the instances as hosts of OpenSSH's configuration, so that `ssh`, `scp`,
//! `sftp`, `rsync`, `git` and editors of the person's own shell reach them by name. Only names of
//! this cloud are in it, and it is undone by `--remove`.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    os::{
        fd::AsFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    internet, output, ssh,
};
use crate::{
    admin::{InstanceRow, Reply, Request},
    failure::Failure,
    paths::{self, Person},
};

/// What a file that we wrote begins with: no other is overwritten or deleted.
const HEADER: &str = "# Made by `gureum ssh-config`";
/// OpenSSH's own limit does not hold for a `ProxyCommand`. Three lost SYNs fit in.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The arguments of `gureum ssh-config`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Hosts are the running instances, by Name tag, id, public and private DNS name. Run \
it again after launches. A name that several instances have is left out, and so is one that could be \
another host's (with a dot in it).

Examples:
  gureum ssh-config                               show it
  gureum ssh-config --include                     from now on: ssh PUBLIC-01
  ssh -J BASTION PRIVATE-01                       ... and through a bastion
  gureum ssh-config --include --jump BASTION      ... by itself: ssh PRIVATE-01
  gureum ssh-config --remove                      undo --include
  gureum ssh-config --write lab.conf && ssh -F lab.conf PUBLIC-01"
)]
pub(crate) struct SshConfigArgs {
    /// Write it to a file of its own, for `ssh -F FILE` [default: to standard output]
    #[arg(long, value_name = "FILE", conflicts_with = "include")]
    write: Option<PathBuf>,
    /// Write it to the data directory, and have ~/.ssh/config include it
    #[arg(long)]
    include: bool,
    /// Undo --include; with --write, delete that file
    #[arg(long, conflicts_with_all = ["include", "jump"])]
    remove: bool,
    /// Reach instances without a public address through this one
    #[arg(long, value_name = "INSTANCE")]
    jump: Option<String>,
}

/// The arguments of the `ProxyCommand` that the hosts have.
#[derive(Clone, Debug, Args)]
pub(crate) struct SshConnectArgs {
    /// The instance
    name: String,
    /// Its port
    port: u16,
}

/// Runs `gureum ssh-config`.
pub(crate) fn run(args: &SshConfigArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let person = Person::current();
    match &args.write {
        _ if args.remove => remove(args.write.as_deref(), &person, daemon.data_dir())?,
        Some(path) => {
            let (text, count) = hosts(args, daemon)?;
            write_own(path, &text, &person)?;
            output::print(&format!("{count} instances are in {}\n", path.display()))?;
        }
        None if args.include => {
            let (text, count) = hosts(args, daemon)?;
            let path = paths::ssh_config(daemon.data_dir());
            let line = include_line(daemon.data_dir())?;
            write_own(&path, &text, &person)?;
            let config = include(&line, &person)?;
            output::print(&format!(
                "{count} instances are in {}, which {} includes\n",
                path.display(),
                config.display()
            ))?;
        }
        None => output::print(&hosts(args, daemon)?.0)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `gureum ssh-connect`: standard input and output become a connection from the simulated
/// internet to the public address that the instance has now.
pub(crate) fn connect(args: &SshConnectArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let instance = daemon.resolve(&args.name)?;
    ssh::refuse_light(&instance, "SSH server")?;
    ssh::public_host(&instance)?;
    let address = instance.public_ip.as_deref().and_then(|it| it.parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| Failure::new("the daemon's answer lacks an address"))?;
    internet::enter(daemon)?;
    let called = ssh::called(&instance);
    let port = args.port;
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT_LIMIT)
        .map_err(|error| {
            Failure::new(format!("cannot connect to {called}, {address} port {port}: {error}"))
                .help(format!("ask why: gureum why internet {called} --proto tcp --port {port}"))
        })?;
    carry(stream).map_err(|error| Failure::new(format!("the connection to {called}: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

/// Carries bytes both ways until the instance has sent its last.
fn carry(mut stream: TcpStream) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut up = stream.try_clone()?;
    thread::spawn(move || {
        // Where either end is gone, so is what is to be told.
        let _ = pour(&mut input, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    match pour(&mut stream, &mut output) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Copies to the end. Not [`io::copy`]: it splices, and Linux keeps a pipe locked, so that nobody reads
/// it, for as long as a splice into it waits for the next bytes.
fn pour(from: &mut impl Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The text of the configuration, and how many instances are in it.
fn hosts(args: &SshConfigArgs, daemon: &Daemon) -> Result<(String, usize), Failure> {
    let mut rows = match daemon.ask(&Request::Instances)? {
        Reply::Instances(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    rows.retain(|row| row.state == "running" && !row.light);
    let jump = match &args.jump {
        Some(name) => {
            let instance = daemon.resolve(name)?;
            ssh::public_host(&instance)?;
            Some(instance.id)
        }
        None => None,
    };
    let program = env::current_exe()
        .map_err(|error| Failure::new(format!("where is this program: {error}")))?;
    let text = text(&rows, jump.as_deref(), &program, daemon)?;
    Ok((text, rows.len()))
}

fn text(
    rows: &[InstanceRow],
    jump: Option<&str>,
    program: &Path,
    daemon: &Daemon,
) -> Result<String, Failure> {
    let data_dir = daemon.data_dir();
    let (program, folder) = (quoted(program)?, quoted(data_dir)?);
    let known_hosts = quoted(&paths::known_hosts(data_dir))?;
    let mut claims = BTreeMap::<&str, usize>::new();
    for alias in rows.iter().flat_map(aliases) {
        *claims.entry(alias).or_default() += 1;
    }
    let mut text =
        format!("{HEADER} for the cloud in {folder}. Written anew by each run: don't edit.\n");
    for row in rows {
        let mut patterns = vec![row.id.as_str()];
        let mut left_out = Vec::new();
        for alias in aliases(row) {
            if claims.get(alias).is_some_and(|claims| *claims > 1) {
                left_out.push((alias, "others have that name too"));
            } else if row.name.as_deref() == Some(alias) && !is_plain(alias) {
                left_out.push((alias, "it could be another host's, or is none"));
            } else {
                patterns.push(alias);
            }
        }
        text.push('\n');
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        };
        for (alias, why) in left_out {
            line(format_args!("# not {alias:?}: {why}"));
        }
        line(format_args!("Host {}", patterns.join(" ")));
        let public = ssh::public_host(row).ok();
        // What a bastion dials, where there is nothing for us to dial.
        let inside = Some(&*row.private_ip).filter(|ip| !ip.is_empty());
        let inside = inside.or(row.private_dns_name.as_deref()).unwrap_or(&row.id);
        line(format_args!("  HostName {}", public.unwrap_or(inside)));
        line(format_args!("  User {}", row.login_user));
        line(format_args!("  HostKeyAlias {}", row.id));
        line(format_args!("  UserKnownHostsFile {known_hosts}"));
        line(format_args!("  StrictHostKeyChecking accept-new"));
        let key = ssh::key_in(row.key_name.as_deref(), &[paths::keys_dir(data_dir)]);
        match key.as_deref().map(quoted) {
            Some(Ok(key)) => line(format_args!("  IdentityFile {key}")),
            Some(Err(error)) => line(format_args!("  # no IdentityFile: {:?}", error.message)),
            None => {}
        }
        match jump.filter(|_| public.is_none()) {
            Some(jump) => line(format_args!("  ProxyJump {jump}")),
            None => line(format_args!(
                "  ProxyCommand {program} --data-dir {folder} ssh-connect {} %p",
                row.id
            )),
        }
    }
    Ok(text)
}

/// The names of an instance besides its id, which is nobody else's.
fn aliases(row: &InstanceRow) -> impl Iterator<Item = &str> {
    [&row.name, &row.public_dns_name, &row.private_dns_name].into_iter().flatten().map(|it| &**it)
}

/// Whether a Name tag can be a host's name here: no pattern, and nobody's name elsewhere.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id = name.starts_with("i-");
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with('-')
        && !id
        && !name.eq_ignore_ascii_case("localhost")
}

/// A path as OpenSSH and the shell both take it. What either would expand is refused.
fn quoted(path: &Path) -> Result<String, Failure> {
    let special = |c: char| c.is_control() || "\"\\`$%*?[]".contains(c);
    match path.to_str().filter(|text| !text.contains(special)) {
        Some(text) => Ok(format!("\"{text}\"")),
        None => {
            Err(Failure::new(format!("a configuration of OpenSSH cannot name {}", path.display()))
                .help("choose a path without special characters"))
        }
    }
}

fn include_line(data_dir: &Path) -> Result<String, Failure> {
    Ok(format!("Include {}", quoted(&paths::ssh_config(data_dir))?))
}

/// Puts the line on top of the person's configuration, where it is no part of a `Host`.
fn include(line: &str, person: &Person) -> Result<PathBuf, Failure> {
    let path = paths::person_ssh_config(person);
    let text = read(&path)?.unwrap_or_default();
    if lines(&text).any(|it| it.trim_ascii() == line.as_bytes()) {
        return Ok(path);
    }
    if let Some(folder) = path.parent() {
        person.create_dir(folder, 0o700).map_err(|error| Failure::file("make", folder, &error))?;
    }
    replace(&path, &[line.as_bytes(), b"\n", &text].concat(), person)?;
    Ok(path)
}

/// Takes the line out again, and leaves all else as it is. False where it was not there.
pub(super) fn exclude(person: &Person, data_dir: &Path) -> Result<bool, Failure> {
    let path = paths::person_ssh_config(person);
    // A folder that cannot be named was not included.
    let (Some(text), Ok(line)) = (read(&path)?, include_line(data_dir)) else { return Ok(false) };
    let rest: Vec<_> = lines(&text).filter(|it| it.trim_ascii() != line.as_bytes()).collect();
    let rest = rest.concat();
    if rest == text {
        return Ok(false);
    }
    replace(&path, &rest, person)?;
    Ok(true)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

fn remove(written: Option<&Path>, person: &Person, data_dir: &Path) -> Result<(), Failure> {
    let excluded = written.is_none() && exclude(person, data_dir)?;
    let own = paths::ssh_config(data_dir);
    let path = written.unwrap_or(&own);
    let deleted = is_own(path)?;
    if deleted {
        fs::remove_file(path).map_err(|error| Failure::file("delete", path, &error))?;
    }
    output::print(&match (excluded, deleted) {
        (false, false) => "there was nothing to remove\n".to_owned(),
        (true, _) => format!("{} is as before\n", paths::person_ssh_config(person).display()),
        (false, true) => format!("deleted {}\n", path.display()),
    })
}

/// Whether there is a file that we wrote, or an empty one; one of somebody else is an error.
fn is_own(path: &Path) -> Result<bool, Failure> {
    match read(path)? {
        None => Ok(false),
        Some(text) if text.is_empty() || text.starts_with(HEADER.as_bytes()) => Ok(true),
        Some(_) => Err(Failure::new(format!("{} is not made by ssh-config", path.display()))
            .help("name another file, or use --include to leave your own configuration as it is")),
    }
}

fn write_own(path: &Path, text: &str, person: &Person) -> Result<(), Failure> {
    is_own(path)?;
    replace(path, text.as_bytes(), person)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

/// Replaces a file in one piece: ssh never reads half of it. Links to it stay links.
fn replace(path: &Path, text: &[u8], person: &Person) -> Result<(), Failure> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = target.clone().into_os_string();
    name.push(".gureum");
    let new = PathBuf::from(name);
    let written = (|| {
        let mode = fs::metadata(&target).map_or(0o600, |it| it.permissions().mode() & 0o777);
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(text)?;
        person.give(&new)?;
        fs::rename(&new, &target)
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        Failure::file("write", path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, name: Option<&str>, public: bool) -> InstanceRow {
        let dns = "ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com";
        InstanceRow {
            id: id.into(),
            name: name.map(Into::into),
            state: "running".into(),
            instance_type: "t2.micro".into(),
            availability_zone: "ap-northeast-2a".into(),
            account: "123456789012".into(),
            region: "ap-northeast-2".into(),
            private_ip: "10.1.1.5".into(),
            private_dns_name: Some(format!("ip-{id}.ap-northeast-2.compute.internal")),
            public_ip: public.then(|| "198.18.0.10".into()),
            public_dns_name: public.then(|| dns.into()),
            login_user: "ec2-user".into(),
            key_name: Some("IMD-LAB".into()),
            ready: true,
            light: false,
        }
    }

    fn block(rows: &[InstanceRow], jump: Option<&str>) -> String {
        text(rows, jump, Path::new("/bin/gureum"), &Daemon::at(Path::new("/d"))).expect("a text")
    }

    /// The patterns that hosts go by.
    fn patterns(text: &str) -> Vec<&str> {
        let hosts = text.lines().filter_map(|line| line.strip_prefix("Host "));
        hosts.flat_map(str::split_whitespace).collect()
    }

    fn person(folder: &Path) -> Person {
        Person {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            home: folder.to_owned(),
        }
    }

    #[test]
    fn a_host_has_all_its_names_and_what_ssh_needs() {
        let text = block(&[row("i-1", Some("PUBLIC-01"), true)], None);
        let expected = "
Host i-1 PUBLIC-01 ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com \
ip-i-1.ap-northeast-2.compute.internal
  HostName ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com
  User ec2-user
  HostKeyAlias i-1
  UserKnownHostsFile \"/d/known_hosts\"
  StrictHostKeyChecking accept-new
  ProxyCommand \"/bin/gureum\" --data-dir \"/d\" ssh-connect i-1 %p
";
        assert!(text.starts_with(HEADER), "{text}");
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn without_a_public_address_a_bastion_is_the_way() {
        let private = [row("i-2", Some("PRIVATE-01"), false)];
        let direct = block(&private, None);
        assert!(direct.contains("  HostName 10.1.1.5\n"), "for ssh -J: {direct}");
        let jump = block(&private, Some("i-1"));
        assert!(jump.contains("  ProxyJump i-1\n") && !jump.contains("ProxyCommand"), "{jump}");
        let public = block(&[row("i-1", None, true)], Some("i-1"));
        assert!(public.contains("ProxyCommand") && !public.contains("ProxyJump"), "{public}");
    }

    #[test]
    fn only_names_of_one_instance_and_of_nobody_else_are_hosts() {
        for name in ["*", "a b", "!x", "a,b", "x\nHost *", "github.com", "localhost", "-x", "i-2"] {
            let text = block(&[row("i-1", Some(name), false)], None);
            assert_eq!(patterns(&text), ["i-1", "ip-i-1.ap-northeast-2.compute.internal"]);
        }
        let text = block(&[row("i-1", Some("twin"), true), row("i-2", Some("twin"), false)], None);
        assert!(!patterns(&text).contains(&"twin"), "{text}");
        assert!(text.contains("# not \"twin\": others have"), "{text}");
    }

    #[test]
    fn a_path_that_would_be_expanded_is_refused() {
        assert_eq!(quoted(Path::new("/my home/d")).expect("plain"), "\"/my home/d\"");
        for path in ["/a\"b", "/a$HOME", "/a%h", "/a`b`", "/a*", "/a\nb"] {
            assert!(quoted(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn the_persons_configuration_includes_it_once_and_is_as_before_afterwards() {
        let home = tempfile::tempdir().expect("a folder");
        let person = person(home.path());
        let data = home.path().join("data");
        let line = include_line(&data).expect("a line");
        assert!(!exclude(&person, &data).expect("nothing there"));
        let config = include(&line, &person).expect("included");
        let mode = fs::metadata(&config).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // As a person has it: a link into another folder, not UTF-8, no newline at the end.
        let elsewhere = home.path().join("dotfiles");
        let before = b"User mina\nHost *\n  # \xff\n  Port 22";
        fs::write(&elsewhere, before).expect("written");
        fs::remove_file(&config).expect("deleted");
        std::os::unix::fs::symlink(&elsewhere, &config).expect("a link");
        for _ in 0..2 {
            include(&line, &person).expect("included");
            let text = fs::read(&elsewhere).expect("read");
            assert_eq!(text, [line.as_bytes(), b"\n", before].concat());
        }
        assert!(exclude(&person, &data).expect("taken out"));
        assert_eq!(fs::read(&elsewhere).expect("read"), before);
        assert!(fs::symlink_metadata(&config).expect("there").is_symlink());
    }

    #[test]
    fn a_file_of_somebody_else_is_neither_written_nor_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let person = person(folder.path());
        let path = folder.path().join("config");
        fs::write(&path, "Host mine\n").expect("written");
        let error = write_own(&path, HEADER, &person).expect_err("not ours");
        assert!(error.message.ends_with("is not made by ssh-config"), "{error}");
        remove(Some(&path), &person, folder.path()).expect_err("not ours");
        assert_eq!(fs::read_to_string(&path).expect("read"), "Host mine\n");
        let own = folder.path().join("own");
        for _ in 0..2 {
            write_own(&own, HEADER, &person).expect("written");
        }
        remove(Some(&own), &person, folder.path()).expect("deleted");
        assert!(!own.exists());
    }
}

//! `gureum up`: checks what can be checked beforehand, then becomes the daemon, or starts it in
//! the background and waits until its API answers.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use gureum_host::uplink;
use gureum_types::{AccountId, DEFAULT_ACCOUNT};
use ipnet::Ipv4Net;

use super::{background, client::Daemon, output, port_holder};
use crate::{
    daemon::{self, Options},
    failure::Failure,
    paths,
    paths::Person,
};

/// The image that every catalogue entry boots from.
pub(super) const DEFAULT_IMAGE: &str = "debian-12";

/// The arguments of `gureum up`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sudo gureum up --detach
  sudo gureum up --detach --listen 127.0.0.1:5566 --data-dir /tmp/second-cloud
  sudo gureum up --detach --uplink  instances may reach the real internet
  sudo gureum up --detach --instances light   a namespace each that answers on every port
  gureum up --no-instances          the API alone, without root")]
pub(crate) struct UpArgs {
    /// Go on in the background; return when the API answers
    #[arg(long)]
    detach: bool,
    /// Where the API of all services listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// What instances are
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    instances: InstanceKind,
    /// Serve the API without booting instances; needs no root. The same as --instances none
    #[arg(long, conflicts_with = "instances")]
    pub(super) no_instances: bool,
    /// Connect the simulated internet to this machine's network, so that instances with a way to
    /// the internet reach the real one; without it no packet leaves
    #[arg(long)]
    uplink: bool,
    /// The account of callers whose access key is not itself a 12-digit account
    #[arg(long, value_name = "ID", default_value = DEFAULT_ACCOUNT, value_parser = account)]
    account_id: AccountId,
    /// Where public addresses come from
    #[arg(long, value_name = "CIDR", default_value = "198.18.0.0/16", value_parser = pool)]
    public_pool: Ipv4Net,
    /// Enforce the quotas that a new AWS account has: 5 VPCs and 5 Elastic IP addresses a region,
    /// and their like
    #[arg(long)]
    pub(super) aws_quotas: bool,
    /// Deliver flow logs as late as AWS does: records five minutes after their window, files of
    /// buckets for five minutes each; without it they come as soon as a window is over
    #[arg(long)]
    pub(super) aws_timing: bool,
    /// Let nobody in without a key that is known here: keys of IAM users and sessions, and the
    /// root user's, which `gureum env` gives to a shell
    #[arg(long)]
    pub(super) strict_auth: bool,
    /// Where SOCKS5 into the simulated internet listens, or "off" [default: the port after the
    /// API's]
    #[arg(long, value_name = "ADDRESS:PORT|off")]
    socks: Option<Socks>,
    /// The folder of machine images [default: in the cache folder of your home]
    #[arg(
        long,
        value_name = "DIR",
        env = "GUREUM_IMAGES_DIR",
        value_parser = paths::parser()
    )]
    images_dir: Option<PathBuf>,
    /// Write each API call to this file as a line of JSON: when, what, with which parameters, how it
    /// ended. Secrets are left out, and so is what comes after 64 MB
    #[arg(long, value_name = "FILE", value_parser = paths::parser())]
    call_log: Option<PathBuf>,
    /// This process was started by --detach
    #[arg(long, hide = true)]
    background: bool,
    /// Everything goes down with the process that started this one
    #[arg(long, hide = true)]
    tied: bool,
}

/// `--instances`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum InstanceKind {
    /// Real Linux hosts that boot the machine image
    #[default]
    Full,
    /// Network namespaces without an operating system: every port of TCP and UDP answers who it is.
    /// No image, some milliseconds each
    Light,
    /// None: the API alone, without root
    None,
}

/// `--socks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socks {
    Off,
    At(SocketAddr),
}

impl FromStr for Socks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| "neither ADDRESS:PORT nor \"off\"".to_owned())
    }
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).ok_or_else(|| "an account id has 12 digits".to_owned())
}

fn pool(text: &str) -> Result<Ipv4Net, String> {
    let net: Ipv4Net = text.parse().map_err(|_| "not an IPv4 CIDR, as 198.18.0.0/16".to_owned())?;
    if net.trunc() != net {
        return Err(format!("has bits set beyond its prefix; {} is the network", net.trunc()));
    }
    if !(8..=28).contains(&net.prefix_len()) {
        return Err("must be between /8 and /28 large".to_owned());
    }
    let taken = |other: &Ipv4Net| net.contains(other) || other.contains(&net);
    if let Some((other, what)) = NOT_PUBLIC.iter().find(|(other, _)| taken(other)) {
        return Err(format!("overlaps {other}, {what}"));
    }
    Ok(net)
}

/// Blocks that public addresses cannot come from, with who has them.
const NOT_PUBLIC: [(Ipv4Net, &str); 17] = {
    const fn block(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
    }
    let (private, hosts) = ("which VPCs use", "where hosts of the simulated internet are");
    let special = "which is not for hosts";
    [
        (block(0, 0, 0, 8), special),
        (block(1, 0, 0, 24), hosts),
        (block(1, 1, 1, 24), hosts),
        (block(8, 8, 4, 24), hosts),
        (block(8, 8, 8, 24), hosts),
        (block(10, 0, 0, 8), private),
        (block(100, 64, 0, 10), private),
        (block(127, 0, 0, 8), special),
        (block(169, 254, 0, 16), special),
        (block(172, 16, 0, 12), private),
        (block(192, 0, 2, 24), hosts),
        (block(192, 168, 0, 16), private),
        (block(198, 19, 0, 16), private),
        (block(198, 51, 100, 24), special),
        (block(203, 0, 113, 24), hosts),
        (block(224, 0, 0, 4), special),
        (block(240, 0, 0, 4), special),
    ]
};

/// Runs `gureum up`.
pub(crate) fn run(args: &UpArgs, data_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let options = args.options(data_dir)?;
    if args.background {
        let data_dir = options.data_dir.clone();
        // Our own session: the terminal that started us may go away.
        rustix::process::setsid().map_err(|e| Failure::new(format!("setsid: {e}")))?;
        env::set_current_dir("/").map_err(|e| Failure::file("enter", Path::new("/"), &e))?;
        if args.tied {
            background::tie()?;
        }
        daemon::run(options)?;
        if args.tied && background::nobody_waits() {
            // Who would have deleted it is gone.
            super::purge::delete(&data_dir)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    check(&options)?;
    if args.detach {
        return detach(args, &options);
    }
    daemon::run(options)?;
    Ok(ExitCode::SUCCESS)
}

impl UpArgs {
    pub(super) fn options(&self, data_dir: Option<&Path>) -> Result<Options, Failure> {
        let owner = Person::current();
        Ok(Options {
            listen: self.listen,
            data_dir: paths::data_dir(data_dir, &owner)?,
            images_dir: paths::images_dir(self.images_dir.as_deref(), &owner)?,
            instances: !self.no_instances && self.instances != InstanceKind::None,
            light: self.instances == InstanceKind::Light,
            account: self.account_id.clone(),
            public_pool: self.public_pool,
            uplink: self.uplink,
            aws_quotas: self.aws_quotas,
            aws_timing: self.aws_timing,
            strict_auth: self.strict_auth,
            socks: match self.socks {
                Some(Socks::Off) => None,
                Some(Socks::At(address)) => Some(address),
                None => Some(after(self.listen)),
            },
            call_log: match &self.call_log {
                // The daemon stands elsewhere than who names the file.
                Some(path) => {
                    Some(std::path::absolute(path).map_err(|e| Failure::file("write", path, &e))?)
                }
                None => None,
            },
            tied: self.tied,
            owner,
        })
    }
}

/// The address with the next port, so that daemons side by side differ in both; a free port stays
/// a free port.
fn after(listen: SocketAddr) -> SocketAddr {
    let port = match listen.port() {
        0 => 0,
        u16::MAX => u16::MAX - 1,
        port => port + 1,
    };
    SocketAddr::new(listen.ip(), port)
}

/// What would make the daemon fail, said before it starts and in one sentence.
pub(super) fn check(options: &Options) -> Result<(), Failure> {
    if options.uplink && !options.instances {
        return Err(Failure::new(
            "there is no way out with --no-instances: such a cloud has no simulated internet",
        )
        .help("leave out --uplink or --no-instances"));
    }
    if options.instances && !rustix::process::geteuid().is_root() {
        return Err(Failure::new("instances need root, to make namespaces and network links")
            .help("run `sudo gureum up`, or `gureum up --no-instances` for the API alone"));
    }
    if let Some(status) = Daemon::at(&options.data_dir).status_if_running() {
        return Err(Failure::new(format!(
            "a daemon already runs on {}: {} (process {})",
            options.data_dir.display(),
            status.endpoint,
            status.pid
        ))
        .help("`gureum down` stops it; another --data-dir and --listen start a second one"));
    }
    check_data_dir(options)?;
    if options.instances && !options.light {
        let image = options.images_dir.join(DEFAULT_IMAGE).join("image.json");
        if !image.exists() {
            return Err(Failure::new(format!(
                "there is no machine image in {}",
                options.images_dir.display()
            ))
            .help("build it once with `make image` (some minutes), or name another --images-dir"));
        }
    }
    if options.uplink {
        for (program, package) in uplink::PROGRAMS {
            uplink::find(program).map_err(|error| {
                Failure::new(error.to_string()).help(format!("apt-get install {package}"))
            })?;
        }
    }
    check_port(options.listen, "--listen")?;
    match options.socks {
        Some(socks) => check_port(socks, "--socks"),
        None => Ok(()),
    }
}

/// Makes the data directory and finds out whether it can be written.
fn check_data_dir(options: &Options) -> Result<(), Failure> {
    let folder = &options.data_dir;
    refuse_foreign(folder)?;
    // What lies there is for the owner alone: keys, records, the socket that may do everything.
    options.owner.create_dir(folder, 0o700).map_err(|e| Failure::file("create", folder, &e))?;
    let marker = folder.join(paths::MARKER);
    write_probe(&marker).map_err(|e| Failure::file("write to", folder, &e))?;
    options.owner.give(&marker).map_err(|e| Failure::file("give away", &marker, &e))
}

/// A folder with something in it that we did not put there is somebody's, and nothing is done to
/// it: not even its mode is changed.
fn refuse_foreign(folder: &Path) -> Result<(), Failure> {
    if folder.join(paths::MARKER).is_file() {
        return Ok(());
    }
    // Whether it can be used at all, making it tells.
    let foreign = fs::read_dir(folder).ok().and_then(|mut entries| entries.next());
    match foreign {
        None => Ok(()),
        Some(_) => Err(Failure::new(format!(
            "{} is not empty and no data directory of Gureum",
            folder.display()
        ))
        .help("name a new or empty folder with --data-dir")),
    }
}

/// Leaves a one-line file, after room for a bit more than that was found.
fn write_probe(marker: &Path) -> io::Result<()> {
    let probe = marker.with_extension("probe");
    let written = File::create(&probe)
        .and_then(|mut file| file.write_all(&[0; 256 << 10]).and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&probe);
    written?;
    removed?;
    if !marker.exists() {
        fs::write(marker, "A data directory of Gureum; `gureum purge` deletes it.\n")?;
    }
    Ok(())
}

/// How long a port may stay taken by nobody: the threads of a daemon that was killed close their
/// sockets after its process counts as dead.
const DYING_HOLDER_PATIENCE: Duration = Duration::from_secs(3);

fn check_port(address: SocketAddr, flag: &str) -> Result<(), Failure> {
    let until = Instant::now() + DYING_HOLDER_PATIENCE;
    let error = loop {
        let Err(error) = TcpListener::bind(address) else { return Ok(()) };
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        if !taken || Instant::now() >= until || port_holder::find(address).is_some() {
            break error;
        }
        thread::sleep(Duration::from_millis(20));
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = match port_holder::find(address) {
                Some(holder) => format!(" by {holder}"),
                None => String::new(),
            };
            Err(Failure::new(format!("{address} is already taken{holder}"))
                .help(format!("choose another address with {flag}, as {flag} {}", next(address))))
        }
        io::ErrorKind::AddrNotAvailable => {
            Err(Failure::new(format!("this machine has no address {}", address.ip()))
                .help(format!("choose one that it has with {flag}")))
        }
        io::ErrorKind::PermissionDenied => {
            Err(Failure::new(format!("may not listen on {address}: ports below 1024 need root"))
                .help(format!("choose a higher port with {flag}")))
        }
        _ => Err(Failure::new(format!("cannot listen on {address}: {error}"))),
    }
}

/// Something to propose when a port is taken.
fn next(address: SocketAddr) -> SocketAddr {
    let port = address.port().checked_add(1000).unwrap_or(4566);
    SocketAddr::new(address.ip(), port)
}

/// Starts ourselves in the background and says where.
fn detach(args: &UpArgs, options: &Options) -> Result<ExitCode, Failure> {
    let (_, status) = background::start(args, options)?;
    if !is_loopback(options.listen.ip()) && !options.strict_auth {
        eprintln!(
            "warning: whoever reaches {} may do everything here, and needs no password",
            options.listen
        );
    }
    output::print(&format!(
        "Gureum is up at {}, data in {}\n",
        status.endpoint,
        options.data_dir.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> Options {
        Options {
            listen: "127.0.0.1:0".parse().expect("an address"),
            data_dir: folder.join("data"),
            images_dir: folder.join("images"),
            instances: false,
            light: false,
            account: AccountId::default(),
            public_pool: "198.18.0.0/16".parse().expect("a network"),
            uplink: false,
            aws_quotas: false,
            aws_timing: false,
            strict_auth: false,
            socks: None,
            call_log: None,
            tied: false,
            owner: Person::current(),
        }
    }

    #[test]
    fn socks_is_off_or_an_address() {
        assert_eq!("off".parse(), Ok(Socks::Off));
        assert_eq!(
            "127.0.0.1:1080".parse(),
            Ok(Socks::At("127.0.0.1:1080".parse().expect("an address")))
        );
        assert!("1080".parse::<Socks>().is_err());
    }

    #[test]
    fn the_next_port_is_still_a_port() {
        let port = |text: &str| after(text.parse().expect("an address")).port();
        assert_eq!(port("127.0.0.1:4566"), 4567);
        assert_eq!(port("127.0.0.1:0"), 0);
        assert_eq!(port("127.0.0.1:65535"), 65534);
    }

    #[test]
    fn a_pool_is_a_network_of_some_size() {
        assert!(pool("198.18.0.0/16").is_ok());
        assert!(pool("198.18.0.1/16").is_err());
        assert!(pool("198.18.0.0/30").is_err());
        assert!(pool("198.18.0.0").is_err());
        assert!(pool("203.0.112.0/24").is_ok());
        for taken in ["10.0.0.0/8", "8.8.8.0/24", "203.0.0.0/16", "192.168.7.0/24", "198.18.0.0/15"]
        {
            assert!(pool(taken).is_err_and(|error| error.starts_with("overlaps ")), "{taken}");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_who_took_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let holder = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut options = options(folder.path());
        options.listen = holder.local_addr().expect("an address");
        let error = check(&options).expect_err("it is taken");
        let taken = format!("{} is already taken by ", options.listen);
        assert!(error.message.starts_with(&taken), "{error}");
        assert!(error.message.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn the_data_directory_is_made_and_marked() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(folder.path());
        check(&options).expect("nothing speaks against it");
        assert!(options.data_dir.join(paths::MARKER).is_file());
        assert_eq!(fs::read_dir(&options.data_dir).expect("a folder").count(), 1);
    }

    #[test]
    fn a_file_in_place_of_the_data_directory_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(folder.path());
        fs::write(&options.data_dir, "").expect("a file");
        let error = check(&options).expect_err("it is a file");
        assert!(error.message.starts_with("cannot create"), "{error}");
    }
}

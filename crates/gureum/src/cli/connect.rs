//! `gureum connect`: this machine as a host of the simulated internet, until the command ends. A
//! link with a route to the public addresses, and where systemd-resolved runs the names of
//! instances. Both go with the process; nothing else of the machine is touched.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use clap::Args;
use gureum_host::{
    cloud,
    connect::{Connection, Settings},
    namespace::Namespace,
};
use ipnet::Ipv4Net;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::interval,
};

use super::{
    client::{Daemon, unexpected},
    internet, output,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
};

/// The machine's address in the simulated internet.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// The resolver there that is nobody else's address (see `internet/hosts.toml`).
const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// Where systemd-resolved listens to everybody.
const RESOLVED: &str = "/run/systemd/resolve/io.systemd.Resolve";
/// How often the cloud is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The arguments of `gureum connect`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "This machine is then a host of the simulated internet, 203.0.113.11: rules of security \
groups see that address. What it did not begin does not come in. The route is to the pool of public addresses \
(198.18.0.0/16, see `up --public-pool`) over IPv4; nothing else of the machine changes, and nothing is left \
when the command ends, however it ends.

Where systemd-resolved runs, the public names of running instances are asked of the cloud, and no others. \
Elsewhere use addresses, or ask the resolver at 203.0.113.53 for them.

Examples:
  sudo gureum connect                     in a terminal of its own; Ctrl-C ends it
  ping ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com
  dig @203.0.113.53 ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com
  aws ec2 authorize-security-group-ingress --group-id sg-… --protocol tcp --port 80 --cidr 203.0.113.11/32"
)]
pub(crate) struct ConnectArgs {
    /// Leave the machine's resolver alone
    #[arg(long)]
    no_dns: bool,
}

/// Runs `gureum connect`.
pub(crate) fn run(args: &ConnectArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let status = daemon.status()?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("only root may give this machine a link and a route")
            .help("run it with sudo; `gureum internet` and `gureum workstation` need no root"));
    }
    let handed = internet::ask(daemon)?;
    let [_, network] = handed.namespaces;
    let settings = Settings {
        link: format!("gureum-{}", status.tag),
        address: ADDRESS,
        destinations: vec![handed.public_pool, Ipv4Net::from(RESOLVER)],
    };
    let failed = |error: gureum_host::HostError| Failure::new(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    // Whoever ends it from here on is heard.
    let asked = runtime.block_on(async { Asked::listen() })?;
    let connection = Connection::open(Namespace::from_fd(network), &settings).map_err(failed)?;
    output::print(&format!(
        "connected: {} by the link {}; this machine is {ADDRESS} there\n",
        handed.public_pool, settings.link
    ))?;
    let names = Names::find(&settings.link, args.no_dns);
    if let Err(why) = &names {
        output::print(&format!(
            "names: {why}; the resolver at {RESOLVER} knows the names of the cloud\n"
        ))?;
    }
    output::print("Ctrl-C ends it, and leaves nothing\n")?;
    let end = runtime.block_on(stay(asked, daemon, &connection, names.ok()));
    drop(connection);
    match end {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => Err(Failure::new(format!("disconnected: {why}"))),
    }
}

/// The signals that ask a process to end.
struct Asked([tokio::signal::unix::Signal; 3]);

impl Asked {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::new(format!("cannot wait: {e}")));
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// Waits until somebody ends it; or why it has ended by itself.
async fn stay(
    mut asked: Asked,
    daemon: &Daemon,
    connection: &Connection,
    mut names: Option<Names>,
) -> Option<String> {
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            () = asked.wait() => return None,
            _ = look.tick() => {}
        }
        if let Some(why) = connection.broken() {
            return Some(why);
        }
        match internet::ask(daemon) {
            Ok(handed) => {
                let [_, network] = handed.namespaces;
                if connection.leads_to(&Namespace::from_fd(network)).is_ok_and(|same| !same) {
                    return Some("the cloud was taken down and is another one now".to_owned());
                }
            }
            // A daemon may be away for a while; a cloud that has left nothing is no more.
            Err(_) if cloud::leftovers(daemon.data_dir()).is_ok_and(|left| left.is_empty()) => {
                return Some("the cloud was taken down".to_owned());
            }
            Err(_) => continue,
        }
        if let Some(names) = &mut names
            && let Err(why) = names.update(daemon)
        {
            eprintln!("note: names of instances: {why}");
        }
    }
}

/// The names that the machine's resolver asks the cloud for.
struct Names {
    link: String,
    known: Option<Vec<String>>,
}

impl Names {
    /// The resolver of this machine, if it can be told; why not.
    fn find(link: &str, unwanted: bool) -> Result<Self, String> {
        if unwanted {
            return Err("this machine's resolver is left alone".to_owned());
        }
        let listener = UnixStream::connect(RESOLVED).ok();
        let listener = listener.and_then(|it| getsockopt(&it, PeerCredentials).ok());
        let Some(listener) = listener else {
            return Err("systemd-resolved does not run here".to_owned());
        };
        // It knows the links of its own network, and would take ours for one of them. A listener that
        // this process cannot see has the number 0.
        let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let theirs = network(&listener.pid().to_string());
        if theirs.is_none() || theirs != network("self") {
            return Err("systemd-resolved does not know this network".to_owned());
        }
        Ok(Self { link: link.to_owned(), known: None })
    }

    /// Tells the resolver of the names that there are now.
    fn update(&mut self, daemon: &Daemon) -> Result<(), Failure> {
        let reply = daemon.ask(&Request::Instances)?;
        let Reply::Instances(rows) = reply else { return Err(unexpected(&reply)) };
        let running = rows.into_iter().filter(|row| row.state == "running");
        let mut names: Vec<_> = running.filter_map(|row| row.public_dns_name).collect();
        names.sort();
        if self.known.as_ref() == Some(&names) {
            return Ok(());
        }
        if self.known.is_none() {
            self.resolvectl("dns", [RESOLVER.to_string()])?;
            self.resolvectl("default-route", ["no".to_owned()])?;
        }
        // Names for which alone this link is asked; without any it is asked for none.
        let domains = names.iter().map(|name| format!("~{name}"));
        match names.is_empty() {
            true => self.resolvectl("domain", [String::new()])?,
            false => self.resolvectl("domain", domains)?,
        }
        self.known = Some(names);
        Ok(())
    }

    fn resolvectl(
        &self,
        what: &str,
        values: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let mut command = Command::new("resolvectl");
        command.args([what, &self.link]).args(values).stdin(Stdio::null());
        let done = command.output();
        let done = done.map_err(|error| Failure::new(format!("cannot run resolvectl: {error}")))?;
        if done.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(Failure::new(format!("resolvectl {what}: {said}")))
    }
}

//! Answers what the command line asks: looks things up in the records, asks the engine, runs
//! programs in instances, stops the daemon.

use std::{
    net::SocketAddr,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use gureum_control::{Control, Found};
use gureum_host::{
    cloud::Cloud,
    datapath,
    exec::{ExecRequest, ExecStreams},
    instance::Kind,
    uplink::UplinkState,
};
use gureum_services::dns::InternetResolver;
use gureum_types::{
    AccountId, InstanceId,
    record::{
        Instance, InstanceState, InternetGateway, NetworkInterface, RouteTable, SecurityGroup,
        Subnet, Vpc,
    },
};
use ipnet::Ipv4Net;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{
    End,
    desk::{Answered, Desk},
};
use crate::{
    admin::{InstanceRow, RecordRow, Reply, Request, Status},
    paths,
};

/// How the daemon shall end, and who asked.
pub(super) struct Stop {
    pub(super) end: End,
    /// Who asked, unless it was a signal.
    pub(super) by: Option<Asker>,
}

/// Somebody who waits until the daemon has ended.
pub(super) struct Asker {
    /// Dropped when everything is gone.
    pub(super) until_gone: oneshot::Sender<()>,
    /// Ends when they have been answered.
    pub(super) answered: oneshot::Receiver<()>,
}

/// How many candidates an error names.
const CANDIDATES: usize = 12;

/// Whoever knows the answers.
pub(super) struct Clerk {
    pub(super) control: Arc<Control>,
    pub(super) cloud: Option<Arc<Cloud>>,
    /// What names mean; not there without hosts.
    pub(super) resolver: Option<Arc<InternetResolver>>,
    pub(super) endpoint: String,
    pub(super) socks: Option<SocketAddr>,
    pub(super) data_dir: PathBuf,
    pub(super) public_pool: Ipv4Net,
    pub(super) tag: String,
    pub(super) started: Instant,
    pub(super) stop: mpsc::Sender<Stop>,
    pub(super) runtime: Handle,
    /// Held while a change is looked at.
    pub(super) comparing: Mutex<()>,
}

/// Why there is no answer: one sentence, and after `help: ` on a line of its own what to do.
pub(super) type Answer<T> = Result<T, String>;

impl Desk for Clerk {
    fn answer(
        &self,
        request: Request,
        descriptors: Vec<OwnedFd>,
        client: BorrowedFd<'_>,
    ) -> Answered {
        let reply = match request {
            Request::Internet => return self.internet().unwrap_or_else(|e| Reply::Error(e).into()),
            Request::Down { everything } => return self.down(everything),
            Request::Trace(args) => {
                return self.trace(&args).unwrap_or_else(|e| Reply::Error(e).into());
            }
            Request::Flows(args) => self.flows(&args),
            Request::Port { name } => self.port(&name),
            Request::Status => self.status().map(Reply::Status),
            Request::Instances => Ok(Reply::Instances(self.rows(self.control.instances()))),
            Request::Resolve { name } => {
                self.one(&name).map(|it| Reply::Instances(self.rows(vec![it])))
            }
            Request::Why(question) => self.why(&question),
            Request::Attempts(args) => self.attempts(&args),
            Request::Check(args) => self.check(&args),
            Request::Suggest => self.suggest(),
            Request::Records => self.records(),
            Request::Change { before, after } => self.change(&before, &after),
            Request::Console { id, from } => self.console(&id, from),
            Request::Exec { id, argv, environment, user, terminal } => {
                let user = user.unwrap_or_else(|| "root".to_owned());
                let request = ExecRequest { argv, user, environment, terminal };
                self.exec(&id, &request, descriptors, client).map(Reply::Exited)
            }
            Request::Reset { account } => self.reset(account.as_deref()),
            Request::Twin(request) => self.twin(request),
            Request::Snapshot(request) => self.snapshots(&request),
        };
        reply.unwrap_or_else(Reply::Error).into()
    }
}

impl Clerk {
    pub(super) fn cloud(&self) -> Answer<&Arc<Cloud>> {
        self.cloud.as_ref().ok_or_else(|| {
            "this daemon keeps records only: it boots no instances and has no internet\n\
             help: start it without --no-instances"
                .to_owned()
        })
    }

    fn internet(&self) -> Answer<Answered> {
        let namespaces = self.cloud()?.internet_namespaces().map_err(|e| e.to_string())?;
        let reply = Reply::Internet {
            ca_bundle: paths::ca_bundle(&self.data_dir),
            public_pool: self.public_pool,
        };
        let descriptors = vec![namespaces.user, namespaces.network];
        Ok(Answered { reply, descriptors, until_written: None })
    }

    fn records(&self) -> Answer<Reply> {
        let records = self.control.snapshot();
        let mut rows = Vec::new();
        let taken = records.each_row(&mut |row| {
            let value = String::from_utf8_lossy(&row.value).into_owned();
            rows.push(RecordRow { kind: row.kind.to_owned(), key: row.key, value });
            Ok(())
        });
        taken.map_err(|error| error.to_string())?;
        Ok(Reply::Records(rows))
    }

    fn status(&self) -> Answer<Status> {
        let records = self.control.snapshot();
        let mut counts = vec![
            ("vpcs".to_owned(), records.everywhere::<Vpc>().count()),
            ("subnets".to_owned(), records.everywhere::<Subnet>().count()),
            ("route-tables".to_owned(), records.everywhere::<RouteTable>().count()),
            ("internet-gateways".to_owned(), records.everywhere::<InternetGateway>().count()),
            ("security-groups".to_owned(), records.everywhere::<SecurityGroup>().count()),
            ("network-interfaces".to_owned(), records.everywhere::<NetworkInterface>().count()),
        ];
        for (_, instance) in records.everywhere::<Instance>() {
            let name = format!("instances-{}", instance.state.name());
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        let (mut drops, mut applied_epoch) = (Vec::new(), records.revision());
        if let Some(cloud) = &self.cloud {
            let data_path = cloud.datapath();
            applied_epoch = data_path.applied_epoch();
            let engine = data_path.run(|_, state| {
                state.counters().drops().map(|(name, n)| (name.to_owned(), n)).collect::<Vec<_>>()
            });
            drops = engine.blocking_recv().unwrap_or_default();
            let losses = data_path.losses().blocking_recv().unwrap_or_default();
            let sum = |of: fn(&datapath::PortLosses) -> u64| losses.iter().map(|l| of(&l.1)).sum();
            let lost: [(&str, u64); 3] = [
                ("port-queue-full", sum(|l| l.queue_full)),
                ("unreadable", sum(|l| l.unreadable)),
                ("send-failed", sum(|l| l.send_failed)),
            ];
            let lost = lost.into_iter().filter(|(_, count)| *count > 0);
            drops.extend(lost.map(|(name, count)| (name.to_owned(), count)));
        }
        Ok(Status {
            version: super::version(),
            pid: std::process::id(),
            endpoint: self.endpoint.clone(),
            socks: self.socks.map(|address| address.to_string()),
            data_dir: self.data_dir.clone(),
            tag: self.tag.clone(),
            uplink: self.cloud.as_ref().and_then(|cloud| cloud.uplink()).map(|it| {
                match it.state() {
                    UplinkState::Up { pid } => format!("up through pasta (process {pid})"),
                    UplinkState::Down(why) => format!("down: {why}"),
                }
            }),
            instances_enabled: self.cloud.is_some(),
            light: self.cloud.as_ref().is_some_and(|it| it.instances().kind() == Kind::Light),
            uptime_seconds: self.started.elapsed().as_secs(),
            applied_epoch,
            counts: counts.into_iter().map(|(name, n)| (name, n as u64)).collect(),
            drops,
        })
    }

    /// Rows of a table, by name and id.
    fn rows(&self, found: Vec<Found<Instance>>) -> Vec<InstanceRow> {
        let instances = self.cloud.as_ref().map(|cloud| cloud.instances());
        let light = instances.map(|it| it.light_hosts().unwrap_or_default()).unwrap_or_default();
        let would_be = instances.is_some_and(|it| it.kind() == Kind::Light);
        let mut rows: Vec<_> = found
            .into_iter()
            .map(|Found { scope, record }| {
                let shown = self.control.shown(&scope, &record);
                InstanceRow {
                    id: record.id.to_string(),
                    name: record.tags.get("Name").cloned(),
                    state: record.state.name().to_owned(),
                    instance_type: record.instance_type.clone(),
                    availability_zone: record.availability_zone.clone(),
                    account: scope.account.to_string(),
                    region: scope.region.to_string(),
                    private_ip: shown.private_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                    private_dns_name: shown.private_dns_name,
                    public_ip: shown.public_ip.map(|ip| ip.to_string()),
                    public_dns_name: shown.public_dns_name,
                    login_user: shown.login_user.to_owned(),
                    key_name: record.key_name.clone(),
                    ready: record.status_ok,
                    light: light.contains(&record.id)
                        || would_be && record.state != InstanceState::Running,
                }
            })
            .collect();
        rows.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        rows
    }

    /// The one instance that a name means.
    fn one(&self, name: &str) -> Answer<Found<Instance>> {
        let mut found = self.control.resolve(name);
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let mut known: Vec<_> = self.rows(self.control.instances());
                known.retain(|row| row.state != "terminated");
                Err(format!("no instance is called \"{name}\"\nhelp: {}", among(&known)))
            }
            _ => {
                let rows = self.rows(found);
                Err(format!(
                    "\"{name}\" is the name of {} instances\nhelp: say which by its id: {}",
                    rows.len(),
                    among(&rows)
                ))
            }
        }
    }

    fn console(&self, id: &str, from: u64) -> Answer<Reply> {
        let id = parse(id)?;
        let output = self.cloud()?.instances().console(&id).map_err(|e| e.to_string())?;
        let start = usize::try_from(from).unwrap_or(usize::MAX).min(output.len());
        let text = String::from_utf8_lossy(output.get(start..).unwrap_or_default()).into_owned();
        Ok(Reply::Console { text, next: output.len() as u64 })
    }

    fn exec(
        &self,
        id: &str,
        request: &ExecRequest,
        descriptors: Vec<OwnedFd>,
        client: BorrowedFd<'_>,
    ) -> Answer<i32> {
        let id = parse(id)?;
        let [input, output, error]: [OwnedFd; 3] = descriptors
            .try_into()
            .map_err(|_| "the request came without standard input, output and error".to_owned())?;
        let streams = ExecStreams { input, output, error };
        let started = self.cloud()?.instances().exec(&id, request, streams);
        let mut program = started.map_err(|error| error.to_string())?;
        let status =
            program.wait_for(client).map_err(|error| format!("waiting for it: {error}"))?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    fn reset(&self, account: Option<&str>) -> Answer<Reply> {
        let account = match account {
            Some(text) => Some(
                AccountId::parse(text)
                    .ok_or_else(|| format!("\"{text}\" is no account: accounts have 12 digits"))?,
            ),
            None => None,
        };
        let done = self.runtime.block_on(self.control.reset(account.as_ref()));
        done.map(|()| Reply::Done).map_err(|error| error.to_string())
    }

    fn down(&self, everything: bool) -> Answered {
        let end = if everything { End::Everything } else { End::Daemon };
        let (until_gone, gone) = oneshot::channel();
        let (until_written, answered) = oneshot::channel();
        let by = Some(Asker { until_gone, answered });
        if self.stop.blocking_send(Stop { end, by }).is_err() {
            return Reply::Error("the daemon is already going down".to_owned()).into();
        }
        // The sender is dropped when everything is gone; nothing is ever sent.
        let _ = gone.blocking_recv();
        let until_written = Some(until_written);
        Answered { reply: Reply::Done, descriptors: Vec::new(), until_written }
    }

    /// The one interface of a running cloud that a name means.
    pub(super) fn one_interface(&self, name: &str) -> Answer<Found<NetworkInterface>> {
        self.interface(name)?.ok_or_else(|| {
            format!(
                "\"{name}\" is no instance or interface\n\
                 help: say which by a Name tag, an id or an address; `gureum instances` lists instances"
            )
        })
    }

    pub(super) fn interface(&self, name: &str) -> Answer<Option<Found<NetworkInterface>>> {
        let mut found = self.control.resolve_interface(name);
        match found.len() {
            0 => Ok(None),
            1 => Ok(found.pop()),
            count => Err(format!(
                "\"{name}\" is the name of {count} interfaces\nhelp: say which by its id: {}",
                found.iter().map(|it| it.record.id.to_string()).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

fn parse(id: &str) -> Answer<InstanceId> {
    id.parse().map_err(|error: gureum_types::IdError| error.to_string())
}

/// Names and ids, as many as a sentence holds.
fn among(rows: &[InstanceRow]) -> String {
    if rows.is_empty() {
        return "there are no instances".to_owned();
    }
    let shown = rows.iter().take(CANDIDATES).map(|row| match &row.name {
        Some(name) => format!("{name} ({})", row.id),
        None => row.id.clone(),
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if rows.len() > CANDIDATES {
        text.push_str(", …");
    }
    text
}

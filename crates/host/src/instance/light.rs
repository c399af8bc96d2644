//! Light hosts as instances: started, connected and configured; told of what changes.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, OnceLock, Weak},
    thread,
    time::Duration,
};

use gureum_engine::Policy;
use gureum_types::{
    InstanceId,
    host::{InstanceSpec, InterfaceSpec},
    view::ServiceView,
};

use super::{Instances, folder::Folder, hold, observe::Found};
use crate::{
    anchor::Owner,
    error::{Context, HostError, Result},
    exec::{ExecRequest, ExecStreams, Execution},
    light::{
        self, Responder,
        network::{self, Told},
        program::Place,
        steer::Steer,
        who_answered,
    },
    namespace::Namespace,
    shim::config::CONSOLE,
};

/// How long a host may take to answer itself.
const ANSWER: Duration = Duration::from_secs(2);

/// What instances are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// Containers that boot the machine image.
    #[default]
    Full,
    /// Network namespaces in which every port answers ([`crate::light`]).
    Light,
}

/// What was last done for a light host, so that nothing is done twice.
#[derive(Clone, Debug)]
struct Known {
    interfaces: Vec<InterfaceSpec>,
    told: Vec<Told>,
    name: Option<String>,
    /// Whether it answered itself.
    answers: bool,
}

/// The records' word: the newest policy and view.
#[derive(Debug, Default)]
struct News {
    newest: Option<(Arc<Policy>, Arc<ServiceView>)>,
    /// Whether nobody has looked at it yet.
    unread: bool,
}

/// What is there for light hosts.
#[derive(Debug)]
pub(super) struct Light {
    pub(super) kind: Kind,
    pub(super) responder: Responder,
    steer: OnceLock<Steer>,
    known: Mutex<HashMap<InstanceId, Known>>,
    news: Arc<(Mutex<News>, Condvar)>,
    owner: Owner,
    ca_bundle: Option<PathBuf>,
}

impl Light {
    pub(super) fn new(
        kind: Kind,
        responder: Responder,
        owner: Owner,
        ca_bundle: Option<PathBuf>,
    ) -> Self {
        let (known, news) = (Mutex::default(), Arc::default());
        Self { kind, responder, steer: OnceLock::new(), known, news, owner, ca_bundle }
    }

    fn steer(&self) -> Result<&Steer> {
        match self.steer.get() {
            Some(steer) => Ok(steer),
            None => {
                let loaded = Steer::load()?;
                Ok(self.steer.get_or_init(|| loaded))
            }
        }
    }

    fn newest(&self) -> Option<(Arc<Policy>, Arc<ServiceView>)> {
        hold(&self.news.0).newest.clone()
    }

    fn ring(&self) {
        hold(&self.news.0).unread = true;
        self.news.1.notify_one();
    }

    fn forget(&self, id: &InstanceId) {
        hold(&self.known).remove(id);
    }
}

impl Instances {
    /// Takes in what the records say now. Light hosts follow it a moment later.
    pub fn follow(&self, policy: Arc<Policy>, view: Arc<ServiceView>) {
        hold(&self.light.news.0).newest = Some((policy, view));
        self.light.ring();
    }

    /// The light hosts that are there.
    pub fn light_hosts(&self) -> Result<HashSet<InstanceId>> {
        Ok(self.light.responder.all()?.into_iter().map(|found| found.held.id).collect())
    }

    /// What new instances are.
    pub fn kind(&self) -> Kind {
        self.light.kind
    }

    /// Has a light host run as `spec` says. Its turn is the caller's.
    pub(super) fn run_light(
        &self,
        spec: &InstanceSpec,
        folder: &Folder,
        found: &Found,
    ) -> Result<()> {
        let id = &spec.id;
        let same = found.light.as_ref().is_some_and(|it| it.held.start == spec.start);
        if same {
            // A daemon may have died between writing down an attachment and doing it.
            self.set_interfaces(folder, id, |interfaces| interfaces.clone_from(&spec.interfaces))?;
            if hold(&self.light.known).get(id).is_some_and(|it| it.answers)
                && self.is_connected(spec)?
            {
                return Ok(());
            }
        } else {
            self.clear_processes(id)?;
            folder.create()?;
            folder.write_spec(spec)?;
            fs::write(folder.file(CONSOLE), console(spec)).context(|| "write the console")?;
        }
        let run = || {
            let name = self.name_of(id);
            let host = self.light.responder.make(id, spec.start, name.as_deref())?;
            let network = host.network()?;
            for interface in &spec.interfaces {
                self.connect_interface(&network, interface)?;
            }
            self.tell(id, &network, &spec.interfaces)?;
            self.check_answer(id, &network)
        };
        run().map_err(|error| {
            // What is half there goes.
            let _ = self.switch_off_light(id, &spec.interfaces);
            error.by_cause()
        })?;
        // The records may have changed meanwhile.
        self.light.ring();
        self.watch.ready(id);
        Ok(())
    }

    fn name_of(&self, id: &InstanceId) -> Option<String> {
        let (_, view) = self.light.newest()?;
        name_in(&view, id).cloned()
    }

    /// What the policy tells the interfaces of a host.
    fn told(&self, policy: &Policy, interfaces: &[InterfaceSpec]) -> Vec<Told> {
        let told = |it: &InterfaceSpec| {
            let network = policy.guest_network(it.port)?;
            Some(Told { device_index: it.device_index, network })
        };
        interfaces.iter().filter_map(told).collect()
    }

    /// Configures a light host's network by the newest policy.
    fn tell(&self, id: &InstanceId, network: &Namespace, links: &[InterfaceSpec]) -> Result<()> {
        let unknown = || HostError::Failed(format!("{id}: its network is not known yet"));
        let (policy, _) = self.light.newest().ok_or_else(unknown)?;
        let told = self.told(&policy, links);
        let steer = self.light.steer()?;
        network
            .run(|| network::configure(&told, steer))
            .context(|| "enter the network of a light host")??;
        let name = self.name_of(id);
        let mut known = hold(&self.light.known);
        let answers = known.get(id).is_some_and(|it| it.answers);
        let interfaces = links.to_vec();
        known.insert(id.clone(), Known { interfaces, told, name, answers });
        Ok(())
    }

    /// Has a light host call itself: its link is up, and its listener answers (EC2-24).
    fn check_answer(&self, id: &InstanceId, network: &Namespace) -> Result<()> {
        let door = hold(&self.light.known).get(id).and_then(|it| network::own_door(&it.told));
        let door = door.ok_or_else(|| HostError::Failed(format!("{id} has no address")))?;
        let heard = network.run(|| call(door)).context(|| "enter the network of a light host")?;
        let heard = heard.context(|| format!("call {id} at {door}"))?;
        if who_answered(heard.as_bytes()).as_ref() != Some(id) {
            return Err(HostError::Failed(format!("{id} does not answer at {door}: {heard:?}")));
        }
        if let Some(known) = hold(&self.light.known).get_mut(id) {
            known.answers = true;
        }
        Ok(())
    }

    /// Whether a light host answers. One that an earlier daemon left is configured and asked.
    pub(super) fn light_answers(&self, found: &light::Found) -> bool {
        let id = &found.held.id;
        if hold(&self.light.known).get(id).is_some_and(|it| it.answers) {
            return found.held.listens;
        }
        let turn = self.turn(id);
        // Somebody is busy with it, and will tell.
        let Ok(_turn) = turn.try_lock() else { return false };
        let ask = || {
            let spec = Folder::of(&self.folder, id).spec();
            let spec = spec.ok_or_else(|| HostError::NoSuchInstance(id.clone()))?;
            let network = found.network()?;
            self.tell(id, &network, &spec.interfaces)?;
            self.check_answer(id, &network)
        };
        let asked = ask();
        if let Err(error) = &asked {
            tracing::debug!(%id, %error, "a light host does not answer");
        }
        asked.is_ok()
    }

    /// Tells a host of an interface that came, changed or went. Its turn is the caller's.
    pub(super) fn retell(&self, id: &InstanceId, folder: &Folder) -> Result<()> {
        let Some(found) = self.light.responder.find(id)? else { return Ok(()) };
        let spec = folder.spec().ok_or_else(|| HostError::NoSuchInstance(id.clone()))?;
        self.tell(id, &found.network()?, &spec.interfaces)
    }

    pub(super) fn reboot_light(&self, id: &InstanceId) -> Result<()> {
        self.clear_processes(id)?;
        self.light.responder.reopen(id)?;
        if let Some(known) = hold(&self.light.known).get_mut(id) {
            known.answers = false;
        }
        Ok(())
    }

    pub(super) fn switch_off_light(
        &self,
        id: &InstanceId,
        interfaces: &[InterfaceSpec],
    ) -> Result<()> {
        self.light.forget(id);
        self.clear_processes(id)?;
        for interface in interfaces {
            self.disconnect(interface.port)?;
        }
        self.light.responder.remove(id)
    }

    /// Ends what runs in a light host, or what an earlier life left of the instance.
    fn clear_processes(&self, id: &InstanceId) -> Result<()> {
        match self.cgroups.group(id.as_str()).path().exists() {
            true => self.cgroups.destroy(id.as_str()),
            false => Ok(()),
        }
    }

    pub(super) fn exec_light(
        &self,
        found: &light::Found,
        request: &ExecRequest,
        streams: ExecStreams,
    ) -> Result<Execution> {
        let id = &found.held.id;
        if request.user != "root" {
            return Err(HostError::Failed(format!(
                "{id} is a light host and has no user {}: programs run as yourself, with all power \
                 over its network",
                request.user
            )));
        }
        let folder = self.existing(id)?;
        let spec = folder.spec().ok_or_else(|| HostError::NoSuchInstance(id.clone()))?;
        let known = hold(&self.light.known).get(id).cloned();
        let entrances = self.cgroups.make_bounded(&format!("{id}/guest"), &spec.limits)?;
        let place = Place {
            network: found.network_path(),
            user: found.user_path(),
            entrances,
            hostname: spec.hostname,
            resolv_conf: network::resolv_conf(&known.map(|it| it.told).unwrap_or_default()),
            ca_bundle: self.light.ca_bundle.clone(),
            uid: self.light.owner.uid,
        };
        Execution::start_light(&self.program, &folder.path, request, &place, streams)
    }

    /// Brings all light hosts to what the records say now.
    fn catch_up(&self) {
        let Some((policy, view)) = self.light.newest() else { return };
        let changed: Vec<_> = hold(&self.light.known)
            .iter()
            .filter(|(id, known)| {
                name_in(&view, id) != known.name.as_ref()
                    || self.told(&policy, &known.interfaces) != known.told
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in changed {
            let turn = self.turn(&id);
            let _turn = hold(&turn);
            // It may be gone, or somebody was quicker.
            let known = hold(&self.light.known).get(&id).map(|it| it.name.clone());
            let Some(name) = known else { continue };
            let told = || {
                let new = name_in(&view, &id);
                if new != name.as_ref() {
                    self.light.responder.rename(&id, new.map(String::as_str))?;
                }
                self.retell(&id, &Folder::of(&self.folder, &id))
            };
            if let Err(error) = told() {
                tracing::warn!(%id, %error, "a light host does not follow its records");
            }
        }
    }
}

/// Starts who follows the records for light hosts; ends with the instances.
pub(super) fn start(instances: &Arc<Instances>) -> Result<()> {
    let (news, instances) = (instances.light.news.clone(), Arc::downgrade(instances));
    thread::Builder::new()
        .name("gureum-light".into())
        .spawn(move || follow(&news, &instances))
        .map(drop)
        .context(|| "start who follows the records")
}

fn follow(news: &(Mutex<News>, Condvar), instances: &Weak<Instances>) {
    /// How often it is looked whether the instances are still there.
    const LOOK: Duration = Duration::from_secs(5);
    /// Changes come in bursts: one look for all of them.
    const BURST: Duration = Duration::from_millis(20);
    loop {
        {
            let mut guard = hold(&news.0);
            if !guard.unread {
                let waited = news.1.wait_timeout(guard, LOOK);
                guard = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            }
            if !std::mem::take(&mut guard.unread) {
                if instances.strong_count() == 0 {
                    return;
                }
                continue;
            }
        }
        let Some(instances) = instances.upgrade() else { return };
        instances.catch_up();
        drop(instances);
        thread::sleep(BURST);
    }
}

fn name_in<'a>(view: &'a ServiceView, id: &InstanceId) -> Option<&'a String> {
    view.instances.get(id)?.tags.get("Name")
}

fn call(door: SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect_timeout(&door, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

/// What the console of a light host says.
fn console(spec: &InstanceSpec) -> String {
    format!(
        "{id} is a light host: a network namespace without an operating system.\n\
         Every port of TCP and UDP answers with a line that says who it is; ports 80 and 8080 speak \
         HTTP.\n\
         There is no SSH server, no agent of Session Manager and no user data. \
         `gureum exec {id} -- CMD` runs a program of this machine in its network.\n",
        id = spec.id
    )
}

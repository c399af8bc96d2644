//! Instances: real Linux hosts, each under a shim of its own.
//!
//! Everything here may be asked at any time, any number of times, from any state: it looks at
//! what is on the machine, never at what an earlier call remembers, and does what is missing.
//! Calls block until the machine has done it; they belong on threads made for that.

mod folder;
mod light;
mod observe;
mod watch;

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use gureum_types::{
    InstanceId, NetworkInterfaceId, PortIndex,
    host::{HostEvent, InstanceSpec, InterfaceSpec},
};
use tokio::sync::mpsc::UnboundedReceiver;

pub(crate) use self::watch::{Inbox, Wake};
pub use self::{folder::CloudFile, light::Kind};
use self::{folder::Folder, light::Light, watch::Watch};
use crate::{
    anchor::Owner,
    boot_id::boot_id,
    cgroup::{Cgroups, Group},
    datapath::{DataPath, answered},
    error::{Context, HostError, Result},
    exec::{ExecRequest, ExecStreams, Execution},
    fabric,
    light::Responder,
    limits,
    namespace::Namespace,
    netlink::{Netlink, VethEnd},
    shim::{
        self, Order,
        config::{CONFIG, CONTROL, Config, DISK, Phase, STATE, State},
        console, disk,
    },
    supervisor::Program,
};

/// How long a boot may take until init runs.
const BOOT_PATIENCE: Duration = Duration::from_secs(20);
/// How long an orderly shutdown may take before the power is cut, in seconds. The image gives
/// its services ten.
const STOP_PATIENCE: u32 = 60;
/// As that, for an instance whose disk is thrown away afterwards.
const TERMINATE_PATIENCE: u32 = 10;

/// The instances of a cloud.
#[derive(Debug)]
pub struct Instances {
    folder: PathBuf,
    /// The folder of the layers that instances share.
    layers: Mutex<PathBuf>,
    images: PathBuf,
    program: Program,
    cloud_files: Vec<CloudFile>,
    cgroups: Cgroups,
    fabric: Namespace,
    datapath: Arc<DataPath>,
    boot_id: String,
    /// One call at a time for each instance.
    turns: Mutex<HashMap<InstanceId, Arc<Mutex<()>>>>,
    watch: Watch,
    light: Light,
}

/// What [`Instances::new`] needs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) images: PathBuf,
    pub(crate) program: Program,
    pub(crate) cloud_files: Vec<CloudFile>,
    pub(crate) cgroups: Cgroups,
    pub(crate) fabric: Namespace,
    pub(crate) datapath: Arc<DataPath>,
    /// What new instances are.
    pub(crate) kind: Kind,
    /// Whose programs run in light hosts.
    pub(crate) owner: Owner,
    /// What programs in light hosts trust.
    pub(crate) ca_bundle: Option<PathBuf>,
}

impl Instances {
    /// Takes over what is there.
    pub(crate) fn new(settings: Settings, notices: watch::Inbox) -> Result<Arc<Self>> {
        let Settings { data, images, program, cloud_files, cgroups, fabric, datapath, .. } =
            settings;
        let responder =
            Responder::new(program.clone(), cgroups.clone(), settings.owner, data.join("state"));
        let light = Light::new(settings.kind, responder, settings.owner, settings.ca_bundle);
        let instances = Arc::new(Self {
            folder: data.join("instances"),
            layers: Mutex::new(data.join("layers")),
            images,
            program,
            cloud_files,
            cgroups,
            fabric,
            datapath,
            boot_id: boot_id().context(|| "ask for the machine's boot")?,
            turns: Mutex::default(),
            watch: Watch::new(&notices),
            light,
        });
        instances.sweep_ports()?;
        watch::start(&instances, notices)?;
        for found in instances.all()? {
            // Light hosts switch themselves off as little as they boot.
            if found.1.light.is_none() {
                instances.watch.expect(&found.0);
            }
        }
        light::start(&instances)?;
        Ok(instances)
    }

    /// Events of all instances; the one who asks first has them.
    pub fn events(&self) -> Option<UnboundedReceiver<HostEvent>> {
        self.watch.events()
    }

    /// Has an instance run as `spec` says: starts it unless this start of it runs.
    pub fn ensure_running(&self, spec: &InstanceSpec) -> Result<()> {
        let turn = self.turn(&spec.id);
        let _turn = hold(&turn);
        let folder = Folder::of(&self.folder, &spec.id);
        let found = self.find(&spec.id)?;
        let runs = found.shim.is_some() || found.light.is_some();
        if found.light.is_some() || !runs && self.light.kind == Kind::Light {
            return self.run_light(spec, &folder, &found);
        }
        let config: Option<Config> = folder.read(CONFIG);
        let same = config.is_some_and(|config| config.start == spec.start);
        // What switched itself off is not started before somebody has acted on that; the watcher
        // tells it, again if it was told.
        if same && found.is_off_by_itself(&self.boot_id) {
            self.watch.expect(&spec.id);
            return Ok(());
        }
        let current = found.shim.is_some() && same;
        if current {
            // A daemon may have died between writing down an attachment and doing it.
            self.set_interfaces(&folder, &spec.id, |interfaces| {
                interfaces.clone_from(&spec.interfaces);
            })?;
        }
        if same && found.init.is_some() && self.is_connected(spec)? {
            return Ok(());
        }
        if !current {
            self.cgroups.destroy(spec.id.as_str())?;
            self.launch(spec, &folder).map_err(|error| {
                // What is half there goes; the disk stays, it may have been started before.
                let _ = self.cgroups.destroy(spec.id.as_str());
                error.by_cause()
            })?;
        }
        self.watch.expect(&spec.id);
        self.connect(spec)?;
        self.order(&folder, Order::Boot)?;
        self.wait_for_boot(spec).inspect_err(|_| {
            self.watch.forget(&spec.id);
            let _ = self.cgroups.destroy(spec.id.as_str());
        })
    }

    fn launch(&self, spec: &InstanceSpec, folder: &Folder) -> Result<()> {
        let id = &spec.id;
        limits::check_room(self.cgroups.names().context(|| "count instances")?.len())?;
        folder.create()?;
        let origin = folder.origin(&self.images, &spec.image)?;
        folder.write_spec(spec)?;
        disk::make(&folder.file(DISK), spec.limits.disk_bytes)?;
        let cloud = folder::cloud_layer(&self.layers, &self.cloud_files, origin.id_base)?;
        let guest = format!("{id}/guest");
        let guest_entrances = self.cgroups.make_bounded(&guest, &spec.limits)?;
        let guest_group = self.cgroups.group(&guest);
        guest_group.delegate(origin.id_base, origin.id_base)?;
        let own_group = self.shim_group(id);
        own_group.create()?;
        let config = Config {
            id: id.to_string(),
            start: spec.start,
            own_group: own_group.path().join("cgroup.procs"),
            guest_group: guest_group.path().to_owned(),
            guest_entrances,
            layers: vec![cloud, origin.rootfs],
            id_base: origin.id_base,
            id_count: origin.id_count,
            hostname: spec.hostname.clone(),
            seed: folder::seed(spec),
            init: "/sbin/init".into(),
        };
        folder.write(CONFIG, &config)?;
        let log = folder.file("shim.log");
        self.program.launch("shim", &[folder.path.as_os_str()], &log)
    }

    /// Gives an instance the links that its specification names and that are missing.
    fn connect(&self, spec: &InstanceSpec) -> Result<()> {
        let namespace = self.network(&spec.id)?;
        for interface in &spec.interfaces {
            self.connect_interface(&namespace, interface)?;
        }
        Ok(())
    }

    /// Whether a running instance has all its links.
    fn is_connected(&self, spec: &InstanceSpec) -> Result<bool> {
        let namespace = self.network(&spec.id)?;
        for InterfaceSpec { port, device_index, .. } in &spec.interfaces {
            let name = format!("eth{device_index}");
            if !fabric::is_connected(&self.fabric, *port, &name, &namespace)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn connect_interface(&self, instance: &Namespace, interface: &InterfaceSpec) -> Result<()> {
        let name = format!("eth{}", interface.device_index);
        let far = VethEnd { name: &name, mac: Some(interface.mac), mtu: interface.mtu };
        if !fabric::is_connected(&self.fabric, interface.port, &name, instance)? {
            // A link of an earlier life that is replaced must not look like one that is lost.
            answered(self.datapath.remove_port(interface.port))?;
        }
        let link = fabric::connect_interface(&self.fabric, interface.port, &far, instance)?;
        answered(self.datapath.add_port(interface.port, link.index))?
            .context(|| format!("take port {} into service", interface.port))
    }

    /// Changes which interfaces an instance has, as written down, and takes away the links of those
    /// that it has no longer. Written down first: neither shall a link's end look like the guest's
    /// deed, nor shall a new daemon take a link for nobody's.
    fn set_interfaces(
        &self,
        folder: &Folder,
        id: &InstanceId,
        change: impl FnOnce(&mut Vec<InterfaceSpec>),
    ) -> Result<()> {
        let missing = || HostError::NoSuchInstance(id.clone());
        let mut spec = folder.spec().ok_or_else(missing)?;
        let before = spec.interfaces.clone();
        change(&mut spec.interfaces);
        spec.interfaces.sort_by_key(|interface| interface.device_index);
        if spec.interfaces == before {
            return Ok(());
        }
        folder.write_spec(&spec)?;
        for gone in before.iter().filter(|it| !spec.interfaces.contains(it)) {
            self.disconnect(gone.port)?;
        }
        Ok(())
    }

    fn disconnect(&self, port: PortIndex) -> Result<()> {
        answered(self.datapath.remove_port(port))?;
        let what = || format!("disconnect port {port}");
        let mut netlink = Netlink::open_in(&self.fabric).context(what)?;
        if let Some(link) = netlink.link(&fabric::port_link(port)).context(what)? {
            netlink.delete_link(link.index).context(what)?;
        }
        Ok(())
    }

    fn wait_for_boot(&self, spec: &InstanceSpec) -> Result<()> {
        let until = Instant::now() + BOOT_PATIENCE;
        loop {
            let found = self.find(&spec.id)?;
            let failed = |reason: &str| HostError::Failed(format!("{}: {reason}", spec.id));
            match &found.state {
                _ if found.init.is_some() => return Ok(()),
                Some(state) if state.phase == Phase::Died => return Err(failed(&state.reason)),
                // It switched itself off as its first deed; that is told as an event.
                Some(state) if state.phase == Phase::Off => return Ok(()),
                _ if found.shim.is_none() => return Err(failed("its supervisor died")),
                _ if Instant::now() > until => return Err(failed("its init does not start")),
                // The shim says it by a file; a boot takes some ten milliseconds.
                _ => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Restarts a running instance in order. Its links, addresses and disk stay.
    pub fn reboot(&self, id: &InstanceId) -> Result<()> {
        let turn = self.turn(id);
        let _turn = hold(&turn);
        let folder = self.existing(id)?;
        let found = self.find(id)?;
        if found.light.is_some() {
            return self.reboot_light(id);
        }
        if found.init.is_none() {
            return Err(HostError::NotRunning(id.clone()));
        }
        self.order(&folder, Order::Reboot)
    }

    /// Switches an instance off and waits until it is; by force at once, or when it takes too
    /// long. Its disk stays.
    pub fn stop(&self, id: &InstanceId, force: bool) -> Result<()> {
        let turn = self.turn(id);
        let _turn = hold(&turn);
        let folder = self.existing(id)?;
        self.switch_off(&folder, id, if force { 0 } else { STOP_PATIENCE })
    }

    /// Removes an instance with its disk.
    pub fn terminate(&self, id: &InstanceId) -> Result<()> {
        let turn = self.turn(id);
        let _turn = hold(&turn);
        let folder = Folder::of(&self.folder, id);
        self.switch_off(&folder, id, TERMINATE_PATIENCE)?;
        folder.remove()?;
        self.lock_turns().remove(id);
        Ok(())
    }

    fn switch_off(&self, folder: &Folder, id: &InstanceId, patience: u32) -> Result<()> {
        self.watch.forget(id);
        let interfaces = || folder.spec().into_iter().flat_map(|spec| spec.interfaces);
        let found = self.find(id)?;
        if found.light.is_some() {
            return self.switch_off_light(id, &interfaces().collect::<Vec<_>>());
        }
        if patience > 0 && found.init.is_some() && self.order(folder, Order::Stop(patience)).is_ok()
        {
            // A shim that does not answer is ended below with all the rest.
            let _ = self
                .shim_group(id)
                .wait_empty(Duration::from_secs(patience.into()) + Duration::from_secs(2));
        }
        self.cgroups.destroy(id.as_str())?;
        for interface in interfaces() {
            self.disconnect(interface.port)?;
        }
        // Its shim is dead, so nobody else writes there: that it is off is known from now on.
        match self.find(id)?.state {
            Some(state) if state.phase == Phase::Off && !state.expected => {
                folder.write(STATE, &State { expected: true, ..state })
            }
            _ => Ok(()),
        }
    }

    /// Gives a running instance another interface (traps 17), or makes anew one whose link
    /// vanished. One that was in its place goes.
    pub fn attach_interface(&self, id: &InstanceId, interface: &InterfaceSpec) -> Result<()> {
        let turn = self.turn(id);
        let _turn = hold(&turn);
        let folder = self.existing(id)?;
        let network = self.network(id)?;
        self.set_interfaces(&folder, id, |interfaces| {
            interfaces.retain(|other| {
                let place = other.device_index == interface.device_index;
                other == interface || (other.id != interface.id && !place)
            });
            if !interfaces.contains(interface) {
                interfaces.push(interface.clone());
            }
        })?;
        self.connect_interface(&network, interface)?;
        self.retell(id, &folder)
    }

    /// Takes an interface from an instance. One that is not there is fine.
    pub fn detach_interface(&self, id: &InstanceId, interface: &NetworkInterfaceId) -> Result<()> {
        let turn = self.turn(id);
        let _turn = hold(&turn);
        let folder = self.existing(id)?;
        self.set_interfaces(&folder, id, |interfaces| {
            interfaces.retain(|other| other.id != *interface);
        })?;
        self.retell(id, &folder)
    }

    /// What an instance's console has put out, the newest 256 kB at most.
    pub fn console(&self, id: &InstanceId) -> Result<Vec<u8>> {
        let folder = self.existing(id)?;
        console::output(&folder.path).context(|| format!("read the console of {id}"))
    }

    /// Starts a program inside an instance, over no network.
    pub fn exec(
        &self,
        id: &InstanceId,
        request: &ExecRequest,
        streams: ExecStreams,
    ) -> Result<Execution> {
        let folder = self.existing(id)?;
        let found = self.find(id)?;
        if let Some(light) = &found.light {
            return self.exec_light(light, request, streams);
        }
        if found.init.is_none() {
            return Err(HostError::NotRunning(id.clone()));
        }
        Execution::start(&self.program, &folder.path, request, streams)
    }

    /// The network namespace of a light host, or of an instance whose shim lives.
    pub fn network(&self, id: &InstanceId) -> Result<Namespace> {
        let found = self.find(id)?;
        if let Some(light) = &found.light {
            return light.network();
        }
        let not_running = || HostError::NotRunning(id.clone());
        let shim = found.shim.ok_or_else(not_running)?;
        Namespace::open(format!("/proc/{shim}/fd/{}", shim::NETWORK))
            .context(|| format!("find the network of {id}"))
    }

    /// Connects a port anew whose link the guest deleted (traps 18). Whether it was an instance's
    /// that lives.
    fn reconnect(&self, port: PortIndex) -> Result<bool> {
        let owns = |id: &InstanceId| {
            let spec = Folder::of(&self.folder, id).spec()?;
            spec.interfaces.into_iter().find(|interface| interface.port == port)
        };
        let mut ids = self.all()?.into_iter().map(|(id, _)| id);
        let Some(id) = ids.find(|id| owns(id).is_some()) else { return Ok(false) };
        let turn = self.turn(&id);
        let _turn = hold(&turn);
        // Asked again: whoever had the turn may have detached it.
        let Some(interface) = owns(&id) else { return Ok(false) };
        let found = self.find(&id)?;
        if found.init.is_none() && found.light.is_none() {
            return Ok(false);
        }
        let network = self.network(&id)?;
        let name = format!("eth{}", interface.device_index);
        let lost = !fabric::is_connected(&self.fabric, port, &name, &network)?;
        self.connect_interface(&network, &interface)?;
        self.retell(&id, &Folder::of(&self.folder, &id))?;
        Ok(lost)
    }

    /// Clears up after an instance that ended by itself, unless somebody is busy with it.
    fn bury(&self, id: &InstanceId) -> Result<()> {
        let turn = self.turn(id);
        let Ok(_turn) = turn.try_lock() else { return Ok(()) };
        if self.find(id)?.shim.is_some() {
            return Ok(());
        }
        self.cgroups.destroy(id.as_str())?;
        for interface in Folder::of(&self.folder, id).spec().into_iter().flat_map(|s| s.interfaces)
        {
            self.disconnect(interface.port)?;
        }
        Ok(())
    }

    /// Takes the links that are there into service and removes those that nobody owns.
    fn sweep_ports(&self) -> Result<()> {
        let mut netlink = Netlink::open_in(&self.fabric).context(|| "speak to the fabric")?;
        let mut owned = vec![PortIndex::INTERNET, PortIndex::SERVICES];
        for (id, _) in self.all()? {
            let spec = Folder::of(&self.folder, &id).spec();
            let interfaces = spec.into_iter().flat_map(|spec| spec.interfaces);
            owned.extend(interfaces.map(|interface| interface.port));
        }
        for link in netlink.links().context(|| "list the links of the fabric")? {
            let Some(port) = fabric::port_of_link(&link.name) else { continue };
            if owned.contains(&port) {
                answered(self.datapath.add_port(port, link.index))?
                    .context(|| format!("take port {port} into service"))?;
            } else {
                netlink.delete_link(link.index).context(|| format!("remove port {port}"))?;
            }
        }
        Ok(())
    }

    fn order(&self, folder: &Folder, order: Order) -> Result<()> {
        let path = folder.file(CONTROL);
        OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .and_then(|mut pipe| pipe.write_all(format!("{order}\n").as_bytes()))
            .context(|| format!("order `{order}` by {}", path.display()))
    }

    fn existing(&self, id: &InstanceId) -> Result<Folder> {
        let folder = Folder::of(&self.folder, id);
        if folder.exists() { Ok(folder) } else { Err(HostError::NoSuchInstance(id.clone())) }
    }

    fn shim_group(&self, id: &InstanceId) -> Group {
        self.cgroups.group(&format!("{id}/shim"))
    }

    fn turn(&self, id: &InstanceId) -> Arc<Mutex<()>> {
        self.lock_turns().entry(id.clone()).or_default().clone()
    }

    fn lock_turns(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Mutex<()>>>> {
        hold(&self.turns)
    }

    /// Asks every running instance to switch off and waits, at most that long.
    pub(crate) fn switch_all_off(&self, patience: Duration) -> Result<()> {
        let mut waiting = Vec::new();
        for found in self.observe()? {
            self.watch.forget(&found.id);
            let folder = Folder::of(&self.folder, &found.id);
            // One round up: what does not follow in time is killed by the caller.
            let seconds = patience.as_secs().saturating_add(1).try_into().unwrap_or(u32::MAX);
            if self.order(&folder, Order::Stop(seconds)).is_ok() {
                waiting.push(self.shim_group(&found.id));
            }
        }
        let until = Instant::now() + patience;
        for group in waiting {
            let _ = group.wait_empty(until.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// A lock whose holder panicked guards nothing that could be half done: the machine is looked at
/// anew each time.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

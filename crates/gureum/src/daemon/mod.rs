//! The daemon: opens every room, ties them together, and waits.
//!
//! Nothing is decided here. The order of opening is the order in which things depend on each
//! other: data directory, store, Linux, control, services, the API's port, the admin socket.

mod agent;
mod attempts;
mod call_log;
mod channels;
mod check;
mod clerk;
mod desk;
mod fates;
mod flow_windows;
mod flows;
mod front;
mod inside;
mod instance_connect;
mod machine;
mod names;
mod ownership;
mod present;
mod preview;
mod snapshots;
mod twin;
mod visitor;
mod watch;
mod why;

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::Router;
use gureum_control::{Config, Control, RecordsOnly, RootKey};
use gureum_host::{
    anchor::Owner,
    cloud::{Cloud, CloudConfig},
    fabric::{self, InternetSettings},
    instance::{CloudFile, Kind},
    supervisor::{INIT_SETTINGS, Program},
    tag::Tag,
};
use gureum_logs::LogStore;
use gureum_s3::S3;
use gureum_services::{
    both::Both,
    ca::Ca,
    caller::View,
    connect::Connector,
    dns::{InternetResolver, Upstream},
    internet::Hosts,
    session::{MessageGateway, Timing},
    socks::{self, Socks},
    tunnel::Tunnel,
    vhost::VirtualHosts,
};
use gureum_store::Store;
use gureum_types::{AccountId, host::HostEvent, view::ServiceView};
use http::HeaderValue;
use ipnet::Ipv4Net;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tracing::{error, info, warn};

use self::{
    call_log::CallLog,
    channels::Channels,
    clerk::{Asker, Clerk, Stop},
    flow_windows::{CountedWindows, ServedBuckets},
    front::Front,
    inside::{InternetConnector, Shared},
    machine::Machine,
};
use crate::{
    admin::Health,
    cli,
    failure::Failure,
    paths::{self, Person},
    root_key,
};

/// The address of whoever runs a client in the simulated internet.
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// As that, over IPv6.
const IPV6_CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 0x10);
/// How long instances have to shut down when everything goes down.
const DOWN_PATIENCE: Duration = Duration::from_secs(20);
/// How many events of the host may wait to be looked at.
const EVENTS: usize = 1024;
/// How many light hosts are launched at once: one takes some milliseconds.
const LIGHT_LAUNCHES: usize = 16;
/// How often objects of buckets that are no more are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How long writing the last answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Where the image that instances boot from keeps its trusted roots.
const IMAGE_BUNDLE: &str = "debian-12/rootfs/etc/ssl/certs/ca-certificates.crt";
/// Where distributions keep the machine's trusted roots.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where everything is kept; exists, is writable, and belongs to `owner`.
    pub data_dir: PathBuf,
    /// Where machine images are.
    pub images_dir: PathBuf,
    /// Whether instances really boot; without, timers drive their states and no root is needed.
    pub instances: bool,
    /// Whether new instances are light hosts and boot no image.
    pub light: bool,
    /// The account of callers whose access key names no other.
    pub account: AccountId,
    /// Where public addresses come from.
    pub public_pool: Ipv4Net,
    /// Whether the simulated internet is connected to the machine's network.
    pub uplink: bool,
    /// Whether AWS's default quotas of an account hold.
    pub aws_quotas: bool,
    /// Whether flow logs are delivered as late as on AWS.
    pub aws_timing: bool,
    /// Whether callers must have a key that is known here.
    pub strict_auth: bool,
    /// Where SOCKS5 listens, if it shall.
    pub socks: Option<SocketAddr>,
    /// Where each API call is written down, if it shall be.
    pub call_log: Option<PathBuf>,
    /// Whether everything goes with the process that started the daemon, and by any signal.
    pub tied: bool,
    /// Whose the files and the simulated internet are.
    pub owner: Person,
}

/// What shall happen when the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Instances and namespaces stay for the next daemon.
    Daemon,
    /// Everything goes but the data.
    Everything,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("GUREUM_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,s3s=off")),
        )
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("gureum")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(serve(options));
    // Threads that wait for the kernel are not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(options: Options) -> Result<(), Failure> {
    let started = Instant::now();
    let data_dir = options.data_dir.clone();
    let _lock = lock(&data_dir)?;
    let api = front::bind(options.listen)
        .and_then(TcpListener::from_std)
        .map_err(|error| not_listening("--listen", options.listen, &error))?;
    let listen = api.local_addr().unwrap_or(options.listen);
    cli::install_plugin(&data_dir, &options.owner)?;
    let tag = Tag::of(&data_dir).map_err(|error| Failure::file("find", &data_dir, &error))?;

    let store = Store::open(&data_dir.join("store")).map(Arc::new).map_err(|error| {
        Failure::new(format!("cannot open the records: {error}"))
            .help("free some space if the disk is full; `gureum purge` begins anew")
    })?;
    let s3 = S3::open(&data_dir.join("s3"), Arc::clone(&store)).map(Arc::new).map_err(|error| {
        Failure::new(format!("cannot open the buckets: {error}"))
            .help("free some space if the disk is full; `gureum purge` begins anew")
    })?;
    let ca = Arc::new(open_ca(&options)?);
    let view: View = Arc::new(ArcSwap::from_pointee(ServiceView::default()));
    let mut config = Config::new(fabric::config(options.public_pool));
    config.public_pool = options.public_pool;
    config.aws_quotas = options.aws_quotas;
    config.aws_timing = options.aws_timing;
    config.strict_auth = options.strict_auth;
    config.root_key = root_key::open(&options)?
        .map(|key| RootKey { id: key.access_key_id, secret: key.secret_access_key });
    let (tell, gateway_events) = mpsc::channel(EVENTS);
    let gateway = MessageGateway::new(tell, Timing::default());
    config.gateway = Arc::new(Channels(gateway.clone()));
    config.buckets = Arc::new(ServedBuckets(Arc::clone(&s3)));
    config.logs = LogStore::open(&data_dir.join("logs")).map(Arc::new).map_err(|error| {
        Failure::new(format!("cannot open the log data: {error}"))
            .help("free some space if the disk is full; `gureum purge` begins anew")
    })?;

    let (stop, mut stopping) = mpsc::channel(1);
    let mut open = Open { socks: None, cloud: None, virtual_hosts: None, tunnel: None };
    let (control, reconciling);
    if options.instances {
        let hosts = Hosts::embedded().map_err(|e| Failure::new(e.to_string()))?;
        let hosts = Arc::new(hosts);
        if options.light {
            config.launches_at_once = LIGHT_LAUNCHES;
        }
        config.aws_addresses = hosts.below("amazonaws.com").collect();
        let (policy, first_view) = gureum_control::compile(&store.snapshot(), &config.fabric);
        let policy = Arc::new(policy);
        view.store(Arc::new(first_view));
        let cloud = open_cloud(&options, &hosts, &ca, Arc::clone(&policy)).await?;
        // What is adopted is configured by it, before the first change.
        cloud.instances().follow(Arc::clone(&policy), view.load_full());
        let machine = Machine { cloud: Arc::clone(&cloud), view: Arc::clone(&view) };
        control = Arc::new(Control::open(store, Arc::new(machine), config));
        let (tell, events) = mpsc::channel(EVENTS);
        if let Some(mut noticed) = cloud.instances().events() {
            tokio::spawn(async move {
                while let Some(event) = noticed.recv().await {
                    if tell.send(event).await.is_err() {
                        return;
                    }
                }
            });
        }
        reconciling = reconcile(&control, events);
        let windows = Arc::new(CountedWindows(Arc::clone(cloud.windows())));
        let delivering = Arc::clone(&control);
        tokio::spawn(async move {
            delivering.run_flow_logs(windows).await;
        });
        let internet = cloud.namespaces().internet.try_clone();
        let internet = internet.map_err(|e| Failure::new(format!("the internet: {e}")))?;
        let connector: Arc<dyn Connector> = Arc::new(InternetConnector(Arc::new(internet)));
        let resolver = InternetResolver::new(Arc::clone(&hosts), Arc::clone(&view));
        let resolver = match options.uplink {
            true => resolver.with_upstream(Upstream::of_this_machine()),
            false => resolver,
        };
        let resolver = Arc::new(resolver);
        if let Some(address) = options.socks {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| not_listening("--socks", address, &error))?;
            open.socks = listener.local_addr().ok();
            let socks = Socks::new(Arc::clone(&resolver), Arc::clone(&connector));
            tokio::spawn(socks::serve(listener, Arc::new(socks)));
        }
        open.tunnel = Some(Tunnel::new(Arc::clone(&resolver), Arc::clone(&connector)));
        open.virtual_hosts = Some(VirtualHosts::new(Arc::clone(&resolver), connector));
        open.cloud = Some((cloud, Shared { view, ca: Arc::clone(&ca), hosts, resolver }));
    } else {
        // Nothing is launched but a timer each.
        config.launches_at_once = usize::MAX;
        let (records_only, events) = RecordsOnly::new();
        control = Arc::new(Control::open(store, Arc::new(records_only), config));
        reconciling = reconcile(&control, events);
    }

    let recording = Arc::clone(&control);
    tokio::spawn(async move { recording.run_gateway(gateway_events).await });
    let calls = match &options.call_log {
        Some(path) => Some(
            CallLog::open(path, &options.owner)
                .map_err(|error| Failure::file("write", path, &error))?,
        ),
        None => None,
    };
    let clerk = Arc::new(Clerk {
        control: Arc::clone(&control),
        cloud: open.cloud.as_ref().map(|(cloud, _)| Arc::clone(cloud)),
        resolver: open.cloud.as_ref().map(|(_, shared)| Arc::clone(&shared.resolver)),
        endpoint: format!("http://{listen}"),
        socks: open.socks,
        data_dir: data_dir.clone(),
        public_pool: options.public_pool,
        tag: tag.to_string(),
        started,
        stop,
        runtime: tokio::runtime::Handle::current(),
        comparing: Mutex::new(()),
    });
    let front = Arc::new(Front {
        control: Arc::clone(&control),
        clerk: Arc::clone(&clerk),
        calls,
        both: Both::new(ca),
        gateway,
        s3: Arc::clone(&s3),
        account: options.account.clone(),
        virtual_hosts: open.virtual_hosts.take(),
        tunnel: open.tunnel.take(),
        health: Health { version: version(), tag: tag.to_string() },
        server: HeaderValue::from_static(concat!("Gureum/", env!("CARGO_PKG_VERSION"))),
        large: Notify::new(),
    });
    let cloud = match open.cloud {
        Some((cloud, shared)) => {
            let key_file = data_dir.join("state/token-key");
            let key = inside::token_key(&key_file)
                .map_err(|error| Failure::file("write", &key_file, &error))?;
            inside::serve_services(&cloud.namespaces().services, &shared, key)?;
            let inner = Arc::clone(&front);
            let aws_api = Router::new().fallback(move |request| {
                let front = Arc::clone(&inner);
                async move { front.aws(request).await }
            });
            let namespaces = cloud.namespaces();
            inside::serve_internet(&namespaces.internet, &namespaces.services, &shared, aws_api)?;
            Some(cloud)
        }
        None => None,
    };

    let socket = desk::open(&data_dir, &options.owner)
        .map_err(|error| Failure::file("open the socket in", &data_dir, &error))?;
    desk::serve(socket, clerk)
        .map_err(|error| Failure::new(format!("cannot serve the socket: {error}")))?;
    give(&options);
    tokio::spawn(Arc::clone(&front).tidy());
    tokio::spawn(front.serve(api));
    tokio::spawn(sweep(s3));
    info!(%listen, %tag, took = ?started.elapsed(), "up");

    let Stop { end, by } = wait_for_end(&mut stopping, options.tied).await?;
    let (path, _folder) = paths::socket(&data_dir)
        .map_err(|error| Failure::file("find the socket in", &data_dir, &error))?;
    if end == End::Everything
        && let Some(cloud) = cloud
    {
        // Nobody shall start again what goes down now.
        reconciling.abort();
        take_down(cloud).await?;
    }
    let _ = fs::remove_file(path);
    if let Err(error) = control.flush() {
        error!(%error, "the last records could not be brought to disk");
    }
    give(&options);
    info!("down");
    if let Some(Asker { until_gone, answered }) = by {
        drop(until_gone);
        // They may have gone away themselves.
        let _ = tokio::time::timeout(ANSWER_PATIENCE, answered).await;
    }
    Ok(())
}

/// Deletes what is left of buckets that are no more, now and then.
async fn sweep(s3: Arc<S3>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        let s3 = Arc::clone(&s3);
        match tokio::task::spawn_blocking(move || s3.sweep()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "objects of buckets that are no more"),
            Err(error) => warn!(%error, "objects of buckets that are no more"),
        }
    }
}

/// What is there only with hosts.
struct Open {
    socks: Option<SocketAddr>,
    cloud: Option<(Arc<Cloud>, Shared)>,
    virtual_hosts: Option<VirtualHosts>,
    tunnel: Option<Tunnel>,
}

/// Keeps instances as their records say.
fn reconcile(control: &Arc<Control>, events: mpsc::Receiver<HostEvent>) -> JoinHandle<()> {
    let control = Arc::clone(control);
    tokio::spawn(async move { control.run(events).await })
}

/// Gives what root wrote to the owner; what cannot be given is still there to be used.
fn give(options: &Options) {
    if let Err(error) = ownership::give_all(&options.data_dir, &options.owner) {
        warn!(%error, "giving files to the person who called sudo");
    }
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Takes the data directory for this process alone, for as long as the result lives.
fn lock(data_dir: &Path) -> Result<OwnedFd, Failure> {
    let path = data_dir.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file: OwnedFd = file.map_err(|error| Failure::file("open", &path, &error))?.into();
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(Failure::new(format!("a daemon already runs on {}", data_dir.display()))
            .help("`gureum down` stops it; another --data-dir and --listen start a second one")),
    }
}

fn not_listening(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(format!("cannot listen on {address}: {error}"))
        .help(format!("choose another address with {flag}"))
}

/// Opens our CA and writes the bundle that clients on this machine are told of.
fn open_ca(options: &Options) -> Result<Ca, Failure> {
    let folder = options.data_dir.join("ca");
    let owner = &options.owner;
    owner.create_dir(&folder, 0o700).map_err(|error| Failure::file("create", &folder, &error))?;
    let ca = Ca::open(&folder).map_err(|error| Failure::new(error.to_string()))?;
    let system = SYSTEM_BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default();
    let bundle = paths::ca_bundle(&options.data_dir);
    fs::write(&bundle, ca.bundle(&system))
        .map_err(|error| Failure::file("write", &bundle, &error))?;
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        owner.give(&path).map_err(|error| Failure::file("give away", &path, &error))?;
    }
    Ok(ca)
}

/// Takes over what is there of the cloud and makes what is missing.
async fn open_cloud(
    options: &Options,
    hosts: &Hosts,
    ca: &Ca,
    policy: Arc<gureum_engine::Policy>,
) -> Result<Arc<Cloud>, Failure> {
    let image_bundle = options.images_dir.join(IMAGE_BUNDLE);
    let roots = match fs::read(&image_bundle) {
        // Full instances of an earlier daemon may still run, by the image that they were made from.
        Err(_) if options.light => {
            SYSTEM_BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default()
        }
        read => read.map_err(|error| {
            Failure::file("read the machine image's", &image_bundle, &error)
                .help("build the image with `make image`, or name another --images-dir")
        })?,
    };
    let mut cloud_files = vec![
        CloudFile {
            path: "/usr/local/share/ca-certificates/gureum.crt".into(),
            mode: 0o644,
            contents: ca.certificate_pem().as_bytes().to_vec(),
        },
        CloudFile {
            path: "/etc/ssl/certs/ca-certificates.crt".into(),
            mode: 0o644,
            contents: ca.bundle(&roots),
        },
        CloudFile { path: INIT_SETTINGS.0.into(), mode: 0o644, contents: INIT_SETTINGS.1.into() },
    ];
    cloud_files.extend(agent::files());
    cloud_files.extend(instance_connect::files());
    let config = CloudConfig {
        data_dir: options.data_dir.clone(),
        images_dir: options.images_dir.clone(),
        program: Program::this(),
        owner: Owner { uid: options.owner.uid, gid: options.owner.gid },
        internet: InternetSettings {
            client: CLIENT,
            hosts: hosts.addresses().collect(),
            public_pool: options.public_pool,
            ipv6_client: IPV6_CLIENT,
            ipv6_hosts: hosts.ipv6_addresses().collect(),
        },
        uplink: options.uplink,
        kind: if options.light { Kind::Light } else { Kind::Full },
        ca_bundle: Some(paths::ca_bundle(&options.data_dir)),
        cloud_files,
        policy,
        limits: gureum_engine::Limits::default(),
    };
    let opened = tokio::task::spawn_blocking(|| Cloud::open(config)).await;
    let opened = opened.map_err(|panic| Failure::new(panic.to_string()))?;
    opened.map(Arc::new).map_err(|error| {
        Failure::new(error.to_string()).help("`gureum doctor` looks at this machine")
    })
}

/// Waits until somebody says to stop: over the socket, or by a signal, which ends only the daemon
/// unless it is tied to who started it.
async fn wait_for_end(stopping: &mut mpsc::Receiver<Stop>, tied: bool) -> Result<Stop, Failure> {
    let on = |kind| signal(kind).map_err(|e| Failure::new(format!("cannot wait: {e}")));
    let (mut interrupt, mut terminate) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let mut hang_up = on(SignalKind::hangup())?;
    let asked = tokio::select! {
        asked = stopping.recv() => asked,
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = hang_up.recv() => None,
    };
    Ok(asked.unwrap_or_else(|| {
        if tied {
            return Stop { end: End::Everything, by: None };
        }
        eprintln!(
            "Instances keep running; `gureum up` finds them again, `gureum down` stops them."
        );
        Stop { end: End::Daemon, by: None }
    }))
}

async fn take_down(cloud: Arc<Cloud>) -> Result<(), Failure> {
    info!("taking everything down");
    let done = tokio::task::spawn_blocking(move || {
        cloud.down(DOWN_PATIENCE).map_err(|error| error.to_string())
    });
    match done.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(sentence)) => {
            error!(%sentence, "taking the cloud down");
            Err(Failure::new(sentence))
        }
        Err(panic) => Err(Failure::new(panic.to_string())),
    }
}

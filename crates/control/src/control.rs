//! The room's door: requests in, answers out; resetting; finding instances by what people call
//! them.

use std::{fmt, net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use gureum_api::{ApiError, ApiRequest, Protocol, Service, Signature};
use gureum_engine::Policy;
use gureum_store::{Snapshot, Store, StoreError, Transaction};
use gureum_types::{
    AccountId, InstanceId, Origin, Region,
    host::HostEvent,
    record::{
        Instance, InstanceState, NetworkInterface, PublicAddress, RegionState, Scope, VpcEndpoint,
    },
    session::GatewayEvent,
};
use tokio::sync::{mpsc, watch};

use crate::{
    call::{Answer, Call},
    config::Config,
    flow_log,
    flow_windows::FlowWindows,
    gateway,
    iam::{
        authenticate::{Refusal, Shown, authenticate, identify},
        authorize::{Source, SourceEndpoint, authorize, authorize_action},
        caller::Caller,
        resource::Target,
        visitor::{Visit, Visitor},
    },
    linux::Linux,
    operation::{self, Upload, Wire, Work, Write},
    publish::Publisher,
    reconcile::Reconciler,
    resource::{default_vpc, live_tail::LiveTail, public_ip},
};

/// What the API's operations do, and what keeps instances as they shall be.
pub struct Control {
    store: Arc<Store>,
    linux: Arc<dyn Linux>,
    config: Arc<Config>,
    publisher: Arc<Publisher>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug)]
pub enum Reply {
    /// All of it.
    Whole(Wire),
    /// What goes on as long as the caller listens.
    Tail(Box<LiveTail>),
}

impl Reply {
    /// All of it, or of what goes on the beginning.
    pub(crate) fn beginning(self) -> Wire {
        match self {
            Self::Whole(wire) => wire,
            Self::Tail(tail) => Wire::new(tail.start()),
        }
    }
}

/// Something that a person named, with where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// The account and region.
    pub scope: Scope,
    /// What was found.
    pub record: Arc<T>,
}

/// Why a transaction did not happen.
enum Failure {
    Api(ApiError),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Api(error) => error,
            // Status 400: clients repeat what fails with 500 for minutes, and the disk stays full.
            Failure::Store(error @ StoreError::Full(_)) => Self::new(
                "InsufficientCapacity",
                "The disk under the data directory is full. Nothing was changed.",
            )
            .with_internal(error),
            Failure::Store(error) => Self::internal_error(error),
        }
    }
}

impl Control {
    /// A control of these records over this machine.
    pub fn open(store: Arc<Store>, linux: Arc<dyn Linux>, config: Config) -> Self {
        let config = Arc::new(config);
        let publisher = Arc::new(Publisher::new(store.clone(), linux.clone(), config.clone()));
        Self { store, linux, config, publisher }
    }

    /// An id for a request, in the form of AWS's.
    pub fn request_id(&self) -> String {
        let (high, low) = ((self.config.random)(), (self.config.random)());
        let hex = format!("{high:016x}{low:016x}");
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32));
        format!("{a}-{b}-4{c}-8{d}-{e}")
    }

    /// Answers a request that comes from nowhere in particular.
    pub async fn handle(&self, request: ApiRequest, request_id: &str) -> Wire {
        self.handle_from(request, &Source::default(), request_id).await
    }

    /// Answers a request in one go. Of an answer that would go on it is the beginning.
    pub async fn handle_from(
        &self,
        request: ApiRequest,
        source: &Source,
        request_id: &str,
    ) -> Wire {
        self.reply_from(request, source, request_id).await.beginning()
    }

    /// Answers a request.
    pub async fn reply_from(
        &self,
        request: ApiRequest,
        source: &Source,
        request_id: &str,
    ) -> Reply {
        let operation = request.operation.name();
        match self.answer(&request, source, request_id).await {
            Ok(answer) => {
                tracing::debug!(operation, request_id, "answered");
                answer
            }
            Err(error) => Reply::Whole(self.refusal(&request, &error, request_id)),
        }
    }

    /// The answer to a request that is refused; what the caller must not see goes into the log.
    pub(crate) fn refusal(&self, request: &ApiRequest, error: &ApiError, request_id: &str) -> Wire {
        let operation = request.operation.name();
        match &error.internal {
            Some(detail) => {
                tracing::error!(operation, request_id, code = error.code, %detail);
            }
            None => tracing::debug!(operation, request_id, %error, "refused"),
        }
        error.response(request.protocol(), request_id)
    }

    /// What a live tail has to say, and whether that is all. To be asked for once a second.
    pub fn update_of(&self, tail: &LiveTail) -> (Bytes, bool) {
        tail.update(&self.snapshot(), (self.config.clock)())
    }

    async fn answer(&self, request: &ApiRequest, source: &Source, id: &str) -> Answer<Reply> {
        let call = self.call(request, source)?;
        let work = operation::work(request, id)?;
        self.perform(call, request.operation.service(), source, work).await
    }

    /// Does what there is to do for a call.
    pub(crate) async fn perform(
        &self,
        call: Call,
        service: Service,
        source: &Source,
        work: Work,
    ) -> Answer<Reply> {
        match work {
            Work::Read(read) => {
                let records = match service {
                    Service::Ec2 => self.opened(&call).await?,
                    _ => self.snapshot(),
                };
                read(&call, &records).map(Reply::Whole)
            }
            Work::Tail(listen) => Ok(Reply::Tail(Box::new(listen(&call, &self.snapshot())?))),
            Work::Disk(read) => {
                let records = self.snapshot();
                let answer = tokio::task::spawn_blocking(move || read(&call, &records)).await;
                answer.map_err(ApiError::internal_error)?.map(Reply::Whole)
            }
            Work::Write(write) => self.change(call, write).await.map(Reply::Whole),
            Work::Prepare(prepare) => {
                let records = self.opened(&call).await?;
                let caller = call.clone();
                let write = tokio::task::spawn_blocking(move || prepare(&caller, &records)).await;
                let write = write.map_err(ApiError::internal_error)??;
                self.change(call, write).await.map(Reply::Whole)
            }
            Work::Analyze(analyze) => {
                self.opened(&call).await?;
                let (records, policy) = self.model().await;
                let caller = call.clone();
                let write =
                    tokio::task::spawn_blocking(move || analyze(&caller, &records, &policy)).await;
                let write = write.map_err(ApiError::internal_error)??;
                self.change(call, write).await.map(Reply::Whole)
            }
            Work::Upload(make) => {
                let records = self.opened(&call).await?;
                let (Upload { bucket, key, content_type, body }, answer) = make(&call, &records)?;
                let visitor = Visitor::of_caller(&records, &call, source.clone())?;
                let put = self.config.buckets.put(visitor, &bucket, &key, content_type, body);
                put.await.map_err(|error| flow_log::not_stored(&bucket, error))?;
                Ok(Reply::Whole(answer))
            }
            Work::Console(find, show) => {
                let instance = find(&call, &self.snapshot())?;
                let console = self.linux.console(instance.id.clone()).await;
                // Before its first boot and after its end an instance has written nothing.
                let bytes = console.unwrap_or_else(|error| {
                    tracing::debug!(instance = %instance.id, %error, "no console");
                    Vec::new()
                });
                Ok(Reply::Whole(show(&call, &instance, bytes)))
            }
        }
    }

    /// Lets a signed request open or create a channel of Session Manager, if its caller may do
    /// `action`, as `ssmmessages:OpenDataChannel`. The instance whose role's credentials it is
    /// signed by, if it is.
    pub fn admit(
        &self,
        signature: &Signature,
        action: &str,
        source: &Source,
    ) -> Answer<Option<InstanceId>> {
        Ok(self.admitted(signature, action, source)?.instance().cloned())
    }

    /// Who signed a request, after it was found out that they may do `action`.
    pub(crate) fn admitted(
        &self,
        signature: &Signature,
        action: &str,
        source: &Source,
    ) -> Answer<Caller> {
        let (records, now) = (self.snapshot(), (self.config.clock)());
        let asked = signature.scope(Service::Ssm)?;
        let shown = Shown::of(signature, &asked.account);
        let caller = identify(&records, shown, &self.config, now)
            .map_err(|refusal| refusal.error(Protocol::AwsJson11))?;
        let scope = Scope { account: caller.account.clone(), region: asked.region };
        let (endpoint, config) = (String::new(), self.config.clone());
        let call = Call { scope, caller, now, endpoint, config };
        authorize_action(&call, &records, action, &Target::none(), source)?;
        Ok(call.caller)
    }

    /// The call that a request is: by whom, after it was found out that they may make it.
    pub(crate) fn call(&self, request: &ApiRequest, source: &Source) -> Answer<Call> {
        let (records, now) = (self.snapshot(), (self.config.clock)());
        let caller = authenticate(&records, request, &self.config, now)
            .map_err(|refusal| refusal.error(request.protocol()))?;
        let service = request.operation.service().info().signing_name;
        self.config.uses.note(&caller, now, request.region(), service);
        let scope = Scope { account: caller.account.clone(), region: request.region().clone() };
        let scheme = if source.is_secure { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", request.endpoint);
        let call = Call { scope, caller, now, endpoint, config: self.config.clone() };
        authorize(&call, &records, request, source)?;
        Ok(call)
    }

    /// Who makes a request of S3, and so who it is that asks for each of its buckets and objects.
    pub fn visitor(
        &self,
        shown: Visit<'_>,
        region: &Region,
        source: Source,
    ) -> Result<Visitor, Refusal> {
        Visitor::of(&self.snapshot(), shown, region, source, &self.config)
    }

    /// The records, with what an account finds in a region that it first comes to.
    async fn opened(&self, call: &Call) -> Answer<Arc<Snapshot>> {
        let records = self.snapshot();
        if is_open(&records, call) {
            return Ok(records);
        }
        let (store, call) = (self.store.clone(), call.clone());
        let opened = tokio::task::spawn_blocking(move || {
            store.transact(|tx| -> Result<(), Failure> {
                open(&call, tx);
                Ok(())
            })
        });
        opened.await.map_err(ApiError::internal_error)??;
        Ok(self.snapshot())
    }

    /// One transaction; answered when the data path goes by it.
    async fn change(&self, call: Call, write: Write) -> Answer<Wire> {
        let before = self.snapshot().revision();
        let store = self.store.clone();
        let changed = tokio::task::spawn_blocking(move || {
            store.transact(|tx| -> Result<Wire, Failure> {
                open(&call, tx);
                write(&call, tx).map_err(Failure::Api)
            })
        });
        let answer = changed.await.map_err(ApiError::internal_error)??;
        if self.snapshot().revision() != before {
            self.publisher.publish_within(self.config.acknowledge_within).await;
        }
        Ok(answer)
    }

    /// The records as they are now, or later, with the policy that was compiled from them.
    pub(crate) async fn model(&self) -> (Arc<Snapshot>, Arc<Policy>) {
        self.publisher.model().await
    }

    /// Where its records are.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What it was made with.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What the engine knows of the fabric.
    pub(crate) fn fabric(&self) -> &gureum_engine::FabricConfig {
        &self.config.fabric
    }

    /// What policies may ask about where a request came from.
    pub fn source(&self, origin: &Origin) -> Source {
        let records = self.snapshot();
        let endpoint = origin.endpoint.as_ref().map(|it| SourceEndpoint {
            vpc: it.vpc.clone(),
            id: it.id.to_string(),
            policy: records
                .referrers::<VpcEndpoint>(it.id.as_str())
                .next()
                .and_then(|endpoint| endpoint.policy.clone()),
        });
        Source { address: Some(origin.address), is_secure: origin.is_secure, endpoint }
    }

    /// All records as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.store.snapshot()
    }

    /// Brings to disk what is not there yet: states of instances, which nobody was answered with.
    pub fn flush(&self) -> Result<(), StoreError> {
        let news = self.config.uses.take_news(&self.snapshot());
        if !news.is_empty() {
            self.store.transact_lightly(|tx| news.write(tx))?;
        }
        self.store.flush()
    }

    /// Tells the revision of the records at every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.store.watch()
    }

    /// Gives the records as they are now to the data path, and waits until it uses them.
    pub async fn publish(&self) {
        self.publisher.publish().await;
    }

    /// Keeps instances as their records say, until the task is dropped: now, after every change,
    /// whenever the machine reports something, and every few seconds.
    pub async fn run(&self, events: mpsc::Receiver<HostEvent>) {
        let reconciler = Reconciler::new(
            self.store.clone(),
            self.linux.clone(),
            self.config.clone(),
            self.publisher.clone(),
        );
        reconciler.run(events).await;
    }

    /// Delivers what was counted in closed windows to the flow logs that cover it, until the task is
    /// dropped. A window stays until all of them have their records.
    pub async fn run_flow_logs(&self, windows: Arc<dyn FlowWindows>) {
        flow_log::run(self.store.clone(), self.config.clone(), windows).await;
    }

    /// Writes down what the message gateway tells, and hands out commands, until it is gone or the
    /// task is dropped.
    pub async fn run_gateway(&self, events: mpsc::Receiver<GatewayEvent>) {
        gateway::run(self.store.clone(), self.config.clone(), events).await;
    }

    /// Forgets everything of an account, or of all. Instances are removed by the reconciler.
    pub async fn reset(&self, account: Option<&AccountId>) -> Result<(), StoreError> {
        let (store, account) = (self.store.clone(), account.cloned());
        let now = (self.config.clock)();
        let reset = tokio::task::spawn_blocking(move || {
            store.transact(|tx| -> Result<(), StoreError> {
                let accounts: Vec<AccountId> = match &account {
                    Some(account) => vec![account.clone()],
                    None => accounts(tx),
                };
                for account in &accounts {
                    release_addresses(tx, account, now);
                    crate::resource::vpc_peering_connection::leave(tx, account, now);
                    tx.remove_account(account);
                }
                Ok(())
            })
        });
        match reset.await {
            Ok(done) => done?,
            Err(error) => return Err(StoreError::Io(error.to_string())),
        }
        // What is behind the records goes by itself; nobody need wait for it.
        self.publisher.publish_within(self.config.acknowledge_within).await;
        Ok(())
    }

    /// The instances that a person means by a name: an id, a `Name` tag, a private or public
    /// address, a private or public host name. Terminated ones are not meant.
    pub fn resolve(&self, name: &str) -> Vec<Found<Instance>> {
        let records = self.snapshot();
        let is_meant = |scope: &Scope, instance: &Instance| {
            instance.id.as_str() == name
                || instance.tags.get("Name").is_some_and(|tag| tag == name)
                || records.referrers::<NetworkInterface>(instance.id.as_str()).any(|interface| {
                    names_of(&records, scope, interface).iter().any(|it| it == name)
                })
        };
        records
            .everywhere::<Instance>()
            .filter_map(|(key, instance)| Some((key.scope.as_ref()?, instance)))
            .filter(|(_, it)| it.state != InstanceState::Terminated)
            .filter(|(scope, it)| is_meant(scope, it))
            .map(|(scope, it)| Found { scope: scope.clone(), record: it.clone() })
            .collect()
    }

    /// The interfaces that a person means by a name: as [`Self::resolve`], for an instance its
    /// first one, or an interface's own id.
    pub fn resolve_interface(&self, name: &str) -> Vec<Found<NetworkInterface>> {
        let records = self.snapshot();
        let mut found: Vec<_> = records
            .everywhere::<NetworkInterface>()
            .filter_map(|(key, interface)| Some((key.scope.as_ref()?, interface)))
            .filter(|(scope, it)| {
                it.id.as_str() == name
                    || names_of(&records, scope, it).iter().any(|known| known == name)
            })
            .map(|(scope, it)| Found { scope: scope.clone(), record: it.clone() })
            .collect();
        if found.is_empty() {
            for Found { scope, record } in self.resolve(name) {
                let interfaces =
                    crate::resource::network_interface::of_instance(&records, &record.id);
                found.extend(interfaces.into_iter().next().map(|record| Found { scope, record }));
            }
        }
        found
    }
}

/// Addresses and host names of an interface.
fn names_of(records: &Snapshot, scope: &Scope, interface: &NetworkInterface) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |address: Ipv4Addr, name: String| {
        names.push(address.to_string());
        names.push(name);
    };
    for address in &interface.private_addresses {
        add(*address, public_ip::private_name(&scope.region, *address));
    }
    for mapping in public_ip::mappings(records, interface) {
        add(mapping.public, public_ip::public_name(&scope.region, mapping.public));
    }
    names
}

fn is_open(records: &Snapshot, call: &Call) -> bool {
    records.find::<RegionState>(&call.scope, "region").is_some()
}

/// Gives an account what it finds in a region that it first comes to.
pub(crate) fn open(call: &Call, tx: &mut Transaction) {
    if !is_open(tx, call) {
        default_vpc::open_region(call, tx);
    }
}

/// All accounts that were ever seen.
fn accounts(records: &Snapshot) -> Vec<AccountId> {
    let scopes = records.everywhere::<RegionState>().filter_map(|(key, _)| key.scope.as_ref());
    let mut accounts: Vec<_> = scopes.map(|scope| scope.account.clone()).collect();
    accounts.dedup();
    accounts
}

/// Gives back the public addresses of an account whose records are about to go.
fn release_addresses(tx: &mut Transaction, account: &AccountId, now: gureum_types::Timestamp) {
    use gureum_types::record::{Address, VpnConnection};
    let is_own =
        |key: &gureum_store::Key| key.scope.as_ref().is_some_and(|scope| scope.account == *account);
    let elastic = tx.everywhere::<Address>().filter(|(key, _)| is_own(key));
    let mut held: Vec<_> = elastic.map(|(_, address)| address.public_ip).collect();
    let interfaces = tx.everywhere::<NetworkInterface>().filter(|(key, _)| is_own(key));
    let connections = tx.everywhere::<VpnConnection>().filter(|(key, _)| is_own(key));
    let connections = connections.filter(|(_, it)| it.deleted.is_none());
    held.extend(connections.flat_map(|(_, it)| it.tunnels.iter().map(|tunnel| tunnel.outside)));
    held.extend(interfaces.filter_map(|(_, interface)| interface.auto_public_ip));
    for address in held {
        tx.put_machine(PublicAddress { address, holder: None, changed: now });
    }
}

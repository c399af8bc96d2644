//! What a control is told from outside: addresses of the fabric, time, randomness, limits.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use gureum_engine::FabricConfig;
use gureum_logs::LogStore;
use gureum_types::Timestamp;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    flow_windows::{Buckets, NoBuckets},
    gateway::{MessageGateway, NoGateway},
    iam::uses::Uses,
    resource::log_query::Queries,
};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives 64 random bits.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The access key of the root user.
#[derive(Clone)]
pub struct RootKey {
    /// The id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

/// Without the secret: what is printed ends in logs.
impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a [`crate::Control`] needs to know.
#[derive(Clone)]
pub struct Config {
    /// What the engine must know of the fabric.
    pub fabric: FabricConfig,
    /// Where public addresses come from.
    pub public_pool: Ipv4Net,
    /// Where the IPv6 blocks of VPCs come from, a /56 each. By default out of the prefix for
    /// documentation (RFC 3849), which no network of the world routes.
    pub ipv6_pool: Ipv6Net,
    /// Whether AWS's default quotas are enforced (five VPCs, five Elastic IP addresses …).
    pub aws_quotas: bool,
    /// Whether flow logs are delivered as late as on AWS (FL-11, FL-14), and not at once.
    pub aws_timing: bool,
    /// Public addresses at which AWS answers, as flow logs name them (FL-38).
    pub aws_addresses: Vec<IpAddr>,
    /// Whether callers must have a key that is known here.
    pub strict_auth: bool,
    /// The key of the root user, if there is one that must be theirs.
    pub root_key: Option<RootKey>,
    /// The name of this machine, which instances are placed on.
    pub host: String,
    /// How long an answer waits for the data path to have taken the change over.
    pub acknowledge_within: Duration,
    /// How long a terminated instance is shown (EC2-3).
    pub show_terminated: Duration,
    /// How many instances are launched at once; others wait for their turn.
    pub launches_at_once: usize,
    /// How often reconcilers look, without being asked.
    pub reconcile_every: Duration,
    /// Where log data is.
    pub logs: Arc<LogStore>,
    /// The queries over log data that run or ran.
    pub queries: Arc<Queries>,
    /// The uses of access keys and roles that are not written down yet.
    pub uses: Arc<Uses>,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Where agents of Systems Manager are connected; by default nobody is.
    pub gateway: Arc<dyn MessageGateway>,
    /// Where flow logs and their templates are put; by default there are no buckets.
    pub buckets: Arc<dyn Buckets>,
}

impl Config {
    /// The usual values, on a fabric, with the machine's time and randomness, and log data in memory.
    pub fn new(fabric: FabricConfig) -> Self {
        Self {
            fabric,
            public_pool: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16),
            ipv6_pool: Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 33),
            aws_quotas: false,
            aws_timing: false,
            aws_addresses: Vec::new(),
            strict_auth: false,
            root_key: None,
            host: "localhost".to_owned(),
            acknowledge_within: Duration::from_millis(50),
            show_terminated: Duration::from_secs(3600),
            launches_at_once: 8,
            reconcile_every: Duration::from_secs(5),
            logs: Arc::new(LogStore::in_memory()),
            queries: Arc::default(),
            uses: Arc::default(),
            clock: Arc::new(|| {
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }),
            random: Arc::new(rand::random),
            gateway: Arc::new(NoGateway),
            buckets: Arc::new(NoBuckets),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("fabric", &self.fabric)
            .field("public_pool", &self.public_pool)
            .field("ipv6_pool", &self.ipv6_pool)
            .field("aws_quotas", &self.aws_quotas)
            .field("aws_timing", &self.aws_timing)
            .field("strict_auth", &self.strict_auth)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

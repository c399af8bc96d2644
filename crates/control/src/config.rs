//! What a control is told from outside: addresses of the fabric, time, randomness, limits.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use gureum_engine::FabricConfig;
use gureum_types::Timestamp;
use ipnet::{Ipv4Net, Ipv6Net};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives 64 random bits.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

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
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl Config {
    /// The usual values, on a fabric, with the machine's time and randomness.
    pub fn new(fabric: FabricConfig) -> Self {
        Self {
            fabric,
            public_pool: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16),
            ipv6_pool: Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 33),
            aws_quotas: false,
            host: "localhost".to_owned(),
            acknowledge_within: Duration::from_millis(50),
            show_terminated: Duration::from_secs(3600),
            launches_at_once: 8,
            reconcile_every: Duration::from_secs(5),
            clock: Arc::new(|| {
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }),
            random: Arc::new(rand::random),
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
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

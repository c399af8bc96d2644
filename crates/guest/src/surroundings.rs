//! What an agent finds around itself: who it is, by what right it calls, how it gets there.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{
    metadata,
    network::{Network as Way, NetworkError},
};

pub use crate::network::Network;
pub use gureum_session::signature::Credentials;

/// Credentials are asked for anew so long before they end, in seconds.
const RENEW_BEFORE: i64 = 300;

/// What is around an agent.
#[derive(Clone)]
pub struct Surroundings {
    way: Way,
    given: Option<Given>,
    role: Arc<Mutex<Option<(Credentials, jiff::Timestamp)>>>,
}

/// What a test says instead of the metadata service.
#[derive(Clone)]
pub struct Given {
    /// The instance.
    pub instance: String,
    /// The region.
    pub region: String,
    /// The credentials.
    pub credentials: Credentials,
}

impl Surroundings {
    /// Those of the instance that this program runs in.
    pub fn of_instance() -> Self {
        Self { way: Way::Instance, given: None, role: Arc::default() }
    }

    /// Those of a test.
    pub fn given(way: Way, given: Given) -> Self {
        Self { way, given: Some(given), role: Arc::default() }
    }

    pub(crate) fn network(&self) -> &Way {
        &self.way
    }

    pub(crate) async fn identity(&self) -> Result<(String, String), NetworkError> {
        match &self.given {
            Some(given) => Ok((given.instance.clone(), given.region.clone())),
            None => metadata::identity().await,
        }
    }

    pub(crate) async fn address(&self) -> Option<String> {
        match &self.given {
            Some(_) => None,
            None => metadata::address().await.ok(),
        }
    }

    /// Credentials that are good for some minutes at least, if the instance has a role.
    pub(crate) async fn credentials(&self) -> Result<Credentials, NetworkError> {
        if let Some(given) = &self.given {
            return Ok(given.credentials.clone());
        }
        let mut role = self.role.lock().await;
        if let Some((credentials, until)) = &*role
            && until.as_second() - jiff::Timestamp::now().as_second() > RENEW_BEFORE
        {
            return Ok(credentials.clone());
        }
        let found = metadata::credentials().await?;
        let credentials = found.0.clone();
        *role = Some(found);
        Ok(credentials)
    }

    /// Forgets credentials that were refused.
    pub(crate) async fn forget_credentials(&self) {
        *self.role.lock().await = None;
    }
}

//! Control's trait `MessageGateway`, done by the services.

use gureum_control::{MessageGateway, NotConnected};
use gureum_services::session;
use gureum_session::message::{AgentJob, StartSession};
use gureum_types::{
    InstanceId,
    session::{SessionId, SessionLimits},
};

/// The channels of agents and sessions that the daemon holds.
pub(crate) struct Channels(pub(crate) session::MessageGateway);

impl MessageGateway for Channels {
    fn is_connected(&self, instance: &InstanceId) -> bool {
        self.0.is_connected(instance)
    }

    fn start_session(
        &self,
        id: &SessionId,
        target: &InstanceId,
        content: &StartSession,
        limits: SessionLimits,
    ) -> Result<String, NotConnected> {
        self.0.start(id, target, content, limits).map_err(|_| NotConnected)
    }

    fn resume_session(&self, id: &SessionId) -> Option<String> {
        self.0.resume(id)
    }

    fn terminate_session(&self, id: &SessionId) {
        self.0.terminate(id);
    }

    fn send_job(&self, instance: &InstanceId, job: &AgentJob) -> Result<(), NotConnected> {
        self.0.send_job(instance, job).map_err(|_| NotConnected)
    }
}

//! What a call would make of the records. Its handler runs on a copy of them, which nobody else sees:
//! nothing is written, published or begun.

use std::sync::Arc;

use gureum_api::{ApiError, ApiRequest, Service};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, InstanceId,
    record::{Instance, InstanceState, Scope},
};

use crate::{
    call::Answer,
    config::Config,
    control::{Control, open},
    iam::authorize::Source,
    operation::{self, Wire, Work, Write},
    reconcile::{call_of_services, gateways},
    resource::{
        instance::{bury, lay_off},
        network_interface,
    },
};

/// How many steps a gateway or an endpoint may take until it stays as it is.
const STEPS: usize = 4;

/// What a call would do.
#[derive(Debug)]
pub struct Rehearsal {
    /// The records without it.
    pub before: Arc<Snapshot>,
    /// The records with it.
    pub after: Arc<Snapshot>,
    /// The account of who would make it.
    pub account: AccountId,
}

impl Control {
    /// Goes all the way of a call that changes something in EC2, on a copy of the records. The answer
    /// instead where it is refused, as it would be; and of a call that only reads, which is
    /// answered as ever.
    pub async fn rehearse(
        &self,
        request: &ApiRequest,
        source: &Source,
        request_id: &str,
    ) -> Result<Rehearsal, Wire> {
        match self.rehearsed(request, source, request_id).await {
            Ok(rehearsed) => rehearsed,
            Err(error) => Err(self.refusal(request, &error, request_id)),
        }
    }

    async fn rehearsed(
        &self,
        request: &ApiRequest,
        source: &Source,
        id: &str,
    ) -> Answer<Result<Rehearsal, Wire>> {
        let call = self.call(request, source)?;
        let service = request.operation.service();
        if service != Service::Ec2 {
            let message = format!(
                "Gureum previews calls of ec2 alone: send those of {} to its endpoint itself.",
                service.info().signing_name
            );
            return Err(ApiError::new("UnsupportedOperation", message));
        }
        let (account, config) = (call.scope.account.clone(), self.config().clone());
        let records = self.snapshot();
        let prepared = match operation::work(request, id)? {
            Work::Write(write) => Ok(write),
            Work::Prepare(prepare) => {
                let (caller, records) = (call.clone(), records.clone());
                let prepared = tokio::task::spawn_blocking(move || {
                    let ((), opened) = records.changed_by(|tx| open(&caller, tx));
                    prepare(&caller, &opened)
                });
                prepared.await.map_err(ApiError::internal_error)?
            }
            Work::Analyze(analyze) => {
                let (records, policy) = self.model().await;
                let caller = call.clone();
                let prepared =
                    tokio::task::spawn_blocking(move || analyze(&caller, &records, &policy));
                prepared.await.map_err(ApiError::internal_error)?
            }
            // What it would put into a bucket is nothing that packets ask about.
            Work::Upload(make) => make(&call, &records).and_then(|_| Err(ApiError::dry_run())),
            reads @ (Work::Read(_) | Work::Disk(_) | Work::Tail(_) | Work::Console(..)) => {
                let reply = self.perform(call, service, source, reads).await?;
                return Ok(Err(reply.beginning()));
            }
        };
        let write: Option<Write> = match prepared {
            Ok(write) => Some(write),
            // What is not even prepared for a dry run changes nothing that matters here.
            Err(error) if error.is_dry_run() => None,
            Err(error) => return Err(error),
        };
        let done = tokio::task::spawn_blocking(move || {
            let (done, after) = records.changed_by(|tx| {
                open(&call, tx);
                write.map(|write| write(&call, tx))
            });
            match done {
                Some(Err(error)) if !error.is_dry_run() => Err(error),
                _ => Ok(Rehearsal {
                    before: arrived(&config, &records),
                    after: arrived(&config, &after),
                    account,
                }),
            }
        });
        done.await.map_err(ApiError::internal_error)?.map(Ok)
    }

    /// The records as they will be when everything that is on its way in them has arrived.
    pub fn arrived(&self, records: &Snapshot) -> Arc<Snapshot> {
        arrived(self.config(), records)
    }
}

/// What reconcilers would bring about by and by: instances that start run, those that are told to
/// stop have stopped, interfaces are plugged, gateways and endpoints available or gone.
fn arrived(config: &Arc<Config>, records: &Snapshot) -> Arc<Snapshot> {
    let ((), arrived) = records.changed_by(|tx| {
        let instances: Vec<(Scope, InstanceId, InstanceState)> = tx
            .everywhere::<Instance>()
            .filter_map(|(key, it)| Some((key.scope.clone()?, it.id.clone(), it.state)))
            .collect();
        for (scope, id, state) in instances {
            arrive(config, tx, (&scope, &id), state);
        }
        for _ in 0..STEPS {
            if gateways::are_settled(tx) {
                break;
            }
            gateways::settle(config, tx);
        }
    });
    Arc::new(arrived)
}

fn arrive(
    config: &Arc<Config>,
    tx: &mut Transaction,
    (scope, id): (&Scope, &InstanceId),
    state: InstanceState,
) {
    let call = call_of_services(config, scope);
    match state {
        InstanceState::Pending => {
            tx.update::<Instance>(scope, id.as_str(), |it| it.state = InstanceState::Running);
            network_interface::settle(scope, tx, id, None, call.now);
        }
        InstanceState::Running => network_interface::settle(scope, tx, id, None, call.now),
        InstanceState::Stopping => lay_off(&call, tx, id),
        InstanceState::ShuttingDown => bury(&call, tx, id),
        InstanceState::Stopped | InstanceState::Terminated => {}
    }
}

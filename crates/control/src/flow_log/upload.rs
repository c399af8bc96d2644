//! Delivery to a bucket, as files (FL-14, FL-15).

use gureum_types::record::FlowLogDelivery;

use super::{
    file,
    job::{Failure, Job, ToldOf},
    line::Format,
};
use crate::{
    flow_windows::{LOG_DELIVERY, PutError},
    iam::{
        authorize::Source,
        visitor::{Visit, Visitor},
    },
};

impl Job<'_> {
    /// Puts files of records. To be called where waiting is allowed.
    pub(super) fn to_bucket(&self, arn: &str, told: &[ToldOf<'_>]) -> Result<(), Failure> {
        let (format, services) = (Format::of(&self.log.format), self.services());
        let names = format.names();
        let (scope, log, part) = (self.scope, &self.log.id, self.part);
        let batch = file::Batch { scope, log, start: self.span.0, part };
        let mut files = file::Files::new(batch, &self.log.destination, &names);
        let (bucket, _) = file::bucket_and_prefix(arn);
        let put = |object: file::Object| {
            let file::Object { key, body } = object;
            let (visit, source) = (
                Visit::Service(LOG_DELIVERY, scope),
                Source { is_secure: true, ..Source::default() },
            );
            let visitor =
                Visitor::of(&self.store.snapshot(), visit, &scope.region, source, self.config)
                    .map_err(|refusal| self.unknown(format!("{refusal:?}")))?;
            let put = self.config.buckets.put(visitor, bucket, &key, file::CONTENT_TYPE, body);
            self.runtime.block_on(put).map_err(|error| match error {
                PutError::NoSuchBucket | PutError::AccessDenied => {
                    tracing::debug!(flow_log = %log, %error, "a flow log may not deliver");
                    Failure::Destination(FlowLogDelivery::AccessError)
                }
                PutError::Failed(_) => self.unknown(error),
            })
        };
        let mut line = String::new();
        for (facts, told) in told {
            for told in told {
                line.clear();
                format.write(&mut line, &services, facts, told);
                let full = files.add(&line).map_err(|error| self.unknown(error))?;
                full.map_or(Ok(()), put)?;
            }
        }
        let last = files.end().map_err(|error| self.unknown(error))?;
        last.map_or(Ok(()), put)
    }
}

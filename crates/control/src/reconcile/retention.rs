//! Log data that nobody sees any more: older than its group keeps it, or of a group or stream that
//! is no more.

use std::{cell::OnceCell, collections::HashMap};

use gureum_logs::Keep;
use gureum_types::record::{LogGroup, LogStream};

use super::Reconciler;
use crate::resource::log_event::kept_since;

impl Reconciler {
    /// Deletes it, on a thread of its own.
    pub(super) fn sweep_logs(&self) -> tokio::task::JoinHandle<()> {
        let (records, logs) = (self.store.clone(), self.config.logs.clone());
        let now = (self.config.clock)().0;
        tokio::task::spawn_blocking(move || {
            // Read when the first stream is asked for, so that none of the streams that have data
            // by then is unknown.
            let known: OnceCell<HashMap<(u64, u64), Keep>> = OnceCell::new();
            let read = || {
                let records = records.snapshot();
                let keep = records.everywhere::<LogStream>().filter_map(|(key, stream)| {
                    let group = records.find::<LogGroup>(key.scope.as_ref()?, &stream.group)?;
                    let keep = kept_since(group, now).map_or(Keep::All, Keep::Since);
                    Some(((stream.group_data, stream.data), keep))
                });
                keep.collect()
            };
            let swept = logs.sweep(|group, stream| {
                known.get_or_init(read).get(&(group, stream)).copied().unwrap_or(Keep::Nothing)
            });
            if let Err(error) = swept {
                tracing::error!(%error, "old log data could not be deleted");
            }
        })
    }
}

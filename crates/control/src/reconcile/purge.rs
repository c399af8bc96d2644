//! What is shown or remembered for a while only: terminated instances (EC2-3), client tokens.

use gureum_types::record::{ClientToken, Instance, InstanceState};

use super::Reconciler;
use crate::resource::idempotency::REMEMBERED_MS;

impl Reconciler {
    pub(super) fn purge(&self) {
        let now = (self.config.clock)().0;
        let shown = i64::try_from(self.config.show_terminated.as_millis()).unwrap_or(i64::MAX);
        let records = self.store.snapshot();
        let old_instances: Vec<_> = records
            .everywhere::<Instance>()
            .filter(|(_, it)| it.state == InstanceState::Terminated)
            .filter(|(_, it)| now.saturating_sub(it.state_changed.0) >= shown)
            .map(|(key, _)| key.clone())
            .collect();
        let old_tokens: Vec<_> = records
            .everywhere::<ClientToken>()
            .filter(|(_, it)| now.saturating_sub(it.created.0) >= REMEMBERED_MS)
            .map(|(key, _)| key.clone())
            .collect();
        if old_instances.is_empty() && old_tokens.is_empty() {
            return;
        }
        self.change(|tx| {
            for key in &old_instances {
                if let Some(scope) = &key.scope {
                    tx.remove::<Instance>(scope, &key.id);
                }
            }
            for key in &old_tokens {
                if let Some(scope) = &key.scope {
                    tx.remove::<ClientToken>(scope, &key.id);
                }
            }
            Ok(())
        });
    }
}

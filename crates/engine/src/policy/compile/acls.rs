//! Network ACLs, each compiled when it changes.

use std::sync::Arc;

use gureum_types::record;

use super::{Changes, lists::Map, vpcs::Vpcs};
use crate::policy::{
    acl::Acl,
    components::{Numbers, Segment},
};

/// All network ACLs.
#[derive(Clone, Debug, Default)]
pub(super) struct Acls {
    /// What was made, by where the record is in memory.
    made: Map<usize, Arc<Made>>,
    /// By place in the records.
    pub(super) list: Arc<Vec<Arc<Acl>>>,
    /// The default list of each VPC (NACL-6).
    default: Map<usize, usize>,
}

#[derive(Clone, Debug)]
struct Made {
    /// Held, so that nothing else comes to be where it is.
    _record: Arc<record::NetworkAcl>,
    acl: Arc<Acl>,
    segment: Segment,
}

impl Acls {
    /// Whether anything changed.
    pub(super) fn update(
        &mut self,
        changes: &Changes<'_>,
        vpcs: &Vpcs,
        numbers: &mut Numbers,
    ) -> bool {
        let network = changes.after;
        if !changes.differs.network_acls && !changes.differs.vpcs {
            return false;
        }
        let before = std::mem::take(&mut self.made);
        let mut list = Vec::with_capacity(network.network_acls.len());
        self.default.clear();
        for (place, record) in network.network_acls.iter().enumerate() {
            let key = Arc::as_ptr(record).addr();
            let made = before.get(&key).cloned().unwrap_or_else(|| {
                let mut components = Vec::new();
                let acl = Acl::compile(record, &mut components, |place| numbers.index(place));
                let segment = numbers.segment(components);
                Arc::new(Made { _record: record.clone(), acl: Arc::new(acl), segment })
            });
            list.push(made.acl.clone());
            self.made.insert(key, made);
            if let Some(vpc) = vpcs.place(&record.vpc_id).filter(|_| record.is_default) {
                self.default.insert(vpc, place);
            }
        }
        self.list = Arc::new(list);
        true
    }

    pub(super) fn default_of(&self, vpc: usize) -> Option<usize> {
        self.default.get(&vpc).copied()
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.made.values().map(|made| &made.segment)
    }
}

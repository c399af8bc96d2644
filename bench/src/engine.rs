//! The engine alone, in this process: what packets, changes of the records and flows cost.

use gureum_engine::testing::cost::{change, flows, packet};

use crate::report::{Report, Target};

/// Flows come first: they are measured by what this process takes of the machine's memory.
pub(crate) fn measure(report: &mut Report) {
    for figure in flows().into_iter().chain(change()).chain(packet()) {
        let target = figure.limit.map_or(Target::Measured, Target::AtMost);
        report.add(&figure.name, figure.value, figure.unit, target);
    }
}

//! Planned networks: what `terraform show -json` says of a plan, as the document that describe calls
//! would answer after `apply`, with ids made up.
//!
//! Attributes that are known after `apply` only are evaluated from the `.tf` files that the plan was made of.
//! Where those are not at hand, references are followed through the configuration that is in the plan, which
//! says what an expression refers to and nothing else. What neither tells is unknown, because, and never
//! guessed: what depends on it is left out, and told.

mod build;
mod configuration;
mod convert;
mod evaluate;
mod finish;
mod functions;
mod hosts;
mod references;
mod refs;
mod rules;
mod tree;
mod val;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod written_tests;

use std::collections::BTreeMap;

use serde_json::Value;

use build::Build;
pub use configuration::{Configuration, ModuleFiles};
use tree::Plan;

/// Types of resources that decide about packets, or stand where packets go, and are not made.
const LOUD: &[&str] = &[
    "aws_alb",
    "aws_autoscaling_group",
    "aws_customer_gateway",
    "aws_db_instance",
    "aws_dx_",
    "aws_ec2_carrier_gateway",
    "aws_ec2_client_vpn",
    "aws_ec2_fleet",
    "aws_ec2_local_gateway",
    "aws_ec2_transit_gateway",
    "aws_ecs_service",
    "aws_eks_",
    "aws_elasticache_",
    "aws_elb",
    "aws_lambda_function",
    "aws_lb",
    "aws_msk_",
    "aws_networkfirewall_",
    "aws_networkmanager_",
    "aws_rds_",
    "aws_redshift_",
    "aws_route53_resolver_",
    "aws_spot_instance_request",
    "aws_vpc_block_public_access",
    "aws_vpclattice_",
    "aws_vpn_",
];

/// What is not known before `apply`, and so not in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What, and why nobody knows: a sentence.
    pub because: String,
    /// Whose packets it may decide about.
    pub affects: Affects,
}

/// Whose packets something unknown may decide about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affects {
    /// Those of a host that is not in the document; by its address in Terraform, id and Name tag.
    Host(Vec<String>),
    /// Those of whoever is in a security group.
    Group(String),
    /// All of them.
    Network,
}

/// A plan as a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    /// The answers of describe calls.
    pub document: Value,
    /// Resources that decide about packets and are not made: a sentence each.
    pub unsupported: Vec<String>,
    /// What is not known before `apply`.
    pub unknown: Vec<Unknown>,
    /// Types of other resources that are not read, with their number.
    pub others: BTreeMap<String, usize>,
}

/// Reads a plan, with the files that it was made of.
///
/// # Errors
/// Where it is no plan.
pub fn read(plan: &Value, written: Option<&Configuration>) -> Result<Planned, String> {
    let plan = Plan::read(plan, written)?;
    let mut build = Build::new(&plan);
    build.network();
    build.hosts();
    build.rules();
    let mut planned = build.finish();
    for it in &plan.resources {
        if build::KNOWN.contains(&it.kind.as_str()) {
            continue;
        }
        match LOUD.iter().any(|loud| it.kind.starts_with(loud)) {
            true => planned.unsupported.push(format!(
                "{}: nothing here is like it, and it may decide about packets",
                it.address
            )),
            false => *planned.others.entry(it.kind.clone()).or_default() += 1,
        }
    }
    Ok(planned)
}

//! The AWS protocols: requests in, typed values, responses out. Pure: no I/O, no clock, no state.
//!
//! [`route`] tells operation and caller of an HTTP request, [`Signature::verify`] whether it is them,
//! [`ApiRequest::decode`] reads its
//! parameters as a generated shape ([`ec2`], [`ec2_instance_connect`], [`iam`], [`logs`], [`ssm`], [`sts`]), [`response`] writes the
//! answer and [`ApiError`] the refusal. [`shape`] is what lets one codec a protocol serve all.

#![forbid(unsafe_code)]

mod credential;
mod error;
pub mod event_stream;
mod form;
#[rustfmt::skip]
mod generated;
mod json;
mod keep;
pub mod printed;
mod problem;
mod query;
mod response;
mod route;
mod scalar;
mod service;
pub mod shape;
mod signature;
mod xml;

pub use credential::CallerScope;
pub use error::{ApiError, Resource};
pub use generated::{ec2, ec2_instance_connect, iam, logs, ssm, sts};
pub use gureum_types::Timestamp;
pub use keep::{fill, keep};
pub use response::{Elements, response, response_with};
pub use route::{ApiRequest, Refused, route};
pub use service::{Op, Operation, Protocol, Service, ServiceInfo};
pub use signature::{ChunkSigner, Signature, Unproven};

//! The AWS protocols: requests in, typed values, responses out.
//!
//! [`service`] says which services and operations there are, the generated modules [`ec2`],
//! [`iam`], [`ssm`] and [`sts`] hold their shapes.

#![forbid(unsafe_code)]

pub mod error;
#[rustfmt::skip]
mod generated;
pub mod service;
pub mod shape;

pub use error::{ApiError, Resource};
pub use generated::{ec2, iam, ssm, sts};
pub use gureum_types::Timestamp;
pub use service::{Op, Operation, Protocol, Service, ServiceInfo};

//! The words of Gureum: ids, addresses, records, tags and time. Serde only, no I/O.
//!
//! Every other room speaks in these types. Records are what the store keeps; [`record::Network`]
//! is the part of them that decides about packets; [`host`] is what Linux is asked to do;
//! [`session`] is what happens at the message gateway; [`view`] is what the services inside a VPC need to know about their callers;
//! [`window`] is what flow logs are written from.

#![forbid(unsafe_code)]

pub mod endpoint;
pub mod host;
pub mod ids;
pub mod net;
pub mod place;
pub mod record;
pub mod session;
pub mod tags;
pub mod time;
pub mod view;
pub mod window;

pub use endpoint::{
    ADDRESSES_PER_BLOCK, ENDPOINT_SERVICES, EndpointOrigin, EndpointService, GatewayService, Origin,
};
pub use ids::*;
pub use net::*;
pub use place::*;
pub use tags::Tags;
pub use time::Timestamp;
pub use window::{TrafficDirection, TrafficPath, TrafficVerdict, Window, WindowEntry};

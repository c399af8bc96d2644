//! What the API operations do: handlers, reconcilers, and the way from records to a policy.
//!
//! A request is decoded, checked, and answered from one snapshot of the store or by one
//! transaction ([`Control::handle`]). A change that decides about packets is compiled and given
//! to the data path before the answer goes out. What instances shall be and what they are is
//! brought together by reconcilers ([`Control::run`]), which may start from any state. Linux is
//! reached through the trait [`Linux`] only, agents of Systems Manager through [`MessageGateway`].

#![forbid(unsafe_code)]

mod accept;
mod agent;
mod allocate;
mod call;
mod catalogue;
mod compile;
mod config;
mod control;
mod credential;
mod directory;
mod filter;
mod flow_log;
mod flow_windows;
mod gateway;
mod iam;
mod insights;
mod key;
mod linux;
mod lookup;
mod operation;
mod page;
mod publish;
mod query;
mod reconcile;
mod recording;
mod records_only;
mod registration;
mod rehearse;
mod resource;
mod restore;
mod tags;
mod twin;
mod view;

pub use agent::Obstacle;
pub use compile::compile;
pub use config::{Clock, Config, Random, RootKey};
pub use control::{Control, Found, Reply};
pub use directory::{Directory, Named};
pub use flow_windows::{Buckets, FlowWindows, NoBuckets, PutError};
pub use gateway::{MessageGateway, NoGateway, NotConnected};
pub use iam::{
    authenticate::Refusal,
    authorize::{Source, SourceEndpoint},
    visitor::{Visit, Visited, Visitor},
};
pub use linux::{BoxFuture, Linux, LinuxError};
pub use lookup::Shown;
pub use operation::{Parameters, Treatment, markdown, parameters, reference};
pub use recording::{Asked, RecordingLinux};
pub use records_only::RecordsOnly;
pub use rehearse::Rehearsal;
pub use resource::live_tail::LiveTail;
pub use twin::{ImportOptions, Imported, Refused, plan};

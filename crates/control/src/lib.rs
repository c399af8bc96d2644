//! What the API operations do: handlers, reconcilers, and the way from records to a policy.
//!
//! A request is decoded, checked, and answered from one snapshot of the store or by one
//! transaction ([`Control::handle`]). A change that decides about packets is compiled and given
//! to the data path before the answer goes out. What instances shall be and what they are is
//! brought together by reconcilers ([`Control::run`]), which may start from any state. Linux is
//! reached through the trait [`Linux`] only.

#![forbid(unsafe_code)]

mod accept;
mod allocate;
mod call;
mod catalogue;
mod compile;
mod config;
mod control;
mod filter;
mod key;
mod linux;
mod lookup;
mod operation;
mod page;
mod publish;
mod reconcile;
mod recording;
mod records_only;
mod resource;
mod tags;
mod view;

pub use compile::compile;
pub use config::{Clock, Config, Random};
pub use control::{Control, Found};
pub use linux::{BoxFuture, Linux, LinuxError};
pub use lookup::Shown;
pub use recording::{Asked, RecordingLinux};
pub use records_only::RecordsOnly;

//! Who calls, and what they may do: principals, IAM's policy language, the decision.
//!
//! [`policy`] reads documents, [`evaluate`] decides by them, and both are pure. What a request asks
//! for, and of which resources, is found out in [`authorize`]; of S3 it is told from outside
//! ([`visitor`]).

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod caller;
pub(crate) mod condition;
pub(crate) mod evaluate;
pub(crate) mod identity;
mod pattern;
pub(crate) mod policy;
pub(crate) mod resource;
pub(crate) mod simulation;
pub(crate) mod uses;
pub(crate) mod visitor;

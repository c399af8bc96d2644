//! The instance metadata service at 169.254.169.254, versions 1 and 2 (IMDS-1 to IMDS-33).
//!
//! Who asks is told by the peer's address, what the answer is by the view: `tree` builds the
//! paths of one instance, `token` makes and checks session tokens, `server` speaks HTTP. Not
//! offered: the IPv6 address, signatures in PKCS#7.

mod document;
mod server;
mod token;
mod tree;

pub use server::{Imds, serve};

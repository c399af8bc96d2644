//! Shapes and operations of the services, one module each, written by `cargo xtask codegen`.

pub mod ec2;
pub mod iam;
pub mod ssm;
pub mod sts;

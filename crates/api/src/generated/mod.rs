//! Shapes and operations of the services, one module each, written by `cargo xtask codegen`.

pub mod ec2;
pub mod ec2_instance_connect;
pub mod iam;
pub mod logs;
pub mod ssm;
pub mod sts;

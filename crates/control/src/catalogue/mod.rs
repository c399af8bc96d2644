//! What AWS offers ready-made and we list as data: machine images, instance types, managed policies.

mod document;
mod image;
mod instance_type;
mod managed_policy;

pub(crate) use document::{CREATED, DOCUMENTS, Document, RUN_SHELL, document};
pub(crate) use image::{
    IMAGES, Image, ROOT_GIB, bootable, image_id, image_with_id, public_parameters,
};
pub(crate) use instance_type::{
    INSTANCE_TYPES, InstanceType, instance_type, instance_types_in, known_or_small,
};
pub(crate) use managed_policy::{AwsManagedPolicy, aws_managed_policies, aws_managed_policy};

#[cfg(test)]
pub(crate) use image::newest;

//! What AWS offers ready-made and we list as data: machine images and instance types.

mod image;
mod instance_type;

pub(crate) use image::{IMAGES, Image, ROOT_GIB, image_id, image_with_id, public_parameters};
pub(crate) use instance_type::{INSTANCE_TYPES, InstanceType, instance_type, instance_types_in};

#[cfg(test)]
pub(crate) use image::newest;

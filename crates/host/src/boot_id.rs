//! Which boot of the machine this is: what was written down in another one tells of processes,
//! links and times that are no more.

use std::{fs, io};

/// The kernel's own name of this boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

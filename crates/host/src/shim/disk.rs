//! The disk of an instance: a sparse ext4 file, loop-mounted, whose size bounds what is written.
//!
//! Project quotas would do without the loop device but need a file system mounted for them, which
//! few machines have; a plain folder bounds nothing; and an overlay's upper layer must not lie on
//! another overlay, which a data directory in a container does. An image of its own works the
//! same everywhere. It costs 0.2 MB and 9 ms when made, writes no inode tables until they
//! are used, and gives freed blocks back. The loop device goes with its last mount.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::Path,
    process::{Command, Stdio},
};

use nix::mount::{MsFlags, mount};

use crate::error::{Context, HostError, Result};

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// Smaller than this no file system is made.
const SMALLEST: u64 = 64 << 20;

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// Makes an empty disk of that size. A file that is there is left alone.
pub(crate) fn make(path: &Path, bytes: u64) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let new = path.with_extension("new");
    let what = || format!("make the disk {}", path.display());
    let file = File::create(&new).context(what)?;
    file.set_len(bytes.max(SMALLEST)).context(what)?;
    drop(file);
    let output = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-O", "^resize_inode", "-J", "size=4"])
        .args(["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"])
        .arg(&new)
        .stdin(Stdio::null())
        .output()
        .context(|| "run mkfs.ext4 (install e2fsprogs)")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(HostError::Failed(format!("mkfs.ext4: {}", message.trim())));
    }
    // The name says that all of it is there, also after a power cut.
    File::open(&new).and_then(|file| file.sync_all()).context(what)?;
    std::fs::rename(&new, path).context(what)
}

/// Mounts a disk in the calling process's mount namespace.
pub(super) fn attach(disk: &Path, target: &Path) -> Result<()> {
    let device = loop_device(disk).context(|| {
        format!("give {} a loop device (is the module `loop` there?)", disk.display())
    })?;
    let options = "discard,noinit_itable,errors=remount-ro";
    mount(Some(&*device.0), target, Some("ext4"), MsFlags::MS_NOATIME, Some(options))
        .context(|| format!("mount {}", disk.display()))
}

/// A free loop device with the file behind it. It is released when it is closed and not mounted.
fn loop_device(disk: &Path) -> io::Result<(std::path::PathBuf, File)> {
    let file = OpenOptions::new().read(true).write(true).open(disk)?;
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    // Others look for a free device at the same time; whoever configures it first has it.
    for _ in 0..64 {
        // SAFETY: takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let path = std::path::PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(true).open(&path)?;
        match configure(&device, &file, LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO) {
            Ok(()) => return Ok((path, device)),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            // Not every file system can bypass the page cache.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                configure(&device, &file, LO_FLAGS_AUTOCLEAR)?;
                return Ok((path, device));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

fn configure(device: &File, file: &File, flags: u32) -> io::Result<()> {
    // SAFETY: all zeros is a valid loop_config.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd().cast_unsigned();
    config.info.flags = flags;
    // SAFETY: `config` is a loop_config and outlives the call.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

//! The console of an instance: a terminal whose output goes to two files of bounded size.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt},
};

use super::config::CONSOLE;

/// At this size the newest file becomes the older one. EC2 itself keeps 64 kB.
const ROTATE: u64 = 128 << 10;

/// After this many reads in a row the console is flooded, and its reader pauses.
const FLOOD: u32 = 16;
const PAUSE: Duration = Duration::from_millis(10);

/// The near end of the console.
#[derive(Debug)]
pub(super) struct Console {
    master: PtyMaster,
    /// Where the guest's end is.
    pub(super) slave: PathBuf,
    /// Held open, so that the terminal outlives whoever closes it inside.
    _keep: OwnedFd,
    log: PathBuf,
    file: File,
    length: u64,
}

impl Console {
    /// A new terminal for the guest whose root is `base` here.
    pub(super) fn open(folder: &Path, base: u32) -> io::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = PathBuf::from(ptsname_r(&master)?);
        std::os::unix::fs::chown(&slave, Some(base), Some(base + 5))?;
        let keep = nix::fcntl::open(
            &slave,
            OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        )?;
        let log = folder.join(CONSOLE);
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let length = file.metadata()?.len();
        Ok(Self { master, slave, _keep: keep, log, file, length })
    }

    /// Writes down what the guest has put out. A full disk loses output, not the guest.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0; 4096];
        for turn in 0.. {
            if turn == FLOOD {
                // The shim has no processor limit of its own; the guest's writes wait meanwhile.
                std::thread::sleep(PAUSE);
                return;
            }
            let Ok(count @ 1..) = self.master.read(&mut buffer) else { return };
            if self.length >= ROTATE && self.rotate().is_ok() {
                self.length = 0;
            }
            if self.length < 2 * ROTATE && self.file.write_all(&buffer[..count]).is_ok() {
                self.length += count as u64;
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.log, older(&self.log))?;
        self.file = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Ok(())
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn older(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

/// What a console has put out, the oldest first.
pub(crate) fn output(folder: &Path) -> io::Result<Vec<u8>> {
    let log = folder.join(CONSOLE);
    let read = |path: &Path| match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    };
    Ok([read(&older(&log))?, read(&log)?].concat())
}

//! A part of a file as memory, shared with whoever has the file: what is written is in the page
//! cache at once, whatever becomes of this process.

use std::{fs::File, io, num::NonZeroUsize, ptr::NonNull, slice};

use nix::{
    fcntl::{FallocateFlags, fallocate},
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
};

/// Gives a file real blocks for its first bytes: writing to a mapped hole on a full disk would kill
/// the process.
pub(super) fn reserve(file: &File, bytes: usize) -> io::Result<()> {
    let size = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        // File systems without it have other ways to be full, seldom met.
        Err(nix::errno::Errno::EOPNOTSUPP) => file.set_len(size.unsigned_abs()),
        other => Ok(other?),
    }
}

/// A shared, writable mapping of a part of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: the mapping is memory of the process, reached only through this value.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps a part that the file has blocks for. `at` is a multiple of the page size.
    pub(super) fn new(file: &File, at: usize, length: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let at = i64::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; the file has blocks for
        // all of it and is never made shorter while mapped.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, at) }?;
        Ok(Self { start: start.cast(), length })
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has that length, lives as long as `self`, and is borrowed once.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length.get()) }
    }

    /// The mapping as values of a type; what is left over at the end is left out.
    pub(super) fn values<T: Plain>(&mut self) -> &mut [T] {
        let count = self.length.get() / size_of::<T>().max(1);
        debug_assert!(self.start.cast::<T>().is_aligned());
        // SAFETY: mappings begin at pages, so they are aligned for any `Plain` type; there are bytes
        // for so many of them, and any bytes are one.
        unsafe { slice::from_raw_parts_mut(self.start.cast::<T>().as_ptr(), count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is this value's own mapping, and no borrow of it is left.
        let outcome = unsafe { munmap(self.start.cast(), self.length.get()) };
        debug_assert!(outcome.is_ok());
    }
}

/// Types that any bytes are a value of, and that need no greater alignment than a page.
///
/// # Safety
/// All fields are integers and there is no padding between them.
pub(super) unsafe trait Plain: Copy {}

/// A value of a type from its bytes; what follows them is left out.
pub(super) fn value<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: there are bytes for one, and any bytes are one; they need not be aligned.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

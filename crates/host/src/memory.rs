//! Memory that the allocator keeps for later and nobody wants.

/// Gives memory that is not used any more back to the kernel. It takes a few milliseconds, in which
/// other threads may wait for memory.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only touches what the allocator has, under the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
    }
}

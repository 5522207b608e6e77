//! Memory from the operating system.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::size_class::SMALLEST;

/// From this size on blocks start on a huge page's boundary and ask for huge pages.
pub const HUGE_FROM: usize = 4 << 20;
/// The size of a huge page, in bytes.
pub const HUGE_PAGE: usize = 2 << 20;

/// Allocates `bytes` (more than 0; a multiple of 64 where pages are mapped), zeroed if wanted. None if the system
/// refuses.
pub fn allocate(bytes: usize, zeroed: bool) -> Option<NonNull<u8>> {
    #[cfg(all(unix, not(miri), not(exact_memory)))]
    if bytes >= HUGE_FROM {
        return map(bytes);
    }
    let layout = layout(bytes)?;
    // SAFETY: the layout's size is not zero.
    NonNull::new(unsafe { if zeroed { std::alloc::alloc_zeroed(layout) } else { std::alloc::alloc(layout) } })
}

/// Gives back what [`allocate`] returned.
///
/// # Safety
/// `address` comes from `allocate(bytes, _)` and is used no more.
pub unsafe fn release(address: NonNull<u8>, bytes: usize) {
    #[cfg(all(unix, not(miri), not(exact_memory)))]
    if bytes >= HUGE_FROM {
        // SAFETY: `map` left exactly these pages mapped.
        unsafe { libc::munmap(address.as_ptr().cast(), bytes) };
        return;
    }
    if let Some(layout) = layout(bytes) {
        // SAFETY: the layout is the one of the allocation.
        unsafe { std::alloc::dealloc(address.as_ptr(), layout) };
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    let align = if bytes >= HUGE_FROM { HUGE_PAGE } else { SMALLEST };
    Layout::from_size_align(bytes, align).ok()
}

/// Fresh pages (which are zero), on a huge page's boundary.
#[cfg(all(unix, not(miri), not(exact_memory)))]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    let mapped = bytes.checked_add(HUGE_PAGE)?;
    // SAFETY: a new private mapping touches no other memory.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            mapped,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start: *mut u8 = start.cast();
    let before = start.addr().next_multiple_of(HUGE_PAGE) - start.addr();
    // SAFETY: the aligned block of `bytes` and both remainders lie inside the mapping; the remainders are
    // whole pages, since sizes from HUGE_FROM on are, and nobody has seen them.
    unsafe {
        let aligned = start.add(before);
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        if HUGE_PAGE > before {
            libc::munmap(aligned.add(bytes).cast(), HUGE_PAGE - before);
        }
        // Advice only: without huge pages it is slower, not wrong.
        #[cfg(target_os = "linux")]
        libc::madvise(aligned.cast(), bytes, libc::MADV_HUGEPAGE);
        NonNull::new(aligned)
    }
}

//! Addresses of the rows of a left operand.

/// The same pointer, of which the compiler no longer knows where it came from.
///
/// Else it sees that rows are one stride apart, computes each address from the one before and, to
/// do that once for several `k`, keeps so many factors ready that sums are moved to the stack.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "the pointer is not followed")]
fn opaque(mut ptr: *const u8) -> *const u8 {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {} */", inout(reg) ptr, options(pure, nomem, nostack, preserves_flags));
    }
    ptr
}

/// Rows of `A` any stride apart: a pointer to every third, from which scaled indices reach the next
/// two, so that 14 rows take 6 registers.
#[derive(Clone, Copy)]
pub(super) struct RowPointers {
    thirds: [*const u8; 5],
    row_bytes: isize,
}

impl RowPointers {
    #[inline(always)]
    pub fn new<const ROWS: usize>(a: *const u8, row_bytes: isize) -> Self {
        let mut thirds = [a; 5];
        for (i, third) in thirds.iter_mut().enumerate().take(ROWS.div_ceil(3)) {
            *third = opaque(a.wrapping_offset(3 * i as isize * row_bytes));
        }
        Self { thirds, row_bytes }
    }

    #[inline(always)]
    pub fn at(&self, third: usize, next: usize) -> *const u8 {
        self.thirds[third].wrapping_offset(next as isize * self.row_bytes)
    }

    #[inline(always)]
    pub fn advance<const ROWS: usize>(&mut self, bytes: isize) {
        for third in self.thirds.iter_mut().take(ROWS.div_ceil(3)) {
            *third = opaque(third.wrapping_offset(bytes));
        }
    }
}

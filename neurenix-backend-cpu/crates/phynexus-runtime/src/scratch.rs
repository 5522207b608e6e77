//! Memory lent to a thread for the length of a call, and kept by the thread for the next one.

use std::cell::RefCell;

use crate::memory::{Block, OutOfMemory};

thread_local! {
    /// The blocks not lent at the moment. The one that the outermost call uses is on top when none is
    /// running.
    static FREE: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the address of at least `bytes` bytes of this thread's scratch memory.
///
/// Aligned like a [`Block`]; the contents are undefined, and lost when `f` returns. Calls nest: each depth
/// has memory of its own, which only grows, so that a kernel called again allocates nothing. [`release`]
/// gives it back.
///
/// # Errors
/// If the scratch has to grow and there is no memory for it; `f` is not called then.
pub fn with_scratch<R>(bytes: usize, f: impl FnOnce(*mut u8) -> R) -> Result<R, OutOfMemory> {
    let lent = Lent::of(bytes)?;
    Ok(f(lent.block().as_ptr()))
}

/// Gives this thread's scratch memory back, except what calls under way use.
pub fn release() {
    let blocks = FREE.try_with(RefCell::take);
    drop(blocks);
}

/// A block that goes back to the thread's stack at the end, also if `f` panics.
struct Lent(Option<Block>);

impl Lent {
    fn of(bytes: usize) -> Result<Self, OutOfMemory> {
        // While the thread ends its storage may be gone already: then each call allocates.
        let kept = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        match kept {
            Some(block) if block.capacity() >= bytes && !cfg!(exact_memory) => Ok(Self(Some(block))),
            too_small => {
                // Before the larger one is taken: the two need not exist together.
                drop(too_small);
                Ok(Self(Some(Block::new(bytes)?)))
            }
        }
    }

    fn block(&self) -> &Block {
        self.0.as_ref().expect("taken only by drop")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let block = self.0.take();
        // If the storage is gone, the closure is dropped unused, and the block with it.
        let _ = FREE.try_with(|free| free.borrow_mut().extend(block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::ALIGNMENT;

    #[test]
    fn the_same_memory_comes_again() {
        let first = with_scratch(1000, |pointer| pointer.addr()).unwrap();
        let second = with_scratch(900, |pointer| pointer.addr()).unwrap();
        assert_eq!(first, second);
        assert_eq!(first % ALIGNMENT, 0);
    }

    #[test]
    fn nested_calls_have_memory_of_their_own() {
        let both = || {
            with_scratch(256, |outer| {
                // SAFETY: 256 bytes are ours.
                unsafe { outer.write_bytes(1, 256) };
                let inner = with_scratch(512, |inner| {
                    // SAFETY: 512 bytes are ours.
                    unsafe { inner.write_bytes(2, 512) };
                    inner.addr()
                })
                .unwrap();
                // SAFETY: written above.
                let bytes = unsafe { std::slice::from_raw_parts(outer, 256) };
                assert!(bytes.iter().all(|&byte| byte == 1));
                (outer.addr(), inner)
            })
            .unwrap()
        };
        assert_eq!(both(), both());
    }

    #[test]
    fn a_panic_returns_the_memory() {
        let before = with_scratch(64, |pointer| pointer.addr()).unwrap();
        let panicked =
            std::panic::catch_unwind(|| with_scratch(64, |_| std::panic::resume_unwind(Box::new(()))));
        assert!(panicked.is_err());
        assert_eq!(with_scratch(64, |pointer| pointer.addr()).unwrap(), before);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        assert_eq!(with_scratch(usize::MAX, |_| ()).unwrap_err().requested, usize::MAX);
    }

    #[test]
    fn no_bytes_are_fine() {
        assert!(with_scratch(0, |pointer| pointer.is_null()).is_ok_and(|is_null| !is_null));
    }
}

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{ALIGNMENT, Block};
use super::*;

/// The cache is the process's: tests that count what it holds run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    set_cache_limit(1 << 30);
    trim();
    guard
}

#[test]
fn blocks_are_aligned_and_writable() {
    let _alone = alone();
    for bytes in [1, 63, 64, 65, 1000, 4096, 100_000] {
        let block = Block::new(bytes).unwrap();
        assert_eq!(block.as_ptr().addr() % ALIGNMENT, 0);
        assert_eq!(block.len(), bytes);
        assert!(block.capacity() >= bytes);
        // SAFETY: the block has the bytes.
        unsafe { block.as_ptr().write_bytes(7, block.capacity()) };
    }
}

#[test]
fn large_blocks_start_on_huge_pages() {
    let _alone = alone();
    let blocks: Vec<_> = [4 << 20, 5 << 20, (7 << 20) + 1].map(|bytes| Block::new(bytes).unwrap()).into();
    for block in &blocks {
        assert_eq!(block.as_ptr().addr() % system::HUGE_PAGE, 0);
        // SAFETY: the block has these bytes.
        unsafe {
            block.as_ptr().write(1);
            block.as_ptr().add(block.capacity() - 1).write(2);
        }
    }
}

#[test]
fn a_block_of_a_size_comes_again() {
    let _alone = alone();
    let before = statistics();
    let first = Block::new(70_000).unwrap();
    let address = first.as_ptr();
    drop(first);
    assert_eq!(statistics().cached, 80 << 10);
    let second = Block::new(80 << 10).unwrap();
    assert_eq!(second.as_ptr(), address);
    let after = statistics();
    assert_eq!(after.cached, 0);
    assert_eq!(after.allocations - before.allocations, 2);
    assert_eq!(after.system_allocations - before.system_allocations, 1);
}

#[test]
fn use_and_peak_are_counted() {
    let _alone = alone();
    let before = statistics().in_use;
    let block = Block::new(3 << 20).unwrap();
    assert_eq!(statistics().in_use, before + (3 << 20));
    assert!(statistics().peak >= before + (3 << 20));
    drop(block);
    assert_eq!(statistics().in_use, before);
}

#[test]
fn no_bytes_are_no_memory() {
    let _alone = alone();
    let before = statistics();
    let block = Block::new(0).unwrap();
    assert!(block.is_empty() && block.capacity() == 0);
    assert_eq!(block.as_ptr().addr() % ALIGNMENT, 0);
    assert_eq!(Block::zeroed(0).unwrap().len(), 0);
    drop(block);
    assert_eq!(statistics(), before);
}

#[test]
fn zeroed_blocks_are_zero_even_when_used_before() {
    let _alone = alone();
    // Miri takes minutes for millions of bytes.
    for bytes in [1000, if cfg!(miri) { 5000 } else { 5 << 20 }] {
        let block = Block::new(bytes).unwrap();
        // SAFETY: the block has the bytes.
        unsafe { block.as_ptr().write_bytes(0xff, bytes) };
        let address = block.as_ptr();
        drop(block);
        for _ in 0..2 {
            // The first is the one above, the second comes fresh.
            let zeroed = Block::zeroed(bytes).unwrap();
            // SAFETY: zeroed blocks are initialised.
            let contents = unsafe { std::slice::from_raw_parts(zeroed.as_ptr(), bytes) };
            assert!(contents.iter().all(|&byte| byte == 0));
            if zeroed.as_ptr() == address {
                trim();
            }
        }
    }
}

#[test]
fn what_is_cached_stays_below_the_limit() {
    let _alone = alone();
    set_cache_limit(100_000);
    let blocks: Vec<_> = (0..10).map(|_| Block::new(32 << 10).unwrap()).collect();
    drop(blocks);
    assert_eq!(statistics().cached, 3 * (32 << 10));
    set_cache_limit(40_000);
    assert_eq!(statistics().cached, 32 << 10);
    // Larger than the limit: never cached, and displaces nothing.
    drop(Block::new(64 << 10).unwrap());
    assert_eq!(statistics().cached, 32 << 10);
    set_cache_limit(0);
    assert_eq!(statistics().cached, 0);
    drop(Block::new(64).unwrap());
    assert_eq!(statistics().cached, 0);
}

#[test]
fn sizes_used_longest_ago_make_room() {
    let _alone = alone();
    set_cache_limit(96 << 10);
    drop(Block::new(64 << 10).unwrap());
    drop(Block::new(32 << 10).unwrap());
    // Two of these do not fit beside the two above: the older one goes.
    let pair = [Block::new(16 << 10).unwrap(), Block::new(16 << 10).unwrap()];
    drop(pair);
    assert_eq!(statistics().cached, (32 << 10) + 2 * (16 << 10));
}

#[test]
fn trim_returns_everything() {
    let _alone = alone();
    drop([Block::new(1000).unwrap(), Block::new(100_000).unwrap()]);
    let cached = statistics().cached;
    assert!(cached >= 101_000);
    assert_eq!(trim(), cached);
    assert_eq!(statistics().cached, 0);
    assert_eq!(trim(), 0);
}

#[test]
fn too_much_is_an_error_with_numbers() {
    let _alone = alone();
    let block = Block::new(1 << 20).unwrap();
    let in_use = statistics().in_use;
    // Under Miri, whose memory has no limit that we could know, only what no address space holds.
    let sizes = [usize::MAX, isize::MAX as usize, 1 << 46];
    for &bytes in &sizes[..if cfg!(miri) { 2 } else { 3 }] {
        let error = Block::new(bytes).unwrap_err();
        assert_eq!((error.requested, error.in_use), (bytes, in_use));
        assert!(error.to_string().contains(&bytes.to_string()));
    }
    drop(block);
}

#[test]
fn threads_share_the_cache() {
    let _alone = alone();
    let rounds = if cfg!(miri) { 20 } else { 300 };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            scope.spawn(move || {
                for round in 0..rounds {
                    let block = Block::new(64 + 64 * (round % 7)).unwrap();
                    // SAFETY: the block has these bytes; if another thread had it too, it would change them.
                    unsafe {
                        block.as_ptr().write_bytes(thread, 64);
                        std::thread::yield_now();
                        assert!(
                            std::slice::from_raw_parts(block.as_ptr(), 64).iter().all(|&byte| byte == thread)
                        );
                    }
                }
            });
        }
    });
}

#[test]
fn a_block_may_end_in_another_thread() {
    let _alone = alone();
    let block = Block::new(5000).unwrap();
    let address = block.as_ptr().addr();
    std::thread::spawn(move || drop(block)).join().unwrap();
    assert_eq!(Block::new(5000).unwrap().as_ptr().addr(), address);
}

#[test]
fn the_limit_is_a_part_of_the_memory() {
    let allowed = memory_allowed();
    assert!(allowed > 0);
    if std::env::var_os(CACHE_BYTES).is_none() {
        assert_eq!(configured_cache_limit(), Ok(allowed / CACHE_FRACTION));
    }
}

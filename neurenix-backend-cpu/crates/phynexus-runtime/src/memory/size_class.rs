//! Sizes of blocks: powers of two with three sizes between each and the next.

/// The smallest size, and what every size is a multiple of.
pub const SMALLEST: usize = 64;

/// Sizes up to here are the multiples of [`SMALLEST`].
const LINEAR: usize = 4 * SMALLEST;
const LOG_LINEAR: u32 = LINEAR.ilog2();
/// The power of two that the largest size is, 128 TiB: no machine has an address space for more.
const LOG_LARGEST: u32 = 47;

/// The number of classes.
pub const COUNT: usize = 4 + 4 * (LOG_LARGEST - LOG_LINEAR) as usize;

/// The class of the smallest size that holds so many bytes (more than 0); None if there is none.
///
/// At most a quarter more than asked for, above 256 bytes.
pub fn class_of(bytes: usize) -> Option<usize> {
    debug_assert!(bytes > 0);
    let last = bytes - 1;
    if last < LINEAR {
        return Some(last / SMALLEST);
    }
    let log = last.ilog2();
    let quarter = (last >> (log - 2)) & 3;
    let class = 4 + 4 * (log - LOG_LINEAR) as usize + quarter;
    (class < COUNT).then_some(class)
}

/// The size of a class, in bytes.
pub fn class_bytes(class: usize) -> usize {
    if class < 4 {
        return (class + 1) * SMALLEST;
    }
    let log = LOG_LINEAR + ((class - 4) / 4) as u32;
    (5 + (class - 4) % 4) << (log - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rise_and_are_multiples_of_the_smallest() {
        for class in 1..COUNT {
            assert!(class_bytes(class) > class_bytes(class - 1));
            assert_eq!(class_bytes(class) % SMALLEST, 0);
        }
        assert_eq!(class_bytes(COUNT - 1), 1 << LOG_LARGEST);
    }

    #[test]
    fn each_size_is_of_its_own_class_and_one_byte_more_of_the_next() {
        for class in 0..COUNT {
            assert_eq!(class_of(class_bytes(class)), Some(class));
            let next = class_of(class_bytes(class) + 1);
            assert_eq!(next, if class + 1 < COUNT { Some(class + 1) } else { None });
        }
        assert_eq!(class_of(1), Some(0));
        assert_eq!(class_of(isize::MAX as usize), None);
        assert_eq!(class_of(usize::MAX), None);
    }

    #[test]
    fn waste_is_below_a_quarter() {
        let most = if cfg!(miri) { 1000 } else { 100_000 };
        for bytes in (257..most).chain([1_000_001, 4_194_305, 987_654_321]) {
            let size = class_bytes(class_of(bytes).unwrap());
            assert!(size >= bytes && (size - bytes) * 4 < bytes, "{bytes} bytes in {size}");
        }
    }
}

//! Buffers of a plan: which there are, where they lie during a run, and how their places are found.

use phynexus_kernels::{Axes, DType, TensorMut, TensorRef};

use crate::prepared::Prepared;

/// Number of a buffer.
pub type BufferId = usize;

/// A place in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// Bytes from its start.
    pub offset: usize,
}

impl Place {
    /// The start of a buffer.
    pub fn start(buffer: BufferId) -> Self {
        Self { buffer, offset: 0 }
    }
}

/// A tensor of a plan: a place, a dtype, sizes and strides.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    /// Where its first element is.
    pub place: Place,
    /// The elements' dtype.
    pub dtype: DType,
    /// Sizes and strides.
    pub axes: Axes,
}

/// The memory of one run.
pub struct Memory<'a> {
    /// The address of each buffer.
    pub addresses: &'a [*mut u8],
    /// What weights were made into.
    pub prepared: &'a [Option<Prepared>],
}

// SAFETY: steps share out what they write.
unsafe impl Sync for Memory<'_> {}

impl Memory<'_> {
    /// The address of a place.
    pub fn at<T>(&self, place: Place) -> *mut T {
        self.addresses[place.buffer].wrapping_add(place.offset).cast()
    }

    /// The weights of a slot, which are prepared before a run.
    pub fn kept<T: 'static>(&self, slot: usize) -> &T {
        let found = self.prepared[slot].as_ref().and_then(|prepared| prepared.downcast_ref());
        found.expect("a slot holds what its step's weights are packed into")
    }

    /// A tensor that is read.
    ///
    /// # Safety
    /// Nobody writes it meanwhile.
    pub unsafe fn tensor(&self, tensor: &Tensor) -> TensorRef<'_> {
        // SAFETY: the buffers hold all elements of the plan's tensors.
        unsafe { TensorRef::new(self.at(tensor.place), tensor.dtype, tensor.axes) }
    }

    /// A tensor that is written.
    ///
    /// # Safety
    /// Nobody else reads or writes it meanwhile.
    pub unsafe fn tensor_mut(&self, tensor: &Tensor) -> TensorMut<'_> {
        // SAFETY: as above.
        unsafe { TensorMut::new(self.at(tensor.place), tensor.dtype, tensor.axes) }
    }

    /// Elements that are read.
    ///
    /// # Safety
    /// There are so many, and nobody writes them meanwhile.
    pub unsafe fn slice<T>(&self, place: Place, count: usize) -> &[T] {
        // SAFETY: as the caller vouches; buffers are aligned.
        unsafe { std::slice::from_raw_parts(self.at(place), count) }
    }

    /// Elements that are written.
    ///
    /// # Safety
    /// There are so many, and nobody else reads or writes them meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice_mut<T>(&self, place: Place, count: usize) -> &mut [T] {
        // SAFETY: as the caller vouches; buffers are aligned.
        unsafe { std::slice::from_raw_parts_mut(self.at(place), count) }
    }
}

/// When a buffer of the plan's own memory is needed: from a step to a step, both included.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// The first step that touches it.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// What it takes.
    pub bytes: usize,
}

/// Every buffer starts on a cache line.
const ALIGNMENT: usize = 64;

/// Finds a place for each buffer in one block of memory, and returns the places and the block's
/// size: the largest first, each as low as those allow that live at the same time.
pub fn place(lives: &[Option<Life>]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..lives.len()).filter(|&id| lives[id].is_some()).collect();
    order.sort_by_key(|&id| lives[id].map(|life| (std::cmp::Reverse(life.bytes), life.first)));
    let (mut offsets, mut size) = (vec![0; lives.len()], 0);
    let mut placed: Vec<(usize, usize, Life)> = Vec::new(); // start, end, life
    for id in order {
        let Some(life) = lives[id] else { continue };
        let bytes = life.bytes.next_multiple_of(ALIGNMENT);
        let mut start = 0;
        for &(low, high, other) in &placed {
            let meet = life.first <= other.last && other.first <= life.last;
            if meet && start + bytes > low && start < high {
                start = high;
            }
        }
        // Sorted by their start, so that one pass finds the lowest gap.
        let at = placed.partition_point(|&(low, ..)| low <= start);
        placed.insert(at, (start, start + bytes, life));
        offsets[id] = start;
        size = size.max(start + bytes);
    }
    (offsets, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(first: usize, last: usize, bytes: usize) -> Option<Life> {
        Some(Life { first, last, bytes })
    }

    #[test]
    fn what_lives_at_the_same_time_never_overlaps() {
        // Pseudo-random lives, the same at every run.
        let mut state = 1u32;
        let mut next = |limit: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % limit
        };
        let lives: Vec<Option<Life>> = (0..200)
            .map(|_| {
                let first = next(100) as usize;
                life(first, first + next(10) as usize, next(5000) as usize + 1)
            })
            .collect();
        let (offsets, size) = place(&lives);
        let mut sum = 0;
        for (a, x) in lives.iter().enumerate() {
            let x = x.unwrap();
            sum += x.bytes;
            assert_eq!(offsets[a] % 64, 0);
            assert!(offsets[a] + x.bytes <= size);
            for (b, y) in lives.iter().enumerate().skip(a + 1) {
                let y = y.unwrap();
                let meet = x.first <= y.last && y.first <= x.last;
                let apart = offsets[a] + x.bytes <= offsets[b] || offsets[b] + y.bytes <= offsets[a];
                assert!(!meet || apart, "{a} and {b}");
            }
        }
        assert!(size < sum / 4, "{size} of {sum} bytes");
    }

    #[test]
    fn one_place_serves_one_after_the_other() {
        let (offsets, size) = place(&[life(0, 1, 100), None, life(2, 3, 60), life(1, 2, 10)]);
        assert_eq!((offsets[0], offsets[2], offsets[3], size), (0, 0, 128, 192));
    }
}

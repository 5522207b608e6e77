//! Random bits from the counter-based generator Threefry-2x32 with 20 rounds.
//!
//! Reference: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy
//! as 1, 2, 3", SC 2011.

use phynexus_runtime::parallel_for;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::operation::{first_output, required};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Fills an i32 output with the stream of a key of three i32: two words, and the number of the
/// draw. Elements 2i and 2i + 1 are the two words of the block with counter (i, draw).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomBits;

/// The key-schedule constant of Threefish, as the paper gives it for words of 32 bits.
const PARITY: i32 = 0x1bd1_1bda;
/// Blocks that a thread makes at once.
const TASK: usize = 1 << 12;
/// Blocks that are worth a second thread.
const PARALLEL: usize = 1 << 13;

impl Operation for RandomBits {
    fn name(&self) -> &'static str {
        "random_bits"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, key) = (first_output(outputs), required(inputs, 0));
        let &[key0, key1, draw] = key.as_slice::<i32>() else {
            return Err(KernelError::Shape(format!(
                "a key has three words, not the shape {:?}",
                key.sizes()
            )));
        };
        let count = out.axes().count();
        let stream = Stream { keys: [key0, key1, PARITY ^ key0 ^ key1], draw, out: out.ptr(), count };
        let blocks = count.div_ceil(2);
        if blocks < PARALLEL {
            stream.part(0, blocks);
        } else {
            parallel_for(blocks.div_ceil(TASK), |task| {
                stream.part(task * TASK, blocks.min((task + 1) * TASK));
            });
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Stream {
    keys: [i32; 3],
    draw: i32,
    out: *mut i32,
    /// Words of the output.
    count: usize,
}

// SAFETY: every task writes words of its own.
unsafe impl Sync for Stream {}

impl Stream {
    fn part(&self, start: usize, end: usize) {
        dispatch(Part { stream: *self, start, end });
    }
}

/// Some of the blocks.
struct Part {
    stream: Stream,
    start: usize,
    end: usize,
}

impl Kernel for Part {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { stream, start, end } = self;
        const NUMBERS: [i32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        // SAFETY: the array has 16 elements.
        let numbers = unsafe { s.load_i32(NUMBERS.as_ptr()) };
        let (mut first, mut second) = ([0i32; LANES], [0i32; LANES]);
        for block in (start..end).step_by(LANES) {
            // Counters have 32 bits and go round.
            let counter = s.add_i32(s.splat_i32(block as i32), numbers);
            let (x0, x1) = encrypt(s, stream.keys, counter, s.splat_i32(stream.draw));
            // SAFETY: the arrays have 16 elements.
            unsafe {
                s.store_i32(first.as_mut_ptr(), x0);
                s.store_i32(second.as_mut_ptr(), x1);
            }
            let mut words = [0; 2 * LANES];
            for lane in 0..LANES {
                (words[2 * lane], words[2 * lane + 1]) = (first[lane], second[lane]);
            }
            let most = stream.count.min(2 * end) - 2 * block;
            // SAFETY: as many words of the output are left.
            unsafe {
                let out = stream.out.add(2 * block);
                std::ptr::copy_nonoverlapping(words.as_ptr(), out, most.min(2 * LANES));
            }
        }
    }
}

/// Encrypts 16 counters.
#[inline(always)]
fn encrypt<S: Simd>(s: S, keys: [i32; 3], x0: S::I32, x1: S::I32) -> (S::I32, S::I32) {
    let mut x = (s.add_i32(x0, s.splat_i32(keys[0])), s.add_i32(x1, s.splat_i32(keys[1])));
    for group in 0..5 {
        x = if group % 2 == 0 {
            let x = round::<S, 19, 13>(s, x);
            let x = round::<S, 17, 15>(s, x);
            let x = round::<S, 6, 26>(s, x);
            round::<S, 26, 6>(s, x)
        } else {
            let x = round::<S, 15, 17>(s, x);
            let x = round::<S, 3, 29>(s, x);
            let x = round::<S, 16, 16>(s, x);
            round::<S, 8, 24>(s, x)
        };
        let next = keys[(group + 2) % 3].wrapping_add(group as i32 + 1);
        x = (s.add_i32(x.0, s.splat_i32(keys[(group + 1) % 3])), s.add_i32(x.1, s.splat_i32(next)));
    }
    x
}

/// One round: the second word is rotated left by `LEFT`, which is 32 less `RIGHT`.
#[inline(always)]
fn round<S: Simd, const RIGHT: i32, const LEFT: i32>(s: S, x: (S::I32, S::I32)) -> (S::I32, S::I32) {
    const { assert!(RIGHT + LEFT == 32) };
    let first = s.add_i32(x.0, x.1);
    let rotated = s.or_i32(s.shl_i32::<LEFT>(x.1), s.shr_u32::<RIGHT>(x.1));
    (first, s.xor_i32(rotated, first))
}

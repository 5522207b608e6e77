//! Choosing between two tensors, element by element; only the width of an element matters.

use phynexus_simd::{Kernel, Simd, dispatch};

use crate::loops::Place;
use crate::operation::{first_output, required};
use crate::rows::{Row, RowCode, Widens, run};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// `x` where the condition, of bools, holds, and `y` elsewhere; the three inputs broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where;

unsafe fn row<T: Copy + 'static>(
    out: *mut u8,
    inputs: [*const u8; 3],
    repeated: [bool; 3],
    count: usize,
    _: f64,
) {
    let [condition, x, y] = inputs;
    dispatch(Chosen::<T> { out: out.cast(), condition, x: x.cast(), y: y.cast(), repeated, count });
}

struct Chosen<T> {
    out: *mut T,
    condition: *const u8,
    x: *const T,
    y: *const T,
    repeated: [bool; 3],
    count: usize,
}

/// Elements that are chosen at a time.
const PART: usize = 128;

impl<T: Copy> Kernel for Chosen<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { out, condition, x, y, repeated, count } = self;
        // SAFETY: the caller of the row's code vouches for `count` elements, or one that is
        // repeated. Results are kept aside before they are written: the output may be `x` or `y`.
        unsafe {
            let mut conditions = [if repeated[0] { *condition } else { 0 }; PART];
            let mut first = [*x; PART];
            let mut second = [*y; PART];
            for start in (0..count).step_by(PART) {
                let part = PART.min(count - start);
                if !repeated[0] {
                    std::ptr::copy_nonoverlapping(condition.add(start), conditions.as_mut_ptr(), part);
                }
                if !repeated[1] {
                    std::ptr::copy_nonoverlapping(x.add(start), first.as_mut_ptr(), part);
                }
                if !repeated[2] {
                    std::ptr::copy_nonoverlapping(y.add(start), second.as_mut_ptr(), part);
                }
                for index in 0..PART {
                    first[index] = if conditions[index] != 0 { first[index] } else { second[index] };
                }
                std::ptr::copy_nonoverlapping(first.as_ptr(), out.add(start), part);
                if repeated[1] {
                    first = [*x; PART];
                }
            }
        }
    }
}

impl Operation for Where {
    fn name(&self) -> &'static str {
        "where"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (condition, x, y) = (required(inputs, 0), required(inputs, 1), required(inputs, 2));
        let out = first_output(outputs);
        let code: RowCode = match out.dtype().size() {
            1 => row::<u8>,
            2 => row::<u16>,
            4 => row::<u32>,
            _ => row::<u64>,
        };
        let row = Row { code, parameter: 0.0, widens: Widens::NOTHING, cost: 2 };
        let places = [Place::of_mut(out), Place::of(condition), Place::of(x), Place::of(y)];
        // SAFETY: the code is that of the width; the caller of an op vouches for its tensors.
        unsafe { run(places, row) }
    }
}

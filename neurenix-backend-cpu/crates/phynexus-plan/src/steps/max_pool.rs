//! Maximum pooling over blocks of channels, and its backward.
//!
//! For the backward a pooled pixel keeps, for each channel, the number of the pixel of the input that
//! won: the first of equal ones, or the last NaN's place as NumPy's `argmax` has it: the first.

use phynexus_kernels::KernelError;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::builder::Step;
use crate::elementwise::{Planes, each};
use crate::memory::{Memory, Place};

/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;

/// How windows lie on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows and columns of the input.
    pub in_size: [usize; 2],
    /// Rows and columns of the output.
    pub out_size: [usize; 2],
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// The border above and left.
    pub before: [usize; 2],
    /// Steps between a window's elements.
    pub dilation: [usize; 2],
}

impl Windows {
    /// The elements of a window along an axis that lie inside the input: their first and last.
    #[inline(always)]
    fn inside(&self, axis: usize, window: usize) -> impl Iterator<Item = usize> {
        let start = (window * self.stride[axis]) as isize - self.before[axis] as isize;
        let (step, size) = (self.dilation[axis] as isize, self.in_size[axis] as isize);
        (0..self.kernel[axis] as isize)
            .map(move |tap| start + tap * step)
            .filter(move |&at| 0 <= at && at < size)
            .map(|at| at as usize)
    }
}

/// The largest value of each window, and where it is.
#[derive(Debug)]
pub struct MaxPool {
    /// Sizes of x.
    pub planes: Planes,
    /// The windows.
    pub windows: Windows,
    /// Blocks.
    pub x: Place,
    /// Blocks.
    pub out: Place,
    /// Blocks of 32-bit numbers of pixels, if anybody reads them.
    pub indices: Option<Place>,
}

/// The gradient of x from that of the result.
#[derive(Debug)]
pub struct MaxPoolBackward {
    /// Sizes of x.
    pub planes: Planes,
    /// The windows.
    pub windows: Windows,
    /// Blocks, as the result's.
    pub grad: Place,
    /// What the forward has left.
    pub indices: Place,
    /// Blocks.
    pub dx: Place,
}

struct Pool<'a> {
    windows: &'a Windows,
    x: *const f32,
    out: *mut f32,
    indices: *mut i32,
}

impl Kernel for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let windows = self.windows;
        let [height, width] = windows.out_size;
        for row in 0..height {
            for column in 0..width {
                let (mut best, mut place) = (simd.splat(f32::NEG_INFINITY), simd.splat_i32(0));
                let mut is_first = true;
                for y in windows.inside(0, row) {
                    for x in windows.inside(1, column) {
                        let pixel = y * windows.in_size[1] + x;
                        // SAFETY: a pixel of the plane.
                        let value = unsafe { simd.load(self.x.add(pixel * LANES)) };
                        let here = simd.splat_i32(pixel as i32);
                        if is_first {
                            (best, place, is_first) = (value, here, false);
                            continue;
                        }
                        // NaN wins over numbers, and keeps its place.
                        let larger = simd.lt(best, value);
                        let is_nan = simd.ne(value, value);
                        let was_number = simd.eq(best, best);
                        let wins = simd.mask_or(larger, simd.mask_and(is_nan, was_number));
                        best = simd.select(wins, value, best);
                        place = simd.select_i32(wins, here, place);
                    }
                }
                let at = (row * width + column) * LANES;
                // SAFETY: a pixel of the result.
                unsafe {
                    simd.store(self.out.add(at), best);
                    if !self.indices.is_null() {
                        simd.store_i32(self.indices.add(at), place);
                    }
                }
            }
        }
    }
}

impl Step for MaxPool {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        let pixels = self.windows.out_size[0] * self.windows.out_size[1] * LANES;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            dispatch(Pool {
                windows: &self.windows,
                x: memory.at::<f32>(self.x).wrapping_add(task * planes.plane()),
                out: memory.at::<f32>(self.out).wrapping_add(task * pixels),
                indices: self.indices.map_or(std::ptr::null_mut(), |place| {
                    memory.at::<i32>(place).wrapping_add(task * pixels)
                }),
            });
            Ok(())
        })
    }
}

/// Every pixel of x gathers the gradients of the windows that it has won, in their order.
struct Unpool<'a> {
    windows: &'a Windows,
    grad: *const f32,
    indices: *const i32,
    dx: *mut f32,
}

/// The windows that cover a place on an axis, where elements of a window are next to each other.
#[inline(always)]
fn covering(windows: &Windows, axis: usize, at: usize) -> std::ops::Range<usize> {
    let (stride, reach) = (windows.stride[axis], windows.dilation[axis] * (windows.kernel[axis] - 1));
    let shifted = at + windows.before[axis];
    let first = shifted.saturating_sub(reach).div_ceil(stride);
    first..(shifted / stride + 1).min(windows.out_size[axis])
}

impl Kernel for Unpool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let windows = self.windows;
        let [height, width] = windows.in_size;
        for y in 0..height {
            let rows = covering(windows, 0, y);
            for x in 0..width {
                let pixel = y * width + x;
                let here = simd.splat_i32(pixel as i32);
                let mut sum = simd.zero();
                let columns = covering(windows, 1, x);
                for row in rows.clone() {
                    for column in columns.clone() {
                        let at = (row * windows.out_size[1] + column) * LANES;
                        // SAFETY: a pixel of the result.
                        let (grad, won) =
                            unsafe { (simd.load(self.grad.add(at)), simd.load_i32(self.indices.add(at))) };
                        sum = simd.add(sum, simd.select(simd.eq_i32(won, here), grad, simd.zero()));
                    }
                }
                // SAFETY: a pixel of x.
                unsafe { simd.store(self.dx.add(pixel * LANES), sum) };
            }
        }
    }
}

impl Step for MaxPoolBackward {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        let pixels = self.windows.out_size[0] * self.windows.out_size[1] * LANES;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            dispatch(Unpool {
                windows: &self.windows,
                grad: memory.at::<f32>(self.grad).wrapping_add(task * pixels),
                indices: memory.at::<i32>(self.indices).wrapping_add(task * pixels),
                dx: memory.at::<f32>(self.dx).wrapping_add(task * planes.plane()),
            });
            Ok(())
        })
    }
}

//! Maximum pooling over blocks of channels, and its backward.
//!
//! For the backward a pooled pixel keeps, for each channel, the number of the pixel of the input that
//! won: the first of equal ones, and the first NaN where there are any.

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
    /// The elements of a window along an axis that lie inside the input: the first, and how many.
    #[inline(always)]
    pub fn inside(&self, axis: usize, window: usize) -> (usize, usize) {
        let (start, step) = (window * self.stride[axis], self.dilation[axis]);
        let before = self.before[axis];
        let skipped = before.saturating_sub(start).div_ceil(step);
        let first = start + skipped * step - before;
        let fitting = (self.in_size[axis].saturating_sub(first)).div_ceil(step);
        (first, fitting.min(self.kernel[axis].saturating_sub(skipped)))
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
        let [row_step, step] = windows.dilation;
        let in_width = windows.in_size[1];
        for row in 0..height {
            let (top, rows) = windows.inside(0, row);
            for column in 0..width {
                let (left, columns) = windows.inside(1, column);
                let first = top * in_width + left;
                // SAFETY: the windows' elements are pixels of the plane, and the results pixels of
                // theirs.
                unsafe {
                    let mut best = simd.load(self.x.add(first * LANES));
                    let at = (row * width + column) * LANES;
                    if self.indices.is_null() {
                        for y in 0..rows {
                            let line = first + y * row_step * in_width;
                            for x in 0..columns {
                                let value = simd.load(self.x.add((line + x * step) * LANES));
                                let larger = simd.max(value, best);
                                best = simd.select(simd.ne(value, value), value, larger);
                            }
                        }
                        simd.store(self.out.add(at), best);
                        continue;
                    }
                    let mut place = simd.splat_i32(first as i32);
                    for y in 0..rows {
                        let line = first + y * row_step * in_width;
                        for x in 0..columns {
                            let pixel = line + x * step;
                            let value = simd.load(self.x.add(pixel * LANES));
                            // NaN wins over numbers, and keeps its place.
                            let is_nan = simd.mask_and(simd.ne(value, value), simd.eq(best, best));
                            let wins = simd.mask_or(simd.lt(best, value), is_nan);
                            best = simd.select(wins, value, best);
                            place = simd.select_i32(wins, simd.splat_i32(pixel as i32), place);
                        }
                    }
                    simd.store(self.out.add(at), best);
                    simd.store_i32(self.indices.add(at), place);
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

#[cfg(test)]
mod tests {
    use phynexus_simd::{Isa, dispatch_on};

    use super::*;

    fn values(count: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..count).map(|i| ((i * 7919) % 23) as f32 - 11.0).collect();
        values[5] = f32::NAN;
        values[count / 2] = f32::NEG_INFINITY;
        values
    }

    /// Windows with borders, gaps and overlaps, and the places of each window's elements.
    fn cases() -> Vec<Windows> {
        let windows = |in_size: [usize; 2], kernel: usize, stride: usize, before: usize, dilation: usize| {
            let reach = dilation * (kernel - 1) + 1;
            let out_size = in_size.map(|size| (size + 2 * before - reach) / stride + 1);
            let [kernel, stride, before, dilation] = [kernel, stride, before, dilation].map(|x| [x; 2]);
            Windows { in_size, out_size, kernel, stride, before, dilation }
        };
        vec![
            windows([7, 9], 3, 2, 1, 1),
            windows([6, 5], 2, 2, 0, 1),
            windows([8, 7], 3, 1, 1, 2),
            windows([9, 9], 2, 3, 1, 1),
        ]
    }

    fn elements(windows: &Windows, [row, column]: [usize; 2]) -> Vec<usize> {
        let along = |axis: usize, window: usize| -> Vec<usize> {
            (0..windows.kernel[axis])
                .map(|tap| window * windows.stride[axis] + tap * windows.dilation[axis])
                .filter(|&at| {
                    (windows.before[axis]..windows.before[axis] + windows.in_size[axis]).contains(&at)
                })
                .map(|at| at - windows.before[axis])
                .collect()
        };
        let columns = along(1, column);
        along(0, row)
            .iter()
            .flat_map(|y| columns.iter().map(|x| y * windows.in_size[1] + x).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn windows_have_their_largest_values_and_places() {
        for windows in cases() {
            let pixels = windows.in_size[0] * windows.in_size[1];
            let count = windows.out_size[0] * windows.out_size[1] * LANES;
            let x = values(pixels * LANES);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let (mut out, mut indices, mut alone) =
                    (vec![0.0; count], vec![0i32; count], vec![0.0; count]);
                let (from, out_at) = (x.as_ptr(), out.as_mut_ptr());
                dispatch_on(
                    isa,
                    Pool { windows: &windows, x: from, out: out_at, indices: indices.as_mut_ptr() },
                );
                let null = std::ptr::null_mut();
                dispatch_on(isa, Pool { windows: &windows, x: from, out: alone.as_mut_ptr(), indices: null });
                let grad: Vec<f32> = (0..count).map(|i| i as f32 + 1.0).collect();
                let (mut dx, mut expected) = (vec![f32::NAN; x.len()], vec![0.0; x.len()]);
                let unpool = Unpool {
                    windows: &windows,
                    grad: grad.as_ptr(),
                    indices: indices.as_ptr(),
                    dx: dx.as_mut_ptr(),
                };
                dispatch_on(isa, unpool);
                for at in 0..count {
                    let (lane, window) = (at % LANES, at / LANES);
                    let place = [window / windows.out_size[1], window % windows.out_size[1]];
                    let all = elements(&windows, place);
                    let value = |pixel: usize| x[pixel * LANES + lane];
                    let best = all.iter().copied().reduce(|best, pixel| {
                        let wins =
                            value(pixel) > value(best) || value(pixel).is_nan() && !value(best).is_nan();
                        if wins { pixel } else { best }
                    });
                    let best = best.unwrap();
                    assert_eq!(indices[at] as usize, best, "{isa} {windows:?}");
                    assert_eq!(out[at].to_bits(), value(best).to_bits());
                    assert!(alone[at] == out[at] || alone[at].is_nan() && out[at].is_nan());
                    expected[best * LANES + lane] += grad[at];
                }
                assert_eq!(dx, expected, "{isa} {windows:?}");
            }
        }
    }
}

//! Pools over narrow blocks of channels.

use half::bf16;
use phynexus_kernels::KernelError;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use super::batch_norm::write_channels;
use super::max_pool::Windows;
use super::statistics::Channels;
use crate::builder::Step;
use crate::elementwise::{Planes, each};
use crate::memory::{Memory, Place};
use crate::precision::Format;

/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;

/// The largest value of each window, in the form of x.
#[derive(Debug)]
pub struct NarrowMaxPool {
    /// Sizes of x.
    pub planes: Planes,
    /// The windows.
    pub windows: Windows,
    /// The form of both.
    pub format: Format,
    /// Blocks.
    pub x: Place,
    /// Blocks.
    pub out: Place,
}

/// `out[n][c] = mean(x[n][c])`, dense floats.
#[derive(Debug)]
pub struct NarrowGlobalPool {
    /// Sizes of x.
    pub planes: Planes,
    /// The form of x.
    pub format: Format,
    /// Blocks.
    pub x: Place,
    /// A float for each plane.
    pub out: Place,
}

/// 16 elements of a narrow form, and the largest of them in each lane.
trait Pixel: Copy {
    /// Reads a pixel.
    ///
    /// # Safety
    /// 16 elements are valid for reads.
    unsafe fn read<S: Simd>(simd: S, from: *const Self) -> Self::Vector<S>;
    /// The larger of each lane; NaN where `value` is.
    fn larger<S: Simd>(simd: S, value: Self::Vector<S>, best: Self::Vector<S>) -> Self::Vector<S>;
    /// Writes a pixel.
    ///
    /// # Safety
    /// 16 elements are valid for writes.
    unsafe fn write<S: Simd>(simd: S, to: *mut Self, best: Self::Vector<S>);
    /// 16 elements in registers.
    type Vector<S: Simd>: Copy;
}

impl Pixel for bf16 {
    type Vector<S: Simd> = S::F32;

    #[inline(always)]
    unsafe fn read<S: Simd>(simd: S, from: *const Self) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { simd.load_bf16(from.cast()) }
    }
    #[inline(always)]
    fn larger<S: Simd>(simd: S, value: S::F32, best: S::F32) -> S::F32 {
        simd.select(simd.ne(value, value), value, simd.max(value, best))
    }
    #[inline(always)]
    unsafe fn write<S: Simd>(simd: S, to: *mut Self, best: S::F32) {
        // SAFETY: as the caller vouches.
        unsafe { simd.store_bf16(to.cast(), best) };
    }
}

impl Pixel for u8 {
    type Vector<S: Simd> = [u8; LANES];

    #[inline(always)]
    unsafe fn read<S: Simd>(_: S, from: *const Self) -> [u8; LANES] {
        // SAFETY: as the caller vouches; bytes are always aligned.
        unsafe { from.cast::<[u8; LANES]>().read() }
    }
    #[inline(always)]
    fn larger<S: Simd>(_: S, value: [u8; LANES], best: [u8; LANES]) -> [u8; LANES] {
        std::array::from_fn(|lane| value[lane].max(best[lane]))
    }
    #[inline(always)]
    unsafe fn write<S: Simd>(_: S, to: *mut Self, best: [u8; LANES]) {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<[u8; LANES]>().write(best) };
    }
}

struct Pool<'a, T> {
    windows: &'a Windows,
    x: *const T,
    out: *mut T,
}

impl<T: Pixel> Kernel for Pool<'_, T> {
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
                    let mut best = T::read(simd, self.x.add(first * LANES));
                    for y in 0..rows {
                        let line = first + y * row_step * in_width;
                        for x in 0..columns {
                            let value = T::read(simd, self.x.add((line + x * step) * LANES));
                            best = T::larger(simd, value, best);
                        }
                    }
                    T::write(simd, self.out.add((row * width + column) * LANES), best);
                }
            }
        }
    }
}

impl NarrowMaxPool {
    /// # Safety
    /// As for a step.
    unsafe fn pool<T: Pixel>(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        let pixels = self.windows.out_size[0] * self.windows.out_size[1] * LANES;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            dispatch(Pool {
                windows: &self.windows,
                x: memory.at::<T>(self.x).wrapping_add(task * planes.plane()),
                out: memory.at::<T>(self.out).wrapping_add(task * pixels),
            });
            Ok(())
        })
    }
}

impl Step for NarrowMaxPool {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.format {
                Format::Bfloat16 => self.pool::<bf16>(memory),
                Format::Int8(_) => self.pool::<u8>(memory),
            }
        }
    }
}

struct Bf16Mean {
    plane: *const u16,
    pixels: usize,
}

impl Kernel for Bf16Mean {
    type Output = Channels;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Channels {
        let mut sum = simd.zero();
        for pixel in 0..self.pixels {
            // SAFETY: the plane has as many vectors.
            sum = simd.add(sum, unsafe { simd.load_bf16(self.plane.add(pixel * LANES)) });
        }
        simd.to_array(simd.div(sum, simd.splat(self.pixels as f32)))
    }
}

/// The mean of integers, whose sum is exact.
struct Int8Mean<'a> {
    plane: &'a [u8],
    scale: f32,
    zero_point: u8,
}

impl Kernel for Int8Mean<'_> {
    type Output = Channels;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Channels {
        let (pixels, _) = self.plane.as_chunks::<LANES>();
        let mut sums = [0u32; LANES];
        for pixel in pixels {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += u32::from(value);
            }
        }
        let mean = |sum: u32| sum as f32 / pixels.len() as f32 - f32::from(self.zero_point);
        sums.map(|sum| self.scale * mean(sum))
    }
}

impl Step for NarrowGlobalPool {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            let (sample, block) = (task / planes.blocks(), task % planes.blocks());
            let start = planes.start(sample, block);
            // SAFETY: the plan's memory holds both; each block of a sample is one task's.
            unsafe {
                let mean = match self.format {
                    Format::Bfloat16 => dispatch(Bf16Mean {
                        plane: memory.at::<u16>(self.x).add(start),
                        pixels: planes.pixels,
                    }),
                    Format::Int8(quantization) => dispatch(Int8Mean {
                        plane: std::slice::from_raw_parts(memory.at::<u8>(self.x).add(start), planes.plane()),
                        scale: quantization.scale,
                        zero_point: quantization.zero_point,
                    }),
                };
                let offset = self.out.offset + size_of::<f32>() * sample * planes.channels;
                write_channels(memory, Place { offset, ..self.out }, planes, block, &mean);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use phynexus_simd::{Isa, dispatch_on};

    use super::*;

    fn windows(in_size: [usize; 2], kernel: usize, stride: usize, before: usize, dilation: usize) -> Windows {
        let reach = dilation * (kernel - 1) + 1;
        let out_size = in_size.map(|size| (size + 2 * before - reach) / stride + 1);
        let [kernel, stride, before, dilation] = [kernel, stride, before, dilation].map(|x| [x; 2]);
        Windows { in_size, out_size, kernel, stride, before, dilation }
    }

    /// The indices of the elements of a window in a plane, of lane `lane`.
    fn elements(windows: &Windows, window: usize, lane: usize) -> Vec<usize> {
        let window = [window / windows.out_size[1], window % windows.out_size[1]];
        let along = |axis: usize| {
            let (first, count) = windows.inside(axis, window[axis]);
            (0..count).map(move |tap| first + tap * windows.dilation[axis]).collect::<Vec<_>>()
        };
        let columns = along(1);
        let places = along(0).into_iter().flat_map(|y| columns.iter().map(move |x| (y, *x)));
        places.map(|(y, x)| (y * windows.in_size[1] + x) * LANES + lane).collect()
    }

    #[test]
    fn windows_have_their_largest_values() {
        for windows in [
            windows([7, 9], 3, 2, 1, 1),
            windows([6, 5], 2, 2, 0, 1),
            windows([8, 7], 3, 1, 1, 2),
            windows([9, 9], 2, 3, 1, 1),
        ] {
            let count = windows.in_size[0] * windows.in_size[1] * LANES;
            let out_count = windows.out_size[0] * windows.out_size[1] * LANES;
            let bytes: Vec<u8> = (0..count).map(|i| ((i * 7919) % 251) as u8).collect();
            let mut halves: Vec<bf16> = bytes.iter().map(|&x| bf16::from_f32(f32::from(x) - 100.0)).collect();
            halves[5] = bf16::NAN;
            halves[count / 2] = bf16::NEG_INFINITY;
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let (mut of_bytes, mut of_halves) = (vec![0u8; out_count], vec![bf16::ZERO; out_count]);
                let (to_bytes, to_halves) = (of_bytes.as_mut_ptr(), of_halves.as_mut_ptr());
                dispatch_on(isa, Pool { windows: &windows, x: bytes.as_ptr(), out: to_bytes });
                dispatch_on(isa, Pool { windows: &windows, x: halves.as_ptr(), out: to_halves });
                for at in 0..out_count {
                    let places = elements(&windows, at / LANES, at % LANES);
                    assert_eq!(of_bytes[at], places.iter().map(|&place| bytes[place]).max().unwrap());
                    let found = of_halves[at].to_f32();
                    if places.iter().any(|&place| halves[place].is_nan()) {
                        assert!(found.is_nan(), "{isa} {windows:?}: {found} at {at}");
                        continue;
                    }
                    let largest = places.iter().map(|&place| halves[place].to_f32()).reduce(f32::max);
                    assert_eq!(Some(found), largest, "{isa} {windows:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn means_of_integers_are_those_of_what_they_stand_for() {
        let plane: Vec<u8> = (0..49 * LANES).map(|i| ((i * 37) % 256) as u8).collect();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let means = dispatch_on(isa, Int8Mean { plane: &plane, scale: 0.25, zero_point: 128 });
            for (lane, mean) in means.into_iter().enumerate() {
                let values = plane.iter().skip(lane).step_by(LANES);
                let expected = values.map(|&x| 0.25 * (f64::from(x) - 128.0)).sum::<f64>() / 49.0;
                assert!((f64::from(mean) - expected).abs() < 1e-4, "{isa}: {mean} for {expected}");
            }
        }
    }
}

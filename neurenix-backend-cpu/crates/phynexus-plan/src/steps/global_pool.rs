//! The mean of every plane, from blocks of channels, and its backward.

use phynexus_kernels::KernelError;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use super::batch_norm::{read_channels, write_channels};
use super::statistics::Channels;
use crate::builder::Step;
use crate::elementwise::{Planes, each};
use crate::memory::{Memory, Place};

/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;

/// `out[n][c] = mean(x[n][c])`, dense.
#[derive(Debug)]
pub struct GlobalPool {
    /// Sizes of x.
    pub planes: Planes,
    /// Blocks.
    pub x: Place,
    /// A float for each plane.
    pub out: Place,
}

/// `dx[n][c] = grad[n][c] / pixels`, in blocks.
#[derive(Debug)]
pub struct GlobalPoolBackward {
    /// Sizes of dx.
    pub planes: Planes,
    /// A float for each plane.
    pub grad: Place,
    /// Blocks.
    pub dx: Place,
}

/// The channels of a sample, as a place.
fn sample_of(place: Place, planes: Planes, sample: usize) -> Place {
    Place { offset: place.offset + 4 * sample * planes.channels, ..place }
}

struct Mean {
    plane: *const f32,
    pixels: usize,
}

impl Kernel for Mean {
    type Output = Channels;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Channels {
        let mut sum = simd.zero();
        for pixel in 0..self.pixels {
            // SAFETY: the plane has as many vectors.
            sum = simd.add(sum, unsafe { simd.load(self.plane.add(pixel * LANES)) });
        }
        simd.to_array(simd.div(sum, simd.splat(self.pixels as f32)))
    }
}

struct Spread {
    values: Channels,
    plane: *mut f32,
    pixels: usize,
}

impl Kernel for Spread {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: 16 values; the plane has as many vectors.
        unsafe {
            let values = simd.div(simd.load(self.values.as_ptr()), simd.splat(self.pixels as f32));
            for pixel in 0..self.pixels {
                simd.store(self.plane.add(pixel * LANES), values);
            }
        }
    }
}

impl Step for GlobalPool {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            let (sample, block) = (task / planes.blocks(), task % planes.blocks());
            // SAFETY: the plan's memory holds both; each block of a sample is one task's.
            unsafe {
                let plane = memory.at::<f32>(self.x).add(planes.start(sample, block));
                let mean = dispatch(Mean { plane, pixels: planes.pixels });
                write_channels(memory, sample_of(self.out, planes, sample), planes, block, &mean);
            }
            Ok(())
        })
    }
}

impl Step for GlobalPoolBackward {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        each(planes.samples * planes.blocks(), planes.count() >= PARALLEL, |task| {
            let (sample, block) = (task / planes.blocks(), task % planes.blocks());
            // SAFETY: as for the forward.
            unsafe {
                let values = read_channels(memory, sample_of(self.grad, planes, sample), planes, block);
                let plane = memory.at::<f32>(self.dx).add(planes.start(sample, block));
                dispatch(Spread { values, plane, pixels: planes.pixels });
            }
            Ok(())
        })
    }
}

//! The backward of batch norm over blocks of channels, and the elementwise ops before it.

use phynexus_kernels::KernelError;
use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use super::batch_norm::{by_blocks, read_channels, write_channels};
use super::chain::ChainStep;
use super::statistics::{Channels, GradientSums};
use crate::builder::Step;
use crate::elementwise::{Fields, Planes};
use crate::memory::{Memory, Place};

/// Gradients of what was normalised, of the weight and of the bias.
#[derive(Debug)]
pub struct Backward {
    /// Sizes.
    pub planes: Planes,
    /// What computes the incoming gradient; None if it is there already.
    pub chain: Option<ChainStep>,
    /// The incoming gradient.
    pub grad: Place,
    /// What was normalised.
    pub x: Place,
    /// The factors, one a channel.
    pub weight: Option<Place>,
    /// The mean of each channel.
    pub mean: Place,
    /// `1 / sqrt(variance + eps)` of each channel.
    pub rstd: Place,
    /// Where the gradient of x goes; may be where the incoming one is.
    pub dx: Place,
    /// Where the gradient of the weight goes.
    pub dweight: Place,
    /// Where that of the bias goes.
    pub dbias: Place,
    /// Memory for the sums of each plane.
    pub sums: Place,
    /// Memory for the factors of each block.
    pub factors: Place,
}

/// Of a block of channels: mean, what is taken from the gradient, that for each distance from the
/// mean, and the factor at the end.
type Factors = [Channels; 4];

impl Step for Backward {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        let addresses = self.chain.as_ref().map(|chain| chain.addresses(memory)).unwrap_or_default();
        let fields = self.chain.as_ref().map(|step| Fields {
            chain: &step.chain,
            addresses: &addresses,
            written: &step.written,
        });
        let plane_of = |place: Place, sample: usize, block: usize| {
            memory.at::<f32>(place).wrapping_add(planes.start(sample, block))
        };
        by_blocks(
            planes,
            // SAFETY: the plan's memory holds all operands; each plane is one task's.
            |sample, block| unsafe {
                if let Some(fields) = &fields {
                    fields.run_plane(planes, sample, block)?;
                }
                let sums = dispatch(GradientSums {
                    grad: plane_of(self.grad, sample, block),
                    x: plane_of(self.x, sample, block),
                    mean: read_channels(memory, self.mean, planes, block),
                    pixels: planes.pixels,
                });
                *memory.at::<[Channels; 2]>(self.sums).add(sample * planes.blocks() + block) = sums;
                Ok(())
            },
            // SAFETY: each block has channels of its own.
            |block| unsafe {
                self.prepare_block(memory, block);
                Ok(())
            },
            // SAFETY: as for the first.
            |sample, block| unsafe {
                dispatch(Differences {
                    grad: plane_of(self.grad, sample, block),
                    x: plane_of(self.x, sample, block),
                    dx: plane_of(self.dx, sample, block),
                    factors: &*memory.at::<Factors>(self.factors).add(block),
                    pixels: planes.pixels,
                });
                Ok(())
            },
        )
    }
}

impl Backward {
    /// Finds the gradients of weight and bias of a block of channels, and its factors.
    ///
    /// # Safety
    /// The plan's memory is valid, and nobody else touches the block's channels.
    unsafe fn prepare_block(&self, memory: &Memory<'_>, block: usize) {
        let planes = self.planes;
        // SAFETY: as the caller vouches.
        unsafe {
            let all = memory.at::<[Channels; 2]>(self.sums);
            let (mut dbias, mut along) = ([0.0f32; LANES], [0.0f32; LANES]);
            for sample in 0..planes.samples {
                let [grads, products] = *all.add(sample * planes.blocks() + block);
                for lane in 0..LANES {
                    dbias[lane] += grads[lane];
                    along[lane] += products[lane];
                }
            }
            let mean = read_channels(memory, self.mean, planes, block);
            let rstd = read_channels(memory, self.rstd, planes, block);
            let weight =
                self.weight.map_or([1.0; LANES], |place| read_channels(memory, place, planes, block));
            let dweight: Channels = std::array::from_fn(|lane| along[lane] * rstd[lane]);
            write_channels(memory, self.dweight, planes, block, &dweight);
            write_channels(memory, self.dbias, planes, block, &dbias);
            let count = (planes.samples * planes.pixels) as f32;
            let level = dbias.map(|dbias| dbias / count);
            let slope = std::array::from_fn(|lane| dweight[lane] / count * rstd[lane]);
            let scale = std::array::from_fn(|lane| rstd[lane] * weight[lane]);
            *memory.at::<Factors>(self.factors).add(block) = [mean, level, slope, scale];
        }
    }
}

/// `(grad - level - (x - mean) * slope) * scale` over a plane.
struct Differences<'a> {
    grad: *const f32,
    x: *const f32,
    dx: *mut f32,
    factors: &'a Factors,
    pixels: usize,
}

impl Kernel for Differences<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: factors have 16 values; the planes have as many vectors.
        unsafe {
            let [mean, level, slope, scale] = (*self.factors).map(|values| simd.load(values.as_ptr()));
            for pixel in 0..self.pixels {
                let (grad, x) =
                    (simd.load(self.grad.add(pixel * LANES)), simd.load(self.x.add(pixel * LANES)));
                let centred = simd.fnma(simd.sub(x, mean), slope, simd.sub(grad, level));
                simd.store(self.dx.add(pixel * LANES), simd.mul(centred, scale));
            }
        }
    }
}

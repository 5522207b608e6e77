//! The gradient of a bias: sums over samples and pixels.

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::error::{ConvError, check_len};
use crate::memory::Shared;
use crate::tasks::for_each;

/// Sums that run side by side, for the latency of an addition.
const CHAINS: usize = 4;

/// Sums a blocked activation over `samples` samples and `pixels` pixels, into `grad_bias`, one float a channel.
///
/// Each sample is summed in four interleaved chains, then the samples in order.
///
/// # Errors
/// The gradient is not that long.
pub fn grad_bias(
    (samples, channels, pixels): (usize, usize, usize),
    grad: &[f32],
    grad_bias: &mut [f32],
    accumulate: bool,
    threads: usize,
) -> Result<(), ConvError> {
    let blocks = channels.div_ceil(LANES);
    check_len("gradient of the output", samples * blocks * pixels * LANES, grad.len())?;
    check_len("gradient of the bias", channels, grad_bias.len())?;
    let to = Shared::new(grad_bias.as_mut_ptr());
    let threads = if grad.len() < 100_000 { 1 } else { threads };
    for_each(threads, blocks, |block| {
        let planes = grad[block * pixels * LANES..]
            .chunks(blocks * pixels * LANES)
            .map(|rest| &rest[..pixels * LANES]);
        let planes: Vec<&[f32]> = planes.take(samples).collect();
        let sums = dispatch(SumPlanes(&planes));
        for (lane, &sum) in sums.iter().enumerate().take(channels - block * LANES) {
            // SAFETY: the channel is this task's.
            let to = unsafe { &mut *to.get().add(block * LANES + lane) };
            *to = if accumulate { *to + sum } else { sum };
        }
    });
    Ok(())
}

struct SumPlanes<'a>(&'a [&'a [f32]]);

impl Kernel for SumPlanes<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; LANES] {
        let mut total = simd.zero();
        for plane in self.0 {
            let mut sums = [simd.zero(); CHAINS];
            for pixels in plane.chunks(CHAINS * LANES) {
                for (sum, pixel) in sums.iter_mut().zip(pixels.chunks_exact(LANES)) {
                    // SAFETY: a pixel has 16 channels.
                    *sum = simd.add(*sum, unsafe { simd.load(pixel.as_ptr()) });
                }
            }
            let sum = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
            total = simd.add(total, sum);
        }
        simd.to_array(total)
    }
}

//! Weights at the 36 positions: transformed when packed, or anew at each call.

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::{POSITIONS, Winograd, points};
use crate::memory::{Aligned, OutOfMemory};
use crate::split::panels;

/// Taps of the kernel.
const TAPS: usize = 9;

impl Winograd {
    /// Packs weights that `weight(out_channel, in_channel, tap)` gives.
    ///
    /// Untransformed: `[block of output channels][input channel][tap][16]`. Transformed: for each panel
    /// `[position][input channel][vectors of the panel]`.
    pub fn pack(
        &self,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Result<Aligned<f32>, OutOfMemory> {
        let inner = self.in_blocks() * LANES;
        let block_len = inner * TAPS * LANES;
        let mut plain = Aligned::zeroed(self.out_blocks() * block_len)?;
        for (block, plain) in plain.chunks_exact_mut(block_len).enumerate() {
            let lanes = (self.out_channels - block * LANES).min(LANES);
            for in_channel in 0..self.in_channels {
                for tap in 0..TAPS {
                    for lane in 0..lanes {
                        plain[(in_channel * TAPS + tap) * LANES + lane] =
                            weight(block * LANES + lane, in_channel, tap);
                    }
                }
            }
        }
        if !self.is_stored {
            return Ok(plain);
        }
        let mut transformed = Aligned::<f32>::zeroed(self.packed_len())?;
        for panel in panels(self.out_blocks(), self.cols) {
            let at = panel.start * inner * POSITIONS * LANES;
            // SAFETY: the panel lies within both.
            unsafe {
                dispatch_on(
                    self.isa,
                    TransformWeights {
                        plain: plain.as_ptr().add(panel.start * block_len),
                        block_len,
                        channels: inner,
                        cols: panel.len(),
                        to: transformed.as_mut_ptr().add(at),
                        position_stride: inner * panel.len() * LANES,
                    },
                );
            }
        }
        Ok(transformed)
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        let each = if self.is_stored { POSITIONS } else { TAPS };
        self.out_blocks() * LANES * self.in_blocks() * LANES * each
    }
}

/// Transforms the weights of some input channels and a panel of output channels.
pub struct TransformWeights {
    /// Of the first input channel: `[input channel][tap][16]`.
    pub plain: *const f32,
    /// Floats to the next block of output channels.
    pub block_len: usize,
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub cols: usize,
    /// Destination: at each position `[input channel][cols][16]`.
    pub to: *mut f32,
    /// Floats between positions.
    pub position_stride: usize,
}

impl Kernel for TransformWeights {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for column in 0..self.cols {
            for channel in 0..self.channels {
                // SAFETY: the caller vouches for the channels and blocks at both places.
                unsafe {
                    let plain = self.plain.add(column * self.block_len + channel * TAPS * LANES);
                    let to = self.to.add((channel * self.cols + column) * LANES);
                    let mut columns = [[simd.zero(); 6]; 3];
                    for (tap_column, points) in columns.iter_mut().enumerate() {
                        let taps = std::array::from_fn(|tap_row| {
                            simd.load(plain.add((tap_row * 3 + tap_column) * LANES))
                        });
                        *points = points::weights(simd, taps);
                    }
                    #[allow(clippy::needless_range_loop)] // a row of columns, not one of them
                    for row in 0..6 {
                        let points =
                            points::weights(simd, std::array::from_fn(|column| columns[column][row]));
                        for (column, &point) in points.iter().enumerate() {
                            simd.store(to.add((row * 6 + column) * self.position_stride), point);
                        }
                    }
                }
            }
        }
    }
}

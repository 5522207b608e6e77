//! Weights at the 36 positions: transformed when packed, or anew at each call.

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::{POSITIONS, Winograd, points};
use crate::canonical::{Canonical, Direction};
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::split::panels;
use crate::tasks::for_each_with_scratch;

/// Taps of the kernel.
const TAPS: usize = 9;

impl Winograd {
    /// Packs weights, for the transposed convolution with the taps reversed.
    ///
    /// Untransformed: `[block of output channels][input channel][tap][16]`. Transformed: for each panel
    /// `[position][input channel][vectors of the panel]`.
    pub fn pack(
        &self,
        canonical: Canonical<'_>,
        direction: Direction,
        threads: usize,
    ) -> Result<Aligned<f32>, OutOfMemory> {
        let mut packed = Aligned::<f32>::zeroed(self.packed_len())?;
        let inner = self.in_blocks() * LANES;
        let block_len = inner * TAPS * LANES;
        let panels = panels(self.out_blocks(), self.cols);
        let to = Shared::new(packed.as_mut_ptr());
        let scratch = if self.is_stored { self.cols * block_len } else { 0 };
        for_each_with_scratch::<f32>(threads, panels.len(), scratch, |task, scratch| {
            let panel = &panels[task];
            // SAFETY: the scratch holds a panel; the panels lie apart in the packed weights.
            unsafe {
                let plain = if self.is_stored { scratch } else { to.get().add(panel.start * block_len) };
                if self.is_stored {
                    plain.write_bytes(0, panel.len() * block_len);
                }
                for (vector, block) in panel.clone().enumerate() {
                    canonical.each_vector(0, block, |k, tap, values| {
                        let tap = if direction == Direction::Forward { tap } else { TAPS - 1 - tap };
                        let at = vector * block_len + (k * TAPS + tap) * LANES;
                        plain.add(at).cast::<[f32; LANES]>().write(*values);
                    });
                }
                if self.is_stored {
                    dispatch_on(
                        self.isa,
                        TransformWeights {
                            plain,
                            block_len,
                            channels: inner,
                            cols: panel.len(),
                            to: to.get().add(panel.start * inner * POSITIONS * LANES),
                            position_stride: inner * panel.len() * LANES,
                        },
                    );
                }
            }
        })?;
        Ok(packed)
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

//! Winograd convolution F(2x2, 3x3) of bfloat16: 16 products make the 4 results of a tile, where the definition takes
//! 36.
//!
//! For kernels of 3x3 without stride, dilation or groups, where there is an instruction for bfloat16. A tile of 4x4
//! pixels is transformed in f32 and rounded to bfloat16 once more, as the transformed weights are; sums are f32, and
//! results are rounded when they are stored. They are off by 0.4 % of their root mean square, where the direct
//! convolution of the same bfloat16 is off by 0.1 %. Larger tiles would lose more: F(4x4) multiplies in f32
//! (`winograd`). A value that is not finite may turn its whole tile to NaN.

mod run;
mod tiles;

use half::bf16;
use phynexus_simd::{Isa, LANES};

use crate::canonical::Canonical;
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::micro::{max_rows, panel_width};
use crate::shape::ConvShape;
use crate::split::panels;
use crate::tasks::for_each;

/// Positions of a transformed tile.
const POSITIONS: usize = 16;
/// Results of a tile on an axis.
const TILE: usize = 2;

/// A Winograd convolution over blocked activations of bfloat16.
#[derive(Clone, Debug)]
pub struct NarrowWinograd {
    in_channels: usize,
    out_channels: usize,
    in_size: [usize; 2],
    out_size: [usize; 2],
    /// Zeros above and left.
    padding: [usize; 2],
    /// Blocks of channels in a panel of weights.
    cols: usize,
}

/// Where the results of a tile begin.
#[derive(Clone, Copy, Debug)]
struct Tile {
    sample: usize,
    row: usize,
    column: usize,
}

impl NarrowWinograd {
    /// The forward convolution.
    ///
    /// # Panics
    /// If there is none: see [`fits`](Self::fits).
    pub fn new(shape: &ConvShape) -> Self {
        assert!(Self::fits(shape), "a 3x3 convolution with stride 1, dilation 1, one group, of bfloat16");
        Self {
            in_channels: shape.in_channels,
            out_channels: shape.out_channels,
            in_size: shape.in_size,
            out_size: shape.out_size(),
            padding: [shape.padding[0].0, shape.padding[1].0],
            cols: panel_width(Isa::Avx512, max_rows(Isa::Avx512, 2)),
        }
    }

    /// Whether the algorithm computes this convolution, on the instruction set in use.
    pub fn fits(shape: &ConvShape) -> bool {
        phynexus_simd::has_bf16()
            && shape.kernel == [3, 3]
            && shape.stride == [1, 1]
            && shape.dilation == [1, 1]
            && shape.groups == 1
    }

    /// Whether it is faster than the direct algorithm and than F(4x4) in f32, which is more exact, by the work that one
    /// sample takes.
    pub fn pays(shape: &ConvShape) -> bool {
        if !Self::fits(shape) || shape.in_channels < 24 || shape.out_channels < 24 {
            return false;
        }
        let tiles =
            |of: usize| shape.out_size().map(|size| size.div_ceil(of)).iter().product::<usize>() as f64;
        let (inner, outer) = (shape.in_channels as f64, shape.out_channels as f64);
        // In multiply-adds of a vector, of pairs or of f32; transforms take so many for 16 channels of a tile.
        let each = inner * outer / 16.0;
        let narrow = tiles(TILE) * (16.0 * each / 2.0 + (inner * 90.0 + outer * 60.0) / 16.0);
        let wide = tiles(4) * (36.0 * each + (inner * 130.0 + outer * 100.0) / 16.0);
        let direct = 9.0 * each / 2.0 * shape.out_pixels() as f64;
        narrow < wide.min(0.9 * direct)
    }

    fn in_blocks(&self) -> usize {
        self.in_channels.div_ceil(LANES)
    }

    fn out_blocks(&self) -> usize {
        self.out_channels.div_ceil(LANES)
    }

    /// Rows and columns of tiles of a sample.
    fn tiles(&self) -> [usize; 2] {
        self.out_size.map(|size| size.div_ceil(TILE))
    }

    /// A tile, of all samples' one after the other.
    fn tile(&self, index: usize) -> Tile {
        let [rows, columns] = self.tiles();
        let (index, column) = (index / columns, index % columns);
        Tile { sample: index / rows, row: index % rows * TILE, column: column * TILE }
    }

    /// Channels of the output's last block.
    fn last_lanes(&self) -> usize {
        self.out_channels - (self.out_blocks() - 1) * LANES
    }

    /// Weights of a block of output channels at one position.
    fn position_len(&self) -> usize {
        self.in_blocks() * LANES * LANES
    }

    /// Elements of the packed weights.
    fn packed_len(&self) -> usize {
        self.out_blocks() * POSITIONS * self.position_len()
    }

    /// Transforms weights in f32, rounds them and packs them: for each panel
    /// `[position][channel / 2][vectors of the panel][16][2]`.
    pub fn pack(&self, canonical: Canonical<'_>, threads: usize) -> Result<Aligned<bf16>, OutOfMemory> {
        let mut packed = Aligned::<bf16>::zeroed(self.packed_len())?;
        let panels = panels(self.out_blocks(), self.cols);
        let to = Shared::new(packed.as_mut_ptr());
        for_each(threads, panels.len(), |task| {
            let panel = &panels[task];
            let start = panel.start * POSITIONS * self.position_len();
            for (vector, block) in panel.clone().enumerate() {
                let mut transformed = [[0.0f32; LANES]; POSITIONS];
                let mut channel = 0;
                let flush = |channel: usize, transformed: &mut [[f32; LANES]; POSITIONS]| {
                    for (position, values) in transformed.iter_mut().enumerate() {
                        let pair = (position * self.in_blocks() * LANES + channel) / 2;
                        let at = start + ((pair * panel.len() + vector) * LANES) * 2 + channel % 2;
                        for (lane, value) in values.iter_mut().enumerate() {
                            // SAFETY: the weight lies within this task's panel.
                            unsafe { to.get().add(at + 2 * lane).write(bf16::from_f32(*value)) };
                            *value = 0.0;
                        }
                    }
                };
                canonical.each_vector(0, block, |k, tap, values| {
                    if k != channel {
                        flush(channel, &mut transformed);
                        channel = k;
                    }
                    let (rows, columns) = (FACTORS[tap / 3], FACTORS[tap % 3]);
                    for (position, sums) in transformed.iter_mut().enumerate() {
                        let factor = rows[position / 4] * columns[position % 4];
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum += factor * value;
                        }
                    }
                });
                flush(channel, &mut transformed);
            }
        });
        Ok(packed)
    }
}

/// What each tap of an axis adds to the four positions.
const FACTORS: [[f32; 4]; 3] = [[1.0, 0.5, 0.5, 0.0], [0.0, 0.5, -0.5, 0.0], [0.0, 0.5, 0.5, 1.0]];

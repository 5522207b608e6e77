//! Winograd convolution F(4x4, 3x3): 36 products make the 16 results of a tile, where the definition takes 144.
//!
//! For kernels of 3x3 without stride, dilation or groups. A tile of 6x6 pixels is transformed (`input`), multiplied
//! position by position with transformed weights (`weights`), each position a matrix product over the channels, and
//! transformed back to 4x4 results (`output`). A value that is not finite may turn its whole tile to NaN.

mod grad_weight;
mod gradient;
mod input;
mod output;
mod points;
mod run;
mod weights;

use phynexus_simd::{Isa, LANES};

use crate::micro::panel_width;
use crate::shape::ConvShape;

/// Positions of a transformed tile.
const POSITIONS: usize = 36;
/// Results of a tile on an axis.
const TILE: usize = 4;

/// From so many weights (before the transform) on they are transformed anew at each call: transformed they are four
/// times as many, and reading these from memory would take longer. In f32, then: f64 would add a third to the time of
/// such a layer for one sample (0.13 ms at 512 channels and 7x7), and take 1 % off its error.
const TRANSFORM_EACH_CALL: usize = 9 * 256 * 256;

/// A Winograd convolution over blocked activations.
#[derive(Clone, Debug)]
pub struct Winograd {
    isa: Isa,
    in_channels: usize,
    out_channels: usize,
    in_size: [usize; 2],
    out_size: [usize; 2],
    /// Zeros above and left.
    padding: [usize; 2],
    /// Whether the packed weights are transformed already.
    is_stored: bool,
    /// Blocks of channels in a panel of stored weights.
    cols: usize,
}

impl Winograd {
    /// The forward convolution.
    ///
    /// # Panics
    /// If there is none: see [`fits`](Self::fits).
    pub fn new(shape: &ConvShape, isa: Isa) -> Self {
        assert!(Self::fits(shape), "a 3x3 convolution with stride 1, dilation 1, one group");
        Self {
            isa,
            in_channels: shape.in_channels,
            out_channels: shape.out_channels,
            in_size: shape.in_size,
            out_size: shape.out_size(),
            padding: [shape.padding[0].0, shape.padding[1].0],
            is_stored: 9 * shape.in_channels * shape.out_channels < TRANSFORM_EACH_CALL,
            cols: panel_width(isa, 14),
        }
    }

    /// Whether the algorithm computes this convolution.
    pub fn fits(shape: &ConvShape) -> bool {
        shape.kernel == [3, 3] && shape.stride == [1, 1] && shape.dilation == [1, 1] && shape.groups == 1
    }

    /// Whether it is faster than a direct algorithm that multiplies `speed` times as fast as f32, by the work that one
    /// sample takes.
    pub fn pays(shape: &ConvShape, speed: f64) -> bool {
        if !Self::fits(shape) || shape.in_channels < 24 || shape.out_channels < 24 {
            return false;
        }
        let tiles: usize = shape.out_size().map(|size| size.div_ceil(TILE)).iter().product();
        let (inner, outer) = (shape.in_channels as f64, shape.out_channels as f64);
        // In multiply-adds of a vector: transforms take about 130 and 100 for 16 channels of a tile, weights 60.
        let products = POSITIONS as f64 * inner * outer / 16.0 * tiles as f64;
        let tiles_transforms = tiles as f64 * (inner * 130.0 + outer * 100.0) / 16.0;
        let weights =
            if 9.0 * inner * outer < TRANSFORM_EACH_CALL as f64 { 0.0 } else { inner * outer / 16.0 * 60.0 };
        let direct = 9.0 * inner * outer / 16.0 * shape.out_pixels() as f64 / speed;
        products + tiles_transforms + weights < 0.9 * direct
    }

    /// Whether it computes the gradient of the weights faster than one product for each tap, by the work that one
    /// sample takes.
    pub fn pays_for_weights(shape: &ConvShape) -> bool {
        if !Self::fits(shape) || shape.in_channels < 8 || shape.out_channels < 8 {
            return false;
        }
        let tiles: usize = shape.out_size().map(|size| size.div_ceil(TILE)).iter().product();
        // Transforms take about half as long as the products.
        54 * tiles < 9 * shape.out_pixels()
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

    /// Channels of the output's last block.
    fn last_lanes(&self) -> usize {
        self.out_channels - (self.out_blocks() - 1) * LANES
    }
}

/// One tile: its sample, and its first result.
#[derive(Clone, Copy)]
struct Tile {
    sample: usize,
    row: usize,
    column: usize,
}

impl Winograd {
    fn tile(&self, index: usize) -> Tile {
        let [rows, columns] = self.tiles();
        let (column, index) = (index % columns, index / columns);
        Tile { sample: index / rows, row: index % rows * TILE, column: column * TILE }
    }
}

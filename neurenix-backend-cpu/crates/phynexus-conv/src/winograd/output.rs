//! Sums at all positions of tiles to results.

use phynexus_simd::{Kernel, LANES, Simd};

use super::points::{self, SCALES};
use super::{TILE, Winograd};
use crate::element::Lanes;
use crate::epilogue::Finish;

/// Transforms the sums of some tiles of one block of channels back.
pub struct FinishTiles<'a, T> {
    pub winograd: &'a Winograd,
    /// The first tile's first position; tiles follow each other.
    pub sums: *const f32,
    /// Floats between positions.
    pub position_stride: usize,
    pub block: usize,
    /// The tiles: so many from the first.
    pub first: usize,
    pub count: usize,
    /// The blocked output, all samples.
    pub y: *mut T,
    /// The bias of this block; the residual of the whole output.
    pub finish: Finish<T>,
}

impl<T: Lanes> Kernel for FinishTiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let winograd = self.winograd;
        let [height, width] = winograd.out_size;
        // SAFETY: the caller vouches for sums, bias, residual and output; results outside are not stored.
        unsafe {
            let bias = self.finish.bias(simd, 0);
            for index in 0..self.count {
                let tile = winograd.tile(self.first + index);
                let sums = self.sums.add(index * LANES);
                let mut columns = [[simd.zero(); TILE]; TILE + 2];
                for (column, results) in columns.iter_mut().enumerate() {
                    let points = std::array::from_fn(|row| {
                        let sum = simd.load(sums.add((row * (TILE + 2) + column) * self.position_stride));
                        // Weights that are transformed at each call lack their factors.
                        if winograd.is_stored {
                            return sum;
                        }
                        simd.mul(simd.splat(SCALES[row][column] as f32), sum)
                    });
                    *results = points::results(simd, points);
                }
                let plane = (tile.sample * winograd.out_blocks() + self.block) * height * width;
                let start = (plane + tile.row * width + tile.column) * LANES;
                let rows = (height - tile.row).min(TILE);
                let count = (width - tile.column).min(TILE);
                #[allow(clippy::needless_range_loop)] // a row of columns, not one of them
                for row in 0..TILE {
                    if row == rows {
                        break;
                    }
                    let results = points::results(simd, std::array::from_fn(|column| columns[column][row]));
                    for (column, &sum) in results.iter().enumerate() {
                        if column == count {
                            break;
                        }
                        let at = start + (row * width + column) * LANES;
                        self.finish.at(at).store(simd, sum, bias, true, self.y.add(at));
                    }
                }
            }
        }
    }
}

//! Gradients of results to transformed tiles, and sums at all positions to gradients of weights.

use phynexus_simd::{Kernel, LANES, Simd};

use super::input::{SPAN, ZERO_LINE};
use super::{POSITIONS, TILE, Winograd, points};

/// Taps of the kernel.
const TAPS: usize = 9;

/// Transforms the gradients of some tiles' results, of one block of output channels.
pub struct TransformGradients<'a> {
    pub winograd: &'a Winograd,
    /// The blocked gradient of the output, all samples.
    pub grad: *const f32,
    pub block: usize,
    /// The tiles: so many from the first.
    pub first: usize,
    pub count: usize,
    /// Where the first tile's first position goes; tiles follow each other.
    pub to: *mut f32,
    /// Floats between positions.
    pub position_stride: usize,
}

impl Kernel for TransformGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let winograd = self.winograd;
        let [height, width] = winograd.out_size;
        for index in 0..self.count {
            let tile = winograd.tile(self.first + index);
            let plane = (tile.sample * winograd.out_blocks() + self.block) * height * width;
            let (rows, held) = (height - tile.row, width - tile.column);
            // SAFETY: the tile's first result lies in the plane; lines below it are replaced, and columns right of it
            // are not read. The caller vouches for the destination.
            unsafe {
                let corner = self.grad.add((plane + tile.row * width + tile.column) * LANES);
                let lines: [*const f32; TILE] = std::array::from_fn(|row| {
                    if row < rows { corner.add(row * width * LANES) } else { ZERO_LINE.as_ptr().cast() }
                });
                let mut columns = [[simd.zero(); SPAN]; TILE];
                for (column, points) in columns.iter_mut().enumerate() {
                    if column < held {
                        let gradients = lines.map(|line| simd.load(line.add(column * LANES)));
                        *points = points::gradients(simd, gradients);
                    }
                }
                let to = self.to.add(index * LANES);
                #[allow(clippy::needless_range_loop)] // a row of columns, not one of them
                for row in 0..SPAN {
                    let points = points::gradients(simd, std::array::from_fn(|column| columns[column][row]));
                    for (column, &point) in points.iter().enumerate() {
                        simd.store(to.add((row * SPAN + column) * self.position_stride), point);
                    }
                }
            }
        }
    }
}

/// Transforms sums of some input channels and one block of output channels to gradients of weights.
pub struct StoreWeights {
    /// At each position, for each input channel a vector of output channels.
    pub sums: *const f32,
    /// Floats between positions.
    pub position_stride: usize,
    /// Floats between input channels.
    pub channel_stride: usize,
    /// Input channels.
    pub channels: usize,
    /// Output channels, 16 at most.
    pub lanes: usize,
    /// The canonical weights of the first output channel and the first input channel.
    pub to: *mut f32,
    /// Floats between output channels.
    pub to_stride: usize,
    /// Whether they are added to what is there.
    pub accumulate: bool,
}

impl Kernel for StoreWeights {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // As an output channel's weights lie: `[input channel][tap]`, vectors of output channels; then turned.
        let mut taps = [[0.0f32; LANES]; LANES * TAPS];
        for first in (0..self.channels).step_by(LANES) {
            let count = (self.channels - first).min(LANES);
            for (channel, taps) in taps.chunks_exact_mut(TAPS).enumerate().take(count) {
                // SAFETY: the caller vouches for the sums; there are nine vectors of taps.
                unsafe {
                    let sums = self.sums.add((first + channel) * self.channel_stride);
                    transform(simd, sums, self.position_stride, taps.as_mut_ptr().cast());
                }
            }
            let len = count * TAPS;
            for start in (0..len).step_by(LANES) {
                let held = (len - start).min(LANES);
                // SAFETY: the caller vouches for the weights of the channels.
                unsafe {
                    let mut rows = [simd.zero(); LANES];
                    for (row, taps) in rows.iter_mut().zip(&taps[start..]) {
                        *row = simd.load(taps.as_ptr());
                    }
                    simd.transpose(&mut rows);
                    for (lane, &weights) in rows.iter().enumerate().take(self.lanes) {
                        let to = self.to.add(lane * self.to_stride + first * TAPS + start);
                        if held == LANES {
                            let sum =
                                if self.accumulate { simd.add(simd.load(to), weights) } else { weights };
                            simd.store(to, sum);
                        } else {
                            let was = if self.accumulate { simd.load_first(to, held) } else { simd.zero() };
                            simd.store_first(to, held, simd.add(was, weights));
                        }
                    }
                }
            }
        }
    }
}

/// Transforms the sums of one input channel to its nine taps.
///
/// # Safety
/// `sums` is valid for reads at all positions, `to` for writes of nine vectors.
#[inline(always)]
unsafe fn transform<S: Simd>(simd: S, sums: *const f32, position_stride: usize, to: *mut f32) {
    debug_assert_eq!(SPAN * SPAN, POSITIONS);
    // SAFETY: as the caller vouches.
    unsafe {
        let mut columns = [[simd.zero(); 3]; SPAN];
        for (column, taps) in columns.iter_mut().enumerate() {
            let mut points = [simd.zero(); SPAN];
            for (row, point) in points.iter_mut().enumerate() {
                *point = simd.load(sums.add((row * SPAN + column) * position_stride));
            }
            *taps = points::taps(simd, points);
        }
        #[allow(clippy::needless_range_loop)] // a row of columns, not one of them
        for row in 0..3 {
            let mut points = [simd.zero(); SPAN];
            for (point, column) in points.iter_mut().zip(&columns) {
                *point = column[row];
            }
            for (column, &tap) in points::taps(simd, points).iter().enumerate() {
                simd.store(to.add((row * 3 + column) * LANES), tap);
            }
        }
    }
}

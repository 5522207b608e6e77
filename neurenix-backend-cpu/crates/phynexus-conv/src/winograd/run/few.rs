//! Few tiles: weights pass from memory through registers into sums, and are never stored transformed.
//!
//! Transformed, weights are four times as many, and a core would spend more time on writing them to its second cache
//! and reading them again than on multiplying them with so few tiles. So sums of one row of six positions of four tiles
//! are in registers at a time, and the weights at these positions are made where they are multiplied: 60 multiply-adds
//! for the six rows of 16 kernels, beside 36 for each tile.
//!
//! Predicted for 512 channels of 7x7 on two cores of Zen 5: 0.25 ms. Measured in a plan of ResNet-18, whose weights
//! come from memory: 0.28, where the way for more tiles took 0.58; and 0.28 for 256 channels of 14x14, where that took
//! 0.35. (It takes 0.22 where the weights of few layers stay in the third cache: it asks for too few of them ahead.) A
//! vector of weights takes 132 cycles for four tiles, when it is near. The 204 multiply-adds could be done in 102, but
//! they read as many factors from the first cache, and the compiler has a few registers too few.

use std::ops::Range;

use phynexus_simd::{Isa, Kernel, LANES, Simd};

use super::super::input::TransformTiles;
use super::super::output::FinishTiles;
use super::super::weights::row;
use super::super::{POSITIONS, TILE};
use super::Job;
use crate::element::Lanes;
use crate::memory::OutOfMemory;
use crate::split::{chunks, part};
use crate::tasks::for_each_with_scratch;

/// Positions of a row.
const SPAN: usize = TILE + 2;
/// Tiles that are summed up at once: with six positions each they take 24 registers.
const AT_ONCE: usize = 4;
/// Most tiles for which this is the way: each four of them have weights transformed again.
const MOST: usize = 16;
/// Blocks of input channels whose weights and tiles stay in the first cache while the rows of positions pass.
const NEAR_BLOCKS: usize = 2;
/// Weights of one input channel and a block of output channels.
const KERNEL_LEN: usize = 9 * LANES;

/// Whether there are few enough tiles for an instruction set with registers enough.
pub fn pays<S: Simd>(tiles: usize) -> bool {
    S::ISA == Isa::Avx512 && tiles <= MOST
}

impl<T: Lanes> Job<'_, T> {
    /// The convolution of few tiles: threads share out the output channels.
    pub fn with_few<S: Simd>(&self, simd: S) -> Result<(), OutOfMemory> {
        let winograd = self.winograd;
        let (inner, outer) = (winograd.in_blocks(), winograd.out_blocks());
        let groups: Vec<Range<usize>> = chunks(self.all_tiles(), AT_ONCE).collect();
        let parts = self.threads.min(outer);
        let tile_len = POSITIONS * LANES;
        let tiles_len = self.all_tiles() * inner * tile_len;
        let sums_len = self.all_tiles() * tile_len;
        for_each_with_scratch::<f32>(self.threads, parts, tiles_len + sums_len, |index, tiles| {
            // SAFETY: the scratch holds all tiles, `[group][block][position][tile of the group][16]`, and the sums of a
            // block of output channels, `[group][position][tile of the group][16]`.
            unsafe {
                let sums = tiles.add(tiles_len);
                for group in &groups {
                    for block in 0..inner {
                        simd.vectorize(TransformTiles {
                            winograd,
                            x: self.x,
                            block,
                            first: group.start,
                            count: group.len(),
                            to: tiles.add((group.start * inner + block * group.len()) * tile_len),
                            position_stride: group.len() * LANES,
                        });
                    }
                }
                for out_block in part(outer, parts, index) {
                    for blocks in chunks(inner, NEAR_BLOCKS) {
                        let first = (out_block * inner + blocks.start) * LANES * KERNEL_LEN;
                        for group in &groups {
                            let at = (group.start * inner + blocks.start * group.len()) * tile_len;
                            simd.vectorize(AddProducts {
                                weights: self.weights.as_ptr().add(first),
                                blocks: blocks.len(),
                                tiles: tiles.add(at),
                                count: group.len(),
                                sums: sums.add(group.start * tile_len),
                                resume: blocks.start > 0,
                            });
                        }
                    }
                    let is_last = out_block + 1 == outer;
                    let lanes = if is_last { winograd.last_lanes() } else { LANES };
                    for group in &groups {
                        simd.vectorize(FinishTiles {
                            winograd,
                            sums: sums.add(group.start * tile_len),
                            position_stride: group.len() * LANES,
                            block: out_block,
                            first: group.start,
                            count: group.len(),
                            y: self.y.get(),
                            finish: self.epilogue.finish(out_block, lanes),
                        });
                    }
                }
            }
        })
    }
}

/// Adds the products of some input channels to the sums of a block of output channels at all positions.
struct AddProducts {
    /// `[input channel][tap][16]`
    weights: *const f32,
    /// Blocks of input channels.
    blocks: usize,
    /// `[block][position][tile][16]`
    tiles: *const f32,
    /// Tiles, at most [`AT_ONCE`].
    count: usize,
    /// `[position][tile][16]`
    sums: *mut f32,
    /// Whether there are sums already.
    resume: bool,
}

impl Kernel for AddProducts {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: as the caller of the kernel vouches.
        unsafe {
            match self.count {
                1 => self.rows::<S, 1>(simd),
                2 => self.rows::<S, 2>(simd),
                3 => self.rows::<S, 3>(simd),
                _ => self.rows::<S, AT_ONCE>(simd),
            }
        }
    }
}

impl AddProducts {
    /// # Safety
    /// There are `TILES` tiles; weights, tiles and sums are as the fields say.
    #[inline(always)]
    unsafe fn rows<S: Simd, const TILES: usize>(&self, simd: S) {
        // SAFETY: as the caller vouches.
        unsafe {
            self.add_row::<S, 0, TILES>(simd);
            self.add_row::<S, 1, TILES>(simd);
            self.add_row::<S, 2, TILES>(simd);
            self.add_row::<S, 3, TILES>(simd);
            self.add_row::<S, 4, TILES>(simd);
            self.add_row::<S, 5, TILES>(simd);
        }
    }

    /// One row of positions.
    ///
    /// # Safety
    /// There are `TILES` tiles; weights, tiles and sums are as the fields say.
    #[inline(always)]
    unsafe fn add_row<S: Simd, const ROW: usize, const TILES: usize>(&self, simd: S) {
        // SAFETY: as the caller vouches.
        unsafe {
            let to = self.sums.add(ROW * SPAN * TILES * LANES);
            let mut sums = [[simd.zero(); TILES]; SPAN];
            if self.resume {
                for (position, sums) in sums.iter_mut().enumerate() {
                    for (tile, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.load(to.add((position * TILES + tile) * LANES));
                    }
                }
            }
            // What comes after these weights is read next: a share of its lines for each row.
            let all = self.blocks * LANES;
            let mut ahead = self.weights.wrapping_add(all * (KERNEL_LEN + ROW * KERNEL_LEN / SPAN));
            let mut kernels = self.weights;
            for block in 0..self.blocks {
                let mut tiles = self.tiles.add((block * POSITIONS + ROW * SPAN) * TILES * LANES);
                for _ in 0..LANES {
                    prefetch(ahead);
                    prefetch(ahead.wrapping_add(LANES));
                    ahead = ahead.wrapping_add(KERNEL_LEN / SPAN);
                    let points = row::<S, ROW>(simd, kernels);
                    for (position, sums) in sums.iter_mut().enumerate() {
                        for (tile, sum) in sums.iter_mut().enumerate() {
                            let x = simd.splat(*tiles.add((position * TILES + tile) * LANES));
                            *sum = simd.fma(x, points[position], *sum);
                        }
                    }
                    kernels = kernels.add(KERNEL_LEN);
                    tiles = tiles.add(1);
                }
            }
            for (position, sums) in sums.iter().enumerate() {
                for (tile, &sum) in sums.iter().enumerate() {
                    simd.store(to.add((position * TILES + tile) * LANES), sum);
                }
            }
        }
    }
}

/// Asks for a line of memory to come into the second cache.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
fn prefetch(line: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.cast())
    };
}

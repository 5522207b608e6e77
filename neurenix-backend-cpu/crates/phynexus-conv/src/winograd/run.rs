//! Runs a Winograd convolution over blocks of tiles.
//!
//! A task takes a block of tiles from pixels to results; what threads hand each other takes long to arrive. With
//! stored weights its tiles fit a core's second cache, and the weights pass by. Otherwise it takes many tiles, to make
//! the transform of weights worth while; where there are few, it takes some of the output channels of all of them (see
//! `few` for the fewest).

mod few;

use std::ops::Range;

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::input::TransformTiles;
use super::output::FinishTiles;
use super::weights::TransformWeights;
use super::{POSITIONS, Winograd};
use crate::arithmetic::Arithmetic;
use crate::element::Lanes;
use crate::epilogue::{Finish, RawEpilogue};
use crate::memory::{OutOfMemory, Shared};
use crate::micro::{Float, MicroArgs, max_rows, panel_width};
use crate::split::{chunks, panels, part};
use crate::tasks::for_each_with_scratch;

/// Transformed tiles of a task with stored weights, in bytes.
const TASK_TILES: usize = 520 << 10;
/// Transformed tiles of a task that transforms weights, in bytes.
const MANY_TILES: usize = 5 << 20;
/// Weights that a task transforms at a time, in bytes.
const TASK_WEIGHTS: usize = 300 << 10;
/// Between positions, so that they do not all fall into the same lines of the cache.
const GAP: usize = LANES;

struct Job<'a, T> {
    winograd: &'a Winograd,
    batch: usize,
    x: *const T,
    weights: &'a [f32],
    y: Shared<T>,
    epilogue: RawEpilogue<T>,
    threads: usize,
}

// SAFETY: tasks only read `x` and the residual, and write disjoint parts of `y`.
unsafe impl<T: Lanes> Sync for Job<'_, T> {}

impl Winograd {
    /// Convolves `batch` samples.
    ///
    /// # Safety
    /// `x` and `y` are valid for the blocked activations of the shape, the epilogue's addresses as `y`; `y` overlaps
    /// nothing; the weights come from [`pack`](Self::pack).
    pub unsafe fn run<T: Lanes>(
        &self,
        batch: usize,
        x: *const T,
        weights: &[f32],
        y: *mut T,
        epilogue: RawEpilogue<T>,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(), "weights packed for this convolution");
        let job = Job { winograd: self, batch, x, weights, y: Shared::new(y), epilogue, threads };
        dispatch_on(self.isa, job)
    }
}

impl<T: Lanes> Kernel for Job<'_, T> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        if self.winograd.is_stored {
            self.with_stored(simd)
        } else if few::pays::<S>(self.all_tiles()) {
            self.with_few(simd)
        } else {
            self.with_transform(simd)
        }
    }
}

/// Some tiles, in chunks that the innermost product takes at a time.
struct Block {
    /// Tiles.
    tiles: Range<usize>,
    /// Most tiles of a chunk.
    largest: usize,
}

impl Block {
    /// Each chunk's number, and its tiles.
    fn chunks(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let start = self.tiles.start;
        chunks(self.tiles.len(), self.largest)
            .map(move |chunk| start + chunk.start..start + chunk.end)
            .enumerate()
    }
}

/// Floats that a chunk of transformed tiles takes, for so many blocks of channels.
fn chunk_len(largest: usize, blocks: usize) -> usize {
    POSITIONS * position_len(largest, blocks)
}

/// Floats between positions in a chunk of so many tiles.
fn position_len(tiles: usize, blocks: usize) -> usize {
    blocks * tiles * LANES + GAP
}

impl<T: Lanes> Job<'_, T> {
    fn all_tiles(&self) -> usize {
        let [rows, columns] = self.winograd.tiles();
        self.batch * rows * columns
    }

    fn with_stored<S: Simd>(&self, simd: S) -> Result<(), OutOfMemory> {
        let winograd = self.winograd;
        let (inner, cols) = (winograd.in_blocks(), winograd.cols);
        let largest = max_rows(S::ISA, cols);
        let all = self.all_tiles();
        let chunk_bytes = chunk_len(largest, inner) * size_of::<f32>();
        let at_once = (TASK_TILES / chunk_bytes).max(1) * largest;
        // Enough tasks for all threads, of whole chunks.
        let tasks = all.div_ceil(at_once).max(self.threads.min(all.div_ceil(largest)));
        let tasks = tasks.next_multiple_of(self.threads).min(all.div_ceil(largest));
        let most = all.div_ceil(tasks).div_ceil(largest);
        let (v_len, m_len) = (most * chunk_len(largest, inner), most * chunk_len(largest, cols));
        for_each_with_scratch::<f32>(self.threads, tasks, v_len + m_len, |task, scratch| {
            let block = Block { tiles: part(all, tasks, task), largest };
            // SAFETY: the scratch holds transformed tiles and sums of a block.
            unsafe {
                let sums = scratch.add(v_len);
                self.transform_block(simd, &block, scratch);
                for panel in panels(winograd.out_blocks(), cols) {
                    let weights = self.weights.as_ptr().add(panel.start * LANES * inner * LANES * POSITIONS);
                    let product = Product {
                        block: &block,
                        cols: panel.len(),
                        blocks: 0..inner,
                        all_blocks: inner,
                        next: &[],
                    };
                    product.run::<S>(scratch, weights, inner * LANES * panel.len() * LANES, sums);
                    self.finish_tiles(simd, &block, &panel, sums);
                }
            }
        })
    }

    fn with_transform<S: Simd>(&self, simd: S) -> Result<(), OutOfMemory> {
        let winograd = self.winograd;
        let inner = winograd.in_blocks();
        let all = self.all_tiles();
        // Either all threads transform all weights, or all tiles.
        let by_channels = all * 5 < winograd.out_channels * 3;
        let tile_bytes = inner * LANES * POSITIONS * size_of::<f32>();
        let blocks = all.div_ceil((MANY_TILES / tile_bytes).max(14));
        let blocks = if by_channels { blocks } else { blocks.next_multiple_of(self.threads).min(all) };
        let most = all.div_ceil(blocks);
        let cols = panel_width(S::ISA, most);
        let largest = max_rows(S::ISA, cols);
        let panels = panels(winograd.out_blocks(), cols);
        let parts = if by_channels { self.threads.min(panels.len()) } else { 1 };

        let v_len = most.div_ceil(largest) * chunk_len(largest, inner);
        let run_bytes = LANES * POSITIONS * cols * LANES * size_of::<f32>();
        // One chunk of tiles: less is multiplied than read, so much is read at a time, and ahead.
        let is_single = most <= largest;
        let task_weights = if is_single { 2 * TASK_WEIGHTS } else { TASK_WEIGHTS };
        let runs = (task_weights / run_bytes).clamp(1, inner);
        let w_len = POSITIONS * (runs * LANES * cols * LANES + GAP);
        let m_len = most.div_ceil(largest) * chunk_len(largest, cols);
        for_each_with_scratch::<f32>(self.threads, blocks * parts, v_len + w_len + m_len, |task, tiles| {
            let block = Block { tiles: part(all, blocks, task / parts), largest };
            // SAFETY: the scratch holds transformed tiles, the weights of some channels, and the sums of all tiles.
            unsafe {
                let weights = tiles.add(v_len);
                let sums = weights.add(w_len);
                self.transform_block(simd, &block, tiles);
                for panel in &panels[part(panels.len(), parts, task % parts)] {
                    for blocks in chunks(inner, runs) {
                        let next =
                            if is_single { self.weights_after(panel, &blocks, runs) } else { Vec::new() };
                        let position_stride = blocks.len() * LANES * panel.len() * LANES + GAP;
                        self.transform_weights(simd, &blocks, panel, weights, position_stride);
                        let product = Product {
                            block: &block,
                            cols: panel.len(),
                            blocks,
                            all_blocks: inner,
                            next: &next,
                        };
                        product.run::<S>(tiles, weights, position_stride, sums);
                    }
                    self.finish_tiles(simd, &block, panel, sums);
                }
            }
        })
    }

    /// # Safety
    /// `to` has room for the transformed tiles of a block.
    unsafe fn transform_block<S: Simd>(&self, simd: S, block: &Block, to: *mut f32) {
        let inner = self.winograd.in_blocks();
        for (index, chunk) in block.chunks() {
            for channel_block in 0..inner {
                // SAFETY: as the caller vouches.
                unsafe {
                    let to = to.add(index * chunk_len(block.largest, inner));
                    self.transform_tiles(simd, &chunk, channel_block, to);
                }
            }
        }
    }

    /// # Safety
    /// `to` has room for the transformed tiles of a chunk, all blocks of channels.
    unsafe fn transform_tiles<S: Simd>(
        &self,
        simd: S,
        chunk: &Range<usize>,
        channel_block: usize,
        to: *mut f32,
    ) {
        let position_stride = position_len(chunk.len(), self.winograd.in_blocks());
        simd.vectorize(TransformTiles {
            winograd: self.winograd,
            x: self.x,
            block: channel_block,
            first: chunk.start,
            count: chunk.len(),
            // SAFETY: as the caller vouches.
            to: unsafe { to.add(channel_block * chunk.len() * LANES) },
            position_stride,
        });
    }

    /// # Safety
    /// `to` has room for the weights of these blocks of channels at all positions.
    unsafe fn transform_weights<S: Simd>(
        &self,
        simd: S,
        blocks: &Range<usize>,
        panel: &Range<usize>,
        to: *mut f32,
        position_stride: usize,
    ) {
        let block_len = self.winograd.in_blocks() * LANES * 9 * LANES;
        simd.vectorize(TransformWeights {
            // SAFETY: the panel and its channels lie within the weights.
            plain: unsafe {
                self.weights.as_ptr().add(panel.start * block_len + blocks.start * LANES * 9 * LANES)
            },
            block_len,
            channels: blocks.len() * LANES,
            cols: panel.len(),
            to,
            position_stride,
            is_kept: false,
        });
    }

    /// The untransformed weights that follow these channels of a panel, for each of its blocks.
    fn weights_after(&self, panel: &Range<usize>, blocks: &Range<usize>, runs: usize) -> Vec<&[f32]> {
        let run_len = LANES * 9 * LANES;
        let all = self.winograd.in_blocks();
        let slice = |out_block: usize, first: usize| {
            let start = ((out_block * all + first) * run_len).min(self.weights.len());
            &self.weights[start..(start + runs * run_len).min(self.weights.len())]
        };
        if blocks.end < all {
            panel.clone().map(|out_block| slice(out_block, blocks.end)).collect()
        } else {
            panel.clone().map(|out_block| slice(out_block + panel.len(), 0)).collect()
        }
    }

    /// # Safety
    /// `sums` holds the sums of the block's tiles for the panel.
    unsafe fn finish_tiles<S: Simd>(&self, simd: S, block: &Block, panel: &Range<usize>, sums: *const f32) {
        let winograd = self.winograd;
        for (index, chunk) in block.chunks() {
            for (vector, out_block) in panel.clone().enumerate() {
                let is_last = out_block + 1 == winograd.out_blocks();
                let start = index * chunk_len(block.largest, panel.len()) + vector * chunk.len() * LANES;
                simd.vectorize(FinishTiles {
                    winograd,
                    // SAFETY: as the caller vouches.
                    sums: unsafe { sums.add(start) },
                    position_stride: position_len(chunk.len(), panel.len()),
                    block: out_block,
                    first: chunk.start,
                    count: chunk.len(),
                    y: self.y.get(),
                    finish: self
                        .epilogue
                        .finish(out_block, if is_last { winograd.last_lanes() } else { LANES }),
                });
            }
        }
    }
}

/// The products at all positions of a block of tiles with a panel of weights.
struct Product<'a> {
    block: &'a Block,
    /// Blocks of channels of the panel.
    cols: usize,
    /// Blocks of input channels whose products are added.
    blocks: Range<usize>,
    /// Blocks of input channels there are.
    all_blocks: usize,
    /// Weights that are read next, and come from far.
    next: &'a [&'a [f32]],
}

impl Product<'_> {
    /// # Safety
    /// `tiles`, `weights` and `sums` are laid out for the block, the channels and the panel.
    unsafe fn run<S: Simd>(
        &self,
        tiles: *const f32,
        weights: *const f32,
        weight_stride: usize,
        sums: *mut f32,
    ) {
        let mut runs = Vec::with_capacity(self.blocks.len());
        for position in 0..POSITIONS {
            for next in self.next {
                prefetch(&next[part(next.len(), POSITIONS, position)]);
            }
            for (index, chunk) in self.block.chunks() {
                let rows = chunk.len();
                runs.clear();
                runs.extend(self.blocks.clone().map(|block| (block * rows * LANES) as isize));
                let a = index * chunk_len(self.block.largest, self.all_blocks)
                    + position * position_len(rows, self.all_blocks);
                let c = index * chunk_len(self.block.largest, self.cols)
                    + position * position_len(rows, self.cols);
                // SAFETY: as the caller vouches.
                unsafe {
                    Float::<f32>::micro::<S>(rows, self.cols, false)(&MicroArgs::<Float<f32>> {
                        a: tiles.add(a),
                        runs: runs.as_ptr(),
                        run_count: runs.len(),
                        run_len: LANES,
                        row_stride: LANES,
                        b: weights.add(position * weight_stride),
                        c: sums.add(c),
                        c_row: LANES,
                        c_vector: rows * LANES,
                        resume: self.blocks.start > 0,
                        finish: Finish::NONE,
                    });
                }
            }
        }
    }
}

/// Asks for the lines of memory to come into the second cache.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
fn prefetch(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(LANES) {
        // SAFETY: a hint reads nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.as_ptr().cast())
        };
    }
}

//! Runs a Winograd convolution over blocks of tiles: a task takes as many as fit a core's second cache from pixels to
//! results, while the weights pass by. Where these are more than the tiles, tasks share out the output channels
//! instead, so that no two of them read the same weights.

use std::ops::Range;

use half::bf16;
use phynexus_simd::{Avx512, Isa, LANES};

use super::{NarrowWinograd, POSITIONS};
use crate::arithmetic::Arithmetic;
use crate::epilogue::{Finish, RawEpilogue};
use crate::memory::{OutOfMemory, Shared};
use crate::micro::{BFloat16, MicroArgs, max_rows};
use crate::split::{chunks, panels, part};
use crate::tasks::for_each_with_scratch;

/// Transformed tiles and sums of a task, in bytes.
const TASK: usize = 600 << 10;
/// Bytes between positions, so that they do not all fall into the same lines of the cache.
const GAP: usize = 64;

impl NarrowWinograd {
    /// Convolves `batch` samples.
    ///
    /// # Safety
    /// `x` and `y` are valid for the blocked activations of the shape, the epilogue's addresses as `y`; `y` overlaps
    /// nothing; the weights come from [`pack`](Self::pack).
    pub unsafe fn run(
        &self,
        batch: usize,
        x: *const bf16,
        weights: &[bf16],
        y: *mut bf16,
        epilogue: RawEpilogue<bf16>,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(), "weights packed for this convolution");
        let inner = self.in_blocks();
        let [rows, columns] = self.tiles();
        let all = batch * rows * columns;
        let largest = max_rows(Isa::Avx512, self.cols);
        // Between positions of a chunk of tiles, and of its sums.
        let apart = inner * largest * LANES + GAP / size_of::<bf16>();
        let sums_apart = self.cols * largest * LANES + GAP / size_of::<f32>();
        let chunk_bytes = POSITIONS * (apart * size_of::<bf16>() + sums_apart * size_of::<f32>());
        let all_chunks = all.div_ceil(largest);
        let by_channels = all_chunks * chunk_bytes < size_of_val(weights);
        let blocks = all_chunks.div_ceil((TASK / chunk_bytes).max(1));
        let blocks = if by_channels { blocks } else { blocks.next_multiple_of(threads).min(all_chunks) };
        let at_once = all_chunks.div_ceil(blocks);
        let tile_floats = at_once * POSITIONS * apart / 2;
        let scratch_floats = tile_floats + at_once * POSITIONS * sums_apart;
        let panels = panels(self.out_blocks(), self.cols);
        let parts = if by_channels { threads.min(panels.len()) } else { 1 };
        let (x, y, epilogue) = (Shared::new(x.cast_mut()), Shared::new(y), &epilogue);
        for_each_with_scratch::<f32>(threads, blocks * parts, scratch_floats, |task, scratch| {
            let chunks = self.chunks(part(all, blocks, task / parts), largest);
            assert!(chunks.len() <= at_once, "room for all chunks");
            let tiles = scratch.cast::<bf16>();
            // SAFETY: the scratch holds the transformed tiles and the sums of all chunks; tasks write disjoint results.
            unsafe {
                let sums = scratch.add(tile_floats);
                for (index, chunk) in chunks.iter().enumerate() {
                    for (block, &run) in chunk.runs.iter().enumerate() {
                        let to = tiles.add(index * POSITIONS * apart).offset(run);
                        self.transform_tiles(x.get(), block, chunk.tiles, to, apart);
                    }
                }
                for panel in &panels[part(panels.len(), parts, task % parts)] {
                    let weights = weights.as_ptr().add(panel.start * POSITIONS * self.position_len());
                    for position in 0..POSITIONS {
                        for (index, chunk) in chunks.iter().enumerate() {
                            let place = index * POSITIONS + position;
                            let rows = chunk.tiles.1;
                            BFloat16::<f32>::micro::<Avx512>(rows, panel.len(), false)(&MicroArgs {
                                a: tiles.add(place * apart),
                                runs: chunk.runs.as_ptr(),
                                run_count: inner,
                                run_len: LANES,
                                row_stride: LANES,
                                b: weights.add(position * panel.len() * self.position_len()),
                                c: sums.add(place * sums_apart),
                                c_row: LANES,
                                c_vector: rows * LANES,
                                resume: false,
                                finish: Finish::NONE,
                            });
                        }
                    }
                    for (index, chunk) in chunks.iter().enumerate() {
                        for (vector, block) in panel.clone().enumerate() {
                            let is_last = block + 1 == self.out_blocks();
                            let lanes = if is_last { self.last_lanes() } else { LANES };
                            let start = index * POSITIONS * sums_apart + vector * chunk.tiles.1 * LANES;
                            let finish = epilogue.finish(block, lanes);
                            self.finish_tiles(
                                sums.add(start),
                                sums_apart,
                                block,
                                chunk.tiles,
                                y.get(),
                                finish,
                            );
                        }
                    }
                }
            }
        })
    }

    /// Cuts tiles into chunks of at most `largest`.
    fn chunks(&self, tiles: Range<usize>, largest: usize) -> Vec<Chunk> {
        let chunk = |range: Range<usize>| Chunk {
            tiles: (tiles.start + range.start, range.len()),
            runs: (0..self.in_blocks()).map(|block| (block * range.len() * LANES) as isize).collect(),
        };
        chunks(tiles.len(), largest).map(chunk).collect()
    }
}

/// Tiles that the innermost product takes at a time.
struct Chunk {
    /// The first, and how many.
    tiles: (usize, usize),
    /// Where each block of channels starts, from a position's start.
    runs: Vec<isize>,
}

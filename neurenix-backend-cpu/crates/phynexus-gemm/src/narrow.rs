//! Products of operands narrower than 32 bits: packed weights on the right, rows on the left, sums
//! finished block by block.

use std::mem::MaybeUninit;
use std::ops::Range;

use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Isa, Kernel, LANES, Simd};

use crate::matrix::MatRef;
use crate::micro::{Dot, DotKernel, WordArgs, word_tile_fn};
use crate::packed::PanelLayout;
use crate::tiles::blocks;

/// Multiply-adds of words that are worth a second thread.
const PARALLEL_WORK: usize = 1 << 20;

/// The right operand: panels `[words][16 * S::COLS]` of words of `K` elements, consecutive in `k`.
#[derive(Debug)]
pub(crate) struct PackedWords {
    blocks: Vec<Block>,
    pub depth: usize,
    pub words: usize,
    pub cols: usize,
    pub isa: Isa,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block([i32; LANES]);

/// A word made of elements `k ..` of a column, zeros after the last.
pub(crate) trait Word: Sync {
    /// Elements in a word.
    const ELEMENTS: usize;

    /// The word of elements `ELEMENTS * index ..` of column `col`.
    fn word(&self, index: usize, col: usize) -> i32;
}

impl PackedWords {
    pub fn new<W: Word>(isa: Isa, depth: usize, cols: usize, source: &W) -> Self {
        struct Width;
        impl Kernel for Width {
            type Output = usize;
            fn run<S: Simd>(self, _: S) -> usize {
                S::COLS * LANES
            }
        }
        let layout = PanelLayout { cols, width: phynexus_simd::dispatch_on(isa, Width) };
        let words = depth.div_ceil(W::ELEMENTS);
        let mut blocks = vec![Block([0; LANES]); layout.floats(words) / LANES];
        let mut rest = blocks.iter_mut();
        for start in (0..cols).step_by(layout.width) {
            let width = layout.width.min((cols - start).next_multiple_of(LANES));
            for index in 0..words {
                for (v, block) in rest.by_ref().take(width / LANES).enumerate() {
                    let from = start + v * LANES;
                    for (col, lane) in (from..cols).zip(&mut block.0) {
                        *lane = source.word(index, col);
                    }
                }
            }
        }
        Self { blocks, depth, words, cols, isa }
    }

    pub fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>()
    }

    fn as_ptr(&self) -> *const i32 {
        self.blocks.as_ptr().cast()
    }
}

/// What becomes of finished sums.
pub(crate) trait Finish: Sync {
    /// Takes the bits of `many <= 16` sums of row `row` from column `col` on.
    ///
    /// # Safety
    /// They belong to the product, of which no other thread has this part.
    unsafe fn finish<S: Simd>(&self, simd: S, bits: *const i32, row: usize, col: usize, many: usize);
}

/// A product of rows of `T` and packed words.
pub(crate) struct Narrow<'a, T, F> {
    pub a: MatRef<'a, T>,
    pub b: &'a PackedWords,
    pub finish: F,
    pub workers: usize,
}

impl<T: Copy + Sync, F: Finish> DotKernel for Narrow<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, dot: D) {
        share_out(dot, &self);
    }
}

fn share_out<D: Dot, T: Copy + Sync, F: Finish>(dot: D, product: &Narrow<'_, T, F>) {
    /// Blocks of rows of a part; few enough to stay in the cache while panels change.
    const PART_BLOCKS: usize = 16;
    let (rows, words) = (product.a.rows(), product.b.words);
    let layout = PanelLayout { cols: product.b.cols, width: D::S::COLS * LANES };
    let panels = layout.count();
    let workers = product.workers;
    let is_parallel = workers > 1 && rows * words * product.b.cols >= PARALLEL_WORK;
    let mut row_parts = rows.div_ceil(PART_BLOCKS * D::S::ROWS);
    if is_parallel {
        row_parts = row_parts.next_multiple_of(workers).min(rows.div_ceil(D::S::ROWS));
    }
    let panel_parts = if is_parallel { workers.div_ceil(row_parts.max(1)).min(panels) } else { 1 };
    let part = |index: usize| {
        let (i, j) = (index / panel_parts, index % panel_parts);
        let range = |i: usize, many: usize, parts: usize| i * many / parts..(i + 1) * many / parts;
        // SAFETY: parts do not overlap.
        unsafe { some(dot, product, range(i, rows, row_parts), range(j, panels, panel_parts)) };
    };
    let parts = row_parts * panel_parts;
    if is_parallel && parts > 1 { parallel_for(parts, part) } else { (0..parts).for_each(part) }
}

/// Some rows of some panels.
unsafe fn some<D: Dot, T: Copy + Sync, F: Finish>(
    dot: D,
    product: &Narrow<'_, T, F>,
    rows: Range<usize>,
    panels: Range<usize>,
) {
    let (a, words) = (product.a, product.b.words);
    let elements = size_of::<i32>() / size_of::<T>();
    let row_bytes = a.row_stride() * size_of::<T>() as isize;
    // In place if the rows are whole words, and not a page apart, where they would compete for the
    // same places of the cache.
    let in_place = a.col_stride() == 1
        && product.b.depth == words * elements
        && (row_bytes % 4096 != 0 || rows.len() <= 8);
    if in_place {
        // SAFETY: as the caller vouches.
        unsafe { all_blocks(dot, product, a.at(rows.start, 0).cast(), row_bytes, rows, panels) };
        return;
    }
    let copy_bytes = (words * size_of::<i32>()).next_multiple_of(128) + 64;
    let result = with_scratch(copy_bytes * rows.len(), |copy| {
        for (i, row) in rows.clone().enumerate() {
            // SAFETY: elements of `a`; the scratch holds the rows.
            unsafe {
                let to = copy.add(i * copy_bytes);
                if words > 0 {
                    // Zeros after the last element.
                    to.cast::<i32>().add(words - 1).write(0);
                }
                for k in 0..a.cols() {
                    to.cast::<T>().add(k).write(*a.at(row, k));
                }
            }
        }
        // SAFETY: as the caller vouches.
        unsafe { all_blocks(dot, product, copy, copy_bytes as isize, rows.clone(), panels.clone()) };
    });
    if let Err(error) = result {
        panic!("no memory for a copy of {} rows: {error}", rows.len());
    }
}

/// All blocks of a part, whose rows lie `row_bytes` apart from `first` on.
unsafe fn all_blocks<D: Dot, T: Copy + Sync, F: Finish>(
    dot: D,
    product: &Narrow<'_, T, F>,
    first: *const u8,
    row_bytes: isize,
    rows: Range<usize>,
    panels: Range<usize>,
) {
    let words = product.b.words;
    let layout = PanelLayout { cols: product.b.cols, width: D::S::COLS * LANES };
    let mut sums = [const { MaybeUninit::<i32>::uninit() }; 14 * 2 * LANES];
    for panel in panels {
        let col = panel * layout.width;
        let cols = layout.width.min(layout.cols - col);
        let vectors = cols.div_ceil(LANES);
        for block in blocks(rows.clone(), D::S::ROWS) {
            let args = WordArgs {
                words,
                a: first.wrapping_offset((block.start - rows.start) as isize * row_bytes),
                row_bytes,
                panel: product.b.as_ptr().wrapping_add(col * words),
                sums: sums.as_mut_ptr().cast(),
            };
            // SAFETY: rows of `a` and panels of `b`; the sums hold a block.
            unsafe { word_tile_fn::<D>(block.len(), vectors)(dot, &args) };
            let finish = FinishTile { finish: &product.finish, sums: args.sums, rows: block, col, cols };
            dot.simd().vectorize(finish);
        }
    }
}

struct FinishTile<'a, F> {
    finish: &'a F,
    sums: *const i32,
    rows: Range<usize>,
    col: usize,
    cols: usize,
}

impl<F: Finish> Kernel for FinishTile<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { finish, sums, rows, col, cols } = self;
        let width = cols.next_multiple_of(LANES);
        for (i, row) in rows.enumerate() {
            for j in (0..cols).step_by(LANES) {
                // SAFETY: sums of the block, which this thread has.
                unsafe { finish.finish(simd, sums.add(i * width + j), row, col + j, LANES.min(cols - j)) };
            }
        }
    }
}

//! Products of two matrices: how an operand is prepared and how the work is shared out.

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on, isa};

use crate::epilogue::Epilogue;
use crate::matrix::{MatMut, MatRef, Target};
use crate::pack::with_floats;
use crate::packed::{Address, PackedB, PanelLayout};
use crate::thin::{MOST_ROWS, Thin};
use crate::tiles::{Product, Right};
use phynexus_runtime::{parallel_for, threads};

/// Floats of `B` that are packed at a time.
const PACKED_FLOATS: usize = 4 << 20;

/// Rows up to which each part packs what it needs of the right operand: all rows are in one part.
const AS_NEEDED_ROWS: usize = 448;

/// Blocks of rows up to which a right operand with adjacent columns is read where it lies: later
/// blocks find what the first one reads in the cache, and a copy would cost more than it gains.
const IN_PLACE_BLOCKS: usize = 4;

/// Multiply-adds that are worth a second thread: about 20 microseconds.
pub(crate) const PARALLEL_WORK: usize = 2 << 20;

/// `c = a * b`, with an epilogue. Any strides; see the crate's documentation for what is promised.
///
/// # Panics
/// If shapes do not fit one another.
pub fn gemm(a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, epilogue: &Epilogue<'_>) {
    gemm_on(isa(), a, b, c, epilogue);
}

/// [`gemm`] on an instruction set.
///
/// # Panics
/// If shapes do not fit one another or this processor has not got the instruction set.
pub fn gemm_on(isa: Isa, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, epilogue: &Epilogue<'_>) {
    check(a, b.rows(), b.cols(), &c, epilogue);
    // SAFETY: the shapes fit, and `c` is borrowed for writing.
    unsafe { multiply(isa, threads(), a, b, c.target(), epilogue) };
}

/// `c = a * b` with `b` packed before, with an epilogue.
///
/// # Panics
/// If shapes do not fit one another.
pub fn gemm_packed(a: MatRef<'_>, b: &PackedB, c: MatMut<'_>, epilogue: &Epilogue<'_>) {
    check(a, b.rows(), b.cols(), &c, epilogue);
    let whole = Whole { a, b: Given::Packed(b), c: c.target(), epilogue, workers: threads() };
    dispatch_on(b.isa(), whole);
}

pub(crate) fn check(a: MatRef<'_>, b_rows: usize, b_cols: usize, c: &MatMut<'_>, epilogue: &Epilogue<'_>) {
    let fits = a.cols() == b_rows && c.rows() == a.rows() && c.cols() == b_cols;
    assert!(fits, "{}x{} = {}x{} * {b_rows}x{b_cols} is no product", c.rows(), c.cols(), a.rows(), a.cols());
    epilogue.check(c.rows(), c.cols());
}

/// `c = a * b` where shapes are known to fit, by at most `workers` threads.
///
/// # Safety
/// `c` has `a.rows()` times `b.cols()` elements, valid for reads and writes by this thread and
/// those that help it, and the epilogue was checked for them.
pub(crate) unsafe fn multiply(
    isa: Isa,
    workers: usize,
    a: MatRef<'_>,
    b: MatRef<'_>,
    c: Target,
    epilogue: &Epilogue<'_>,
) {
    let is_upright = if c.col_stride == 1 && c.row_stride == 1 {
        b.cols() > 1
    } else {
        c.row_stride != 1 && !is_better_transposed(a, b)
    };
    if is_upright {
        dispatch_on(isa, Whole { a, b: Given::Plain(b), c, epilogue, workers });
    } else {
        let epilogue = &epilogue.t();
        dispatch_on(isa, Whole { a: b.t(), b: Given::Plain(a.t()), c: c.t(), epilogue, workers });
    }
}

/// Whether a product with few rows of weights `[n][k]`, which would have to be packed, is better
/// done with these on the left, where they are read as they lie.
fn is_better_transposed(a: MatRef<'_>, b: MatRef<'_>) -> bool {
    let rows = a.rows();
    let padding = rows.next_multiple_of(LANES) - rows;
    let is_thin = rows <= MOST_ROWS && b.cols() >= LANES;
    let is_weights = b.row_stride() == 1 && b.col_stride() != 1;
    is_weights && b.rows() >= 64 && rows <= 128 && padding <= 8 && !is_thin && b.cols() > rows
}

/// A right operand as callers have it.
#[derive(Clone, Copy)]
enum Given<'a> {
    Plain(MatRef<'a>),
    Packed(&'a PackedB),
}

/// A whole product.
struct Whole<'a> {
    a: MatRef<'a>,
    b: Given<'a>,
    c: Target,
    epilogue: &'a Epilogue<'a>,
    workers: usize,
}

impl Kernel for Whole<'_> {
    type Output = ();

    fn run<S: Simd>(self, simd: S) {
        let Self { a, b, c, epilogue, workers } = self;
        match b {
            Given::Packed(packed) => {
                let layout = PanelLayout::new::<S>(packed.cols());
                let b = Right::Packed(packed.as_ptr());
                let product = Product { a, b, layout, c, epilogue, continues: false, is_partial: false };
                share_out(simd, workers, &product);
            }
            Given::Plain(b) => plain(simd, workers, a, b, c, epilogue),
        }
    }
}

fn plain<S: Simd>(simd: S, workers: usize, a: MatRef<'_>, b: MatRef<'_>, c: Target, epilogue: &Epilogue<'_>) {
    let (depth, cols) = (b.rows(), b.cols());
    let layout = PanelLayout::new::<S>(cols);
    let thin = Thin { a, b, c, epilogue };
    if thin.fits() {
        // SAFETY: as for this product.
        unsafe { thin.run(simd, workers) };
        return;
    }
    let in_place = b.col_stride() == 1 && a.rows() <= IN_PLACE_BLOCKS * S::ROWS;
    if in_place || a.rows() <= AS_NEEDED_ROWS {
        let b = if in_place { Right::InPlace(b) } else { Right::AsNeeded(b) };
        let product = Product { a, b, layout, c, epilogue, continues: false, is_partial: false };
        share_out(simd, workers, &product);
        return;
    }
    let most_depth = depth.min(PACKED_FLOATS / (16 * layout.width));
    let most_cols = (PACKED_FLOATS / most_depth.max(1) / layout.width).max(1) * layout.width;
    with_floats(PanelLayout { cols: cols.min(most_cols), ..layout }.floats(most_depth), |scratch| {
        let to = Address(scratch);
        for col in (0..cols).step_by(most_cols) {
            let layout = PanelLayout { cols: most_cols.min(cols - col), ..layout };
            let mut k = 0;
            loop {
                let deep = most_depth.min(depth - k);
                // SAFETY: parts of the operands.
                let (a, b) = unsafe {
                    (
                        MatRef::from_raw(a.at(0, k), a.rows(), deep, a.row_stride(), a.col_stride()),
                        MatRef::from_raw(b.at(k, col), deep, layout.cols, b.row_stride(), b.col_stride()),
                    )
                };
                // SAFETY: the scratch holds as many floats.
                unsafe { layout.pack_all(simd, workers, b, to) };
                let b = Right::Packed(scratch);
                let epilogue = &epilogue.columns(col, layout.cols);
                let c = c.moved(col as isize * c.col_stride);
                let is_partial = k + deep < depth;
                share_out(
                    simd,
                    workers,
                    &Product { a, b, layout, c, epilogue, continues: k > 0, is_partial },
                );
                k += deep;
                if k >= depth {
                    break;
                }
            }
        }
    });
}

/// Cuts a product into parts for the threads.
fn share_out<S: Simd>(simd: S, workers: usize, product: &Product<'_>) {
    /// Floats of `A` in a part, at least 112 rows of them: packed, they fit the second-level cache.
    const PART_FLOATS: usize = 112 * 1024;
    /// Columns of a part: enough to make up for packing its rows of `A`.
    const PART_COLS: usize = 1024;
    let (rows, panels) = (product.a.rows(), product.layout.count());
    let packs_b = matches!(product.b, Right::AsNeeded(_));
    let part_rows = (PART_FLOATS / product.a.cols().max(1)).clamp(112, 4096);
    let mut row_parts = if packs_b { 1 } else { rows.div_ceil(part_rows) };
    let mut panel_parts = product.layout.cols.div_ceil(PART_COLS);
    let work = rows * product.layout.cols * product.a.cols();
    if workers > 1 && work >= PARALLEL_WORK {
        let wanted = workers.min(work / (PARALLEL_WORK / 2));
        // A few parts for each thread even out what else the processors do.
        let least = (3 * wanted).min(work / PARALLEL_WORK);
        loop {
            let parts = row_parts * panel_parts;
            if parts >= least && (parts.is_multiple_of(wanted) || parts >= 4 * wanted) {
                break;
            }
            let (high, wide) = (rows / row_parts / S::ROWS, panels / panel_parts);
            if high >= 2 && (high >= wide || wide < 2) && !packs_b {
                row_parts += 1;
            } else if wide >= 2 {
                panel_parts += 1;
            } else if high >= 2 {
                row_parts += 1;
            } else {
                break;
            }
        }
    }
    let part = |index: usize| {
        let (i, j) = (index / panel_parts, index % panel_parts);
        let range = |i: usize, many: usize, parts: usize| i * many / parts..(i + 1) * many / parts;
        // SAFETY: whoever made the product vouches for it; parts do not overlap.
        unsafe { product.part(simd, range(i, rows, row_parts), range(j, panels, panel_parts)) };
    };
    match row_parts * panel_parts {
        1 => part(0),
        parts if workers == 1 || work < PARALLEL_WORK => (0..parts).for_each(part),
        parts => parallel_for(parts, part),
    }
}

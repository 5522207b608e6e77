//! Products with few rows, such as a batch of one: bound by reading the right operand, which is read
//! once, in the order in which it lies.

use std::ops::Range;

use phynexus_runtime::parallel_for;
use phynexus_simd::{Kernel, LANES, Simd};

use crate::epilogue::{Epilogue, Tile, finish, load, store};
use crate::matrix::{MatRef, Target};

/// The most rows of a thin product.
pub(crate) const MOST_ROWS: usize = 4;

/// Elements of the right operand that are worth a second thread.
const PARALLEL_FLOATS: usize = 1 << 18;

/// A product with few rows.
#[derive(Clone, Copy)]
pub(crate) struct Thin<'a> {
    pub a: MatRef<'a>,
    pub b: MatRef<'a>,
    pub c: Target,
    pub epilogue: &'a Epilogue<'a>,
}

impl Thin<'_> {
    /// Whether this is how it is best done: `b` has adjacent rows or adjacent columns.
    pub fn fits(&self) -> bool {
        let rows = self.a.rows();
        if rows == 0 || self.c.col_stride != 1 || self.b.cols() < LANES {
            return false;
        }
        if self.b.col_stride() == 1 { rows <= 2 } else { self.b.row_stride() == 1 && rows <= MOST_ROWS }
    }

    /// Computes it by at most `workers` threads.
    ///
    /// # Safety
    /// Operands are valid for reads and `c` for writes, and the epilogue was checked for them.
    pub unsafe fn run<S: Simd>(&self, simd: S, workers: usize) {
        let vectors = self.b.cols().div_ceil(4 * LANES);
        let parts = if self.b.rows() * self.b.cols() < PARALLEL_FLOATS { 1 } else { workers.min(vectors) };
        let part = |i: usize| {
            let start = i * vectors / parts * 4 * LANES;
            let end = ((i + 1) * vectors / parts * 4 * LANES).min(self.b.cols());
            let part = Part { product: *self, cols: start..end };
            match self.a.rows() {
                1 => simd.vectorize(Rows::<1>(part)),
                2 => simd.vectorize(Rows::<2>(part)),
                3 => simd.vectorize(Rows::<3>(part)),
                _ => simd.vectorize(Rows::<MOST_ROWS>(part)),
            }
        };
        if parts == 1 { part(0) } else { parallel_for(parts, part) }
    }
}

/// Some columns of a thin product.
struct Part<'a> {
    product: Thin<'a>,
    cols: Range<usize>,
}

struct Rows<'a, const ROWS: usize>(Part<'a>);

impl<const ROWS: usize> Kernel for Rows<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Part { product: Thin { a, b, c, epilogue }, cols } = self.0;
        // SAFETY: whoever made the product vouches for it; other threads have other columns.
        unsafe {
            if b.col_stride() == 1 {
                by_rows::<S, ROWS>(simd, a, b, c, epilogue.accumulate, cols.clone());
                if !epilogue.is_identity() {
                    let sums = c.at(0, cols.start);
                    let (rows, many) = (ROWS, cols.len());
                    let tile =
                        Tile { sums, sums_row: c.row_stride, row: 0, col: cols.start, rows, cols: many };
                    finish(simd, tile, c, epilogue, true);
                }
            } else {
                for col in cols.clone().step_by(LANES) {
                    by_columns::<S, ROWS>(simd, a, b, c, epilogue, col..cols.end.min(col + LANES));
                }
            }
        }
    }
}

/// Rows of `b` are adjacent in memory: a few of them at a time are added to sums in `c`.
#[inline(always)]
unsafe fn by_rows<S: Simd, const ROWS: usize>(
    simd: S,
    a: MatRef<'_>,
    b: MatRef<'_>,
    c: Target,
    accumulate: bool,
    cols: Range<usize>,
) {
    const TOGETHER: usize = 8;
    let depth = b.rows();
    let mut continues = accumulate;
    let mut k = 0;
    // SAFETY: elements of the operands.
    unsafe {
        while k < depth || !continues {
            if depth - k >= TOGETHER {
                add_rows::<S, ROWS, TOGETHER>(simd, a, b, c, continues, cols.clone(), k);
                k += TOGETHER;
            } else if k < depth {
                add_rows::<S, ROWS, 1>(simd, a, b, c, continues, cols.clone(), k);
                k += 1;
            } else {
                add_rows::<S, ROWS, 0>(simd, a, b, c, continues, cols.clone(), k);
            }
            continues = true;
        }
    }
}

#[inline(always)]
unsafe fn add_rows<S: Simd, const ROWS: usize, const MANY: usize>(
    simd: S,
    a: MatRef<'_>,
    b: MatRef<'_>,
    c: Target,
    continues: bool,
    cols: Range<usize>,
    k: usize,
) {
    // SAFETY: elements of the operands.
    unsafe {
        let mut factors = [[simd.zero(); MANY]; ROWS];
        for (i, row) in factors.iter_mut().enumerate() {
            for (u, factor) in row.iter_mut().enumerate() {
                *factor = simd.splat(*a.at(i, k + u));
            }
        }
        for col in cols.clone().step_by(LANES) {
            let many = LANES.min(cols.end - col);
            let mut sums = [simd.zero(); ROWS];
            if continues {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = load(simd, c.at(i, col), 1, many);
                }
            }
            for u in 0..MANY {
                let x = load(simd, b.at(k + u, col), 1, many);
                for (sum, factors) in sums.iter_mut().zip(&factors) {
                    *sum = simd.fma(factors[u], x, *sum);
                }
            }
            for (i, &sum) in sums.iter().enumerate() {
                store(simd, c.at(i, col), 1, many, sum);
            }
        }
    }
}

/// Columns of `b` are adjacent in memory: 16 of them at a time, transposed in registers.
#[inline(always)]
unsafe fn by_columns<S: Simd, const ROWS: usize>(
    simd: S,
    a: MatRef<'_>,
    b: MatRef<'_>,
    c: Target,
    epilogue: &Epilogue<'_>,
    cols: Range<usize>,
) {
    let (depth, many) = (b.rows(), cols.len());
    // SAFETY: elements of the operands.
    unsafe {
        let mut sums = [simd.zero(); ROWS];
        if epilogue.accumulate {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = load(simd, c.at(i, cols.start), 1, many);
            }
        }
        let mut k = 0;
        while k + LANES <= depth && many == LANES {
            let mut block = [simd.zero(); LANES];
            for (j, vector) in block.iter_mut().enumerate() {
                *vector = simd.load(b.at(k, cols.start + j));
            }
            simd.transpose(&mut block);
            for (u, &x) in block.iter().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.fma(simd.splat(*a.at(i, k + u)), x, *sum);
                }
            }
            k += LANES;
        }
        while k < depth {
            let x = load(simd, b.at(k, cols.start), b.col_stride(), many);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = simd.fma(simd.splat(*a.at(i, k)), x, *sum);
            }
            k += 1;
        }
        for (i, &sum) in sums.iter().enumerate() {
            let x = crate::epilogue::transform(simd, sum, i, cols.start, many, epilogue);
            store(simd, c.at(i, cols.start), 1, many, x);
        }
    }
}

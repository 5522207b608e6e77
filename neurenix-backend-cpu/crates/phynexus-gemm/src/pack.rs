//! Copies of operands in the order in which the inner loops read them.

use std::ops::Range;

use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, LANES, Simd};

use crate::epilogue::load;
use crate::matrix::MatRef;

/// Copies 16 by 16 elements, `rows` and `cols` of which there are, with rows and columns exchanged:
/// `to[col * to_step + row] = from[row * from_step + col]`. The rows missing become zeros.
///
/// # Safety
/// What there is is valid for reads, `cols` times 16 floats are valid for writes.
#[inline(always)]
unsafe fn transpose_block<S: Simd>(
    simd: S,
    from: *const f32,
    from_step: isize,
    (rows, cols): (usize, usize),
    to: *mut f32,
    to_step: usize,
) {
    let mut block = [simd.zero(); LANES];
    // SAFETY: as the caller vouches.
    unsafe {
        if rows == LANES && cols == LANES {
            for (row, vector) in block.iter_mut().enumerate() {
                *vector = simd.load(from.offset(row as isize * from_step));
            }
        } else {
            for (row, vector) in block.iter_mut().enumerate().take(rows) {
                *vector = simd.load_first(from.offset(row as isize * from_step), cols);
            }
        }
        simd.transpose(&mut block);
        for (col, &vector) in block.iter().enumerate().take(cols) {
            simd.store(to.add(col * to_step), vector);
        }
    }
}

/// Packs columns of `B` for [`crate::micro`]: `to` becomes panels `[k][16 * S::COLS]` one behind the
/// other. The last one is as many vectors wide as its columns take, zeros after the last column.
pub(crate) struct PackB<'a> {
    /// The columns.
    pub b: MatRef<'a>,
    /// `k` times the columns floats, these rounded up to a multiple of 16.
    pub to: *mut f32,
}

impl Kernel for PackB<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { b, to } = self;
        let (depth, cols, width) = (b.rows(), b.cols(), S::COLS * LANES);
        let full = cols / width;
        let edge = to.wrapping_add(full * width * depth);
        let edge_width = (cols % width).next_multiple_of(LANES);
        // Some rows at a time, so that the pages that they lie in are touched once.
        for k in (0..depth).step_by(LANES) {
            let deep = LANES.min(depth - k);
            // SAFETY: reads are of elements of `b`, writes lie within the panels.
            unsafe {
                if b.row_stride() == 1 && b.col_stride() != 1 {
                    for col in (0..cols).step_by(LANES) {
                        let panel = col / width;
                        let (ptr, step) = if panel < full {
                            (to.add(panel * width * depth + k * width), width)
                        } else {
                            (edge.add(k * edge_width), edge_width)
                        };
                        let shape = (LANES.min(cols - col), deep);
                        transpose_block(
                            simd,
                            b.at(k, col),
                            b.col_stride(),
                            shape,
                            ptr.add(col % width),
                            step,
                        );
                    }
                } else {
                    for panel in 0..full {
                        let to = to.add(panel * width * depth);
                        copy_rows(simd, b, k..k + deep, panel * width, width, to);
                    }
                    if edge_width > 0 {
                        copy_rows(simd, b, k..k + deep, full * width, edge_width, edge);
                    }
                }
            }
        }
    }
}

/// Copies `width` columns from `col` on of rows `k` to rows of a panel, with zeros after the last.
///
/// # Safety
/// The panel is valid for writes.
#[inline(always)]
unsafe fn copy_rows<S: Simd>(
    simd: S,
    b: MatRef<'_>,
    rows: Range<usize>,
    col: usize,
    width: usize,
    to: *mut f32,
) {
    let is_whole = b.col_stride() == 1 && col + width <= b.cols();
    for k in rows {
        let (from, to) = (b.at(k, col), to.wrapping_add(k * width));
        for v in (0..width).step_by(LANES) {
            // SAFETY: elements of `b`; the panel has them all.
            unsafe {
                let x = if is_whole {
                    simd.load(from.add(v))
                } else {
                    let many = LANES.min(b.cols().saturating_sub(col + v));
                    load(simd, from.wrapping_offset(v as isize * b.col_stride()), b.col_stride(), many)
                };
                simd.store(to.add(v), x);
            }
        }
    }
}

/// Packs some rows of `A` for [`crate::micro::accumulate_blocks`]: `to` becomes
/// `[k / 16][rows][16]`, zeros after the last `k`.
pub(crate) struct PackA<'a> {
    /// The rows.
    pub a: MatRef<'a>,
    /// `rows` times `k` floats, `k` rounded up to a multiple of 16.
    pub to: *mut f32,
}

impl Kernel for PackA<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { a, to } = self;
        let (rows, depth) = (a.rows(), a.cols());
        // SAFETY: reads are of elements of `a`, writes lie within `rows * depth` floats, `depth`
        // rounded up.
        unsafe {
            if a.row_stride() == 1 && a.col_stride() != 1 {
                for k in (0..depth).step_by(LANES) {
                    let to = to.add(k * rows);
                    let there = LANES.min(depth - k);
                    for i in (0..rows).step_by(LANES) {
                        let shape = (there, LANES.min(rows - i));
                        transpose_block(simd, a.at(i, k), a.col_stride(), shape, to.add(i * LANES), LANES);
                    }
                }
            } else {
                for k in (0..depth).step_by(LANES) {
                    let to = to.add(k * rows);
                    let many = LANES.min(depth - k);
                    for i in 0..rows {
                        simd.store(to.add(i * LANES), load(simd, a.at(i, k), a.col_stride(), many));
                    }
                }
            }
        }
    }
}

/// Lends at least `floats` uninitialised floats, aligned to 64 bytes.
///
/// # Panics
/// If there is no memory.
pub(crate) fn with_floats<R>(floats: usize, f: impl FnOnce(*mut f32) -> R) -> R {
    match with_scratch(floats * size_of::<f32>(), |ptr| f(ptr.cast())) {
        Ok(result) => result,
        Err(error) => panic!("no memory for a copy of {floats} floats: {error}"),
    }
}

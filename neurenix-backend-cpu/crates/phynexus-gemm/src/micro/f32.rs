//! The inner loop in f32.

use phynexus_simd::{Kernel, LANES, Simd};

use super::rows::RowPointers;

/// Bytes of an element.
const FLOAT: isize = size_of::<f32>() as isize;

/// How many `k` a turn of an inner loop has.
const UNROLL: usize = 4;

/// The columns of `B` that a block reads.
///
/// Row `k` of vector `v` is at `ptr + k * step + (v / S::COLS) * panel + (v % S::COLS) * 16`: in a
/// packed panel `[k][16 * S::COLS]` the step is `16 * S::COLS`; in rows of a matrix it is their
/// stride, and `panel` is `16 * S::COLS`.
#[derive(Clone, Copy, Debug)]
pub struct BColumns {
    /// The first row's first element.
    pub ptr: *const f32,
    /// Floats from one `k` to the next.
    pub step: isize,
    /// Floats from one panel of `S::COLS` vectors to the next.
    pub panel: isize,
}

/// Sums that start at zero.
#[inline(always)]
pub fn clear<S: Simd, const ROWS: usize, const COLS: usize>(simd: S) -> [[S::F32; COLS]; ROWS] {
    [[simd.zero(); COLS]; ROWS]
}

/// Sums that go on from memory: rows `stride` floats apart, `16 * COLS` adjacent floats each.
///
/// # Safety
/// They are valid for reads.
#[inline(always)]
pub unsafe fn load_sums<S: Simd, const ROWS: usize, const COLS: usize>(
    simd: S,
    from: *const f32,
    stride: isize,
) -> [[S::F32; COLS]; ROWS] {
    let mut sums = clear::<S, ROWS, COLS>(simd);
    for (i, row) in sums.iter_mut().enumerate() {
        for (v, sum) in row.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            *sum = unsafe { simd.load(from.offset(i as isize * stride).add(v * LANES)) };
        }
    }
    sums
}

/// Writes sums to memory: rows `stride` floats apart, `16 * COLS` adjacent floats each.
///
/// # Safety
/// They are valid for writes.
#[inline(always)]
pub unsafe fn store_sums<S: Simd, const ROWS: usize, const COLS: usize>(
    simd: S,
    sums: &[[S::F32; COLS]; ROWS],
    to: *mut f32,
    stride: isize,
) {
    for (i, row) in sums.iter().enumerate() {
        for (v, &sum) in row.iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe { simd.store(to.offset(i as isize * stride).add(v * LANES), sum) };
        }
    }
}

/// One `k`: `sums[i][v] += a(i) * b[v]`.
///
/// # Safety
/// Row `k` of the columns is valid for reads, and so is `a(third, next)`, the factor of row
/// `3 * third + next`.
#[inline(always)]
unsafe fn step<S: Simd, const ROWS: usize, const COLS: usize>(
    simd: S,
    sums: &mut [[S::F32; COLS]; ROWS],
    a: impl Fn(usize, usize) -> *const f32,
    b: *const f32,
    panel: isize,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut columns = [simd.zero(); COLS];
        for (v, column) in columns.iter_mut().enumerate() {
            *column = simd.load(b.offset((v / S::COLS) as isize * panel).add(v % S::COLS * LANES));
        }
        // Two short loops, for the compiler to unroll each of them whatever `a` costs.
        for third in 0..ROWS.div_ceil(3) {
            for next in 0..3.min(ROWS - 3 * third) {
                let x = simd.splat(*a(third, next));
                for v in 0..COLS {
                    let sum = &mut sums[3 * third + next][v];
                    *sum = simd.fma(x, columns[v], *sum);
                }
            }
        }
    }
}

/// Adds `k` products to each sum, where `k` goes in blocks of 16.
///
/// `A(i, k)` is at `a + i * row + (k / 16) * block + k % 16`: a row of a matrix has `block` 16, an
/// activation in blocks of 16 channels the distance of two blocks.
///
/// # Safety
/// All elements that the layouts speak of are valid for reads.
#[inline(always)]
pub unsafe fn accumulate_blocks<S: Simd, const ROWS: usize, const COLS: usize>(
    simd: S,
    sums: &mut [[S::F32; COLS]; ROWS],
    k: usize,
    a: *const f32,
    row: isize,
    block: isize,
    columns: BColumns,
) {
    let BColumns { ptr: mut b, step: b_step, panel } = columns;
    let mut rows = RowPointers::new::<ROWS>(a.cast(), row * FLOAT);
    // SAFETY: as the caller vouches.
    unsafe {
        for _ in 0..k / LANES {
            for _ in 0..LANES / UNROLL {
                for u in 0..UNROLL {
                    step(
                        simd,
                        sums,
                        |third, next| rows.at(third, next).cast::<f32>().wrapping_add(u),
                        b,
                        panel,
                    );
                    b = b.wrapping_offset(b_step);
                }
                rows.advance::<ROWS>(UNROLL as isize * FLOAT);
            }
            rows.advance::<ROWS>((block - LANES as isize) * FLOAT);
        }
        for _ in 0..k % LANES {
            step(simd, sums, |third, next| rows.at(third, next).cast(), b, panel);
            b = b.wrapping_offset(b_step);
            rows.advance::<ROWS>(FLOAT);
        }
    }
}

/// As [`accumulate_blocks`], with rows `ROW` floats apart: one pointer reaches all of them.
///
/// # Safety
/// All elements that the layouts speak of are valid for reads.
#[inline(always)]
pub unsafe fn accumulate_blocks_apart<S: Simd, const ROWS: usize, const COLS: usize, const ROW: usize>(
    simd: S,
    sums: &mut [[S::F32; COLS]; ROWS],
    k: usize,
    mut a: *const f32,
    block: isize,
    columns: BColumns,
) {
    let BColumns { ptr: mut b, step: b_step, panel } = columns;
    // SAFETY: as the caller vouches.
    unsafe {
        for _ in 0..k / LANES {
            for _ in 0..LANES / UNROLL {
                for u in 0..UNROLL {
                    step(simd, sums, |third, next| a.wrapping_add((3 * third + next) * ROW + u), b, panel);
                    b = b.wrapping_offset(b_step);
                }
                a = a.wrapping_add(UNROLL);
            }
            a = a.wrapping_offset(block - LANES as isize);
        }
        for u in 0..k % LANES {
            step(simd, sums, |third, next| a.wrapping_add((3 * third + next) * ROW + u), b, panel);
            b = b.wrapping_offset(b_step);
        }
    }
}

/// Adds `k` products to each sum, where `A(i, k)` is at `a + i + k * step`: a matrix of which
/// columns are adjacent in memory.
///
/// # Safety
/// All elements that the layouts speak of are valid for reads.
#[inline(always)]
pub unsafe fn accumulate_steps<S: Simd, const ROWS: usize, const COLS: usize>(
    simd: S,
    sums: &mut [[S::F32; COLS]; ROWS],
    k: usize,
    mut a: *const f32,
    a_step: isize,
    columns: BColumns,
) {
    let BColumns { ptr: mut b, step: b_step, panel } = columns;
    // SAFETY: as the caller vouches.
    unsafe {
        for _ in 0..k / UNROLL {
            for _ in 0..UNROLL {
                step(simd, sums, |third, next| a.wrapping_add(3 * third + next), b, panel);
                a = a.wrapping_offset(a_step);
                b = b.wrapping_offset(b_step);
            }
        }
        for _ in 0..k % UNROLL {
            step(simd, sums, |third, next| a.wrapping_add(3 * third + next), b, panel);
            a = a.wrapping_offset(a_step);
            b = b.wrapping_offset(b_step);
        }
    }
}

/// How a block reads its rows of `A`: the inner loop to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// [`accumulate_blocks`]
    Blocks,
    /// [`accumulate_blocks_apart`] with rows 16 floats apart: packed.
    Packed,
    /// [`accumulate_steps`]
    Steps,
}

/// What a block needs to know.
#[derive(Clone, Copy)]
pub(crate) struct TileArgs {
    pub k: usize,
    pub a: *const f32,
    /// `row` of [`Form::Blocks`].
    pub a_row: isize,
    /// `block` of the forms with blocks, `a_step` of [`Form::Steps`].
    pub a_step: isize,
    pub b: BColumns,
    pub c: *mut f32,
    pub c_row: isize,
    /// Sums go on from `c`.
    pub continues: bool,
}

/// Computes a block and writes its sums to `c`.
pub(crate) type TileFn<S> = unsafe fn(S, &TileArgs);

const BLOCKS: u8 = Form::Blocks as u8;
const PACKED: u8 = Form::Packed as u8;
const STEPS: u8 = Form::Steps as u8;

struct Tile<'a, const ROWS: usize, const COLS: usize, const FORM: u8>(&'a TileArgs);

impl<const ROWS: usize, const COLS: usize, const FORM: u8> Kernel for Tile<'_, ROWS, COLS, FORM> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let args = *self.0;
        // SAFETY: whoever calls the tile vouches for its arguments.
        unsafe {
            let mut sums = if args.continues {
                load_sums::<S, ROWS, COLS>(simd, args.c, args.c_row)
            } else {
                clear(simd)
            };
            match FORM {
                STEPS => accumulate_steps(simd, &mut sums, args.k, args.a, args.a_step, args.b),
                PACKED => accumulate_blocks_apart::<S, ROWS, COLS, LANES>(
                    simd,
                    &mut sums,
                    args.k,
                    args.a,
                    args.a_step,
                    args.b,
                ),
                _ => accumulate_blocks(simd, &mut sums, args.k, args.a, args.a_row, args.a_step, args.b),
            }
            store_sums(simd, &sums, args.c, args.c_row);
        }
    }
}

unsafe fn tile<S: Simd, const ROWS: usize, const COLS: usize, const FORM: u8>(simd: S, args: &TileArgs) {
    simd.vectorize(Tile::<ROWS, COLS, FORM>(args));
}

/// How many vectors of columns the block of `rows` rows may have: as many as registers hold, once
/// few rows alone would leave the multipliers waiting for one another.
pub(crate) fn widest<S: Simd>(rows: usize) -> usize {
    if rows * 2 < S::ROWS { S::COLS * 2 } else { S::COLS }
}

/// The block of `rows <= S::ROWS` rows and `cols <= widest(rows)` vectors.
pub(crate) fn tile_fn<S: Simd>(rows: usize, cols: usize, form: Form) -> TileFn<S> {
    macro_rules! choose {
        ($($rows:literal)*) => {
            match (rows, cols) {
                $(
                    ($rows, 1) if const { S::ROWS >= $rows } => pick::<S, $rows, 1>(form),
                    ($rows, 2) if const { S::ROWS >= $rows && S::COLS == 2 || S::ROWS > 2 * $rows && S::COLS == 1 } => {
                        pick::<S, $rows, 2>(form)
                    }
                    ($rows, 4) if const { S::ROWS > 2 * $rows && S::COLS == 2 } => pick::<S, $rows, 4>(form),
                )*
                _ => unreachable!("a block of {rows} rows and {cols} vectors"),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

fn pick<S: Simd, const ROWS: usize, const COLS: usize>(form: Form) -> TileFn<S> {
    match form {
        Form::Blocks => tile::<S, ROWS, COLS, BLOCKS>,
        Form::Packed => tile::<S, ROWS, COLS, PACKED>,
        Form::Steps => tile::<S, ROWS, COLS, STEPS>,
    }
}

//! The inner loop over words of 32 bits: pairs of bfloat16 or quadruples of 8-bit integers.
//!
//! Both operands hold consecutive `k` in a word. A row of `A` is a run of words; a packed panel of
//! `B` is `[k words][16 * S::COLS]`. Sums are 32 bits wide as well, floats or integers.

use phynexus_simd::{LANES, Simd};

use super::rows::RowPointers;

/// How words are multiplied and added, on an instruction set that has what it takes.
pub trait Dot: Copy + Send + Sync + 'static {
    /// The instruction set.
    type S: Simd;
    /// 16 sums.
    type Sum: Copy;

    /// The instruction set.
    fn simd(self) -> Self::S;

    /// Sums that start at zero.
    fn zero(self) -> Self::Sum;

    /// Adds to each sum the products of the elements of its words.
    fn dot(self, a: <Self::S as Simd>::I32, b: <Self::S as Simd>::I32, sum: Self::Sum) -> Self::Sum;

    /// The sums' bits.
    fn bits(self, sum: Self::Sum) -> <Self::S as Simd>::I32;

    /// Runs a kernel compiled for the instruction set and what else this takes.
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output;
}

/// An algorithm written over any [`Dot`]; as [`phynexus_simd::Kernel`] otherwise.
pub trait DotKernel {
    /// What it returns.
    type Output;

    /// Runs it.
    fn run<D: Dot>(self, dot: D) -> Self::Output;
}

/// Adds `words` products of words to each sum. Row `i` of `A` starts `i * row_bytes` bytes after
/// `a`; a word need not be aligned.
///
/// # Safety
/// The words of the rows and of the panel, `16 * COLS` columns wide, are valid for reads.
#[inline(always)]
pub unsafe fn accumulate_words<D: Dot, const ROWS: usize, const COLS: usize>(
    dot: D,
    sums: &mut [[D::Sum; COLS]; ROWS],
    words: usize,
    a: *const u8,
    row_bytes: isize,
    mut panel: *const i32,
) {
    const UNROLL: usize = 4;
    let mut rows = RowPointers::new::<ROWS>(a, row_bytes);
    // SAFETY: as the caller vouches.
    unsafe {
        for _ in 0..words / UNROLL {
            for u in 0..UNROLL {
                step(dot, sums, &rows, u, panel);
                panel = panel.add(COLS * LANES);
            }
            rows.advance::<ROWS>((UNROLL * size_of::<i32>()) as isize);
        }
        for _ in 0..words % UNROLL {
            step(dot, sums, &rows, 0, panel);
            panel = panel.add(COLS * LANES);
            rows.advance::<ROWS>(size_of::<i32>() as isize);
        }
    }
}

#[inline(always)]
unsafe fn step<D: Dot, const ROWS: usize, const COLS: usize>(
    dot: D,
    sums: &mut [[D::Sum; COLS]; ROWS],
    rows: &RowPointers,
    word: usize,
    panel: *const i32,
) {
    let simd = dot.simd();
    // SAFETY: as the caller vouches.
    unsafe {
        let mut columns = [simd.splat_i32(0); COLS];
        for (v, column) in columns.iter_mut().enumerate() {
            *column = simd.load_i32(panel.add(v * LANES));
        }
        for third in 0..ROWS.div_ceil(3) {
            for next in 0..3.min(ROWS - 3 * third) {
                let a = rows.at(third, next).cast::<i32>().wrapping_add(word);
                let x = simd.splat_i32(a.read_unaligned());
                for v in 0..COLS {
                    let sum = &mut sums[3 * third + next][v];
                    *sum = dot.dot(x, columns[v], *sum);
                }
            }
        }
    }
}

/// What a block of words needs to know.
#[derive(Clone, Copy)]
pub(crate) struct WordArgs {
    pub words: usize,
    pub a: *const u8,
    pub row_bytes: isize,
    pub panel: *const i32,
    /// Where the bits of the sums go: rows of `16 * COLS`.
    pub sums: *mut i32,
}

struct Tile<'a, const ROWS: usize, const COLS: usize>(&'a WordArgs);

impl<const ROWS: usize, const COLS: usize> DotKernel for Tile<'_, ROWS, COLS> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, dot: D) {
        let args = *self.0;
        let mut sums = [[dot.zero(); COLS]; ROWS];
        // SAFETY: whoever calls the tile vouches for its arguments.
        unsafe {
            accumulate_words(dot, &mut sums, args.words, args.a, args.row_bytes, args.panel);
            for (i, row) in sums.iter().enumerate() {
                for (v, &sum) in row.iter().enumerate() {
                    dot.simd().store_i32(args.sums.add((i * COLS + v) * LANES), dot.bits(sum));
                }
            }
        }
    }
}

/// Computes a block and writes its sums.
pub(crate) type WordTileFn<D> = unsafe fn(D, &WordArgs);

unsafe fn tile<D: Dot, const ROWS: usize, const COLS: usize>(dot: D, args: &WordArgs) {
    dot.vectorize(Tile::<ROWS, COLS>(args));
}

/// The block of `rows <= S::ROWS` rows and `cols <= S::COLS` vectors.
pub(crate) fn word_tile_fn<D: Dot>(rows: usize, cols: usize) -> WordTileFn<D> {
    macro_rules! choose {
        ($($rows:literal)*) => {
            match (rows, cols) {
                $(
                    ($rows, 1) if const { D::S::ROWS >= $rows } => tile::<D, $rows, 1>,
                    ($rows, 2) if const { D::S::ROWS >= $rows && D::S::COLS == 2 } => tile::<D, $rows, 2>,
                )*
                _ => unreachable!("a block of {rows} rows and {cols} vectors"),
            }
        };
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

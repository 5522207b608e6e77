//! Products of 8-bit integers, added exactly in 32 bits.

use phynexus_runtime::threads;
use phynexus_simd::{Isa, LANES, Simd, isa};

use crate::Activation;
use crate::epilogue::{load, store};
use crate::matrix::{MatMut, MatRef, Target};
use crate::micro::dispatch_int8;
use crate::narrow::{Finish, Narrow, PackedWords, Word};

/// Weights `B[k][n]` of signed 8-bit integers, packed in quadruples over `k`: panels
/// `[k / 4][16 * S::COLS][4]`.
#[derive(Debug)]
pub struct PackedInt8 {
    words: PackedWords,
    column_sums: Vec<i32>,
}

impl PackedInt8 {
    /// Packs `b`, of any strides, for the instruction set in use.
    pub fn new(b: MatRef<'_, i8>) -> Self {
        Self::for_isa(isa(), b)
    }

    /// Packs `b` for an instruction set, which products with it run on.
    ///
    /// # Panics
    /// If this processor has not got it.
    pub fn for_isa(isa: Isa, b: MatRef<'_, i8>) -> Self {
        struct Quadruples<'a>(MatRef<'a, i8>);
        impl Word for Quadruples<'_> {
            const ELEMENTS: usize = 4;

            fn word(&self, index: usize, col: usize) -> i32 {
                let mut bytes = [0; 4];
                for (k, byte) in (4 * index..self.0.rows()).zip(&mut bytes) {
                    // SAFETY: an element of the matrix.
                    *byte = unsafe { *self.0.at(k, col) } as u8;
                }
                i32::from_le_bytes(bytes)
            }
        }
        let words = PackedWords::new(isa, b.rows(), b.cols(), &Quadruples(b));
        let column_sums = (0..b.cols())
            // SAFETY: elements of the matrix.
            .map(|col| (0..b.rows()).map(|k| i32::from(unsafe { *b.at(k, col) })).sum())
            .collect();
        Self { words, column_sums }
    }

    /// Its rows: `k` of the product.
    pub fn rows(&self) -> usize {
        self.words.depth
    }

    /// Its columns: `n` of the product.
    pub fn cols(&self) -> usize {
        self.words.cols
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.words.bytes() + size_of_val(&self.column_sums[..])
    }
}

/// From sums of integers to numbers, in f32 and in the order of the fields:
/// `y = activation(scale[col] * (sum - zero * sum of b's column) + bias[col] + residual)`.
#[derive(Clone, Copy, Debug)]
pub struct Requantize<'a> {
    /// What stands for zero in `a`; taken off exactly, in integers.
    pub a_zero: u8,
    /// What one of a column's sums is worth: the scale of `a` times that of the column's weights.
    pub scale: &'a [f32],
    /// Added to every row: an element a column.
    pub col_bias: Option<&'a [f32]>,
    /// Added element by element.
    pub residual: Option<Int8Residual<'a>>,
    /// Applied at the end, before a result is quantised.
    pub activation: Activation,
}

/// A quantised residual: element `q` stands for `scale * (q - zero)`.
#[derive(Clone, Copy, Debug)]
pub struct Int8Residual<'a> {
    /// Its elements.
    pub elements: MatRef<'a, u8>,
    /// What one of them is worth.
    pub scale: f32,
    /// What stands for zero.
    pub zero: u8,
}

/// Where a product of 8-bit integers goes.
#[derive(Debug)]
pub enum Int8Out<'a> {
    /// The bare sums of `a * b`; nothing is applied to them.
    Sums(MatMut<'a, i32>),
    /// Numbers.
    F32(MatMut<'a, f32>, Requantize<'a>),
    /// Numbers quantised: `y / scale + zero`, to the nearest of 0 to 255, halves to even; NaN to 0.
    U8 {
        /// Where they go.
        c: MatMut<'a, u8>,
        /// How sums become numbers.
        requantize: Requantize<'a>,
        /// What one of the results is worth.
        scale: f32,
        /// What stands for zero.
        zero: u8,
    },
}

/// `a * b` of unsigned rows and signed weights; sums are exact (they wrap around past 32 bits, of
/// which `k` below 65 000 is safe), and the same on every instruction set, as is what is made of
/// them.
///
/// # Panics
/// If shapes do not fit one another.
pub fn gemm_int8(a: MatRef<'_, u8>, b: &PackedInt8, out: Int8Out<'_>) {
    let (rows, cols) = match &out {
        Int8Out::Sums(c) => (c.rows(), c.cols()),
        Int8Out::F32(c, _) => (c.rows(), c.cols()),
        Int8Out::U8 { c, .. } => (c.rows(), c.cols()),
    };
    let fits = a.cols() == b.rows() && rows == a.rows() && cols == b.cols();
    let (m, k, n) = (a.rows(), b.rows(), b.cols());
    assert!(fits, "{rows}x{cols} = {m}x{} * {k}x{n} is no product", a.cols());
    if let Int8Out::F32(_, requantize) | Int8Out::U8 { requantize, .. } = &out {
        requantize.check(rows, cols);
    }
    let (words, column_sums) = (&b.words, &b.column_sums[..]);
    let workers = threads();
    match out {
        Int8Out::Sums(c) => {
            let finish = ToSums { c: c.target() };
            dispatch_int8(words.isa, Narrow { a, b: words, finish, workers });
        }
        Int8Out::F32(c, requantize) => {
            let finish = ToF32 { c: c.target(), requantize, column_sums };
            dispatch_int8(words.isa, Narrow { a, b: words, finish, workers });
        }
        Int8Out::U8 { c, requantize, scale, zero } => {
            let finish = ToU8 { c: c.target(), requantize, column_sums, scale, zero };
            dispatch_int8(words.isa, Narrow { a, b: words, finish, workers });
        }
    }
}

impl Requantize<'_> {
    fn check(&self, rows: usize, cols: usize) {
        assert_eq!(self.scale.len(), cols, "scales for {cols} columns are {}", self.scale.len());
        if let Some(bias) = self.col_bias {
            assert_eq!(bias.len(), cols, "a bias for {cols} columns has {} elements", bias.len());
        }
        if let Some(residual) = self.residual {
            let shape = (residual.elements.rows(), residual.elements.cols());
            assert_eq!(shape, (rows, cols), "the residual of a {rows}x{cols} product is {shape:?}");
        }
    }

    /// # Safety
    /// The elements belong to the product that this was checked for.
    #[inline(always)]
    unsafe fn apply<S: Simd>(
        &self,
        simd: S,
        bits: *const i32,
        column_sums: &[i32],
        (row, col): (usize, usize),
        many: usize,
    ) -> S::F32 {
        // SAFETY: as the caller vouches; the bits are those of whole vectors.
        unsafe {
            let mut sums = simd.load_i32(bits);
            if self.a_zero != 0 {
                // Bits of integers go through a masked load of floats unchanged.
                let of_columns = simd.bits(load(simd, column_sums.as_ptr().add(col).cast(), 1, many));
                sums = simd.sub_i32(sums, simd.mul_i32(of_columns, simd.splat_i32(self.a_zero.into())));
            }
            // Not fused, so that all instruction sets agree.
            let mut x = simd.mul(simd.to_f32(sums), load(simd, self.scale.as_ptr().add(col), 1, many));
            if let Some(bias) = self.col_bias {
                x = simd.add(x, load(simd, bias.as_ptr().add(col), 1, many));
            }
            if let Some(Int8Residual { elements, scale, zero }) = self.residual {
                let mut lanes = [0; LANES];
                let from = elements.at(row, col);
                for (lane, value) in lanes.iter_mut().enumerate().take(many) {
                    *value = i32::from(*from.offset(lane as isize * elements.col_stride())) - i32::from(zero);
                }
                let added = simd.to_f32(simd.load_i32(lanes.as_ptr()));
                x = simd.add(x, simd.mul(added, simd.splat(scale)));
            }
            self.activation.apply(simd, x)
        }
    }
}

struct ToSums {
    c: Target<i32>,
}

struct ToF32<'a> {
    c: Target<f32>,
    requantize: Requantize<'a>,
    column_sums: &'a [i32],
}

struct ToU8<'a> {
    c: Target<u8>,
    requantize: Requantize<'a>,
    column_sums: &'a [i32],
    scale: f32,
    zero: u8,
}

impl Finish for ToSums {
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, _: S, bits: *const i32, row: usize, col: usize, many: usize) {
        for lane in 0..many {
            // SAFETY: elements of the product.
            unsafe { *self.c.at(row, col + lane) = *bits.add(lane) };
        }
    }
}

impl Finish for ToF32<'_> {
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, bits: *const i32, row: usize, col: usize, many: usize) {
        // SAFETY: elements of the product.
        unsafe {
            let x = self.requantize.apply(simd, bits, self.column_sums, (row, col), many);
            store(simd, self.c.at(row, col), self.c.col_stride, many, x);
        }
    }
}

impl Finish for ToU8<'_> {
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, bits: *const i32, row: usize, col: usize, many: usize) {
        // SAFETY: elements of the product.
        unsafe {
            let x = self.requantize.apply(simd, bits, self.column_sums, (row, col), many);
            let x = simd.div(x, simd.splat(self.scale));
            let x = simd.add(simd.round(x), simd.splat(self.zero.into()));
            // In this order NaN becomes 0.
            let x = simd.min(simd.max(x, simd.zero()), simd.splat(255.0));
            let mut lanes = [0i32; LANES];
            simd.store_i32(lanes.as_mut_ptr(), simd.to_i32(x));
            let to = self.c.at(row, col);
            if many == LANES && self.c.col_stride == 1 {
                to.cast::<[u8; LANES]>().write(lanes.map(|lane| lane as u8));
            } else {
                for (lane, &value) in lanes.iter().enumerate().take(many) {
                    *to.offset(lane as isize * self.c.col_stride) = value as u8;
                }
            }
        }
    }
}

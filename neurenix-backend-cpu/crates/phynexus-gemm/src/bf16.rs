//! Products of bfloat16, added in f32.

use half::bf16;
use phynexus_runtime::threads;
use phynexus_simd::{Isa, LANES, Simd, isa};

use crate::Activation;
use crate::epilogue::{load, store};
use crate::matrix::{MatMut, MatRef, Target};
use crate::micro::dispatch_bf16;
use crate::narrow::{Finish, Narrow, PackedWords, Word};

/// Weights `B[k][n]` in bfloat16, packed in pairs over `k`: panels `[k / 2][16 * S::COLS][2]`.
#[derive(Debug)]
pub struct PackedBf16(PackedWords);

impl PackedBf16 {
    /// Packs `b`, of any strides, for the instruction set in use.
    pub fn new(b: MatRef<'_, bf16>) -> Self {
        Self::for_isa(isa(), b)
    }

    /// Packs `b` for an instruction set, which products with it run on.
    ///
    /// # Panics
    /// If this processor has not got it.
    pub fn for_isa(isa: Isa, b: MatRef<'_, bf16>) -> Self {
        struct Pairs<'a>(MatRef<'a, bf16>);
        impl Word for Pairs<'_> {
            const ELEMENTS: usize = 2;

            fn word(&self, index: usize, col: usize) -> i32 {
                let half = |k: usize| {
                    if k >= self.0.rows() {
                        return 0;
                    }
                    // SAFETY: an element of the matrix.
                    u32::from(unsafe { *self.0.at(k, col) }.to_bits())
                };
                (half(2 * index) | half(2 * index + 1) << 16) as i32
            }
        }
        Self(PackedWords::new(isa, b.rows(), b.cols(), &Pairs(b)))
    }

    /// Its rows: `k` of the product.
    pub fn rows(&self) -> usize {
        self.0.depth
    }

    /// Its columns: `n` of the product.
    pub fn cols(&self) -> usize {
        self.0.cols
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// What is applied to sums, in f32 and in the order of the fields, before they are rounded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bf16Epilogue<'a> {
    /// Added to every row: an element a column.
    pub col_bias: Option<&'a [f32]>,
    /// Added element by element; may be where the result goes.
    pub residual: Option<MatRef<'a, bf16>>,
    /// Applied at the end.
    pub activation: Activation,
}

/// Where a product of bfloat16 goes.
#[derive(Debug)]
pub enum Bf16Out<'a> {
    /// Not rounded.
    F32(MatMut<'a, f32>),
    /// Rounded once, to nearest.
    Bf16(MatMut<'a, bf16>),
}

/// `out = activation(a * b + col_bias + residual)`.
///
/// With AVX-512 BF16 (see [`phynexus_simd::has_bf16`]) a pair of products is added by one
/// instruction, which takes denormals for zeros and rounds in its own way; elsewhere by two fused
/// multiply-adds in f32. Results agree to the rounding of f32 sums. Either way they depend neither
/// on the number of threads nor on that of rows.
///
/// # Panics
/// If shapes do not fit one another.
pub fn gemm_bf16(a: MatRef<'_, bf16>, b: &PackedBf16, out: Bf16Out<'_>, epilogue: &Bf16Epilogue<'_>) {
    gemm_bf16_with(true, a, b, out, epilogue);
}

/// [`gemm_bf16`] as processors without AVX-512 BF16 compute it.
///
/// # Panics
/// If shapes do not fit one another.
pub fn gemm_bf16_widened(a: MatRef<'_, bf16>, b: &PackedBf16, out: Bf16Out<'_>, epilogue: &Bf16Epilogue<'_>) {
    gemm_bf16_with(false, a, b, out, epilogue);
}

fn gemm_bf16_with(
    is_native: bool,
    a: MatRef<'_, bf16>,
    b: &PackedBf16,
    out: Bf16Out<'_>,
    epilogue: &Bf16Epilogue<'_>,
) {
    let (rows, cols) = match &out {
        Bf16Out::F32(c) => (c.rows(), c.cols()),
        Bf16Out::Bf16(c) => (c.rows(), c.cols()),
    };
    let fits = a.cols() == b.rows() && rows == a.rows() && cols == b.cols();
    let (m, k, n) = (a.rows(), b.rows(), b.cols());
    assert!(fits, "{rows}x{cols} = {m}x{} * {k}x{n} is no product", a.cols());
    if let Some(bias) = epilogue.col_bias {
        assert_eq!(bias.len(), cols, "a bias for {cols} columns has {} elements", bias.len());
    }
    if let Some(residual) = epilogue.residual {
        let shape = (residual.rows(), residual.cols());
        assert_eq!(shape, (rows, cols), "the residual of a {rows}x{cols} product is {shape:?}");
    }
    let b = &b.0;
    let workers = threads();
    match out {
        Bf16Out::F32(c) => {
            let finish = ToF32 { c: c.target(), epilogue };
            dispatch_bf16(b.isa, is_native, Narrow { a, b, finish, workers });
        }
        Bf16Out::Bf16(c) => {
            let finish = ToBf16 { c: c.target(), epilogue };
            dispatch_bf16(b.isa, is_native, Narrow { a, b, finish, workers });
        }
    }
}

struct ToF32<'a> {
    c: Target<f32>,
    epilogue: &'a Bf16Epilogue<'a>,
}

struct ToBf16<'a> {
    c: Target<bf16>,
    epilogue: &'a Bf16Epilogue<'a>,
}

impl Finish for ToF32<'_> {
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, bits: *const i32, row: usize, col: usize, many: usize) {
        // SAFETY: elements of the product.
        unsafe {
            let x = apply(simd, simd.load(bits.cast()), row, col, many, self.epilogue);
            store(simd, self.c.at(row, col), self.c.col_stride, many, x);
        }
    }
}

impl Finish for ToBf16<'_> {
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, bits: *const i32, row: usize, col: usize, many: usize) {
        // SAFETY: elements of the product.
        unsafe {
            let x = apply(simd, simd.load(bits.cast()), row, col, many, self.epilogue);
            let to = self.c.at(row, col);
            if many == LANES && self.c.col_stride == 1 {
                simd.store_bf16(to.cast(), x);
            } else {
                let mut lanes = [bf16::ZERO; LANES];
                simd.store_bf16(lanes.as_mut_ptr().cast(), x);
                for (lane, &value) in lanes.iter().enumerate().take(many) {
                    *to.offset(lane as isize * self.c.col_stride) = value;
                }
            }
        }
    }
}

/// # Safety
/// The elements belong to the product that the epilogue was checked for.
#[inline(always)]
unsafe fn apply<S: Simd>(
    simd: S,
    mut x: S::F32,
    row: usize,
    col: usize,
    many: usize,
    epilogue: &Bf16Epilogue<'_>,
) -> S::F32 {
    // SAFETY: as the caller vouches.
    unsafe {
        if let Some(bias) = epilogue.col_bias {
            x = simd.add(x, load(simd, bias.as_ptr().add(col), 1, many));
        }
        if let Some(residual) = epilogue.residual {
            let from = residual.at(row, col);
            let added = if many == LANES && residual.col_stride() == 1 {
                simd.load_bf16(from.cast())
            } else {
                let mut lanes = [bf16::ZERO; LANES];
                for (lane, value) in lanes.iter_mut().enumerate().take(many) {
                    *value = *from.offset(lane as isize * residual.col_stride());
                }
                simd.load_bf16(lanes.as_ptr().cast())
            };
            x = simd.add(x, added);
        }
    }
    epilogue.activation.apply(simd, x)
}

//! What a vector can do, on any instruction set.

use crate::{Isa, Kernel};

/// How many elements a vector has, on every instruction set.
pub const LANES: usize = 16;

/// An instruction set: proof that the processor has it, and its operations on vectors.
///
/// Comparisons with NaN are false, `ne` is true. `max(a, b)` is `a` where `a > b`, else `b`; `min`
/// is `a` where `a < b`, else `b`: so a NaN in `b` comes out and one in `a` does not.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Which it is.
    const ISA: Isa;
    /// Rows of the block of a matrix product whose sums fit the registers.
    const ROWS: usize;
    /// Columns of that block, in vectors.
    const COLS: usize;
    /// 16 floats.
    type F32: Copy;
    /// 16 integers of 32 bits, without or with sign.
    type I32: Copy;
    /// 16 truth values.
    type Mask: Copy;

    /// Runs a kernel compiled for this instruction set.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;

    /// All lanes the same.
    fn splat(self, x: f32) -> Self::F32;
    /// Reads 16 floats.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 floats; it need not be aligned.
    unsafe fn load(self, from: *const f32) -> Self::F32;
    /// Writes 16 floats.
    ///
    /// # Safety
    /// `to` is valid for writes of 16 floats; it need not be aligned.
    unsafe fn store(self, to: *mut f32, x: Self::F32);
    /// Reads the first `n <= 16` floats; the other lanes are zero.
    ///
    /// # Safety
    /// `from` is valid for reads of `n` floats.
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::F32;
    /// Writes the first `n <= 16` lanes.
    ///
    /// # Safety
    /// `to` is valid for writes of `n` floats.
    unsafe fn store_first(self, to: *mut f32, n: usize, x: Self::F32);

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once (twice on the portable path)
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `c - a * b`, rounded once (twice on the portable path)
    fn fnma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `a > b ? a : b`
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a < b ? a : b`
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The square root, rounded to nearest.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// The nearest integer, halves to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// The next integer below.
    fn floor(self, a: Self::F32) -> Self::F32;

    /// `a < b`
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a <= b`
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a == b`
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a != b`, true where either is NaN
    fn ne(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `mask ? a : b`
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `mask ? a : b`
    fn select_i32(self, mask: Self::Mask, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Both
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Either
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// The lanes as bits, lane 0 the lowest.
    fn mask_bits(self, a: Self::Mask) -> u16;

    /// All lanes the same.
    fn splat_i32(self, x: i32) -> Self::I32;
    /// Reads 16 integers.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 integers; it need not be aligned.
    unsafe fn load_i32(self, from: *const i32) -> Self::I32;
    /// Writes 16 integers.
    ///
    /// # Safety
    /// `to` is valid for writes of 16 integers; it need not be aligned.
    unsafe fn store_i32(self, to: *mut i32, x: Self::I32);
    /// `a + b`, wrapping
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a - b`, wrapping
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a * b`, wrapping
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise and
    fn and_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise or
    fn or_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bitwise exclusive or
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a << N`
    fn shl_i32<const N: i32>(self, a: Self::I32) -> Self::I32;
    /// `a >> N`, zeros shifted in
    fn shr_u32<const N: i32>(self, a: Self::I32) -> Self::I32;
    /// `a >> N`, the sign shifted in
    fn shr_i32<const N: i32>(self, a: Self::I32) -> Self::I32;
    /// `a == b`
    fn eq_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;
    /// `a > b`, with sign
    fn gt_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;

    /// The nearest integer, halves to even; the least one where it does not fit.
    fn to_i32(self, a: Self::F32) -> Self::I32;
    /// The nearest float.
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// The bits of the floats.
    fn bits(self, a: Self::F32) -> Self::I32;
    /// The floats with these bits.
    fn with_bits(self, a: Self::I32) -> Self::F32;

    /// Reads 16 bfloat16.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 elements; it need not be aligned.
    unsafe fn load_bf16(self, from: *const u16) -> Self::F32;
    /// Writes 16 floats as bfloat16, rounded to nearest, halves to even; NaN stays NaN.
    ///
    /// # Safety
    /// `to` is valid for writes of 16 elements; it need not be aligned.
    unsafe fn store_bf16(self, to: *mut u16, x: Self::F32);
    /// Reads 16 float16.
    ///
    /// # Safety
    /// `from` is valid for reads of 16 elements; it need not be aligned.
    unsafe fn load_f16(self, from: *const u16) -> Self::F32;
    /// Writes 16 floats as float16, rounded to nearest, halves to even.
    ///
    /// # Safety
    /// `to` is valid for writes of 16 elements; it need not be aligned.
    unsafe fn store_f16(self, to: *mut u16, x: Self::F32);

    /// Zeros.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }

    /// `-a`, also of zero and NaN.
    #[inline(always)]
    fn neg(self, a: Self::F32) -> Self::F32 {
        self.with_bits(self.xor_i32(self.bits(a), self.splat_i32(i32::MIN)))
    }

    /// `|a|`
    #[inline(always)]
    fn abs(self, a: Self::F32) -> Self::F32 {
        self.with_bits(self.and_i32(self.bits(a), self.splat_i32(i32::MAX)))
    }

    /// The lanes in order.
    #[inline(always)]
    fn to_array(self, a: Self::F32) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has 16 elements.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        lanes
    }

    /// The sum of the lanes: of lanes 8 apart, then 4, 2 and 1 apart, on every instruction set.
    #[inline(always)]
    fn reduce_add(self, a: Self::F32) -> f32 {
        fold(self.to_array(a), |x, y| x + y)
    }

    /// The largest lane by [`Simd::max`], folded as [`Simd::reduce_add`] does.
    #[inline(always)]
    fn reduce_max(self, a: Self::F32) -> f32 {
        fold(self.to_array(a), |x, y| if x > y { x } else { y })
    }

    /// Rows become columns, in place.
    #[inline(always)]
    fn transpose(self, rows: &mut [Self::F32; LANES]) {
        let mut lanes = [[0.0f32; LANES]; LANES];
        for (row, vector) in lanes.iter_mut().zip(rows.iter()) {
            *row = self.to_array(*vector);
        }
        for (index, vector) in rows.iter_mut().enumerate() {
            let column: [f32; LANES] = std::array::from_fn(|row| lanes[row][index]);
            // SAFETY: the array has 16 elements.
            *vector = unsafe { self.load(column.as_ptr()) };
        }
    }
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

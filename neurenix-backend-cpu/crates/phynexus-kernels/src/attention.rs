//! Scaled dot-product attention, a block of queries at a time: their scores stay in the cache.
//!
//! A query's result is one chain of sums over the keys, in order, however queries are cut into
//! blocks; blocks depend on the lengths alone.

use phynexus_gemm::{Epilogue, MatMut, MatRef, PackedB, gemm, gemm_packed};
use phynexus_runtime::memory::Block;
use phynexus_runtime::threads;

use crate::attention_weights::{Mask, Weights};
use crate::lanes::Number;
use crate::matmul::widened;
use crate::operation::{first_output, required};
use crate::product::{Matrix, multiply};
use crate::shares::share_out;
use crate::stream::with_rooms;
use crate::widen::narrow;
use crate::{Axes, DType, KernelError, Operation, TensorMut, TensorRef};

/// `softmax(query key^T scale + mask) value`; a query that may attend to nothing gives 0.
///
/// Inputs: query `(..., T, E)`, key `(..., S, E)`, value `(..., S, V)`, and a mask that broadcasts to
/// `(..., T, S)`: bools, true where a query may attend to a key; floats, which are added to the
/// scores; or nothing. Leading axes broadcast. Reads any strides.
#[derive(Clone, Copy, Debug)]
pub struct ScaledDotProductAttention {
    /// Query t may attend to the keys `0 ..= t` alone.
    pub is_causal: bool,
    /// What scores are multiplied by.
    pub scale: f64,
}

/// Scores of a block of queries: 256 KiB of f32, a quarter of a common second-level cache.
const BLOCK_SCORES: usize = 1 << 16;
/// Fewer queries than this would not make up for packing the keys.
const LEAST_QUERIES: usize = 32;

/// Numbers that matrices are multiplied of.
pub(crate) trait Multiplied: Number {
    /// A right operand that is prepared for several products.
    type Packed;
    fn pack(sizes: [usize; 2], b: Matrix<Self>) -> Self::Packed;
    /// `c = a * b`: of `rows` by `depth`, and `depth` by `cols`.
    ///
    /// # Safety
    /// The matrices have these sizes; `c` overlaps nothing.
    unsafe fn product(
        sizes: [usize; 3],
        a: Matrix<Self>,
        b: Result<Matrix<Self>, &Self::Packed>,
        c: Matrix<Self>,
    ) -> Result<(), KernelError>;
}

impl Multiplied for f32 {
    type Packed = PackedB;

    fn pack([depth, cols]: [usize; 2], b: Matrix<f32>) -> PackedB {
        // SAFETY: the matrix has this size, and is read now.
        PackedB::new(unsafe { MatRef::from_raw(b.data, depth, cols, b.row, b.col) })
    }

    unsafe fn product(
        [rows, depth, cols]: [usize; 3],
        a: Matrix<f32>,
        b: Result<Matrix<f32>, &PackedB>,
        c: Matrix<f32>,
    ) -> Result<(), KernelError> {
        // SAFETY: as the caller vouches.
        unsafe {
            let a = MatRef::from_raw(a.data.cast_const(), rows, depth, a.row, a.col);
            let c = MatMut::from_raw(c.data, rows, cols, c.row, c.col);
            match b {
                Ok(b) => {
                    let b = MatRef::from_raw(b.data.cast_const(), depth, cols, b.row, b.col);
                    gemm(a, b, c, &Epilogue::NONE);
                }
                Err(packed) => gemm_packed(a, packed, c, &Epilogue::NONE),
            }
        }
        Ok(())
    }
}

impl Multiplied for f64 {
    type Packed = Matrix<f64>;

    fn pack(_: [usize; 2], b: Matrix<f64>) -> Matrix<f64> {
        b
    }

    unsafe fn product(
        sizes: [usize; 3],
        a: Matrix<f64>,
        b: Result<Matrix<f64>, &Matrix<f64>>,
        c: Matrix<f64>,
    ) -> Result<(), KernelError> {
        // SAFETY: as the caller vouches.
        unsafe { multiply(sizes, a, b.unwrap_or_else(|packed| *packed), None, c) }
    }
}

/// A call on tensors of N.
struct Attention<'a, N> {
    op: ScaledDotProductAttention,
    out: TensorMut<'a>,
    query: TensorRef<'a>,
    key: TensorRef<'a>,
    value: TensorRef<'a>,
    mask: Option<TensorRef<'a>>,
    kind: std::marker::PhantomData<N>,
}

/// The matrix of a tensor at an index into the leading axes of a result of `sizes`, to which the
/// tensor's broadcast.
fn matrix<N: Number>(data: *const u8, axes: &Axes, sizes: &[usize], mut index: usize) -> Matrix<N> {
    let (own, strides) = (axes.sizes(), axes.strides());
    let rank = own.len();
    let lead = sizes.len() - 2;
    let mut offset = 0;
    for axis in (0..lead).rev() {
        let at = index % sizes[axis];
        index /= sizes[axis];
        let behind = sizes.len() - axis;
        if behind <= rank && own[rank - behind] > 1 {
            offset += at as isize * strides[rank - behind];
        }
    }
    let [row, col] = [strides[rank - 2], strides[rank - 1]];
    Matrix { data: data.cast::<N>().cast_mut().wrapping_offset(offset), row, col }
}

impl<N: Multiplied> Attention<'_, N> {
    fn run(&self) -> Result<(), KernelError> {
        let sizes = self.out.sizes();
        let rank = sizes.len();
        let (queries, features) = (sizes[rank - 2], sizes[rank - 1]);
        let keys = self.key.sizes()[self.key.axes().rank() - 2];
        if self.out.axes().count() == 0 {
            return Ok(());
        }
        let heads: usize = sizes[..rank - 2].iter().product();
        let most = (BLOCK_SCORES / keys.max(1)).max(LEAST_QUERIES);
        let blocks = queries.div_ceil(most);
        let each = queries.div_ceil(blocks);
        let blocks = queries.div_ceil(each);
        let depth = self.query.sizes()[self.query.axes().rank() - 1];
        // Heads are whole where there are enough, so that keys and values are packed once.
        let parts = (4 * threads()).div_ceil(heads).clamp(1, blocks);
        let work = queries * keys * (8 + (depth + features) / 4);
        share_out(heads * parts, work / parts, |tasks| {
            for task in tasks {
                let (head, part) = (task / parts, task % parts);
                let range = part * blocks / parts..(part + 1) * blocks / parts;
                self.head(head, range, each, [queries, depth, keys, features])?;
            }
            Ok(())
        })
    }

    /// Some blocks of a head's queries.
    fn head(
        &self,
        head: usize,
        blocks: std::ops::Range<usize>,
        each: usize,
        [queries, depth, keys, features]: [usize; 4],
    ) -> Result<(), KernelError> {
        let sizes = self.out.sizes();
        let query = matrix::<N>(self.query.bytes(), self.query.axes(), sizes, head);
        let key = matrix::<N>(self.key.bytes(), self.key.axes(), sizes, head);
        let value = matrix::<N>(self.value.bytes(), self.value.axes(), sizes, head);
        let out = matrix::<N>(self.out.bytes(), self.out.axes(), sizes, head);
        let mask = self.mask.as_ref().map(|mask| Mask::new(mask, sizes, head));
        let turned = Matrix { row: key.col, col: key.row, ..key };
        // A causal block takes the keys up to its last query alone.
        let packs = blocks.len() > 1 && !self.op.is_causal;
        let packed = packs.then(|| (N::pack([depth, keys], turned), N::pack([keys, features], value)));
        with_rooms(each * keys, |[scores]| {
            with_rooms(keys.max(each), |[added, factors]| {
                for block in blocks {
                    let first = block * each;
                    let rows = each.min(queries - first);
                    let near = if self.op.is_causal { keys.min(first + rows) } else { keys };
                    let scores = Matrix { data: scores, row: near as isize, col: 1 };
                    let (key, value) = match &packed {
                        Some((key, value)) => (Err(key), Err(value)),
                        None => (Ok(turned), Ok(value)),
                    };
                    let out = out.moved(first as isize * out.row);
                    // SAFETY: parts of the tensors, and rooms for a block's scores, for a row of
                    // the mask and for a number a query.
                    unsafe {
                        let query = query.moved(first as isize * query.row);
                        N::product([rows, depth, near], query, key, scores)?;
                        let weights = Weights {
                            scores: scores.data,
                            rows,
                            keys: near,
                            first,
                            is_causal: self.op.is_causal,
                            scale: N::from_f64(self.op.scale),
                            mask,
                            added,
                            factors,
                        };
                        N::run(weights);
                        N::product([rows, near, features], scores, value, out)?;
                        N::run(Scaled { out, factors, rows, features });
                    }
                }
                Ok(())
            })
        })??
    }
}

/// Multiplies each row of a block of results by its factor; one of 0 makes it 0.
struct Scaled<N> {
    out: Matrix<N>,
    factors: *const N,
    rows: usize,
    features: usize,
}

impl<N: Number> crate::lanes::LaneKernel<N> for Scaled<N> {
    type Output = ();

    #[inline(always)]
    fn run<L: crate::lanes::Lanes<N = N>>(self, lanes: L) {
        for row in 0..self.rows {
            let to = self.out.at(row, 0);
            // SAFETY: a row of the block, whose elements follow each other.
            unsafe {
                let factor = *self.factors.add(row);
                let scale = lanes.splat(factor);
                crate::lanes::vectors!(self.features, |at, many| {
                    let mut y = lanes.zero();
                    if factor != N::ZERO {
                        y = lanes.mul(lanes.load_some(to.add(at), many), scale);
                    }
                    lanes.store_some(to.add(at), many, y);
                });
            }
        }
    }
}

impl Operation for ScaledDotProductAttention {
    fn name(&self) -> &'static str {
        "scaled_dot_product_attention"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = *first_output(outputs);
        let [query, key, value] = std::array::from_fn(|index| *required(inputs, index));
        let mask = inputs[3];
        match out.dtype() {
            DType::F32 => {
                Attention::<f32> { op: *self, out, query, key, value, mask, kind: Default::default() }.run()
            }
            DType::F64 => {
                Attention::<f64> { op: *self, out, query, key, value, mask, kind: Default::default() }.run()
            }
            DType::F16 | DType::Bf16 => {
                let ((query, _q), (key, _k), (value, _v)) =
                    (widened(&query)?, widened(&key)?, widened(&value)?);
                let count = out.axes().count();
                let memory = Block::new(count * size_of::<f32>())?;
                let axes = Axes::dense(out.sizes())?;
                // SAFETY: the block has as many elements.
                let wide = unsafe { TensorMut::new(memory.as_ptr(), DType::F32, axes) };
                let op = *self;
                Attention::<f32> { op, out: wide, query, key, value, mask, kind: Default::default() }
                    .run()?;
                // SAFETY: a result is dense.
                unsafe { narrow(out.dtype(), wide.ptr::<f32>(), out.bytes().cast(), count) };
                Ok(())
            }
            dtype => Err(KernelError::DType { op: self.name(), dtype }),
        }
    }
}

//! Many products at once.

use phynexus_simd::isa;

use crate::epilogue::Epilogue;
use crate::gemm::{PARALLEL_WORK, multiply};
use crate::matrix::{MatMut, MatRef, Target};
use phynexus_runtime::{parallel_for, threads};

/// Where the matrices of a batch lie: one for each index into `dims`, the last changing fastest.
///
/// Strides are in elements, from a matrix's first element to the next one's; one of 0 uses the same
/// operand again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// Extents of the batch.
    pub dims: &'a [usize],
    /// Strides of the left operands.
    pub a: &'a [isize],
    /// Strides of the right operands.
    pub b: &'a [isize],
    /// Strides of the results.
    pub c: &'a [isize],
}

/// A dimension of a batch, with strides of `a`, `b` and `c`.
#[derive(Clone, Copy)]
struct Dim {
    many: usize,
    strides: [isize; 3],
}

/// `c = a * b` for every matrix of a batch, of which `a`, `b` and `c` are the first.
///
/// The epilogue is the same for all of them; it has no residual. A batch that shares one operand,
/// and whose other matrices continue each other, is multiplied as one matrix.
///
/// # Safety
/// For each index of the batch, `a` and `b` moved by the strides are valid for reads and `c` is
/// valid for reads and writes, as [`MatRef::from_raw`] and [`MatMut::from_raw`] say; results do not
/// overlap.
///
/// # Panics
/// If shapes do not fit one another, or the epilogue has a residual.
pub unsafe fn matmul(batch: Batch<'_>, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, epilogue: &Epilogue<'_>) {
    let rank = batch.dims.len();
    let fits = batch.a.len() == rank && batch.b.len() == rank && batch.c.len() == rank;
    assert!(fits, "a batch of {rank} dimensions has as many strides: {batch:?}");
    crate::gemm::check(a, b.rows(), b.cols(), &c, epilogue);
    assert!(epilogue.residual.is_none(), "a batch has no residual");
    if batch.dims.contains(&0) {
        return;
    }
    let mut dims = joined(batch);
    let mut one = One { a, b, c: c.target() };
    if let Some(&dim) = dims.last()
        && one.takes_in(dim, epilogue)
    {
        dims.pop();
    }

    let count: usize = dims.iter().map(|dim| dim.many).product();
    let work = one.a.rows() * one.a.cols() * one.b.cols();
    let isa = isa();
    let workers = threads();
    let run = |index: usize, workers: usize| {
        let One { a, b, c } = one.at(&dims, index);
        // SAFETY: as the caller vouches.
        unsafe { multiply(isa, workers, a, b, c, epilogue) };
    };
    let is_few = count < 4 * workers && work >= 4 * PARALLEL_WORK;
    if workers == 1 || is_few || count == 1 || count.saturating_mul(work) < PARALLEL_WORK {
        (0..count).for_each(|index| run(index, workers));
        return;
    }
    let each = (PARALLEL_WORK / 2 / work.max(1)).clamp(1, count.div_ceil(workers));
    parallel_for(count.div_ceil(each), |task| {
        (task * each..count.min((task + 1) * each)).for_each(|index| run(index, 1));
    });
}

/// The dimensions that there is more than one of, those that continue each other as one.
fn joined(batch: Batch<'_>) -> Vec<Dim> {
    let mut dims: Vec<Dim> = Vec::with_capacity(batch.dims.len());
    for (i, &many) in batch.dims.iter().enumerate() {
        let strides = [batch.a[i], batch.b[i], batch.c[i]];
        if many == 1 {
            continue;
        }
        match dims.last_mut() {
            Some(outer) if (0..3).all(|i| outer.strides[i] == strides[i] * many as isize) => {
                *outer = Dim { many: outer.many * many, strides };
            }
            _ => dims.push(Dim { many, strides }),
        }
    }
    dims
}

/// One product of the batch.
#[derive(Clone, Copy)]
struct One<'a> {
    a: MatRef<'a>,
    b: MatRef<'a>,
    c: Target,
}

impl One<'_> {
    /// The product at an index of the batch.
    fn at(self, dims: &[Dim], mut index: usize) -> Self {
        let mut offsets = [0; 3];
        for dim in dims.iter().rev() {
            let i = (index % dim.many) as isize;
            index /= dim.many;
            for (offset, stride) in offsets.iter_mut().zip(dim.strides) {
                *offset += i * stride;
            }
        }
        let Self { a, b, c } = self;
        Self { a: a.moved(offsets[0]), b: b.moved(offsets[1]), c: c.moved(offsets[2]) }
    }

    /// Makes the matrices of a dimension one higher matrix, if they share `b` and continue one
    /// another, or one wider matrix, if they share `a`.
    fn takes_in(&mut self, dim: Dim, epilogue: &Epilogue<'_>) -> bool {
        let Self { a, b, c } = *self;
        let [a_stride, b_stride, c_stride] = dim.strides;
        let (rows, cols) = (a.rows(), b.cols());
        let is_higher = b_stride == 0
            && a_stride == a.row_stride() * rows as isize
            && c_stride == c.row_stride * rows as isize
            && epilogue.row_bias.is_none();
        let is_wider = a_stride == 0
            && b_stride == b.col_stride() * cols as isize
            && c_stride == c.col_stride * cols as isize
            && epilogue.col_bias.is_none();
        // SAFETY: the matrices of the batch, which the caller of `matmul` vouches for.
        unsafe {
            if is_higher {
                let rows = rows * dim.many;
                self.a = MatRef::from_raw(a.as_ptr(), rows, a.cols(), a.row_stride(), a.col_stride());
            } else if is_wider {
                let cols = cols * dim.many;
                self.b = MatRef::from_raw(b.as_ptr(), b.rows(), cols, b.row_stride(), b.col_stride());
            }
        }
        is_higher || is_wider
    }
}

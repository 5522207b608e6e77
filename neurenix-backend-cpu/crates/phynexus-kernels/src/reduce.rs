//! Reductions over any axes.
//!
//! The order of a sum depends on the reduced sizes and strides alone: vectors of 16 lanes, blocks
//! of `inner` or `outer`, and pairs of blocks, pairs of pairs, and so on. Threads share out the
//! outputs, and where there are few, whole subtrees of that tree.

mod accumulate;
mod inner;
mod joins;
mod layout;
mod outer;
mod pairwise;
mod place;

use phynexus_runtime::scratch::with_scratch;

use crate::movement::copy;
use crate::operation::{first_output, required};
use crate::truth::Truth;
use crate::{Axes, DType, KernelError, Operation, TensorMut, TensorRef};
use accumulate::{Accumulate, Brain, Float, Half, Plain, Single};
use joins::{Max, Min, Product, Sum};
use layout::Layout;

/// What becomes of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum; of integers and bools in i64.
    Sum,
    /// Their product; of integers and bools in i64.
    Prod,
    /// The largest; NaN where there is one.
    Max,
    /// The smallest; NaN where there is one.
    Min,
    /// The place of the first largest along the one axis; the first NaN wins.
    ArgMax,
    /// The place of the first smallest along the one axis; the first NaN wins.
    ArgMin,
}

/// A reduction over axes. The output is dense, with or without axes of size 1 in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduce {
    /// What becomes of the elements.
    pub reduction: Reduction,
    /// The axes that are reduced: bit i is set for axis i.
    pub axes: u16,
}

impl Reduce {
    /// A reduction over some axes.
    pub fn over(reduction: Reduction, axes: impl IntoIterator<Item = usize>) -> Self {
        Self { reduction, axes: axes.into_iter().fold(0, |bits, axis| bits | (1 << axis)) }
    }
}

impl Operation for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "sum",
            Reduction::Prod => "prod",
            Reduction::Max => "max",
            Reduction::Min => "min",
            Reduction::ArgMax => "argmax",
            Reduction::ArgMin => "argmin",
        }
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, x) = (first_output(outputs), required(inputs, 0));
        if out.axes().count() == 0 {
            return Ok(());
        }
        match self.reduction {
            Reduction::ArgMax => place::find(out, x, self.axes, Reduction::Max),
            Reduction::ArgMin => place::find(out, x, self.axes, Reduction::Min),
            reduction => reduce(reduction, out.bytes(), x, self.axes),
        }
    }
}

/// Reduces to dense elements at `out`, of the dtype that the op gives.
fn reduce(reduction: Reduction, out: *mut u8, x: &TensorRef<'_>, axes: u16) -> Result<(), KernelError> {
    let layout = Layout::new(x.axes(), axes);
    if !layout.has_close_axis() {
        return on_dense_copy(x, |x| reduce(reduction, out, x, axes));
    }
    let source = x.bytes();
    macro_rules! of {
        ($op:ident, $bool:ty, $($plain:ty => $total:ty),*) => {
            match x.dtype() {
                DType::F32 => run::<Float<$op, Single>>(&layout, out, source),
                DType::F16 => run::<Float<$op, Half>>(&layout, out, source),
                DType::Bf16 => run::<Float<$op, Brain>>(&layout, out, source),
                DType::F64 => run::<Plain<$op, f64, f64>>(&layout, out, source),
                DType::Bool => run::<Plain<$op, Truth, $bool>>(&layout, out, source),
                $(<$plain as crate::Element>::DTYPE => run::<Plain<$op, $plain, $total>>(&layout, out, source),)*
            }
        };
    }
    match reduction {
        Reduction::Sum => of!(Sum, i64, i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => i64),
        Reduction::Prod => of!(Product, i64, i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => i64),
        Reduction::Max => of!(Max, u8, i8 => i8, i16 => i16, i32 => i32, i64 => i64, u8 => u8),
        _ => of!(Min, u8, i8 => i8, i16 => i16, i32 => i32, i64 => i64, u8 => u8),
    }
}

fn run<A: Accumulate>(layout: &Layout, out: *mut u8, x: *const u8) -> Result<(), KernelError> {
    if layout.is_inner() { inner::run::<A>(layout, out, x) } else { outer::run::<A>(layout, out, x) }
}

/// Calls `f` with a dense copy of a tensor in scratch memory.
fn on_dense_copy(
    x: &TensorRef<'_>,
    f: impl FnOnce(&TensorRef<'_>) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let axes = Axes::dense(x.sizes())?;
    with_scratch(axes.count() * x.dtype().size(), |scratch| {
        // SAFETY: the scratch has room for the copy, which lives as long as the call.
        let dense = unsafe { TensorMut::new(scratch, x.dtype(), axes) };
        copy(&dense, x)?;
        f(&dense.as_ref())
    })?
}

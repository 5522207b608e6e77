//! Matrix products: of f32 by `phynexus_gemm`, of f64 and integers by `crate::product`. 16-bit
//! floats are multiplied as f32, and rounded once.

use phynexus_gemm::{Batch, Epilogue, MatMut, MatRef};
use phynexus_runtime::memory::Block;

use crate::operation::{first_output, required};
use crate::product::{Matrix, Ring, multiply};
use crate::shares::share_out;
use crate::widen::{narrow, widen};
use crate::{Axes, DType, KernelError, MAX_AXES, Operation, TensorMut, TensorRef, movement};

/// The product over the last two axes; leading axes broadcast. Reads any strides.
#[derive(Debug)]
pub struct Matmul;

/// `x weight^T + bias`: x `(..., K)`, weight `(O, K)`, bias `(O,)` or nothing. Reads any strides.
#[derive(Debug)]
pub struct Linear;

/// Elements that are converted at a time.
const CONVERTED: usize = 1 << 15;

/// A product of stacks of matrices: operands whose last two axes are the matrices'.
struct Stacks<'a> {
    op: &'static str,
    out: TensorMut<'a>,
    x: TensorRef<'a>,
    y: TensorRef<'a>,
    bias: Option<TensorRef<'a>>,
}

/// A tensor's strides along the leading axes of a result of `rank` axes, 0 where it broadcasts.
fn leading(axes: &Axes, rank: usize) -> [isize; MAX_AXES] {
    let mut strides = [0; MAX_AXES];
    let missing = rank - axes.rank();
    for (axis, (&size, &stride)) in axes.sizes().iter().zip(axes.strides()).enumerate() {
        strides[missing + axis] = if size == 1 { 0 } else { stride };
    }
    strides
}

/// The strides of a tensor's last two axes.
fn matrix_strides(axes: &Axes) -> [isize; 2] {
    let strides = axes.strides();
    [strides[strides.len() - 2], strides[strides.len() - 1]]
}

impl Stacks<'_> {
    /// Rows, inner size and columns.
    fn sizes(&self) -> [usize; 3] {
        let (x, y) = (self.x.sizes(), self.y.sizes());
        [x[x.len() - 2], x[x.len() - 1], y[y.len() - 1]]
    }

    fn check(&self) -> Result<(), KernelError> {
        let (out, x, y) = (self.out.sizes(), self.x.sizes(), self.y.sizes());
        let broadcasts = |sizes: &[usize]| {
            let leading = sizes.len().checked_sub(2).filter(|_| sizes.len() <= out.len());
            leading.is_some_and(|leading| {
                let pairs = sizes[..leading].iter().zip(&out[out.len() - sizes.len()..]);
                pairs.into_iter().all(|(&size, &of)| size == of || size == 1)
            })
        };
        let fits = broadcasts(x) && broadcasts(y) && {
            let [rows, inner, columns] = self.sizes();
            y[y.len() - 2] == inner
                && out[out.len() - 2..] == [rows, columns]
                && self.bias.is_none_or(|bias| bias.axes().count() == columns)
        };
        if fits {
            return Ok(());
        }
        Err(KernelError::Shape(format!("{:?}: {out:?} is no product of {x:?} and {y:?}", self.op)))
    }

    fn run(&self) -> Result<(), KernelError> {
        if self.out.axes().count() == 0 {
            return Ok(());
        }
        self.check()?;
        match self.out.dtype() {
            DType::F32 => self.single(),
            DType::F16 | DType::Bf16 => self.converted(),
            DType::F64 => self.simple::<f64>(),
            DType::I64 => self.simple::<i64>(),
            DType::I32 => self.simple::<i32>(),
            DType::I16 => self.simple::<i16>(),
            DType::I8 => self.simple::<i8>(),
            DType::U8 => self.simple::<u8>(),
            DType::Bool => Err(KernelError::DType { op: self.op, dtype: DType::Bool }),
        }
    }

    fn single(&self) -> Result<(), KernelError> {
        let [rows, depth, cols] = self.sizes();
        let rank = self.out.axes().rank();
        let strides = [self.x.axes(), self.y.axes(), self.out.axes()].map(|axes| leading(axes, rank));
        let lead = rank - 2;
        let batch = Batch {
            dims: &self.out.sizes()[..lead],
            a: &strides[0][..lead],
            b: &strides[1][..lead],
            c: &strides[2][..lead],
        };
        let mut gathered = Vec::new();
        let bias = match &self.bias {
            None => None,
            Some(bias) if bias.axes().is_dense() => Some(bias.as_slice::<f32>()),
            Some(bias) => {
                // SAFETY: the bias has an element a column.
                gathered.extend(
                    (0..cols as isize)
                        .map(|col| unsafe { *bias.ptr::<f32>().offset(col * bias.axes().strides()[0]) }),
                );
                Some(&*gathered)
            }
        };
        let epilogue = Epilogue { col_bias: bias, ..Epilogue::NONE };
        // SAFETY: the tensors have these sizes and strides; nothing overlaps the result.
        unsafe {
            let [row, col] = matrix_strides(self.x.axes());
            let x = MatRef::from_raw(self.x.ptr::<f32>(), rows, depth, row, col);
            let [row, col] = matrix_strides(self.y.axes());
            let y = MatRef::from_raw(self.y.ptr::<f32>(), depth, cols, row, col);
            let [row, col] = matrix_strides(self.out.axes());
            let out = MatMut::from_raw(self.out.ptr::<f32>(), rows, cols, row, col);
            phynexus_gemm::matmul(batch, x, y, out, &epilogue);
        }
        Ok(())
    }

    /// By way of f32.
    fn converted(&self) -> Result<(), KernelError> {
        let (x_memory, y_memory, bias_memory);
        let mut wide = Stacks { bias: None, ..*self };
        (wide.x, x_memory) = widened(&self.x)?;
        (wide.y, y_memory) = widened(&self.y)?;
        if let Some(bias) = &self.bias {
            let bias = widened(bias)?;
            (wide.bias, bias_memory) = (Some(bias.0), Some(bias.1));
        } else {
            bias_memory = None;
        }
        let count = self.out.axes().count();
        let memory = Block::new(count * size_of::<f32>())?;
        // SAFETY: the block has as many elements; a result is dense.
        wide.out = unsafe { TensorMut::new(memory.as_ptr(), DType::F32, Axes::dense(self.out.sizes())?) };
        wide.single()?;
        let (from, to, dtype) = (wide.out, self.out, self.out.dtype());
        share_out(count.div_ceil(CONVERTED), CONVERTED, |blocks| {
            let (start, end) = (blocks.start * CONVERTED, count.min(blocks.end * CONVERTED));
            // SAFETY: elements of both.
            unsafe {
                let to = to.bytes().cast::<u16>().add(start);
                narrow(dtype, from.ptr::<f32>().add(start), to, end - start);
            }
            Ok(())
        })?;
        drop((x_memory, y_memory, bias_memory));
        Ok(())
    }

    fn simple<T: Ring>(&self) -> Result<(), KernelError> {
        let rank = self.out.axes().rank();
        let strides = [self.x.axes(), self.y.axes(), self.out.axes()].map(|axes| leading(axes, rank));
        let lead = &self.out.sizes()[..rank - 2];
        let matrix = |data: *const T, axes: &Axes| {
            let [row, col] = matrix_strides(axes);
            Matrix { data: data.cast_mut(), row, col }
        };
        let x = matrix(self.x.ptr(), self.x.axes());
        let y = matrix(self.y.ptr(), self.y.axes());
        let out = matrix(self.out.ptr(), self.out.axes());
        let bias = self.bias.as_ref().map(|bias| Matrix {
            data: bias.ptr::<T>().cast_mut(),
            row: 0,
            col: bias.axes().strides()[0],
        });
        for index in 0..lead.iter().product() {
            let (mut rest, mut offsets): (usize, _) = (index, [0; 3]);
            for axis in (0..lead.len()).rev() {
                let at = (rest % lead[axis]) as isize;
                rest /= lead[axis];
                for (offset, strides) in offsets.iter_mut().zip(&strides) {
                    *offset += at * strides[axis];
                }
            }
            let [x, y, out] = [x.moved(offsets[0]), y.moved(offsets[1]), out.moved(offsets[2])];
            // SAFETY: the tensors have these sizes and strides; nothing overlaps the result.
            unsafe { multiply(self.sizes(), x, y, bias, out)? };
        }
        Ok(())
    }
}

/// A dense copy in f32 of a tensor of 16-bit floats, and its memory.
pub(crate) fn widened<'a>(x: &TensorRef<'_>) -> Result<(TensorRef<'a>, Block), KernelError> {
    let count = x.axes().count();
    let (axes, dtype) = (Axes::dense(x.sizes())?, x.dtype());
    let memory = Block::new(count * size_of::<f32>())?;
    let gathered;
    let mut from = *x;
    if !x.axes().is_dense() {
        gathered = Block::new(count * dtype.size())?;
        // SAFETY: the block has as many elements.
        let dense = unsafe { TensorMut::new(gathered.as_ptr(), dtype, axes) };
        movement::copy(&dense, x)?;
        // SAFETY: the block lives to the end of this function.
        from = unsafe { TensorRef::new(gathered.as_ptr(), dtype, axes) };
    }
    // SAFETY: the block has as many elements.
    let to = unsafe { TensorMut::new(memory.as_ptr(), DType::F32, axes) };
    share_out(count.div_ceil(CONVERTED), CONVERTED, |blocks| {
        let (start, end) = (blocks.start * CONVERTED, count.min(blocks.end * CONVERTED));
        // SAFETY: elements of both.
        unsafe {
            let from = from.bytes().cast::<u16>().add(start);
            widen(dtype, from, to.ptr::<f32>().add(start), end - start);
        }
        Ok(())
    })?;
    // SAFETY: the block has as many elements, and is returned with the tensor.
    Ok((unsafe { TensorRef::new(memory.as_ptr(), DType::F32, axes) }, memory))
}

impl Operation for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, y) = (*required(inputs, 0), *required(inputs, 1));
        Stacks { op: self.name(), out: *first_output(outputs), x, y, bias: None }.run()
    }
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (mut out, mut x, weight) = (*first_output(outputs), *required(inputs, 0), *required(inputs, 1));
        let (sizes, strides) = (weight.sizes(), weight.axes().strides());
        let turned = Axes::new(&[sizes[1], sizes[0]], &[strides[1], strides[0]])?;
        // SAFETY: the same elements, in other orders; a row of one axis is a matrix of one row.
        let weight = unsafe { weight.with_axes(turned) };
        if x.axes().rank() == 1 {
            // SAFETY: as above.
            unsafe {
                x = x.with_axes(Axes::new(&[1, x.sizes()[0]], &[0, x.axes().strides()[0]])?);
                out = out.with_axes(Axes::new(&[1, out.sizes()[0]], &[0, out.axes().strides()[0]])?);
            }
        }
        Stacks { op: self.name(), out, x, y: weight, bias: inputs[2] }.run()
    }
}

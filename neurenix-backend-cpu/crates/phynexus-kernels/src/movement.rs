//! Filling, counting and moving elements.

use phynexus_runtime::parallel_for;

use crate::loops::{Loops, Place};
use crate::operation::{first_output, required};
use crate::strided::{Grid, copy_block};
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// A number of Python's: what kernels are given as attributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An integer or a bool.
    Integer(i64),
    /// A float.
    Float(f64),
}

impl Scalar {
    /// The bytes of the number in a dtype, the first `dtype.size()` of them; as NumPy converts it.
    fn bytes(self, dtype: DType) -> [u8; 8] {
        let (mut bytes, number) = ([0; 8], self.to_f64());
        match dtype {
            DType::F32 => bytes[..4].copy_from_slice(&(number as f32).to_ne_bytes()),
            DType::F64 => bytes = number.to_ne_bytes(),
            DType::F16 => bytes[..2].copy_from_slice(&half::f16::from_f64(number).to_ne_bytes()),
            DType::Bf16 => bytes[..2].copy_from_slice(&half::bf16::from_f32(number as f32).to_ne_bytes()),
            DType::I64 => bytes = self.to_i64().to_ne_bytes(),
            DType::I32 => bytes[..4].copy_from_slice(&(self.to_i64() as i32).to_ne_bytes()),
            DType::I16 => bytes[..2].copy_from_slice(&(self.to_i64() as i16).to_ne_bytes()),
            DType::I8 | DType::U8 => bytes[0] = self.to_i64() as u8,
            DType::Bool => bytes[0] = u8::from(number != 0.0),
        }
        bytes
    }

    fn to_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn to_i64(self) -> i64 {
        match self {
            Self::Integer(number) => number,
            Self::Float(number) => number as i64,
        }
    }
}

/// A copy, strided to strided, of one shape and dtype; only the width of an element matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy;

impl Operation for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        copy(first_output(outputs), required(inputs, 0))
    }
}

/// Bytes from which a second thread pays.
const PARALLEL_BYTES: usize = 1 << 18;
/// Elements of a side of a block where rows of the one are columns of the other.
const SIDE: usize = 64;

/// Copies the elements of a tensor, which broadcasts to the output.
///
/// # Errors
/// None so far.
pub fn copy(out: &TensorMut<'_>, x: &TensorRef<'_>) -> Result<(), KernelError> {
    let mut loops = Loops::new([Place::of_mut(out), Place::of(x)]);
    let width = loops.width(0);
    if loops.count() == 0 {
        return Ok(());
    }
    let is_turned = loops.rank() > 1 && ![0, width as isize].contains(&loops.stride(0, 1));
    if is_turned {
        loops.bring_next(1);
    }
    let most = PARALLEL_BYTES / 4 / width;
    let cols = loops.size(0).min(if is_turned { SIDE } else { most });
    let rows = loops.size(1).min(if is_turned { SIDE } else { (most / cols.max(1)).max(1) });
    let blocks = loops.blocks(rows, cols);
    let one = |index: usize| {
        let block = loops.block(index, rows, cols);
        let grid = |tensor: usize| Grid {
            data: block.data[tensor],
            row: loops.stride(1, tensor),
            col: loops.stride(0, tensor),
        };
        // SAFETY: the caller of an op vouches for its tensors; blocks do not overlap.
        unsafe { copy_block(width, grid(0), grid(1), block.rows, block.cols) };
    };
    if loops.count() * width < PARALLEL_BYTES {
        (0..blocks).for_each(one);
        return Ok(());
    }
    let group = (PARALLEL_BYTES / 4 / (rows * cols * width)).max(1);
    parallel_for(blocks.div_ceil(group), |task| {
        (task * group..blocks.min((task + 1) * group)).for_each(one);
    });
    Ok(())
}

/// One value everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// The value.
    pub value: Scalar,
}

impl Operation for Fill {
    fn name(&self) -> &'static str {
        "fill"
    }

    fn run(&self, outputs: &[TensorMut<'_>], _: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = first_output(outputs);
        let bytes = self.value.bytes(out.dtype());
        // SAFETY: one element, repeated by strides of 0.
        let x = unsafe { TensorRef::new(bytes.as_ptr(), out.dtype(), crate::Axes::dense(&[])?) };
        copy(out, &x)
    }
}

/// `start + i * step`, in f64 for floats, so that long ranges do not drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iota {
    /// The first number.
    pub start: Scalar,
    /// The step.
    pub step: Scalar,
}

impl Operation for Iota {
    fn name(&self) -> &'static str {
        "iota"
    }

    fn run(&self, outputs: &[TensorMut<'_>], _: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = first_output(outputs);
        let (count, width, data) = (out.axes().count(), out.dtype().size(), out.bytes());
        let step = out.axes().strides().first().map_or(0, |step| step * width as isize);
        let number = |index: usize| match (self.start, self.step) {
            (Scalar::Integer(start), Scalar::Integer(step)) => {
                Scalar::Integer(start.wrapping_add(step.wrapping_mul(index as i64)))
            }
            (start, step) => Scalar::Float(index as f64 * step.to_f64() + start.to_f64()),
        };
        for index in 0..count {
            let bytes = number(index).bytes(out.dtype());
            // SAFETY: an element of the output.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    bytes.as_ptr(),
                    data.wrapping_offset(index as isize * step),
                    width,
                );
            }
        }
        Ok(())
    }
}

//! The gradient of max_pool2d: each window's goes to the element that was its maximum.

use std::ops::Range;

use phynexus_runtime::scratch::with_scratch;

use crate::index::Indices;
use crate::operation::{first_output, required};
use crate::planes::plane;
use crate::product::Ring;
use crate::shares::share_out;
use crate::widen::{narrow, widen};
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// Adds each window's gradient to the element at its place; in the order of the windows.
///
/// Inputs: grad, places in the flattened planes of the output.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2dBackward;

struct Planes<'a> {
    out: TensorMut<'a>,
    grad: TensorRef<'a>,
    indices: Indices,
    range: Range<usize>,
}

/// Adds up one plane.
///
/// # Safety
/// The planes are valid for `input` writes and `output` reads, and there are as many indices.
unsafe fn scatter<T: Ring>(
    to: *mut T,
    grad: *const T,
    indices: Indices,
    start: usize,
    [input, output]: [usize; 2],
) -> Result<(), KernelError> {
    // SAFETY: as the caller vouches.
    let (to, grad) =
        unsafe { (std::slice::from_raw_parts_mut(to, input), std::slice::from_raw_parts(grad, output)) };
    to.fill(T::ZERO);
    let mut add = |place: i64, grad: T| match usize::try_from(place).ok().and_then(|place| to.get_mut(place))
    {
        Some(element) => {
            *element = element.plus(grad);
            Ok(())
        }
        None => Err(KernelError::Index(format!(
            "max_pool2d_backward got the place {place}, but a plane has {input} elements"
        ))),
    };
    // SAFETY: there is an index a window.
    unsafe {
        match indices.as_i64(start, output) {
            Some(places) => places.iter().zip(grad).try_for_each(|(&place, &grad)| add(place, grad)),
            None => {
                grad.iter().enumerate().try_for_each(|(window, &grad)| add(indices.get(start + window), grad))
            }
        }
    }
}

impl Planes<'_> {
    fn run(self) -> Result<(), KernelError> {
        match self.out.dtype() {
            DType::F32 | DType::F16 | DType::Bf16 => self.planes::<f32>(),
            DType::F64 => self.planes::<f64>(),
            DType::I64 => self.planes::<i64>(),
            DType::I32 => self.planes::<i32>(),
            DType::I16 => self.planes::<i16>(),
            DType::I8 => self.planes::<i8>(),
            DType::U8 => self.planes::<u8>(),
            DType::Bool => self.planes::<Truth>(),
        }
    }

    fn planes<T: Ring>(self) -> Result<(), KernelError> {
        let Self { out, grad, indices, range } = self;
        let (input, output) = (plane(out.sizes()), plane(grad.sizes()));
        let dtype = out.dtype();
        let is_converted = matches!(dtype, DType::F16 | DType::Bf16);
        let bytes = if is_converted { (input + output) * size_of::<f32>() } else { 0 };
        with_scratch(bytes, |room| {
            for plane in range {
                // SAFETY: planes of the tensors, and room for one of each.
                unsafe {
                    let mut from = grad.bytes().add(plane * output * dtype.size());
                    let target = out.bytes().add(plane * input * dtype.size());
                    let mut to = target;
                    if is_converted {
                        let wide = room.cast::<f32>().add(input);
                        widen(dtype, from.cast(), wide, output);
                        (from, to) = (wide.cast(), room);
                    }
                    scatter::<T>(to.cast(), from.cast(), indices, plane * output, [input, output])?;
                    if is_converted {
                        narrow(dtype, room.cast(), target.cast(), input);
                    }
                }
            }
            Ok(())
        })?
    }
}

/// A bool: sums are true where a term is.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Truth(u8);

// SAFETY: one byte, of which every pattern is a value.
unsafe impl crate::Element for Truth {
    const DTYPE: DType = DType::Bool;
}

impl Ring for Truth {
    const ZERO: Self = Self(0);
    fn multiply_add(self, b: Self, sum: Self, _: bool) -> Self {
        Self(self.0 & b.0 | sum.0)
    }
    fn plus(self, other: Self) -> Self {
        Self(u8::from(self.0 | other.0 != 0))
    }
}

impl Operation for MaxPool2dBackward {
    fn name(&self) -> &'static str {
        "max_pool2d_backward"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, grad) = (*first_output(outputs), *required(inputs, 0));
        let indices = Indices::new(self.name(), required(inputs, 1))?;
        let work = plane(out.sizes()) + 4 * plane(grad.sizes());
        share_out(out.sizes()[0] * out.sizes()[1], work, |range| Planes { out, grad, indices, range }.run())
    }
}

//! Largest values of windows, with or without their places. NaN is the largest; of equal values the
//! first in row-major order counts.

use std::ops::Range;

use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, Simd, dispatch};

use crate::operation::{first_output, required};
use crate::planes::plane;
use crate::pool_windows::{Windows, by_step};
use crate::shares::share_out;
use crate::widen::{narrow, widen};
use crate::{DType, Element, KernelError, Operation, TensorMut, TensorRef};

/// The largest value of each window, and its place in the flattened plane of the input, as i64.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    /// Windows along rows and columns of the image.
    pub windows: [Windows; 2],
}

/// The largest value of each window.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2dValues {
    /// Windows along rows and columns of the image.
    pub windows: [Windows; 2],
}

/// What can be compared.
pub(crate) trait Comparable: Element + PartialOrd {
    /// Loses against every other, save its like.
    const LOWEST: Self;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;
}

macro_rules! comparable {
    ($($kind:ty: $lowest:expr, |$x:ident| $is_nan:expr;)*) => {$(
        impl Comparable for $kind {
            const LOWEST: Self = $lowest;
            #[inline(always)]
            fn is_nan(self) -> bool {
                let $x = self;
                $is_nan
            }
        }
    )*};
}
comparable! {
    f32: f32::NEG_INFINITY, |x| x.is_nan();
    f64: f64::NEG_INFINITY, |x| x.is_nan();
    i64: i64::MIN, |_x| false;
    i32: i32::MIN, |_x| false;
    i16: i16::MIN, |_x| false;
    i8: i8::MIN, |_x| false;
    u8: 0, |_x| false;
}

/// Planes of T: of the tensor, or f32 made of 16-bit floats.
struct Pool<'a> {
    windows: [Windows; 2],
    x: TensorRef<'a>,
    values: TensorMut<'a>,
    indices: Option<TensorMut<'a>>,
    range: Range<usize>,
}

/// One plane.
struct Plane<T> {
    windows: [Windows; 2],
    image: [usize; 2],
    best: [usize; 2],
    from: *const T,
    to: *mut T,
    places: *mut i64,
    /// Of as many T as `room` says.
    room: *mut T,
    /// Of as many as the room, for the places of the values in it, and two rows more.
    codes: *mut i32,
}

impl<T: Comparable> Plane<T> {
    /// Each row's own maxima first, then those of the rows: the order in which ties are broken.
    #[inline(always)]
    unsafe fn with_places(&self) {
        let ([down, across], [height, width], [rows, cols]) = (self.windows, self.image, self.best);
        // SAFETY: the places that come after those of the image's rows.
        let (first_inside, codes) = unsafe {
            let spare = self.codes.add(height * cols);
            (
                std::slice::from_raw_parts_mut(spare, cols),
                std::slice::from_raw_parts_mut(spare.add(cols), cols),
            )
        };
        for (j, column) in first_inside.iter_mut().enumerate() {
            *column = across.places(j, width).next().unwrap_or(0) as i32;
        }
        for y in 0..height {
            // SAFETY: a row of the image and of the rooms.
            let (line, best, codes) = unsafe {
                (
                    self.from.add(y * width),
                    std::slice::from_raw_parts_mut(self.room.add(y * cols), cols),
                    std::slice::from_raw_parts_mut(self.codes.add(y * cols), cols),
                )
            };
            best.fill(T::LOWEST);
            let start_of_row = (y * width) as i32;
            for (code, &column) in codes.iter_mut().zip(first_inside.iter()) {
                *code = start_of_row + column;
            }
            for tap in 0..across.kernel {
                let (start, end) = across.inside(tap, width, cols);
                let first = (start * across.stride) as isize + across.offset(tap);
                let (line, place) = (line.wrapping_offset(first), start_of_row + first as i32);
                by_step!(across.stride, |STEP| {
                    let step = if STEP == 0 { across.stride } else { STEP };
                    let part = best[start..end].iter_mut().zip(&mut codes[start..end]);
                    for (j, (best, code)) in part.enumerate() {
                        // SAFETY: the element lies in the row.
                        let x = unsafe { *line.add(j * step) };
                        let wins = (x > *best) | (x.is_nan() & !best.is_nan());
                        *best = if wins { x } else { *best };
                        *code = if wins { place + (j * step) as i32 } else { *code };
                    }
                });
            }
        }
        for row in 0..rows {
            // SAFETY: a row of the results.
            let (out, places) = unsafe {
                (
                    std::slice::from_raw_parts_mut(self.to.add(row * cols), cols),
                    std::slice::from_raw_parts_mut(self.places.add(row * cols), cols),
                )
            };
            out.fill(T::LOWEST);
            codes.fill(0);
            for (number, y) in down.places(row, height).enumerate() {
                // SAFETY: a row of the rooms.
                let (best, row_codes) = unsafe {
                    (
                        std::slice::from_raw_parts(self.room.add(y * cols), cols),
                        std::slice::from_raw_parts(self.codes.add(y * cols), cols),
                    )
                };
                if number == 0 {
                    out.copy_from_slice(best);
                    codes.copy_from_slice(row_codes);
                    continue;
                }
                let row = best.iter().zip(row_codes);
                for ((out, code), (&x, &new)) in out.iter_mut().zip(codes.iter_mut()).zip(row) {
                    let wins = (x > *out) | (x.is_nan() & !out.is_nan());
                    *out = if wins { x } else { *out };
                    *code = if wins { new } else { *code };
                }
            }
            for (place, &code) in places.iter_mut().zip(codes.iter()) {
                *place = code.into();
            }
        }
    }

    /// The rows' maxima first: whole rows are read, and fewer are left to be read in steps.
    #[inline(always)]
    unsafe fn values_only(&self) {
        let ([down, across], [height, width], [rows, cols]) = (self.windows, self.image, self.best);
        for row in 0..rows {
            // SAFETY: a row of the results, and of the room.
            let (out, best) = unsafe {
                (
                    std::slice::from_raw_parts_mut(self.to.add(row * cols), cols),
                    std::slice::from_raw_parts_mut(self.room, width),
                )
            };
            best.fill(T::LOWEST);
            for y in down.places(row, height) {
                // SAFETY: a row of the image.
                let line = unsafe { std::slice::from_raw_parts(self.from.add(y * width), width) };
                for (best, &x) in best.iter_mut().zip(line) {
                    *best = if (x > *best) | x.is_nan() { x } else { *best };
                }
            }
            out.fill(T::LOWEST);
            for tap in 0..across.kernel {
                let (start, end) = across.inside(tap, width, cols);
                let first = (start * across.stride) as isize + across.offset(tap);
                by_step!(across.stride, |STEP| {
                    let step = if STEP == 0 { across.stride } else { STEP };
                    for (j, out) in out[start..end].iter_mut().enumerate() {
                        // SAFETY: the element lies in the row.
                        let x = unsafe { *best.get_unchecked(first as usize + j * step) };
                        *out = if (x > *out) | x.is_nan() { x } else { *out };
                    }
                });
            }
        }
    }
}

impl<T: Comparable> Kernel for Plane<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        // SAFETY: who made the plane vouches for it.
        unsafe { if self.places.is_null() { self.values_only() } else { self.with_places() } }
    }
}

impl Pool<'_> {
    fn run(self) -> Result<(), KernelError> {
        match self.x.dtype() {
            DType::F32 | DType::F16 | DType::Bf16 => self.planes::<f32>(),
            DType::F64 => self.planes::<f64>(),
            DType::I64 => self.planes::<i64>(),
            DType::I32 => self.planes::<i32>(),
            DType::I16 => self.planes::<i16>(),
            DType::I8 => self.planes::<i8>(),
            DType::U8 | DType::Bool => self.planes::<u8>(),
        }
    }

    fn planes<T: Comparable>(self) -> Result<(), KernelError> {
        let Self { windows, x, values, indices, range } = self;
        let image = [x.sizes()[2], x.sizes()[3]];
        let best = [values.sizes()[2], values.sizes()[3]];
        let (input, output) = (image[0] * image[1], best[0] * best[1]);
        let dtype = x.dtype();
        let is_converted = matches!(dtype, DType::F16 | DType::Bf16);
        let (each, codes) = match indices {
            Some(_) if input > i32::MAX as usize => {
                return Err(KernelError::Shape(format!("max_pool2d got images of {input} pixels")));
            }
            Some(_) => (image[0] * best[1], (image[0] + 2) * best[1]),
            None => (image[1], 0),
        };
        let rooms =
            [each, codes, if is_converted { input } else { 0 }, if is_converted { output } else { 0 }];
        let bytes = rooms.map(|count| (count * size_of::<T>().max(4)).next_multiple_of(64));
        with_scratch(bytes.iter().sum(), |scratch| {
            let mut start = scratch;
            let [room, codes, wide, narrowed] = bytes.map(|bytes| {
                let this = start;
                start = start.wrapping_add(bytes);
                this
            });
            for plane in range {
                let places = match &indices {
                    None => std::ptr::null_mut(),
                    Some(indices) => indices.ptr::<i64>().wrapping_add(plane * output),
                };
                // SAFETY: planes of the tensors, and rooms for them.
                unsafe {
                    let (mut from, mut to) = (wide.cast_const(), narrowed);
                    if is_converted {
                        widen(dtype, x.bytes().cast::<u16>().add(plane * input), wide.cast(), input);
                    } else {
                        from = x.bytes().add(plane * input * size_of::<T>());
                        to = values.bytes().add(plane * output * size_of::<T>());
                    }
                    dispatch(Plane::<T> {
                        windows,
                        image,
                        best,
                        from: from.cast(),
                        to: to.cast(),
                        places,
                        room: room.cast(),
                        codes: codes.cast(),
                    });
                    if is_converted {
                        let to = values.bytes().cast::<u16>().add(plane * output);
                        narrow(dtype, narrowed.cast(), to, output);
                    }
                }
            }
        })?;
        Ok(())
    }
}

fn pool(
    windows: [Windows; 2],
    outputs: &[TensorMut<'_>],
    inputs: &[Option<TensorRef<'_>>],
) -> Result<(), KernelError> {
    let (x, values) = (*required(inputs, 0), *first_output(outputs));
    let indices = outputs.get(1).copied();
    let planes = values.sizes()[0] * values.sizes()[1];
    let steps = if indices.is_some() { 2 } else { 1 };
    let work = steps * (plane(x.sizes()) * 2 + plane(values.sizes()) * windows[0].kernel);
    share_out(planes, work, |range| Pool { windows, x, values, indices, range }.run())
}

impl Operation for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        pool(self.windows, outputs, inputs)
    }
}

impl Operation for MaxPool2dValues {
    fn name(&self) -> &'static str {
        "max_pool2d_values"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        pool(self.windows, &outputs[..1], inputs)
    }
}

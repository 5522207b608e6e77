//! Largest values of windows, with or without their places. NaN is the largest; of equal values the
//! first in row-major order counts.

use std::ops::Range;

use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, Simd, dispatch};

use crate::max_pool2d_rows::{Best, Candidates, Comparable, Rooms, room_places, room_values};
use crate::operation::{first_output, required};
use crate::planes::plane;
use crate::pool_windows::{Windows, by_step};
use crate::shares::share_out;
use crate::widen::{narrow, widen};
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

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
    /// Of as many T as [`room_values`] says.
    room: *mut T,
    /// Of as many as [`room_places`] says.
    codes: *mut i32,
}

impl<T: Comparable> Plane<T> {
    /// As `values_only`, with the place of each value beside it. Of equal values the one with the
    /// lower place counts, which is the first in row-major order.
    #[inline(always)]
    unsafe fn with_places<S: Simd>(&self, simd: S) {
        let ([down, across], [height, width], [rows, cols]) = (self.windows, self.image, self.best);
        let rooms = Rooms::new(self.room, self.codes, width, across.stride, cols);
        for row in 0..rows {
            // SAFETY: rows of the image, of the results and of the rooms.
            unsafe {
                let best = Best { values: rooms.column_values, places: rooms.column_places };
                for x in 0..width {
                    *best.values.add(x) = T::LOWEST;
                    *best.places.add(x) = i32::MAX;
                }
                for y in down.places(row, height) {
                    for x in 0..width {
                        *rooms.line_places.add(x) = (y * width + x) as i32;
                    }
                    let line = Candidates { values: self.from.add(y * width), places: rooms.line_places };
                    T::win(simd, width, best, line);
                }
                let (from, high) = rooms.by_phase(width, across.stride);
                let out = self.to.add(row * cols);
                for j in 0..cols {
                    *out.add(j) = T::LOWEST;
                    *rooms.places.add(j) = i32::MAX;
                }
                for tap in 0..across.kernel {
                    let (start, end) = across.inside(tap, width, cols);
                    if start == end {
                        continue;
                    }
                    let first = ((start * across.stride) as isize + across.offset(tap)) as usize;
                    let at = first % across.stride * high + first / across.stride;
                    let from = Candidates { values: from.values.add(at), places: from.places.add(at) };
                    let best = Best { values: out.add(start), places: rooms.places.add(start) };
                    T::win(simd, end - start, best, from);
                }
                for j in 0..cols {
                    // A window that lies in the padding alone has no place.
                    let place = *rooms.places.add(j);
                    *self.places.add(row * cols + j) = if place == i32::MAX { 0 } else { place.into() };
                }
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
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: who made the plane vouches for it.
        unsafe { if self.places.is_null() { self.values_only() } else { self.with_places(simd) } }
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
        if indices.is_some() && input >= i32::MAX as usize {
            return Err(KernelError::Shape(format!("max_pool2d got images of {input} pixels")));
        }
        let stride = windows[1].stride;
        let (each, codes) = (room_values(image[1], stride), room_places(image[1], stride, best[1]));
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

//! Means of windows, and their gradient.

use crate::lanes::{Lanes, Number, by_number};
use crate::operation::{first_output, required};
use crate::planes::{PlaneFunction, each_plane, plane};
use crate::pool_windows::{Windows, by_step};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// The mean of each window; padding counts as zeros, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    /// Windows along rows and columns of the image; their dilation is 1.
    pub windows: [Windows; 2],
    /// Whether the padding's zeros count.
    pub count_include_pad: bool,
}

/// The gradient of [`AvgPool2d`]: each window's is spread evenly over it.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2dBackward {
    /// Windows along rows and columns of the image; their dilation is 1.
    pub windows: [Windows; 2],
    /// Whether the padding's zeros count.
    pub count_include_pad: bool,
}

/// Shapes of a call.
#[derive(Clone, Copy)]
struct Shape {
    windows: [Windows; 2],
    include: bool,
    /// Height and width of the image and of the means.
    image: [usize; 2],
    means: [usize; 2],
}

impl Shape {
    fn new(windows: [Windows; 2], include: bool, image: &[usize], means: &[usize]) -> Self {
        let pair = |sizes: &[usize]| [sizes[2], sizes[3]];
        Self { windows, include, image: pair(image), means: pair(means) }
    }

    /// How many elements count in a window along an axis.
    #[inline(always)]
    fn count(&self, axis: usize, index: usize) -> usize {
        let windows = self.windows[axis];
        if self.include { windows.kernel } else { windows.places(index, self.image[axis]).count() }
    }
}

#[derive(Clone, Copy)]
struct Forward(Shape);

impl PlaneFunction for Forward {
    fn room(&self) -> usize {
        self.0.image[1]
    }

    #[inline(always)]
    unsafe fn plane<L: Lanes>(self, _lanes: L, to: *mut L::N, from: *const L::N, room: *mut L::N) {
        let Shape { windows: [down, across], image: [height, width], means: [rows, cols], .. } = self.0;
        for row in 0..rows {
            // SAFETY: rows of the planes, and as much room.
            let (sums, out) = unsafe {
                (
                    std::slice::from_raw_parts_mut(room, width),
                    std::slice::from_raw_parts_mut(to.add(row * cols), cols),
                )
            };
            sums.fill(L::N::ZERO);
            for y in down.places(row, height) {
                // SAFETY: a row of the image.
                let line = unsafe { std::slice::from_raw_parts(from.add(y * width), width) };
                for (sum, &x) in sums.iter_mut().zip(line) {
                    *sum += x;
                }
            }
            out.fill(L::N::ZERO);
            for tap in 0..across.kernel {
                let (start, end) = across.inside(tap, width, cols);
                let first = (start * across.stride) as isize + across.offset(tap);
                by_step!(across.stride, |STEP| {
                    let step = if STEP == 0 { across.stride } else { STEP };
                    for (j, out) in out[start..end].iter_mut().enumerate() {
                        // SAFETY: the element lies in the row.
                        *out += unsafe { *sums.get_unchecked(first as usize + j * step) };
                    }
                });
            }
            let down = self.0.count(0, row);
            if self.0.include {
                let count = L::N::from_f64((down * across.kernel) as f64);
                for out in out.iter_mut() {
                    *out = *out / count;
                }
            } else {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = *out / L::N::from_f64((down * self.0.count(1, j)) as f64);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Backward(Shape);

impl PlaneFunction for Backward {
    fn room(&self) -> usize {
        self.0.image[1]
    }

    #[inline(always)]
    unsafe fn plane<L: Lanes>(self, _lanes: L, to: *mut L::N, from: *const L::N, room: *mut L::N) {
        let Shape { windows: [down, across], image: [height, width], means: [rows, cols], .. } = self.0;
        // SAFETY: the planes, and as much room.
        let (image, wide) = unsafe {
            (std::slice::from_raw_parts_mut(to, height * width), std::slice::from_raw_parts_mut(room, width))
        };
        image.fill(L::N::ZERO);
        for row in 0..rows {
            // SAFETY: a row of the gradient.
            let grad = unsafe { std::slice::from_raw_parts(from.add(row * cols), cols) };
            let count = self.0.count(0, row);
            wide.fill(L::N::ZERO);
            for tap in 0..across.kernel {
                let (start, end) = across.inside(tap, width, cols);
                for (j, &grad) in grad.iter().enumerate().take(end).skip(start) {
                    let place = (j * across.stride) as isize + across.offset(tap);
                    let share = grad / L::N::from_f64((count * self.0.count(1, j)) as f64);
                    wide[place as usize] += share;
                }
            }
            for y in down.places(row, height) {
                for (x, &share) in image[y * width..(y + 1) * width].iter_mut().zip(wide.iter()) {
                    *x += share;
                }
            }
        }
    }
}

impl AvgPool2d {
    fn compute<N: Number>(&self, out: &TensorMut<'_>, x: &TensorRef<'_>) -> Result<(), KernelError> {
        let shape = Shape::new(self.windows, self.count_include_pad, x.sizes(), out.sizes());
        let work = plane(out.sizes()) * (self.windows[1].kernel + 2) + 2 * plane(x.sizes());
        each_plane::<N>(self.name(), out, x, work, Forward(shape))
    }
}

impl AvgPool2dBackward {
    fn compute<N: Number>(&self, out: &TensorMut<'_>, grad: &TensorRef<'_>) -> Result<(), KernelError> {
        let shape = Shape::new(self.windows, self.count_include_pad, out.sizes(), grad.sizes());
        let work = plane(grad.sizes()) * (2 * self.windows[1].kernel + 2) + 2 * plane(out.sizes());
        each_plane::<N>(self.name(), out, grad, work, Backward(shape))
    }
}

macro_rules! operations {
    ($($op:ident: $name:literal;)*) => {$(
        impl Operation for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(
                &self,
                outputs: &[TensorMut<'_>],
                inputs: &[Option<TensorRef<'_>>],
            ) -> Result<(), KernelError> {
                let (out, x) = (first_output(outputs), required(inputs, 0));
                by_number!(self.name(), x.dtype(), self.compute(out, x))
            }
        }
    )*};
}

operations! {
    AvgPool2d: "avg_pool2d";
    AvgPool2dBackward: "avg_pool2d_backward";
}

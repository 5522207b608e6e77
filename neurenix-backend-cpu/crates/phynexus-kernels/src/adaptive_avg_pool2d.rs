//! Means over a grid of regions that covers the image, and their gradient.

use std::ops::Range;

use crate::lanes::{Lanes, Number, Plain, by_number, total};
use crate::operation::{first_output, required};
use crate::planes::{PlaneFunction, each_plane, plane};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// The mean of each region; the output's size says how many there are.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2d;

/// The gradient of [`AdaptiveAvgPool2d`]: each region's is spread evenly over it.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2dBackward;

/// Region `index` of `count` that cover an axis of `size`.
#[inline(always)]
fn region(index: usize, size: usize, count: usize) -> Range<usize> {
    index * size / count..((index + 1) * size).div_ceil(count)
}

/// Height and width of the image, and of the means.
#[derive(Clone, Copy)]
struct Forward([usize; 2], [usize; 2]);

impl PlaneFunction for Forward {
    fn room(&self) -> usize {
        self.0[1]
    }

    #[inline(always)]
    unsafe fn plane<L: Lanes>(self, lanes: L, to: *mut L::N, from: *const L::N, room: *mut L::N) {
        let Self([height, width], [rows, cols]) = self;
        if (rows, cols) == (1, 1) {
            // SAFETY: the planes.
            unsafe {
                let count = height * width;
                *to = total(lanes, count, Plain(from)) / L::N::from_f64(count as f64);
            }
            return;
        }
        for row in 0..rows {
            let lines = region(row, height, rows);
            let high = lines.len();
            // SAFETY: as much room.
            let sums = unsafe { std::slice::from_raw_parts_mut(room, width) };
            sums.fill(L::N::ZERO);
            for y in lines {
                // SAFETY: a row of the image.
                let line = unsafe { std::slice::from_raw_parts(from.add(y * width), width) };
                for (sum, &x) in sums.iter_mut().zip(line) {
                    *sum += x;
                }
            }
            for col in 0..cols {
                let part = &sums[region(col, width, cols)];
                let mut sum = L::N::ZERO;
                for &x in part {
                    sum += x;
                }
                let count = L::N::from_f64((high * part.len()) as f64);
                // SAFETY: an element of the output's plane.
                unsafe { *to.add(row * cols + col) = sum / count };
            }
        }
    }
}

/// Height and width of the image, and of the gradient.
#[derive(Clone, Copy)]
struct Backward([usize; 2], [usize; 2]);

impl PlaneFunction for Backward {
    fn room(&self) -> usize {
        self.0[1]
    }

    #[inline(always)]
    unsafe fn plane<L: Lanes>(self, _lanes: L, to: *mut L::N, from: *const L::N, room: *mut L::N) {
        let Self([height, width], [rows, cols]) = self;
        // SAFETY: the planes, and as much room.
        let (image, wide) = unsafe {
            (std::slice::from_raw_parts_mut(to, height * width), std::slice::from_raw_parts_mut(room, width))
        };
        if (rows, cols) == (1, 1) {
            // SAFETY: the gradient has one element a plane.
            image.fill(unsafe { *from } / L::N::from_f64((height * width) as f64));
            return;
        }
        image.fill(L::N::ZERO);
        for row in 0..rows {
            let lines = region(row, height, rows);
            wide.fill(L::N::ZERO);
            for col in 0..cols {
                let part = region(col, width, cols);
                let count = L::N::from_f64((lines.len() * part.len()) as f64);
                // SAFETY: an element of the gradient's plane.
                let share = unsafe { *from.add(row * cols + col) } / count;
                for x in &mut wide[part] {
                    *x += share;
                }
            }
            for y in lines {
                for (x, &share) in image[y * width..(y + 1) * width].iter_mut().zip(wide.iter()) {
                    *x += share;
                }
            }
        }
    }
}

fn pair(sizes: &[usize]) -> [usize; 2] {
    [sizes[2], sizes[3]]
}

impl AdaptiveAvgPool2d {
    fn compute<N: Number>(&self, out: &TensorMut<'_>, x: &TensorRef<'_>) -> Result<(), KernelError> {
        let work = plane(x.sizes()) + 4 * plane(out.sizes());
        each_plane::<N>(self.name(), out, x, work, Forward(pair(x.sizes()), pair(out.sizes())))
    }
}

impl AdaptiveAvgPool2dBackward {
    fn compute<N: Number>(&self, out: &TensorMut<'_>, grad: &TensorRef<'_>) -> Result<(), KernelError> {
        let work = plane(out.sizes()) + 4 * plane(grad.sizes());
        each_plane::<N>(self.name(), out, grad, work, Backward(pair(out.sizes()), pair(grad.sizes())))
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
    AdaptiveAvgPool2d: "adaptive_avg_pool2d";
    AdaptiveAvgPool2dBackward: "adaptive_avg_pool2d_backward";
}

//! The loops over the elements of several tensors at once: axes joined where all tensors allow
//! it, in order of the output's memory.

use crate::tensor::{Axes, MAX_AXES, TensorMut, TensorRef};

/// Where a tensor's elements lie, whatever they are.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The first element.
    pub data: *mut u8,
    /// Bytes an element takes.
    pub width: usize,
    /// Sizes and strides.
    pub axes: &'a Axes,
}

impl<'a> Place<'a> {
    /// The elements of a tensor that is read; nobody writes through it.
    pub fn of(tensor: &'a TensorRef<'_>) -> Self {
        Self { data: tensor.bytes().cast_mut(), width: tensor.dtype().size(), axes: tensor.axes() }
    }

    /// The elements of a tensor that is written.
    pub fn of_mut(tensor: &'a TensorMut<'_>) -> Self {
        Self { data: tensor.bytes(), width: tensor.dtype().size(), axes: tensor.axes() }
    }
}

/// A nest of loops. Axis 0 is the innermost; there is always one.
pub struct Loops<const N: usize> {
    rank: usize,
    sizes: [usize; MAX_AXES],
    /// In bytes, one a tensor.
    strides: [[isize; N]; MAX_AXES],
    data: [*mut u8; N],
    widths: [usize; N],
}

// SAFETY: it only says where elements lie; who reads and writes them answers for that.
unsafe impl<const N: usize> Sync for Loops<N> {}

/// The part of two axes that is worked on at a time, and where its first elements lie.
#[derive(Clone, Copy)]
pub struct Block<const N: usize> {
    /// Elements along axis 1.
    pub rows: usize,
    /// Elements along axis 0.
    pub cols: usize,
    /// The first elements, one a tensor.
    pub data: [*mut u8; N],
}

impl<const N: usize> Loops<N> {
    /// Loops over the axes of tensor 0; the others broadcast to it.
    pub fn new(places: [Place<'_>; N]) -> Self {
        let out = places[0].axes;
        let mut loops = Self {
            rank: 0,
            sizes: [1; MAX_AXES],
            strides: [[0; N]; MAX_AXES],
            data: places.map(|place| place.data),
            widths: places.map(|place| place.width),
        };
        for axis in (0..out.rank()).rev() {
            let size = out.sizes()[axis];
            if size != 1 {
                let behind = out.rank() - axis;
                loops.insert(size, places.map(|place| stride_of(place, behind)));
            }
        }
        loops.join();
        loops
    }

    /// Adds an axis: outside those along which the output's steps are as small or smaller.
    fn insert(&mut self, size: usize, strides: [isize; N]) {
        let mut at = self.rank;
        while at > 0 && self.strides[at - 1][0] > strides[0] {
            self.sizes[at] = self.sizes[at - 1];
            self.strides[at] = self.strides[at - 1];
            at -= 1;
        }
        self.sizes[at] = size;
        self.strides[at] = strides;
        self.rank += 1;
    }

    /// Makes one axis of those that follow each other in every tensor.
    fn join(&mut self) {
        if self.rank == 0 {
            self.rank = 1;
            self.strides[0] = self.widths.map(|width| width as isize);
            return;
        }
        let mut last = 0;
        for axis in 1..self.rank {
            let size = self.sizes[last] as isize;
            if self.strides[last].map(|stride| stride * size) == self.strides[axis] {
                self.sizes[last] *= self.sizes[axis];
            } else {
                last += 1;
                self.sizes[last] = self.sizes[axis];
                self.strides[last] = self.strides[axis];
            }
        }
        self.sizes[last + 1..self.rank].fill(1);
        self.rank = last + 1;
    }

    /// How many axes are left.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Elements along an axis; 1 along those that there are not.
    pub fn size(&self, axis: usize) -> usize {
        self.sizes[axis]
    }

    /// The step of a tensor along an axis, in bytes.
    pub fn stride(&self, axis: usize, tensor: usize) -> isize {
        self.strides[axis][tensor]
    }

    /// Bytes an element of a tensor takes.
    pub fn width(&self, tensor: usize) -> usize {
        self.widths[tensor]
    }

    /// How many elements the output has.
    pub fn count(&self) -> usize {
        self.sizes[..self.rank].iter().product()
    }

    /// Makes axis 1 the one along which a tensor's elements lie closest.
    pub fn bring_next(&mut self, tensor: usize) {
        let closest = (1..self.rank)
            .filter(|&axis| self.strides[axis][tensor] != 0)
            .min_by_key(|&axis| self.strides[axis][tensor]);
        if let Some(axis) = closest {
            self.sizes[1..=axis].rotate_right(1);
            self.strides[1..=axis].rotate_right(1);
        }
    }

    /// How many blocks of at most so many rows and columns there are.
    pub fn blocks(&self, rows: usize, cols: usize) -> usize {
        let outer: usize = self.sizes[..self.rank].iter().skip(2).product();
        self.sizes[0].div_ceil(cols) * self.sizes[1].div_ceil(rows) * outer
    }

    /// One of these blocks.
    pub fn block(&self, index: usize, rows: usize, cols: usize) -> Block<N> {
        let (across, down) = (self.sizes[0].div_ceil(cols), self.sizes[1].div_ceil(rows));
        let (mut outer, within) = (index / (across * down), index % (across * down));
        let (row, col) = (within / across * rows, within % across * cols);
        let mut data = self.data;
        let mut step = |axis: usize, place: usize| {
            for (tensor, at) in data.iter_mut().enumerate() {
                *at = at.wrapping_offset(self.strides[axis][tensor] * place as isize);
            }
        };
        step(0, col);
        step(1, row);
        for axis in 2..self.rank {
            step(axis, outer % self.sizes[axis]);
            outer /= self.sizes[axis];
        }
        Block { rows: rows.min(self.sizes[1] - row), cols: cols.min(self.sizes[0] - col), data }
    }
}

/// The step along the axis that is `behind`th from the last, in bytes; 0 where the tensor repeats.
#[inline]
fn stride_of(place: Place<'_>, behind: usize) -> isize {
    let rank = place.axes.rank();
    if behind > rank || place.axes.sizes()[rank - behind] == 1 {
        return 0;
    }
    place.axes.strides()[rank - behind] * place.width as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loops(out: &Axes, x: &Axes) -> Loops<2> {
        let place = |axes| Place { data: std::ptr::null_mut(), width: 4, axes };
        Loops::new([place(out), place(x)])
    }

    #[test]
    fn dense_tensors_are_one_loop() {
        let axes = Axes::dense(&[2, 1, 3, 4]).unwrap();
        let loops = loops(&axes, &axes);
        assert_eq!((loops.rank(), loops.size(0), loops.stride(0, 1)), (1, 24, 4));
    }

    #[test]
    fn a_bias_of_channels_leaves_three() {
        let out = Axes::dense(&[2, 3, 4, 5]).unwrap();
        let bias = Axes::dense(&[3, 1, 1]).unwrap();
        let loops = loops(&out, &bias);
        assert_eq!((loops.rank(), loops.size(0), loops.size(1), loops.size(2)), (3, 20, 3, 2));
        assert_eq!([loops.stride(0, 1), loops.stride(1, 1), loops.stride(2, 1)], [0, 4, 0]);
    }

    #[test]
    fn an_output_of_any_order_is_walked_as_it_lies() {
        let axes = Axes::new(&[4, 3, 2], &[1, 4, 12]).unwrap();
        let loops = loops(&axes, &axes);
        assert_eq!((loops.rank(), loops.size(0)), (1, 24));
    }

    #[test]
    fn blocks_cover_every_element_once() {
        let out = Axes::dense(&[2, 5, 7]).unwrap();
        let x = Axes::new(&[2, 5, 7], &[1, 2, 10]).unwrap();
        let mut loops = loops(&out, &x);
        loops.bring_next(1);
        let mut met = vec![0; 70];
        for index in 0..loops.blocks(2, 3) {
            let block = loops.block(index, 2, 3);
            for row in 0..block.rows {
                for col in 0..block.cols {
                    let at = block.data[0].addr() as isize
                        + row as isize * loops.stride(1, 0)
                        + col as isize * loops.stride(0, 0);
                    met[at as usize / 4] += 1;
                }
            }
        }
        assert_eq!(met, [1; 70]);
    }
}

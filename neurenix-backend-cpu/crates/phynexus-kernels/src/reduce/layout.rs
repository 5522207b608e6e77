//! The axes of a reduction: those that stay and those that go, each joined where memory allows.

use crate::tensor::{Axes, MAX_AXES};

/// An axis: its size, and its steps in elements of the input and of the output (0 if reduced).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// Elements along it.
    pub size: usize,
    /// The step in the input.
    pub x: isize,
    /// The step in the output.
    pub out: isize,
}

/// Some axes, the closest in the input's memory first.
#[derive(Clone, Copy, Debug)]
pub struct Nest {
    rank: usize,
    axes: [Axis; MAX_AXES],
}

impl Nest {
    fn new() -> Self {
        Self { rank: 0, axes: [Axis::default(); MAX_AXES] }
    }

    fn insert(&mut self, axis: Axis) {
        if axis.size == 1 {
            return;
        }
        let mut at = self.rank;
        while at > 0 && self.axes[at - 1].x > axis.x {
            self.axes[at] = self.axes[at - 1];
            at -= 1;
        }
        self.axes[at] = axis;
        self.rank += 1;
    }

    fn join(&mut self) {
        let mut last = 0;
        for index in 1..self.rank {
            let (inner, outer) = (self.axes[last], self.axes[index]);
            let size = inner.size as isize;
            if outer.x == inner.x * size && outer.out == inner.out * size {
                self.axes[last].size *= outer.size;
            } else {
                last += 1;
                self.axes[last] = outer;
            }
        }
        self.rank = self.rank.min(last + 1);
    }

    /// The axes.
    pub fn axes(&self) -> &[Axis] {
        &self.axes[..self.rank]
    }

    /// How many elements they span.
    pub fn count(&self) -> usize {
        self.axes().iter().map(|axis| axis.size).product()
    }

    /// The first axis apart from the others.
    pub fn split(&self) -> (Axis, Self) {
        let mut rest = *self;
        rest.axes.copy_within(1.., 0);
        rest.rank -= 1;
        (self.axes[0], rest)
    }

    /// Where an element lies in the input and in the output, the first axis being the fastest.
    #[inline(always)]
    pub fn offset(&self, mut index: usize) -> (isize, isize) {
        let (mut x, mut out) = (0, 0);
        for axis in self.axes() {
            let place = (index % axis.size) as isize;
            index /= axis.size;
            x += place * axis.x;
            out += place * axis.out;
        }
        (x, out)
    }
}

/// The axes of a reduction.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Those that stay.
    pub kept: Nest,
    /// Those that are reduced.
    pub reduced: Nest,
}

impl Layout {
    /// The layout of a reduction of the axes whose bits are set, to a dense output.
    pub fn new(x: &Axes, reduced: u16) -> Self {
        let mut layout = Self { kept: Nest::new(), reduced: Nest::new() };
        let mut step = 1;
        for axis in (0..x.rank()).rev() {
            let (size, stride) = (x.sizes()[axis], x.strides()[axis]);
            if reduced >> axis & 1 == 1 {
                layout.reduced.insert(Axis { size, x: stride, out: 0 });
            } else {
                layout.kept.insert(Axis { size, x: stride, out: step });
                step *= size as isize;
            }
        }
        layout.kept.join();
        layout.reduced.join();
        layout
    }

    /// Whether elements lie side by side along some axis; so do those of a single one.
    pub fn has_close_axis(&self) -> bool {
        let is_close = |nest: &Nest| nest.axes().first().is_some_and(|axis| axis.x == 1);
        is_close(&self.kept) || is_close(&self.reduced) || self.reduced.count() <= 1
    }

    /// Whether that axis is reduced, or there is none.
    pub fn is_inner(&self) -> bool {
        self.kept.axes().first().is_none_or(|axis| axis.x != 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_joined_on_both_sides() {
        let x = Axes::dense(&[2, 3, 4, 5]).unwrap();
        let layout = Layout::new(&x, 0b1100);
        assert_eq!(layout.reduced.axes(), [Axis { size: 20, x: 1, out: 0 }]);
        assert_eq!(layout.kept.axes(), [Axis { size: 6, x: 20, out: 1 }]);
        assert!(layout.is_inner());
    }

    #[test]
    fn sums_of_channels_keep_the_middle_axis() {
        let x = Axes::dense(&[2, 3, 4, 5]).unwrap();
        let layout = Layout::new(&x, 0b1101);
        assert_eq!(layout.reduced.axes(), [Axis { size: 20, x: 1, out: 0 }, Axis { size: 2, x: 60, out: 0 }]);
        assert_eq!(layout.reduced.offset(21), (61, 0));
    }

    #[test]
    fn an_empty_axis_leaves_nothing_to_add() {
        let layout = Layout::new(&Axes::dense(&[3, 0]).unwrap(), 0b10);
        assert_eq!((layout.kept.count(), layout.reduced.count()), (3, 0));
    }
}

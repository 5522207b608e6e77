//! The shape of a convolution.

use std::fmt;

/// Sizes and settings of a two-dimensional convolution; pairs are (vertical, horizontal).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Samples. No choice of an algorithm depends on it.
    pub batch: usize,
    /// Channels of the input, of all groups.
    pub in_channels: usize,
    /// Channels of the output, of all groups.
    pub out_channels: usize,
    /// Rows and columns of the input.
    pub in_size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step of the kernel over the input.
    pub stride: [usize; 2],
    /// Zeros above and below, left and right.
    pub padding: [(usize, usize); 2],
    /// Distance between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// Each group of output channels sees its own group of input channels.
    pub groups: usize,
}

/// A shape that no convolution has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    shape: Box<ConvShape>,
    problem: &'static str,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.problem, self.shape)
    }
}

impl std::error::Error for ShapeError {}

impl ConvShape {
    /// A convolution with square kernel, equal strides, equal padding on all sides, one group.
    pub fn square(
        batch: usize,
        (in_channels, out_channels): (usize, usize),
        in_size: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        Self {
            batch,
            in_channels,
            out_channels,
            in_size,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [(padding, padding); 2],
            dilation: [1; 2],
            groups: 1,
        }
    }

    /// The same for another number of samples.
    pub fn with_batch(&self, batch: usize) -> Self {
        Self { batch, ..self.clone() }
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// A size is zero, the kernel is larger than the padded input, or the groups do not divide the channels.
    pub fn check(&self) -> Result<(), ShapeError> {
        let fail = |problem| Err(ShapeError { shape: Box::new(self.clone()), problem });
        let sizes = [self.in_channels, self.out_channels, self.groups];
        let positive =
            sizes.iter().chain(&self.kernel).chain(&self.stride).chain(&self.dilation).all(|&n| n > 0);
        if !positive {
            return fail("sizes, strides and dilations of a convolution are positive");
        }
        if !self.in_channels.is_multiple_of(self.groups) || !self.out_channels.is_multiple_of(self.groups) {
            return fail("the groups divide the channels of input and output");
        }
        if (0..2).any(|axis| self.padded(axis) < self.reach(axis)) {
            return fail("the kernel fits the padded input");
        }
        Ok(())
    }

    /// That an algorithm is not for this shape.
    pub(crate) fn unfit(&self) -> ShapeError {
        ShapeError {
            shape: Box::new(self.clone()),
            problem: "the algorithm does not compute this convolution",
        }
    }

    /// That too many products make up a result.
    pub(crate) fn too_deep(&self) -> ShapeError {
        ShapeError {
            shape: Box::new(self.clone()),
            problem: "a sum of so many products of 8-bit integers does not fit 32 bits",
        }
    }

    fn padded(&self, axis: usize) -> usize {
        self.in_size[axis] + self.padding[axis].0 + self.padding[axis].1
    }

    /// Pixels that a dilated kernel spans on an axis.
    pub fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Rows and columns of the output.
    pub fn out_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| (self.padded(axis) - self.reach(axis)) / self.stride[axis] + 1)
    }

    /// Pixels of one plane of the input.
    pub fn in_pixels(&self) -> usize {
        self.in_size[0] * self.in_size[1]
    }

    /// Pixels of one plane of the output.
    pub fn out_pixels(&self) -> usize {
        let [height, width] = self.out_size();
        height * width
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input channels that one output channel sees.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of one group.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Elements of the canonical weights, `[out_channels][in_channels / groups][rows][columns]`.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.group_in() * self.taps()
    }

    /// Elements of the dense NCHW input.
    pub fn in_len(&self) -> usize {
        self.batch * self.in_channels * self.in_pixels()
    }

    /// Elements of the dense NCHW output.
    pub fn out_len(&self) -> usize {
        self.batch * self.out_channels * self.out_pixels()
    }

    /// Elements of the input in blocks of 16 channels.
    pub fn in_blocked_len(&self) -> usize {
        self.batch * self.in_channels.next_multiple_of(16) * self.in_pixels()
    }

    /// Elements of the output in blocks of 16 channels.
    pub fn out_blocked_len(&self) -> usize {
        self.batch * self.out_channels.next_multiple_of(16) * self.out_pixels()
    }

    /// Multiplications and additions of the definition, padding included.
    pub fn flops(&self) -> f64 {
        2.0 * (self.batch * self.out_pixels()) as f64 * self.weight_len() as f64
    }

    /// The input row or column under a tap at output 0.
    pub(crate) fn tap_offset(&self, axis: usize, tap: usize) -> isize {
        (tap * self.dilation[axis]) as isize - self.padding[axis].0 as isize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_output() {
        let shape = ConvShape::square(1, (3, 64), [224, 223], 7, 2, 3);
        assert_eq!(shape.out_size(), [112, 112]);
        let dilated = ConvShape { dilation: [2, 1], padding: [(0, 1), (2, 0)], ..shape };
        assert_eq!(dilated.out_size(), [107, 110]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let shape = ConvShape::square(1, (4, 4), [2, 2], 3, 1, 0);
        let message = shape.check().unwrap_err().to_string();
        assert!(message.contains("fits") && message.contains("in_size: [2, 2]"), "{message}");
        let groups = ConvShape { groups: 3, in_size: [5, 5], ..shape };
        assert!(groups.check().is_err());
        assert!(ConvShape { groups: 2, ..groups }.check().is_ok());
    }
}

//! The definition of convolution in f64, and random numbers.
#![allow(dead_code)]

use phynexus_conv::ConvShape;
use phynexus_conv::layout::{Planes, blocked_to_nchw, nchw_to_blocked};

/// Reproducible random numbers.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 33) % n as u64) as usize
    }

    /// Numbers around zero, most below 1.
    pub fn fill(&mut self, len: usize) -> Vec<f32> {
        let mut uniform = || (self.next() >> 40) as f32 / 16_777_216.0 - 0.5;
        (0..len).map(|_| uniform() + uniform() + uniform()).collect()
    }
}

/// Calls `f(output, input, weight)` with the indices of each product of the definition, all NCHW.
pub fn each_product(shape: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let [out_height, out_width] = shape.out_size();
    let [height, width] = shape.in_size;
    let [kernel_height, kernel_width] = shape.kernel;
    let (inner, outer) = (shape.in_channels / shape.groups, shape.out_channels / shape.groups);
    for sample in 0..shape.batch {
        for out_channel in 0..shape.out_channels {
            for (row, column) in
                (0..out_height).flat_map(|row| (0..out_width).map(move |column| (row, column)))
            {
                let output =
                    ((sample * shape.out_channels + out_channel) * out_height + row) * out_width + column;
                for (y, x) in (0..kernel_height).flat_map(|y| (0..kernel_width).map(move |x| (y, x))) {
                    let in_row =
                        (row * shape.stride[0] + y * shape.dilation[0]).wrapping_sub(shape.padding[0].0);
                    let in_column =
                        (column * shape.stride[1] + x * shape.dilation[1]).wrapping_sub(shape.padding[1].0);
                    if in_row >= height || in_column >= width {
                        continue;
                    }
                    for channel in 0..inner {
                        let in_channel = out_channel / outer * inner + channel;
                        let input =
                            ((sample * shape.in_channels + in_channel) * height + in_row) * width + in_column;
                        let weight = ((out_channel * inner + channel) * kernel_height + y) * kernel_width + x;
                        f(output, input, weight);
                    }
                }
            }
        }
    }
}

/// The forward convolution.
pub fn convolve(shape: &ConvShape, x: &[f32], weights: &[f32]) -> Vec<f64> {
    let mut y = vec![0.0; shape.out_len()];
    each_product(shape, |output, input, weight| {
        y[output] += f64::from(x[input]) * f64::from(weights[weight])
    });
    y
}

/// NCHW in blocks.
pub fn blocked(samples: usize, channels: usize, pixels: usize, x: &[f32]) -> Vec<f32> {
    let planes = Planes::dense(samples, channels, pixels);
    let mut blocks = vec![0.0; planes.blocked_len()];
    nchw_to_blocked(planes, x, &mut blocks, 1);
    blocks
}

/// Blocks as NCHW.
pub fn planes(samples: usize, channels: usize, pixels: usize, x: &[f32]) -> Vec<f32> {
    let mut planes = vec![0.0; samples * channels * pixels];
    blocked_to_nchw(Planes::dense(samples, channels, pixels), x, &mut planes, 1);
    planes
}

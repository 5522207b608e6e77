//! Convolution by its definition, a plane at a time, for numbers that `phynexus_conv` has no code for.
//! A result is one chain of sums.

use phynexus_conv::ConvShape;
use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch};

use crate::KernelError;
use crate::pool_windows::Windows;
use crate::product::Ring;
use crate::shares::{Address, share_out};

/// A convolution of dense NCHW.
pub(crate) struct Direct {
    shape: ConvShape,
    windows: [Windows; 2],
    /// Rows and columns of the output.
    out_size: [usize; 2],
}

/// A row of one plane that goes, times a factor, into a row of another.
struct Rows<'a> {
    windows: &'a [Windows; 2],
    image: [usize; 2],
    out: [usize; 2],
}

impl Rows<'_> {
    /// Calls `f` for a tap of the kernel with what of the output lies over the image: the first
    /// element in the output, the first in the image, and how many, for each row of the output.
    #[inline(always)]
    fn each(&self, tap: [usize; 2], mut f: impl FnMut(usize, usize, usize)) {
        let [down, across] = self.windows;
        let (first_row, last_row) = down.inside(tap[0], self.image[0], self.out[0]);
        let (start, end) = across.inside(tap[1], self.image[1], self.out[1]);
        for row in first_row..last_row {
            let y = ((row * down.stride) as isize + down.offset(tap[0])) as usize;
            let x = ((start * across.stride) as isize + across.offset(tap[1])) as usize;
            if start < end {
                f(row * self.out[1] + start, y * self.image[1] + x, end - start);
            }
        }
    }
}

/// What is computed of one plane of the result.
#[derive(Clone, Copy)]
enum Part {
    Output { sample: usize, channel: usize },
    Image { sample: usize, channel: usize },
    Weight { out_channel: usize, in_channel: usize },
}

struct Plane<'a, T> {
    direct: &'a Direct,
    part: Part,
    to: *mut T,
    /// Images or gradient, and weight or images.
    from: [&'a [T]; 2],
}

impl<T: Ring> Kernel for Plane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let is_fused = !matches!(S::ISA, Isa::Portable);
        let ConvShape { in_channels, out_channels, .. } = self.direct.shape;
        let shape = &self.direct.shape;
        let (images, outs) = (shape.in_pixels(), self.direct.out_size[0] * self.direct.out_size[1]);
        let (kernel, taps) = (shape.kernel, shape.kernel[0] * shape.kernel[1]);
        let (group_in, group_out) = (in_channels / shape.groups, out_channels / shape.groups);
        let rows = Rows { windows: &self.direct.windows, image: shape.in_size, out: self.direct.out_size };
        let step = self.direct.windows[1].stride;
        let plane = |data: usize, index: usize, size: usize| &self.from[data][index * size..][..size];
        match self.part {
            Part::Output { sample, channel } => {
                // SAFETY: a plane of the result, which is this call's alone.
                let to = unsafe { std::slice::from_raw_parts_mut(self.to, outs) };
                to.fill(T::ZERO);
                let group = channel / group_out;
                for c in 0..group_in {
                    let image = plane(0, sample * in_channels + group * group_in + c, images);
                    let weight = plane(1, channel * group_in + c, taps);
                    for (tap, &factor) in weight.iter().enumerate() {
                        rows.each([tap / kernel[1], tap % kernel[1]], |out, at, many| {
                            for (i, sum) in to[out..out + many].iter_mut().enumerate() {
                                *sum = factor.multiply_add(image[at + i * step], *sum, is_fused);
                            }
                        });
                    }
                }
            }
            Part::Image { sample, channel } => {
                // SAFETY: as above.
                let to = unsafe { std::slice::from_raw_parts_mut(self.to, images) };
                to.fill(T::ZERO);
                let (group, c) = (channel / group_in, channel % group_in);
                for o in group * group_out..(group + 1) * group_out {
                    let grad = plane(0, sample * out_channels + o, outs);
                    let weight = plane(1, o * group_in + c, taps);
                    for (tap, &factor) in weight.iter().enumerate() {
                        rows.each([tap / kernel[1], tap % kernel[1]], |out, at, many| {
                            for (i, &grad) in grad[out..out + many].iter().enumerate() {
                                let sum = &mut to[at + i * step];
                                *sum = factor.multiply_add(grad, *sum, is_fused);
                            }
                        });
                    }
                }
            }
            Part::Weight { out_channel, in_channel } => {
                // SAFETY: as above.
                let to = unsafe { std::slice::from_raw_parts_mut(self.to, taps) };
                let channel = out_channel / group_out * group_in + in_channel;
                for (tap, to) in to.iter_mut().enumerate() {
                    // As many chains as hide the latency of an addition.
                    let mut sums = [T::ZERO; LANES];
                    for sample in 0..shape.batch {
                        let grad = plane(0, sample * out_channels + out_channel, outs);
                        let image = plane(1, sample * in_channels + channel, images);
                        rows.each([tap / kernel[1], tap % kernel[1]], |out, at, many| {
                            for (i, &grad) in grad[out..out + many].iter().enumerate() {
                                let sum = &mut sums[i % LANES];
                                *sum = grad.multiply_add(image[at + i * step], *sum, is_fused);
                            }
                        });
                    }
                    *to = sums.iter().fold(T::ZERO, |total, &sum| total.plus(sum));
                }
            }
        }
    }
}

impl Direct {
    pub fn new(shape: ConvShape) -> Self {
        let windows = std::array::from_fn(|axis| Windows {
            kernel: shape.kernel[axis],
            stride: shape.stride[axis],
            before: shape.padding[axis].0,
            dilation: shape.dilation[axis],
        });
        let out_size = shape.out_size();
        Self { shape, windows, out_size }
    }

    fn outs(&self) -> usize {
        self.out_size[0] * self.out_size[1]
    }

    /// Multiply-adds of a plane of the output.
    fn work(&self) -> usize {
        self.outs() * self.shape.group_in() * self.shape.kernel[0] * self.shape.kernel[1]
    }

    /// `to = relu(conv(x) + bias + residual)`
    pub fn forward<T: Ring + PartialOrd>(
        &self,
        to: *mut T,
        x: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        residual: Option<&[T]>,
        relu: bool,
    ) -> Result<(), KernelError> {
        let (outs, to, channels) = (self.outs(), Address(to), self.shape.out_channels);
        share_out(self.shape.batch * channels, self.work(), |planes| {
            for index in planes {
                let (sample, channel) = (index / channels, index % channels);
                let to = to.get().wrapping_add(index * outs);
                let part = Part::Output { sample, channel };
                dispatch(Plane { direct: self, part, to, from: [x, weight] });
                for place in 0..outs {
                    // SAFETY: a plane of the result.
                    let y = unsafe { &mut *to.add(place) };
                    if let Some(bias) = bias {
                        *y = y.plus(bias[channel]);
                    }
                    if let Some(residual) = residual {
                        *y = y.plus(residual[index * outs + place]);
                    }
                    if relu && *y < T::ZERO {
                        *y = T::ZERO;
                    }
                }
            }
            Ok(())
        })
    }

    /// The gradient to the images.
    pub fn grad_input<T: Ring>(&self, to: *mut T, grad: &[T], weight: &[T]) -> Result<(), KernelError> {
        let (to, channels) = (Address(to), self.shape.in_channels);
        let work = self.work() / self.shape.group_in().max(1) * self.shape.group_out();
        share_out(self.shape.batch * channels, work, |planes| {
            for index in planes {
                let to = to.get().wrapping_add(index * self.shape.in_pixels());
                let part = Part::Image { sample: index / channels, channel: index % channels };
                dispatch(Plane { direct: self, part, to, from: [grad, weight] });
            }
            Ok(())
        })
    }

    /// The gradient to the weight.
    pub fn grad_weight<T: Ring>(&self, to: *mut T, grad: &[T], x: &[T]) -> Result<(), KernelError> {
        let (to, group_in) = (Address(to), self.shape.group_in());
        let taps = self.shape.kernel[0] * self.shape.kernel[1];
        share_out(self.shape.out_channels * group_in, self.shape.batch * self.outs() * taps, |planes| {
            for index in planes {
                let to = to.get().wrapping_add(index * taps);
                let part = Part::Weight { out_channel: index / group_in, in_channel: index % group_in };
                dispatch(Plane { direct: self, part, to, from: [grad, x] });
            }
            Ok(())
        })
    }
}

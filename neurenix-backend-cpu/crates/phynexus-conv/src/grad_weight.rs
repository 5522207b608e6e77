//! The gradient of a convolution with respect to its weights: for each tap a product of matrices over the pixels, or in
//! tiles (`winograd::grad_weight`).
//!
//! Pixels are added in order within a chunk of samples, whose size the shape of a sample fixes; then the chunks in
//! order. Threads share out the weights.

mod first;
pub(crate) mod product;

use std::ops::Range;

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

use crate::error::{ConvError, check_len};
use crate::first::First;
use crate::groups;
use crate::memory::{OutOfMemory, Shared};
use crate::micro::max_rows;

use crate::plan::InputLayout;
use crate::shape::ConvShape;
use crate::split::{chunks, panels};
use crate::tasks::for_each_with_scratch;
use crate::winograd::Winograd;
use product::{PixelArgs, panel_cols, pixel_micro};

/// Pixels whose products are added up before the sum joins the others.
const CHUNK_PIXELS: usize = 1024;

#[derive(Clone, Debug)]
enum Method {
    /// For each tap a product over the pixels.
    Taps,
    /// The same, of few channels, from NCHW.
    First,
    Winograd(Winograd),
}

/// The gradient with respect to the weights, with its algorithm chosen from the shape of a sample alone.
///
/// Of a 3x3 convolution without stride it may be computed in tiles: a value that is not finite may then turn all nine
/// weights between its channel and any other to NaN.
#[derive(Clone, Debug)]
pub struct GradWeightPlan {
    /// Of the forward convolution.
    shape: ConvShape,
    /// Its groups joined so that they fill whole blocks.
    joined: ConvShape,
    isa: Isa,
    method: Method,
}

impl GradWeightPlan {
    /// Plans it; `shape` is that of the forward convolution. [`input_layout`](Self::input_layout) tells what it reads.
    ///
    /// # Errors
    /// No convolution has this shape.
    pub fn new(shape: &ConvShape, isa: Isa) -> Result<Self, ConvError> {
        let layout = if First::pays(shape) { InputLayout::Nchw } else { InputLayout::Blocked };
        Self::with_input(shape, isa, layout)
    }

    /// Plans it for an input in this layout; NCHW is read where there is one group only.
    ///
    /// # Errors
    /// No convolution has this shape, or none that reads the layout.
    pub fn with_input(shape: &ConvShape, isa: Isa, layout: InputLayout) -> Result<Self, ConvError> {
        shape.check()?;
        if layout == InputLayout::Nchw && shape.groups != 1 {
            return Err(shape.unfit().into());
        }
        let method = match layout {
            InputLayout::Nchw => Method::First,
            InputLayout::Blocked if Winograd::pays_for_weights(shape) => {
                Method::Winograd(Winograd::new(shape, isa))
            }
            InputLayout::Blocked => Method::Taps,
        };
        Ok(Self { shape: shape.clone(), joined: groups::join(shape), isa, method })
    }

    /// The layout of the convolution's input that it reads.
    pub fn input_layout(&self) -> InputLayout {
        if matches!(self.method, Method::First) { InputLayout::Nchw } else { InputLayout::Blocked }
    }

    /// Floats that `batch` samples of the convolution's input take in this layout.
    pub fn in_len(&self, batch: usize) -> usize {
        let shape = self.shape.with_batch(batch);
        if self.input_layout() == InputLayout::Nchw { shape.in_len() } else { shape.in_blocked_len() }
    }

    /// Computes the gradient over `batch` samples on at most `threads` threads of the pool.
    ///
    /// `x` is in the layout that [`input_layout`](Self::input_layout) tells, `grad` (of the output) blocked; `grad_weight` is canonical,
    /// `[out_channels][in_channels / groups][rows][columns]`, and is overwritten, or added to with `accumulate`.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory for work in progress.
    pub fn run(
        &self,
        batch: usize,
        x: &[f32],
        grad: &[f32],
        grad_weight: &mut [f32],
        accumulate: bool,
        threads: usize,
    ) -> Result<(), ConvError> {
        let shape = self.shape.with_batch(batch);
        check_len("input", self.in_len(batch), x.len())?;
        check_len("gradient of the output", shape.out_blocked_len(), grad.len())?;
        check_len("gradient of the weights", shape.weight_len(), grad_weight.len())?;
        // Less than this takes no longer than to wake a thread.
        let threads = if shape.flops() < 1e6 { 1 } else { threads };
        let (x, grad, to) = (x.as_ptr(), grad.as_ptr(), Shared::new(grad_weight.as_mut_ptr()));
        if let Method::Winograd(winograd) = &self.method {
            // SAFETY: the lengths are checked, and the destination is borrowed by nobody else.
            return Ok(unsafe { winograd.grad_weight(batch, x, grad, to, accumulate, threads) }?);
        }
        Ok(dispatch_on(self.isa, Job { plan: self, batch, x, grad, to, accumulate, threads })?)
    }
}

struct Job<'a> {
    plan: &'a GradWeightPlan,
    batch: usize,
    x: *const f32,
    grad: *const f32,
    to: Shared<f32>,
    accumulate: bool,
    threads: usize,
}

// SAFETY: tasks only read `x` and `grad`, and write disjoint weights.
unsafe impl Sync for Job<'_> {}

impl Kernel for Job<'_> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Self::Output {
        match self.plan.input_layout() {
            InputLayout::Blocked => self.tasks::<S>(),
            InputLayout::Nchw => self.first_tasks::<S>(),
        }
    }
}

/// What a task computes: the weights of some taps from a block of input channels to a panel of output channels.
struct Part {
    group: usize,
    /// The block of input channels in its group.
    block: usize,
    /// Blocks of output channels in their group.
    panel: Range<usize>,
    taps: Range<usize>,
}

impl Job<'_> {
    fn tasks<S: Simd>(&self) -> Result<(), OutOfMemory> {
        let joined = &self.plan.joined;
        let cols = panel_cols::<S>();
        let panels = panels(joined.group_out().div_ceil(LANES), cols);
        let blocks = joined.group_in().div_ceil(LANES);
        let outer = joined.groups * panels.len() * blocks;
        // Few channels: the taps go to different tasks.
        let cuts =
            if outer >= 4 * self.threads { 1 } else { (4 * self.threads).div_ceil(outer).min(joined.taps()) };
        let taps: Vec<Range<usize>> = chunks(joined.taps(), joined.taps().div_ceil(cuts)).collect();
        let scratch = taps[0].len().max(taps[taps.len() - 1].len()) * LANES * cols * LANES;
        for_each_with_scratch::<f32>(self.threads, outer * taps.len(), scratch, |task, sums| {
            let (cut, task) = (task % taps.len(), task / taps.len());
            let (block, task) = (task % blocks, task / blocks);
            let part = Part {
                group: task / panels.len(),
                block,
                panel: panels[task % panels.len()].clone(),
                taps: taps[cut].clone(),
            };
            // SAFETY: the scratch holds the sums of so many taps.
            unsafe {
                self.sum::<S>(&part, sums);
                self.store(&part, sums);
            }
        })
    }

    /// Sums up the products of all samples: `sums` becomes `[tap][input channel][vectors of the panel]`.
    ///
    /// # Safety
    /// `sums` has room for them.
    unsafe fn sum<S: Simd>(&self, part: &Part, sums: *mut f32) {
        let shape = &self.plan.joined;
        let cols = part.panel.len();
        let [height, width] = shape.in_size;
        let [out_height, out_width] = shape.out_size();
        let (in_blocks, out_blocks) = (shape.group_in().div_ceil(LANES), shape.group_out().div_ceil(LANES));
        let rows = (shape.group_in() - part.block * LANES).min(LANES);
        // SAFETY: as the caller vouches.
        unsafe { sums.write_bytes(0, part.taps.len() * LANES * cols * LANES) };
        let samples = (CHUNK_PIXELS / shape.out_pixels()).max(1);
        for start in (0..self.batch).step_by(samples) {
            for (slot, tap) in part.taps.clone().enumerate() {
                let (y_tap, x_tap) = (tap / shape.kernel[1], tap % shape.kernel[1]);
                let (y, x) = (held(shape, 0, y_tap), held(shape, 1, x_tap));
                if y.is_empty() || x.is_empty() {
                    continue;
                }
                let in_row = (y.start * shape.stride[0]) as isize + shape.tap_offset(0, y_tap);
                let in_column = (x.start * shape.stride[1]) as isize + shape.tap_offset(1, x_tap);
                let in_plane = (start * shape.groups + part.group) * in_blocks + part.block;
                let out_plane = (start * shape.groups + part.group) * out_blocks + part.panel.start;
                let mut args = PixelArgs {
                    // SAFETY: the first pixel that the tap reaches lies within the plane.
                    a: unsafe {
                        self.x
                            .add(((in_plane * height + in_row as usize) * width + in_column as usize) * LANES)
                    },
                    a_step: shape.stride[1] * LANES,
                    a_row: shape.stride[0] * width * LANES,
                    a_sample: shape.groups * in_blocks * height * width * LANES,
                    // SAFETY: as above.
                    b: unsafe {
                        self.grad.add(((out_plane * out_height + y.start) * out_width + x.start) * LANES)
                    },
                    b_vector: out_height * out_width * LANES,
                    b_row: out_width * LANES,
                    b_sample: shape.groups * out_blocks * out_height * out_width * LANES,
                    samples: samples.min(self.batch - start),
                    rows: y.len(),
                    columns: x.len(),
                    // SAFETY: the slot lies within the sums.
                    sums: unsafe { sums.add(slot * LANES * cols * LANES) },
                };
                args.join_rows();
                for channels in chunks(rows, max_rows(S::ISA, cols)) {
                    // SAFETY: pixels outside are left out; channels lie within the block and the sums.
                    unsafe {
                        let args = PixelArgs {
                            a: args.a.add(channels.start),
                            sums: args.sums.add(channels.start * cols * LANES),
                            ..args
                        };
                        pixel_micro::<S>(channels.len(), cols)(&args);
                    }
                }
            }
        }
    }

    /// Stores sums as canonical weights.
    ///
    /// # Safety
    /// `sums` holds what [`sum`](Self::sum) leaves.
    unsafe fn store(&self, part: &Part, sums: *const f32) {
        let shape = &self.plan.shape;
        let (inner, outer, taps) = (shape.group_in(), shape.group_out(), shape.taps());
        let (joined_in, joined_out) = (self.plan.joined.group_in(), self.plan.joined.group_out());
        for (vector, out_block) in part.panel.clone().enumerate() {
            for lane in 0..(joined_out - out_block * LANES).min(LANES) {
                let out_channel = out_block * LANES + lane;
                for row in 0..(joined_in - part.block * LANES).min(LANES) {
                    let in_channel = part.block * LANES + row;
                    // Joined groups: what one group's channels have to do with another's is no weight.
                    if in_channel / inner != out_channel / outer {
                        continue;
                    }
                    let channel = part.group * joined_out + out_channel;
                    let at = (channel * inner + in_channel % inner) * taps + part.taps.start;
                    for slot in 0..part.taps.len() {
                        // SAFETY: the weight lies within the destination, and is no other task's.
                        unsafe {
                            let sum =
                                *sums.add(((slot * LANES + row) * part.panel.len() + vector) * LANES + lane);
                            let to = self.to.get().add(at + slot);
                            *to = if self.accumulate { *to + sum } else { sum };
                        }
                    }
                }
            }
        }
    }
}

/// The outputs of an axis whose pixel under a tap lies within the input.
pub(crate) fn held(shape: &ConvShape, axis: usize, tap: usize) -> Range<usize> {
    let offset = shape.tap_offset(axis, tap);
    let stride = shape.stride[axis] as isize;
    let outputs = shape.out_size()[axis] as isize;
    let low = (-offset + stride - 1).div_euclid(stride).clamp(0, outputs);
    let high = (shape.in_size[axis] as isize - offset + stride - 1).div_euclid(stride).clamp(low, outputs);
    low as usize..high as usize
}

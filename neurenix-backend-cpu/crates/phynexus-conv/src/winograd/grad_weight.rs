//! The gradient of the weights: the transformed tiles of the input times those of the output's gradient, position by
//! position a matrix product over the tiles, and the sums transformed to 3x3.
//!
//! A task computes the weights between some blocks of input and output channels. It transforms some tiles of both at a
//! time, and adds their products to its sums, which it transforms at the end: little of it leaves a core's second
//! cache. The same tiles are transformed by several tasks, which takes less time than to hand them over.
//!
//! The products of 32 tiles, in the order of the samples, are one chain of multiply-adds; then the chains are added in
//! order. Neither threads nor the channels of a task change a sum.

use std::ops::Range;

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::gradient::{StoreWeights, TransformGradients};
use super::input::TransformTiles;
use super::{POSITIONS, Winograd};
use crate::grad_weight::product::{PixelArgs, panel_cols, pixel_micro};
use crate::memory::{OutOfMemory, Shared};
use crate::micro::max_rows;
use crate::split::{chunks, panels};
use crate::tasks::for_each_with_scratch;

/// Tiles whose products are one chain of multiply-adds, before they are added to the others. The sums depend on it.
const CHAIN: usize = 32;
/// Blocks of channels of a task, at most: its sums take 590 KiB, its tiles as much.
const IN_BLOCKS: usize = 4;
const OUT_BLOCKS: usize = 4;
/// Between positions, so that they do not all fall into the same lines of the cache.
const GAP: usize = LANES;

struct Job<'a> {
    winograd: &'a Winograd,
    batch: usize,
    x: *const f32,
    grad: *const f32,
    to: Shared<f32>,
    accumulate: bool,
    threads: usize,
}

// SAFETY: tasks only read `x` and `grad`, and write disjoint weights.
unsafe impl Sync for Job<'_> {}

impl Winograd {
    /// Computes the gradient of the canonical weights over `batch` samples, or adds it with `accumulate`.
    ///
    /// # Safety
    /// `x` and `grad` are valid for the blocked activations of the shape, `to` for the weights; it overlaps nothing.
    pub unsafe fn grad_weight(
        &self,
        batch: usize,
        x: *const f32,
        grad: *const f32,
        to: Shared<f32>,
        accumulate: bool,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        dispatch_on(self.isa, Job { winograd: self, batch, x, grad, to, accumulate, threads })
    }
}

impl Kernel for Job<'_> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let winograd = self.winograd;
        let (in_blocks, out_blocks) = (winograd.in_blocks(), winograd.out_blocks());
        let (mut inner, mut outer) = (IN_BLOCKS.min(in_blocks), OUT_BLOCKS.min(out_blocks));
        while in_blocks.div_ceil(inner) * out_blocks.div_ceil(outer) < self.threads && inner * outer > 1 {
            if outer >= inner { outer = outer.div_ceil(2) } else { inner = inner.div_ceil(2) }
        }
        let ins: Vec<_> = chunks(in_blocks, inner).collect();
        let outs: Vec<_> = chunks(out_blocks, outer).collect();
        let len = Area { ins: 0..inner, outs: 0..outer }.scratch_len();
        for_each_with_scratch::<f32>(self.threads, ins.len() * outs.len(), len, |task, scratch| {
            let area = Area { ins: ins[task / outs.len()].clone(), outs: outs[task % outs.len()].clone() };
            // SAFETY: the scratch is as long as the largest area takes.
            unsafe { self.area(simd, &area, scratch) };
        })
    }
}

/// Blocks of channels between which a task computes the weights.
struct Area {
    ins: Range<usize>,
    outs: Range<usize>,
}

/// Floats between positions, of so many vectors each.
fn position_len(vectors: usize) -> usize {
    vectors * LANES + GAP
}

impl Area {
    /// Floats between the positions of the sums: at each `[panel][input channel][vectors of the panel][16]`.
    fn sums_stride(&self) -> usize {
        position_len(self.ins.len() * LANES * self.outs.len())
    }

    /// Floats of the sums, and of the transformed tiles of input and gradient: at each position `[block][tile][16]`.
    fn scratch_len(&self) -> usize {
        let tiles = |blocks: usize| position_len(blocks * CHAIN);
        POSITIONS * (self.sums_stride() + tiles(self.ins.len()) + tiles(self.outs.len()))
    }
}

impl Job<'_> {
    /// # Safety
    /// The scratch is as long as the area takes.
    unsafe fn area<S: Simd>(&self, simd: S, area: &Area, scratch: *mut f32) {
        let winograd = self.winograd;
        let [rows, columns] = winograd.tiles();
        let all = self.batch * rows * columns;
        let sums = scratch;
        let (v_stride, u_stride) =
            (position_len(area.ins.len() * CHAIN), position_len(area.outs.len() * CHAIN));
        // SAFETY: the scratch holds the sums, then the tiles of the input, then those of the gradient.
        unsafe {
            let v = sums.add(POSITIONS * area.sums_stride());
            let u = v.add(POSITIONS * v_stride);
            sums.write_bytes(0, POSITIONS * area.sums_stride());
            for first in (0..all).step_by(CHAIN) {
                let count = (all - first).min(CHAIN);
                for (index, block) in area.ins.clone().enumerate() {
                    simd.vectorize(TransformTiles {
                        winograd,
                        x: self.x,
                        block,
                        first,
                        count,
                        to: v.add(index * CHAIN * LANES),
                        position_stride: v_stride,
                    });
                }
                for (index, block) in area.outs.clone().enumerate() {
                    simd.vectorize(TransformGradients {
                        winograd,
                        grad: self.grad,
                        block,
                        first,
                        count,
                        to: u.add(index * CHAIN * LANES),
                        position_stride: u_stride,
                    });
                }
                self.products::<S>(area, count, (v, v_stride), (u, u_stride), sums);
            }
            self.store(simd, area, sums);
        }
    }

    /// The channels of the area's input.
    fn channels(&self, area: &Area) -> usize {
        (self.winograd.in_channels - area.ins.start * LANES).min(area.ins.len() * LANES)
    }

    /// Adds the products of so many tiles.
    ///
    /// # Safety
    /// The tiles and the sums are laid out for the area.
    unsafe fn products<S: Simd>(
        &self,
        area: &Area,
        tiles: usize,
        (v, v_stride): (*const f32, usize),
        (u, u_stride): (*const f32, usize),
        sums: *mut f32,
    ) {
        let channels = self.channels(area);
        let panels = panels(area.outs.len(), panel_cols::<S>());
        for position in 0..POSITIONS {
            for panel in &panels {
                let cols = panel.len();
                for block in 0..area.ins.len() {
                    for rows in chunks((channels - block * LANES).min(LANES), max_rows(S::ISA, cols)) {
                        let row = block * LANES + rows.start;
                        let at = (panel.start * area.ins.len() * LANES + row * cols) * LANES;
                        // SAFETY: as the caller vouches.
                        unsafe {
                            pixel_micro::<S>(rows.len(), cols)(&PixelArgs {
                                a: v.add(position * v_stride + block * CHAIN * LANES + rows.start),
                                a_step: LANES,
                                a_row: 0,
                                a_sample: 0,
                                b: u.add(position * u_stride + panel.start * CHAIN * LANES),
                                b_vector: CHAIN * LANES,
                                b_row: 0,
                                b_sample: 0,
                                samples: 1,
                                rows: 1,
                                columns: tiles,
                                sums: sums.add(position * area.sums_stride() + at),
                            });
                        }
                    }
                }
            }
        }
    }

    /// Transforms the sums and stores them.
    ///
    /// # Safety
    /// The sums are those of the area.
    unsafe fn store<S: Simd>(&self, simd: S, area: &Area, sums: *const f32) {
        let winograd = self.winograd;
        let to_stride = winograd.in_channels * 9;
        for panel in panels(area.outs.len(), panel_cols::<S>()) {
            for (vector, block) in panel.clone().enumerate() {
                let channel = (area.outs.start + block) * LANES;
                // SAFETY: the sums hold the panel; the channels are among the weights, and no other task's.
                unsafe {
                    simd.vectorize(StoreWeights {
                        sums: sums.add((panel.start * area.ins.len() * LANES + vector) * LANES),
                        position_stride: area.sums_stride(),
                        channel_stride: panel.len() * LANES,
                        channels: self.channels(area),
                        lanes: (winograd.out_channels - channel).min(LANES),
                        to: self.to.get().add(channel * to_stride + area.ins.start * LANES * 9),
                        to_stride,
                        accumulate: self.accumulate,
                    });
                }
            }
        }
    }
}

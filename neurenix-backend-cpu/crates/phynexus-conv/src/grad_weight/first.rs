//! The gradient of weights that read few channels, from NCHW.
//!
//! The products of one row of results are one chain of multiply-adds; then the rows are added in order.

use phynexus_simd::{LANES, Simd};

use super::Job;
use super::product::{PixelArgs, panel_cols, pixel_micro};
use crate::interleaved::Interleaved;
use crate::memory::OutOfMemory;
use crate::micro::max_rows;
use crate::split::{chunks, panels, part};
use crate::tasks::for_each_with_scratch;

/// The copied rows of a task, in bytes.
const STRIP: usize = 96 << 10;

impl Job<'_> {
    /// Tasks share out panels of output channels, and the runs of taps where there are few panels.
    pub(super) fn first_tasks<S: Simd>(&self) -> Result<(), OutOfMemory> {
        let shape = &self.plan.shape;
        let rows = Interleaved::of(shape);
        let [height, width] = shape.out_size();
        let out_blocks = shape.out_channels.div_ceil(LANES);
        let cols = panel_cols::<S>();
        let panels = panels(out_blocks, cols);
        let (runs, run_len) = rows.runs();
        let cuts =
            if panels.len().is_multiple_of(self.threads) { 1 } else { runs.len().min(4 * self.threads) };
        let strip = rows.results_within(STRIP);
        let copy_len = rows.rows(strip) * rows.row_len();
        let sums_len = runs.len() * run_len * cols * LANES;
        for_each_with_scratch::<f32>(self.threads, panels.len() * cuts, copy_len + sums_len, |task, copy| {
            let panel = &panels[task / cuts];
            let runs = &runs[part(runs.len(), cuts, task % cuts)];
            let first_run = part(rows.runs().0.len(), cuts, task % cuts).start;
            let cols = panel.len();
            // SAFETY: the scratch holds a strip of rows and the sums; pixels lie within the rows and the gradient.
            unsafe {
                let sums = copy.add(copy_len);
                sums.write_bytes(0, sums_len);
                for (sample, results) in (0..self.batch).flat_map(|sample| {
                    (0..height.div_ceil(strip))
                        .map(move |index| (sample, index * strip..((index + 1) * strip).min(height)))
                }) {
                    let x = self.x.add(sample * shape.in_channels * shape.in_pixels());
                    rows.copy(x, results.start, results.len(), copy);
                    for row in results.clone() {
                        let a = copy.add((row - results.start) * shape.stride[0] * rows.row_len());
                        let b = ((sample * out_blocks + panel.start) * height + row) * width * LANES;
                        for (index, &run) in runs.iter().enumerate() {
                            for factors in chunks(run_len, max_rows(S::ISA, cols)) {
                                pixel_micro::<S>(factors.len(), cols)(&PixelArgs {
                                    a: a.offset(run).add(factors.start),
                                    a_step: shape.stride[1] * shape.in_channels,
                                    a_row: 0,
                                    a_sample: 0,
                                    b: self.grad.add(b),
                                    b_vector: height * width * LANES,
                                    b_row: 0,
                                    b_sample: 0,
                                    samples: 1,
                                    rows: 1,
                                    columns: width,
                                    sums: sums.add((index * run_len + factors.start) * cols * LANES),
                                });
                            }
                        }
                    }
                }
                for factor in 0..runs.len() * run_len {
                    let (tap, channel) = (factor / shape.in_channels, factor % shape.in_channels);
                    let tap = first_run * run_len / shape.in_channels + tap;
                    for (vector, block) in panel.clone().enumerate() {
                        for lane in 0..(shape.out_channels - block * LANES).min(LANES) {
                            let sum = *sums.add((factor * cols + vector) * LANES + lane);
                            let out_channel = block * LANES + lane;
                            let at = (out_channel * shape.in_channels + channel) * shape.taps() + tap;
                            let to = self.to.get().add(at);
                            *to = if self.accumulate { *to + sum } else { sum };
                        }
                    }
                }
            }
        })
    }
}

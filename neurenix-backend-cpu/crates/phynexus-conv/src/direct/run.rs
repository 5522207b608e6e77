//! Runs a direct convolution: in strips of rows where the weights are small, else panel by panel.

use std::ops::Range;

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::Direct;
use super::window::Window;
use crate::arithmetic::Arithmetic;
use crate::memory::{OutOfMemory, Shared};
use crate::micro::{MicroArgs, max_rows};
use crate::split::{chunks, panels, part};
use crate::tasks::for_each_with_scratch;

/// Weights up to this size stay in a core's second cache while strips of pixels pass by.
const RESIDENT_WEIGHTS: usize = 640 << 10;
/// The pixels of a strip, in bytes.
const STRIP: usize = 192 << 10;
/// The part of a panel of weights that is kept near while pixels pass by, in bytes.
const NEAR_PANEL: usize = 320 << 10;
/// Copies of padded inputs that a task has, in bytes.
const COPIES: usize = 3 << 20;

/// One convolution under way.
struct Job<'a, P: Arithmetic> {
    direct: &'a Direct,
    window: Window,
    batch: usize,
    x: *const P::Pixel,
    /// What stands for pixels outside.
    padding: P::Pixel,
    weights: &'a [P::Weight],
    y: Shared<P::Out>,
    epilogue: P::Epilogue,
    threads: usize,
}

// SAFETY: tasks only read `x` and the residual, and write disjoint parts of `y`.
unsafe impl<P: Arithmetic> Sync for Job<'_, P> {}

/// Where a task reads from.
#[derive(Clone, Copy)]
struct Source<E> {
    /// The pixel under the first row of results, in the first block of channels.
    start: *const E,
    /// Elements to the next group's channels.
    group_len: usize,
    /// The sample.
    sample: usize,
}

impl Direct {
    /// Convolves `batch` samples; `padding` stands for pixels outside.
    ///
    /// # Safety
    /// `x` and `y` are valid for the blocked activations of the shape, the epilogue's addresses as `y`; `y` overlaps
    /// nothing; the weights come from [`pack`](Self::pack).
    #[allow(clippy::too_many_arguments)]
    pub unsafe fn run<P: Arithmetic>(
        &self,
        batch: usize,
        x: *const P::Pixel,
        padding: P::Pixel,
        weights: &[P::Weight],
        y: *mut P::Out,
        epilogue: P::Epilogue,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(), "weights packed for this convolution");
        if batch == 0 || self.grid.contains(&0) || self.taps.is_empty() {
            return Ok(());
        }
        let window = Window::of(self);
        let job = Job::<P> {
            direct: self,
            window,
            batch,
            x,
            padding,
            weights,
            y: Shared::new(y),
            epilogue,
            threads,
        };
        dispatch_on(self.isa, job)
    }
}

impl<P: Arithmetic> Kernel for Job<'_, P> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Self::Output {
        if !self.window.is_copy || size_of_val(self.weights) <= RESIDENT_WEIGHTS {
            self.by_strips::<S>()
        } else {
            self.by_panels::<S>()
        }
    }
}

impl<P: Arithmetic> Job<'_, P> {
    /// Elements of a block of channels of the input.
    fn plane(&self) -> usize {
        self.direct.in_size[0] * self.direct.in_size[1] * LANES
    }

    /// Blocks of channels of the input, of all groups.
    fn all_in_blocks(&self) -> usize {
        self.direct.in_blocks * self.direct.groups
    }

    /// Every task copies the input of some rows of results and computes these for all channels, or for some where
    /// nothing is copied.
    fn by_strips<S: Simd>(&self) -> Result<(), OutOfMemory> {
        let (direct, window) = (self.direct, &self.window);
        let rows = direct.grid[0];
        let fits = (1..=rows).rev().find(|&rows| {
            window.plane_len(direct, rows) * self.all_in_blocks() * size_of::<P::Pixel>() <= STRIP
        });
        let wanted = (8 * self.threads).div_ceil(self.batch).min(rows);
        let strip = fits.unwrap_or(1).min(rows.div_ceil(wanted)).max(1);
        let strips = rows.div_ceil(strip);
        // Without a copy, parts of the channels may go to different tasks too.
        let parts = if window.is_copy || self.batch * strips >= 8 * self.threads {
            1
        } else {
            (8 * self.threads).div_ceil(self.batch * strips).min(self.panel_count())
        };
        let plane_len = if window.is_copy { window.plane_len(direct, strip) } else { self.plane() };
        let runs = window.runs(direct, plane_len);
        let scratch = if window.is_copy { plane_len * self.all_in_blocks() } else { 0 };
        let threads = if self.is_small() { 1 } else { self.threads };
        for_each_with_scratch::<P::Pixel>(threads, self.batch * strips * parts, scratch, |task, scratch| {
            let (part_index, index, sample) = (task % parts, task / parts % strips, task / parts / strips);
            let results = index * strip..((index + 1) * strip).min(rows);
            // SAFETY: the sample lies within the input; the scratch holds a strip of all its blocks.
            let start = unsafe {
                let x = self.x.add(sample * self.all_in_blocks() * self.plane());
                if window.is_copy {
                    for block in 0..self.all_in_blocks() {
                        let to = scratch.add(block * plane_len);
                        window.copy(
                            direct,
                            x.add(block * self.plane()),
                            (results.start, results.len()),
                            to,
                            self.padding,
                        );
                    }
                    scratch.cast_const()
                } else {
                    x.add(window.pixel(direct, results.start, 0))
                }
            };
            let source = Source { start, group_len: direct.in_blocks * plane_len, sample };
            for panel in part(self.panel_count(), parts, part_index) {
                // SAFETY: the source holds what these results need.
                unsafe { self.product::<S>(panel, &[source], &runs, results.clone()) };
            }
        })
    }

    /// Every task copies some samples, then computes panel by panel of channels of them.
    fn by_panels<S: Simd>(&self) -> Result<(), OutOfMemory> {
        let (direct, window) = (self.direct, &self.window);
        let rows = direct.grid[0];
        let plane_len = window.plane_len(direct, rows);
        let runs = window.runs(direct, plane_len);
        let sample_len = self.all_in_blocks() * plane_len;
        let at_once = (COPIES / (sample_len * size_of::<P::Pixel>())).max(1);
        let groups = self.batch.div_ceil(at_once).next_multiple_of(self.threads).min(self.batch);
        // Samples that cannot be shared out evenly are copied by several tasks.
        let is_even = groups.is_multiple_of(self.threads)
            && (self.batch.is_multiple_of(groups) || self.batch >= 4 * groups);
        let parts = if is_even { 1 } else { self.threads.min(self.panel_count()) };
        let most = self.batch.div_ceil(groups);
        for_each_with_scratch::<P::Pixel>(self.threads, groups * parts, most * sample_len, |task, copies| {
            let samples = part(self.batch, groups, task / parts);
            let blocks = samples.start * self.all_in_blocks()..samples.end * self.all_in_blocks();
            for (index, block) in blocks.enumerate() {
                // SAFETY: the block lies within the samples, and its copy within the scratch.
                unsafe {
                    let plane = self.x.add(block * self.plane());
                    window.copy(direct, plane, (0, rows), copies.add(index * plane_len), self.padding);
                }
            }
            let source = |sample: usize| Source::<P::Pixel> {
                start: copies.wrapping_add((sample - samples.start) * sample_len),
                group_len: direct.in_blocks * plane_len,
                sample,
            };
            let sources: Vec<Source<P::Pixel>> = samples.clone().map(source).collect();
            for panel in part(self.panel_count(), parts, task % parts) {
                // SAFETY: the sources hold what all results need.
                unsafe { self.product::<S>(panel, &sources, &runs, 0..rows) };
            }
        })
    }

    fn is_small(&self) -> bool {
        // About the time that it takes to wake a thread.
        self.batch * self.direct.grid[0] * self.direct.grid[1] * self.weights.len() < 500_000
    }

    fn panel_count(&self) -> usize {
        self.direct.groups * panels(self.direct.out_blocks, self.direct.cols).len()
    }

    /// Computes rows of results of one panel of channels for some samples.
    ///
    /// # Safety
    /// The sources hold what the results need: the first row's pixels at their start.
    unsafe fn product<S: Simd>(
        &self,
        panel: usize,
        sources: &[Source<P::Pixel>],
        runs: &[isize],
        results: Range<usize>,
    ) {
        let direct = self.direct;
        let of_group = panels(direct.out_blocks, direct.cols);
        let (group, panel) = (panel / of_group.len(), of_group[panel % of_group.len()].clone());
        let cols = panel.len();
        let k_len = cols * LANES;
        let weights = (group * direct.out_blocks + panel.start) * LANES * runs.len() * LANES;
        let out_block = group * direct.out_blocks + panel.start;
        let [height, width] = direct.placement.size;
        let all_out_blocks = direct.out_blocks * direct.groups;
        let is_last = out_block + cols == all_out_blocks;
        let near = (NEAR_PANEL / (LANES * k_len * size_of::<P::Weight>())).max(1);
        let near = if P::RESUMES { near } else { runs.len() };
        let last_lanes = if is_last { direct.last_lanes } else { LANES };
        for pass in chunks(runs.len(), near) {
            for source in sources {
                for row in results.clone() {
                    let y_row = row * direct.placement.step[0] + direct.placement.origin[0];
                    for columns in chunks(direct.grid[1], max_rows(S::ISA, cols)) {
                        let y_column = columns.start * direct.placement.step[1] + direct.placement.origin[1];
                        let y_block = source.sample * all_out_blocks + out_block;
                        let y = ((y_block * height + y_row) * width + y_column) * LANES;
                        let pixel = self.window.pixel(direct, row - results.start, columns.start);
                        // SAFETY: the results lie within the output, what they need within the source, and the runs'
                        // weights within the panel.
                        unsafe {
                            let args = MicroArgs::<P> {
                                a: source.start.add(group * source.group_len + pixel),
                                runs: runs.as_ptr().add(pass.start),
                                run_count: pass.len(),
                                run_len: LANES,
                                row_stride: 0,
                                b: self.weights.as_ptr().add(weights + pass.start * LANES * k_len),
                                c: self.y.get().add(y),
                                c_row: direct.placement.step[1] * LANES,
                                c_vector: height * width * LANES,
                                resume: pass.start > 0,
                                finish: if pass.end == runs.len() {
                                    P::finish(&self.epilogue, out_block, last_lanes, y)
                                } else {
                                    P::unfinished()
                                },
                            };
                            P::micro::<S>(columns.len(), cols, self.window.twice)(&args);
                        }
                    }
                }
            }
        }
    }
}

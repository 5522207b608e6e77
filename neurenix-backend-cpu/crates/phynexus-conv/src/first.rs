//! Convolution of few channels, as a network's first one, straight from NCHW.
//!
//! The rows that some results need are copied with their channels side by side. The order of the sum is that of the
//! direct convolution.

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

use crate::arithmetic::{Arithmetic, RowArithmetic};
use crate::canonical::Canonical;
use crate::interleaved::Interleaved;
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::micro::{MicroArgs, max_rows, panel_width};
use crate::shape::ConvShape;
use crate::split::{chunks, panels};
use crate::tasks::for_each_with_scratch;

/// The copied rows of a task, in bytes.
const STRIP: usize = 96 << 10;

/// A convolution from NCHW to blocks.
#[derive(Clone, Debug)]
pub struct First {
    isa: Isa,
    shape: ConvShape,
    cols: usize,
}

struct Job<'a, P: RowArithmetic> {
    first: &'a First,
    batch: usize,
    x: *const f32,
    form: P::Form,
    weights: &'a [P::Weight],
    y: Shared<P::Out>,
    epilogue: P::Epilogue,
    threads: usize,
}

// SAFETY: tasks only read `x` and the residual, and write disjoint parts of `y`.
unsafe impl<P: RowArithmetic> Sync for Job<'_, P> {}

impl First {
    /// The forward convolution, of one group.
    pub fn new(shape: &ConvShape, isa: Isa) -> Self {
        assert_eq!(shape.groups, 1, "one group");
        let width = shape.out_size()[1];
        let rows = chunks(width, max_rows(isa, 1)).map(|run| run.len()).max().unwrap_or(1);
        Self { isa, shape: shape.with_batch(1), cols: panel_width(isa, rows).min(2) }
    }

    /// Whether that is the way to convolve so few channels.
    pub fn pays(shape: &ConvShape) -> bool {
        shape.groups == 1 && shape.in_channels < LANES
    }

    /// Products of one result, each run of them filled up to a multiple of `depth`.
    fn products(&self, depth: usize) -> usize {
        let (runs, run_len) = Interleaved::of(&self.shape).runs();
        runs.len() * run_len.next_multiple_of(depth)
    }

    /// Elements of the packed weights.
    fn packed_len(&self, depth: usize) -> usize {
        self.shape.out_channels.next_multiple_of(LANES) * self.products(depth)
    }

    /// Packs weights: for each panel and run of products `[product / DEPTH][vectors of the panel][16][DEPTH]`; `narrow`
    /// makes a weight of a float.
    pub fn pack<P: Arithmetic>(
        &self,
        canonical: Canonical<'_>,
        narrow: impl Fn(f32) -> P::Weight,
    ) -> Result<Aligned<P::Weight>, OutOfMemory> {
        let mut packed = Aligned::zeroed(self.packed_len(P::DEPTH))?;
        let (_, run_len) = Interleaved::of(&self.shape).runs();
        for panel in panels(self.shape.out_channels.div_ceil(LANES), self.cols) {
            let start = panel.start * LANES * self.products(P::DEPTH);
            for (vector, block) in panel.clone().enumerate() {
                canonical.each_vector(0, block, |k, tap, values| {
                    let product = tap * self.shape.in_channels + k;
                    let product = product / run_len * run_len.next_multiple_of(P::DEPTH) + product % run_len;
                    let (step, part) = (product / P::DEPTH, product % P::DEPTH);
                    let at = start + (step * panel.len() + vector) * LANES * P::DEPTH + part;
                    for (lane, &value) in values.iter().enumerate() {
                        packed[at + lane * P::DEPTH] = narrow(value);
                    }
                });
            }
        }
        Ok(packed)
    }

    /// Convolves `batch` samples; `form` makes pixels of them.
    ///
    /// # Safety
    /// `x` is valid for the dense NCHW input of the shape, `y` for the blocked output, the epilogue's addresses as
    /// `y`; `y` overlaps nothing; the weights come from [`pack`](Self::pack).
    pub unsafe fn run<P: RowArithmetic>(
        &self,
        batch: usize,
        (x, form): (*const f32, P::Form),
        weights: &[P::Weight],
        y: *mut P::Out,
        epilogue: P::Epilogue,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(P::DEPTH), "weights packed for this convolution");
        let job = Job::<P> { first: self, batch, x, form, weights, y: Shared::new(y), epilogue, threads };
        dispatch_on(self.isa, job)
    }
}

impl<P: RowArithmetic> Kernel for Job<'_, P> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        self.strips(simd)
    }
}

impl<P: RowArithmetic> Job<'_, P> {
    fn strips<S: Simd>(&self, simd: S) -> Result<(), OutOfMemory> {
        let first = self.first;
        let shape = &first.shape;
        let rows = Interleaved::of(shape);
        let [height, width] = shape.out_size();
        let wanted = (8 * self.threads).div_ceil(self.batch.max(1)).min(height);
        let strip = rows.results_within(STRIP).min(height.div_ceil(wanted));
        let strips = height.div_ceil(strip);
        let (runs, run_len) = rows.runs();
        // Rows of floats, then the same as pixels; the last run may be filled up by what lies behind them.
        let copy_len = (rows.rows(strip) * rows.row_len()).next_multiple_of(LANES);
        let run_len = run_len.next_multiple_of(P::DEPTH);
        let threads =
            if self.batch * height * width * self.weights.len() < 500_000 { 1 } else { self.threads };
        for_each_with_scratch::<f32>(threads, self.batch * strips, 2 * copy_len + LANES, |task, scratch| {
            let (index, sample) = (task % strips, task / strips);
            let results = index * strip..((index + 1) * strip).min(height);
            // SAFETY: the scratch holds the rows of a strip.
            unsafe {
                let x = self.x.add(sample * shape.in_channels * shape.in_pixels());
                rows.copy(x, results.start, results.len(), scratch);
                let len = rows.rows(results.len()) * rows.row_len();
                let behind = scratch.add(copy_len);
                if P::DEPTH > 1 {
                    behind.write_bytes(0, copy_len + LANES);
                }
                let pixels = P::pixels(simd, self.form, scratch, len, behind.cast());
                for row in results.clone() {
                    let a = pixels.add((row - results.start) * shape.stride[0] * rows.row_len());
                    self.row::<S>(sample, row, a, &runs, run_len);
                }
            }
        })
    }

    /// Computes one row of results.
    ///
    /// # Safety
    /// `a` is the first copied row that it needs.
    unsafe fn row<S: Simd>(
        &self,
        sample: usize,
        row: usize,
        a: *const P::Pixel,
        runs: &[isize],
        run_len: usize,
    ) {
        let first = self.first;
        let shape = &first.shape;
        let [height, width] = shape.out_size();
        let out_blocks = shape.out_channels.div_ceil(LANES);
        let stride = shape.stride[1] * shape.in_channels;
        for panel in panels(out_blocks, first.cols) {
            let is_last = panel.end == out_blocks;
            let lanes = if is_last { shape.out_channels - (out_blocks - 1) * LANES } else { LANES };
            for columns in chunks(width, max_rows(S::ISA, panel.len())) {
                let y =
                    (((sample * out_blocks + panel.start) * height + row) * width + columns.start) * LANES;
                // SAFETY: the results lie within the output, what they need within the copied rows.
                unsafe {
                    P::strided_micro::<S>(columns.len(), panel.len(), stride)(&MicroArgs::<P> {
                        a: a.add(columns.start * stride),
                        runs: runs.as_ptr(),
                        run_count: runs.len(),
                        run_len,
                        row_stride: stride,
                        b: self.weights.as_ptr().add(panel.start * LANES * first.products(P::DEPTH)),
                        c: self.y.get().add(y),
                        c_row: LANES,
                        c_vector: height * width * LANES,
                        resume: false,
                        finish: P::finish(&self.epilogue, panel.start, lanes, y),
                    });
                }
            }
        }
    }
}

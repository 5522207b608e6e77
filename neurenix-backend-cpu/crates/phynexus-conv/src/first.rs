//! Convolution of few channels, as a network's first one, straight from NCHW.
//!
//! The rows that some results need are copied with their channels side by side. The order of the sum is that of the
//! direct convolution.

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

use crate::canonical::Canonical;
use crate::element::Lanes;
use crate::epilogue::RawEpilogue;
use crate::interleaved::Interleaved;
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::micro::{Float, MicroArgs, max_rows, panel_width, strided_micro};
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

struct Job<'a, T> {
    first: &'a First,
    batch: usize,
    x: *const f32,
    weights: &'a [f32],
    y: Shared<T>,
    epilogue: RawEpilogue<T>,
    threads: usize,
}

// SAFETY: tasks only read `x` and the residual, and write disjoint parts of `y`.
unsafe impl<T: Lanes> Sync for Job<'_, T> {}

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

    /// Products of one result.
    fn depth(&self) -> usize {
        self.shape.taps() * self.shape.in_channels
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.shape.out_channels.next_multiple_of(LANES) * self.depth()
    }

    /// Packs weights: for each panel `[tap][channel][vectors of the panel]`.
    pub fn pack(&self, canonical: Canonical<'_>) -> Result<Aligned<f32>, OutOfMemory> {
        let mut packed = Aligned::zeroed(self.packed_len())?;
        for panel in panels(self.shape.out_channels.div_ceil(LANES), self.cols) {
            let start = panel.start * LANES * self.depth();
            for (vector, block) in panel.clone().enumerate() {
                canonical.each_vector(0, block, |k, tap, values| {
                    let at = start + ((tap * self.shape.in_channels + k) * panel.len() + vector) * LANES;
                    packed[at..at + LANES].copy_from_slice(values);
                });
            }
        }
        Ok(packed)
    }

    /// Convolves `batch` samples.
    ///
    /// # Safety
    /// `x` is valid for the dense NCHW input of the shape, `y` for the blocked output, the epilogue's addresses as
    /// `y`; `y` overlaps nothing; the weights come from [`pack`](Self::pack).
    pub unsafe fn run<T: Lanes>(
        &self,
        batch: usize,
        x: *const f32,
        weights: &[f32],
        y: *mut T,
        epilogue: RawEpilogue<T>,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(), "weights packed for this convolution");
        let job = Job { first: self, batch, x, weights, y: Shared::new(y), epilogue, threads };
        dispatch_on(self.isa, job)
    }
}

impl<T: Lanes> Kernel for Job<'_, T> {
    type Output = Result<(), OutOfMemory>;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Self::Output {
        self.strips::<S>()
    }
}

impl<T: Lanes> Job<'_, T> {
    fn strips<S: Simd>(&self) -> Result<(), OutOfMemory> {
        let first = self.first;
        let shape = &first.shape;
        let rows = Interleaved::of(shape);
        let [height, width] = shape.out_size();
        let wanted = (8 * self.threads).div_ceil(self.batch.max(1)).min(height);
        let strip = rows.results_within(STRIP).min(height.div_ceil(wanted));
        let strips = height.div_ceil(strip);
        let (runs, run_len) = rows.runs();
        let scratch = rows.rows(strip) * rows.row_len();
        let threads =
            if self.batch * height * width * self.weights.len() < 500_000 { 1 } else { self.threads };
        for_each_with_scratch::<f32>(threads, self.batch * strips, scratch, |task, scratch| {
            let (index, sample) = (task % strips, task / strips);
            let results = index * strip..((index + 1) * strip).min(height);
            // SAFETY: the scratch holds the rows of a strip.
            unsafe {
                let x = self.x.add(sample * shape.in_channels * shape.in_pixels());
                rows.copy(x, results.start, results.len(), scratch);
                for row in results.clone() {
                    let a = scratch.add((row - results.start) * shape.stride[0] * rows.row_len());
                    self.row::<S>(sample, row, a, &runs, run_len);
                }
            }
        })
    }

    /// Computes one row of results.
    ///
    /// # Safety
    /// `a` is the first copied row that it needs.
    unsafe fn row<S: Simd>(&self, sample: usize, row: usize, a: *const f32, runs: &[isize], run_len: usize) {
        let first = self.first;
        let shape = &first.shape;
        let [height, width] = shape.out_size();
        let out_blocks = shape.out_channels.div_ceil(LANES);
        let stride = shape.stride[1] * shape.in_channels;
        for panel in panels(out_blocks, first.cols) {
            let is_last = panel.end == out_blocks;
            let lanes = if is_last { shape.out_channels - (out_blocks - 1) * LANES } else { LANES };
            let finish = self.epilogue.finish(panel.start, lanes);
            for columns in chunks(width, max_rows(S::ISA, panel.len())) {
                let y =
                    (((sample * out_blocks + panel.start) * height + row) * width + columns.start) * LANES;
                // SAFETY: the results lie within the output, what they need within the copied rows.
                unsafe {
                    strided_micro::<S, T>(columns.len(), panel.len(), stride)(&MicroArgs::<Float<T>> {
                        a: a.add(columns.start * stride),
                        runs: runs.as_ptr(),
                        run_count: runs.len(),
                        run_len,
                        row_stride: stride,
                        b: self.weights.as_ptr().add(panel.start * LANES * first.depth()),
                        c: self.y.get().add(y),
                        c_row: LANES,
                        c_vector: height * width * LANES,
                        resume: false,
                        finish: finish.at(y),
                    });
                }
            }
        }
    }
}

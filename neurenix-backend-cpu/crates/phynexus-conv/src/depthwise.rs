//! Convolution of each channel by itself, 16 channels at a time.

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

use crate::canonical::Direction;
use crate::element::Lanes;
use crate::epilogue::{Finish, RawEpilogue};
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::shape::ConvShape;
use crate::tasks::for_each;

/// Results computed side by side: as many chains as hide the latency of a multiply-add.
const TOGETHER: usize = 8;
/// Results of a task.
const TASK_RESULTS: usize = 1024;

/// A depthwise convolution over blocked activations.
#[derive(Clone, Debug)]
pub struct Depthwise {
    isa: Isa,
    shape: ConvShape,
}

impl Depthwise {
    /// The forward convolution.
    pub fn new(shape: &ConvShape, isa: Isa) -> Self {
        assert!(Self::fits(shape), "a convolution of each channel by itself");
        Self { isa, shape: shape.with_batch(1) }
    }

    /// Whether it is one.
    pub fn fits(shape: &ConvShape) -> bool {
        shape.groups == shape.in_channels && shape.groups == shape.out_channels && shape.groups > 1
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.shape.in_channels.next_multiple_of(LANES) * self.shape.taps()
    }

    /// Packs canonical weights: `[block][tap][16]`; for the transposed convolution with the taps reversed.
    pub fn pack(&self, weights: &[f32], direction: Direction) -> Result<Aligned<f32>, OutOfMemory> {
        let mut packed = Aligned::zeroed(self.packed_len())?;
        let taps = self.shape.taps();
        for (channel, weights) in weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let tap = if direction == Direction::Forward { tap } else { taps - 1 - tap };
                packed[(channel / LANES * taps + tap) * LANES + channel % LANES] = weight;
            }
        }
        Ok(packed)
    }

    /// Convolves `batch` samples.
    ///
    /// # Safety
    /// `x` and `y` are valid for the blocked activations of the shape, the epilogue's addresses as `y`; `y` overlaps
    /// nothing; the weights come from [`pack`](Self::pack).
    pub unsafe fn run<T: Lanes>(
        &self,
        batch: usize,
        x: *const T,
        weights: &[f32],
        y: *mut T,
        epilogue: RawEpilogue<T>,
        threads: usize,
    ) -> Result<(), OutOfMemory> {
        assert_eq!(weights.len(), self.packed_len(), "weights packed for this convolution");
        let shape = &self.shape;
        let [height, width] = shape.out_size();
        let blocks = shape.in_channels.div_ceil(LANES);
        let strip = (TASK_RESULTS / width).clamp(1, height);
        let strips = height.div_ceil(strip);
        let threads = if batch * height * width * blocks * shape.taps() < 60_000 { 1 } else { threads };
        let (x, y) = (Shared::new(x.cast_mut()), Shared::new(y));
        for_each(threads, batch * blocks * strips, |task| {
            let (index, plane) = (task % strips, task / strips);
            let block = plane % blocks;
            let lanes = (shape.in_channels - block * LANES).min(LANES);
            // SAFETY: planes and weights lie within what the caller vouches for.
            unsafe {
                dispatch_on(
                    self.isa,
                    Rows {
                        shape,
                        x: x.get().add(plane * shape.in_pixels() * LANES),
                        weights: weights.as_ptr().add(block * shape.taps() * LANES),
                        y: y.get(),
                        y_start: plane * height * width * LANES,
                        finish: epilogue.finish(block, lanes),
                        rows: index * strip..((index + 1) * strip).min(height),
                    },
                );
            }
        });
        Ok(())
    }
}

/// Some rows of results of one plane.
struct Rows<'a, T> {
    shape: &'a ConvShape,
    /// The plane.
    x: *const T,
    weights: *const f32,
    /// The whole output.
    y: *mut T,
    /// Floats before the plane.
    y_start: usize,
    finish: Finish<T>,
    rows: std::ops::Range<usize>,
}

/// Taps of an axis that fall into the input, for one result.
#[inline(always)]
fn held(shape: &ConvShape, axis: usize, result: usize) -> (usize, usize) {
    let first = (result * shape.stride[axis]) as isize - shape.padding[axis].0 as isize;
    let step = shape.dilation[axis] as isize;
    let low = if first < 0 { (-first + step - 1) / step } else { 0 };
    let high = (shape.in_size[axis] as isize - first + step - 1) / step;
    let taps = shape.kernel[axis] as isize;
    (low.min(taps) as usize, high.clamp(low.min(taps), taps) as usize)
}

impl<T: Lanes> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.shape.out_size()[1];
        let taps = self.shape.kernel[1];
        let whole = |column: usize| held(self.shape, 1, column) == (0, taps);
        for row in self.rows.clone() {
            let mut column = 0;
            while column < width {
                // SAFETY: the caller vouches for plane, weights and output; taps outside are left out.
                unsafe {
                    if column + TOGETHER <= width && whole(column) && whole(column + TOGETHER - 1) {
                        self.some::<S, TOGETHER>(simd, row, column);
                        column += TOGETHER;
                    } else {
                        self.some::<S, 1>(simd, row, column);
                        column += 1;
                    }
                }
            }
        }
    }
}

impl<T: Lanes> Rows<'_, T> {
    /// Computes results that need the same taps.
    #[inline(always)]
    unsafe fn some<S: Simd, const COUNT: usize>(&self, simd: S, row: usize, column: usize) {
        let shape = self.shape;
        let [_, in_width] = shape.in_size;
        let [_, width] = shape.out_size();
        let (y_taps, x_taps) = (held(shape, 0, row), held(shape, 1, column));
        let mut sums = [simd.zero(); COUNT];
        // SAFETY: as the caller vouches; the taps are those that fall into the plane.
        unsafe {
            for y_tap in y_taps.0..y_taps.1 {
                let in_row = row * shape.stride[0] + y_tap * shape.dilation[0] - shape.padding[0].0;
                for x_tap in x_taps.0..x_taps.1 {
                    let weight = simd.load(self.weights.add((y_tap * shape.kernel[1] + x_tap) * LANES));
                    let in_column = column * shape.stride[1] + x_tap * shape.dilation[1] - shape.padding[1].0;
                    let pixel = self.x.add((in_row * in_width + in_column) * LANES);
                    for (index, sum) in sums.iter_mut().enumerate() {
                        let x = T::load(simd, pixel.add(index * shape.stride[1] * LANES), LANES);
                        *sum = simd.fma(x, weight, *sum);
                    }
                }
            }
            let bias = self.finish.bias(simd, 0);
            for (index, &sum) in sums.iter().enumerate() {
                let at = self.y_start + (row * width + column + index) * LANES;
                self.finish.at(at).store(simd, sum, bias, true, self.y.add(at));
            }
        }
    }
}

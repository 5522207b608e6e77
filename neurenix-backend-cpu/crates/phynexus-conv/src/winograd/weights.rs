//! Weights at the 36 positions: transformed when packed, or anew at each call.

use phynexus_simd::{Kernel, LANES, Simd, dispatch_on};

use super::points::{self, Double, Precision, SCALES, Single};
use super::{POSITIONS, Winograd};
use crate::canonical::{Canonical, Direction};
use crate::memory::{Aligned, OutOfMemory, Shared};
use crate::split::panels;
use crate::tasks::for_each_with_scratch;

/// Taps of the kernel.
const TAPS: usize = 9;

impl Winograd {
    /// Packs weights, for the transposed convolution with the taps reversed.
    ///
    /// Untransformed: `[block of output channels][input channel][tap][16]`. Transformed: for each panel
    /// `[position][input channel][vectors of the panel]`.
    pub fn pack(
        &self,
        canonical: Canonical<'_>,
        direction: Direction,
        threads: usize,
    ) -> Result<Aligned<f32>, OutOfMemory> {
        let mut packed = canonical.memory::<f32>(self.packed_len())?;
        let inner = self.in_blocks() * LANES;
        let block_len = inner * TAPS * LANES;
        let panels = panels(self.out_blocks(), self.cols);
        let to = Shared::new(packed.as_mut_ptr());
        let scratch = if self.is_stored { self.cols * block_len } else { 0 };
        for_each_with_scratch::<f32>(threads, panels.len(), scratch, |task, scratch| {
            let panel = &panels[task];
            // SAFETY: the scratch holds a panel; the panels lie apart in the packed weights.
            unsafe {
                let plain = if self.is_stored { scratch } else { to.get().add(panel.start * block_len) };
                if self.is_stored && !canonical.fills_blocks() {
                    plain.write_bytes(0, panel.len() * block_len);
                }
                for (vector, block) in panel.clone().enumerate() {
                    canonical.each_vector(0, block, |k, tap, values| {
                        let tap = if direction == Direction::Forward { tap } else { TAPS - 1 - tap };
                        let at = vector * block_len + (k * TAPS + tap) * LANES;
                        plain.add(at).cast::<[f32; LANES]>().write(*values);
                    });
                }
                if self.is_stored {
                    dispatch_on(
                        self.isa,
                        TransformWeights {
                            plain,
                            block_len,
                            channels: inner,
                            cols: panel.len(),
                            to: to.get().add(panel.start * inner * POSITIONS * LANES),
                            position_stride: inner * panel.len() * LANES,
                            is_kept: true,
                        },
                    );
                }
            }
        })?;
        Ok(packed)
    }

    /// Floats of the packed weights.
    pub fn packed_len(&self) -> usize {
        let each = if self.is_stored { POSITIONS } else { TAPS };
        self.out_blocks() * LANES * self.in_blocks() * LANES * each
    }
}

/// Transforms the weights of some input channels and a panel of output channels.
pub struct TransformWeights {
    /// Of the first input channel: `[input channel][tap][16]`.
    pub plain: *const f32,
    /// Floats to the next block of output channels.
    pub block_len: usize,
    /// Input channels.
    pub channels: usize,
    /// Blocks of output channels.
    pub cols: usize,
    /// Destination: at each position `[input channel][cols][16]`.
    pub to: *mut f32,
    /// Floats between positions.
    pub position_stride: usize,
    /// Whether they are transformed once and kept: then in f64, which takes 1.5 times as long.
    pub is_kept: bool,
}

impl Kernel for TransformWeights {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.is_kept { self.transform(Double(simd)) } else { self.transform(Single(simd)) }
    }
}

impl TransformWeights {
    #[inline(always)]
    fn transform<P: Precision>(self, precision: P) {
        for column in 0..self.cols {
            for channel in 0..self.channels {
                for lane in (0..LANES).step_by(P::COUNT) {
                    // SAFETY: the caller vouches for the channels and blocks at both places.
                    unsafe {
                        let plain = self.plain.add(column * self.block_len + channel * TAPS * LANES + lane);
                        let to = self.to.add((channel * self.cols + column) * LANES + lane);
                        transform(precision, plain, to, self.position_stride);
                    }
                }
            }
        }
    }
}

/// The kernels of one input channel and 16 output channels at the positions of a row, as they are at each call. What
/// the row does not need is not computed.
///
/// # Safety
/// `plain` is valid for reads at all taps.
#[inline(always)]
pub unsafe fn row<S: Simd, const ROW: usize>(simd: S, plain: *const f32) -> [S::F32; 6] {
    let single = Single(simd);
    let mut columns = [simd.zero(); 3];
    for (column, points) in columns.iter_mut().enumerate() {
        let mut taps = [simd.zero(); 3];
        for (row, taps) in taps.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            *taps = unsafe { simd.load(plain.add((row * 3 + column) * LANES)) };
        }
        *points = points::weights(single, taps)[ROW];
    }
    points::weights(single, columns)
}

/// Transforms the kernels of one input channel and some output channels.
///
/// # Safety
/// `plain` is valid for reads at all taps, `to` for writes at all positions.
#[inline(always)]
unsafe fn transform<P: Precision>(precision: P, plain: *const f32, to: *mut f32, position_stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        let columns: [_; 3] = std::array::from_fn(|column| {
            let taps = std::array::from_fn(|row| precision.load(plain.add((row * 3 + column) * LANES)));
            points::weights(precision, taps)
        });
        for (row, scales) in SCALES.iter().enumerate() {
            let points = points::weights(precision, columns.map(|points| points[row]));
            for (column, (&point, &scale)) in points.iter().zip(scales).enumerate() {
                precision.store(to.add((row * 6 + column) * position_stride), point, scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use phynexus_simd::Isa;

    use super::*;

    /// One kernel at the 36 positions, by the definition: interpolation with Lagrange's polynomials.
    fn expected(taps: &[f32; TAPS]) -> [f64; POSITIONS] {
        let points = [0.0, 0.625, -0.625, 1.5, -1.5];
        let rows: Vec<[f64; 3]> = (0..6)
            .map(|place| {
                let Some(&point) = points.get(place) else { return [0.0, 0.0, 1.0] };
                let others = points.iter().filter(|&&other| other != point);
                let scale: f64 = others.map(|other| point - other).product();
                [1.0 / scale, point / scale, point * point / scale]
            })
            .collect();
        std::array::from_fn(|position| {
            let (row, column) = (&rows[position / 6], &rows[position % 6]);
            (0..TAPS).map(|tap| row[tap / 3] * column[tap % 3] * f64::from(taps[tap])).sum()
        })
    }

    /// The largest distance from the definition, in units in the last place of the largest value at a position.
    fn worst(isa: Isa, is_kept: bool) -> f64 {
        let mut state = 7u32;
        let plain: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        })
        .take(2 * TAPS * LANES)
        .collect();
        let mut to = vec![f32::NAN; POSITIONS * 2 * LANES];
        let transform = TransformWeights {
            plain: plain.as_ptr(),
            block_len: 2 * TAPS * LANES,
            channels: 2,
            cols: 1,
            to: to.as_mut_ptr(),
            position_stride: 2 * LANES,
            is_kept,
        };
        dispatch_on(isa, transform);
        let mut worst = 0.0f64;
        for place in 0..2 * LANES {
            let taps = std::array::from_fn(|tap| plain[(place / LANES * TAPS + tap) * LANES + place % LANES]);
            for (position, wanted) in expected(&taps).into_iter().enumerate() {
                let (unit, factor) =
                    if is_kept { (wanted.abs(), 1.0) } else { (1.0, SCALES[position / 6][position % 6]) };
                let error = (f64::from(to[position * 2 * LANES + place]) * factor - wanted).abs();
                worst = worst.max(error / (unit * f64::from(f32::EPSILON)));
            }
        }
        worst
    }

    #[test]
    fn weights_that_are_kept_are_rounded_once() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let worst = worst(isa, true);
            assert!(worst <= 0.500_001, "{isa}: {worst} units in the last place");
        }
    }

    #[test]
    fn weights_that_are_transformed_at_each_call_are_nearly_as_good() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            let worst = worst(isa, false);
            assert!(worst <= 2.0, "{isa}: {worst} units in the last place of 1");
        }
    }
}

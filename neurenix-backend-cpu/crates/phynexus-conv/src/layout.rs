//! Conversion between NCHW and blocks of 16 channels.
//!
//! Blocked: dense `[samples][ceil(channels / 16)][rows][columns][16]`; channels past the last are zero.

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::element::{Element, Lanes};
use crate::memory::Shared;
use crate::tasks::for_each;

/// Sizes of an activation, and how it lies in memory where it is not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Samples.
    pub samples: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a plane.
    pub pixels: usize,
    /// Elements between samples.
    pub sample_stride: usize,
    /// Elements between channels; the pixels of a plane are dense.
    pub channel_stride: usize,
}

impl Planes {
    /// Dense NCHW.
    pub fn dense(samples: usize, channels: usize, pixels: usize) -> Self {
        Self { samples, channels, pixels, sample_stride: channels * pixels, channel_stride: pixels }
    }

    /// Blocks of 16 channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Elements of the blocked activation.
    pub fn blocked_len(&self) -> usize {
        self.samples * self.blocks() * self.pixels * LANES
    }

    /// Elements from the first to the last of the planes.
    fn span(&self) -> usize {
        if self.samples * self.channels * self.pixels == 0 {
            return 0;
        }
        (self.samples - 1) * self.sample_stride + (self.channels - 1) * self.channel_stride + self.pixels
    }
}

/// Pixels that one task converts.
const TASK_PIXELS: usize = 1024;

/// Copies planes into blocks, rounding to nearest where these are narrower.
///
/// # Panics
/// If a slice is too short.
pub fn nchw_to_blocked<A: Element, B: Element>(planes: Planes, from: &[A], to: &mut [B], threads: usize) {
    assert!(from.len() >= planes.span(), "planes of {} elements, not {}", planes.span(), from.len());
    assert!(
        to.len() >= planes.blocked_len(),
        "blocks of {} elements, not {}",
        planes.blocked_len(),
        to.len()
    );
    let to = Shared::new(to.as_mut_ptr());
    each_piece(planes, threads, |piece| {
        // The piece lies within both slices; no two pieces overlap.
        dispatch(ToBlocked { piece, from: from.as_ptr(), to: to.get() })
    });
}

/// Copies blocks into planes, rounding to nearest where these are narrower.
///
/// # Panics
/// If a slice is too short, or planes overlap.
pub fn blocked_to_nchw<A: Element, B: Element>(planes: Planes, from: &[A], to: &mut [B], threads: usize) {
    assert!(to.len() >= planes.span(), "planes of {} elements, not {}", planes.span(), to.len());
    assert!(
        from.len() >= planes.blocked_len(),
        "blocks of {} elements, not {}",
        planes.blocked_len(),
        from.len()
    );
    assert!(planes.channel_stride >= planes.pixels || planes.channels <= 1, "planes that overlap");
    assert!(
        planes.sample_stride >= planes.channels * planes.channel_stride || planes.samples <= 1,
        "planes that overlap"
    );
    let to = Shared::new(to.as_mut_ptr());
    each_piece(planes, threads, |piece| {
        // The piece lies within both slices; no two pieces overlap.
        dispatch(ToPlanes { piece, from: from.as_ptr(), to: to.get() })
    });
}

/// Copies elements to f32.
///
/// # Panics
/// If the slices differ in length.
pub fn to_f32<T: Element>(from: &[T], to: &mut [f32], threads: usize) {
    assert_eq!(from.len(), to.len(), "as many elements as floats");
    convert(from.len(), threads, (from.as_ptr(), to.as_mut_ptr()));
}

/// Copies f32 to elements, rounding to nearest.
///
/// # Panics
/// If the slices differ in length.
pub fn from_f32<T: Element>(from: &[f32], to: &mut [T], threads: usize) {
    assert_eq!(from.len(), to.len(), "as many elements as floats");
    convert(from.len(), threads, (from.as_ptr(), to.as_mut_ptr()));
}

fn convert<A: Element, B: Element>(len: usize, threads: usize, (from, to): (*const A, *mut B)) {
    const PIECE: usize = 16_384;
    let (from, to) = (Shared::new(from.cast_mut()), Shared::new(to));
    let threads = if len < 2 * PIECE { 1 } else { threads };
    for_each(threads, len.div_ceil(PIECE), |task| {
        let start = task * PIECE;
        let (from, to) = (from.get().wrapping_add(start).cast_const(), to.get().wrapping_add(start));
        // The piece lies within both slices.
        dispatch(Convert { from, to, len: (len - start).min(PIECE) });
    });
}

struct Convert<A, B> {
    from: *const A,
    to: *mut B,
    len: usize,
}

impl<A: Lanes, B: Lanes> Kernel for Convert<A, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for start in (0..self.len).step_by(LANES) {
            let count = (self.len - start).min(LANES);
            // SAFETY: the caller vouches for so many elements at both places.
            unsafe { B::store(simd, self.to.add(start), count, A::load(simd, self.from.add(start), count)) };
        }
    }
}

/// Some pixels of a block of channels of a sample.
#[derive(Clone, Copy)]
struct Piece {
    /// Elements before the first in the planes.
    plane_start: usize,
    channel_stride: usize,
    /// Elements before the first in the blocks.
    block_start: usize,
    /// Channels there are, up to 16.
    channels: usize,
    pixels: usize,
}

fn each_piece(planes: Planes, threads: usize, f: impl Fn(Piece) + Sync) {
    let blocks = planes.blocks();
    let cuts = planes.pixels.div_ceil(TASK_PIXELS);
    let tasks = planes.samples * blocks * cuts;
    let total = planes.blocked_len();
    // A thread wakes in the time that some ten thousand elements take.
    let threads = if total < 32_768 { 1 } else { threads };
    for_each(threads, tasks, |task| {
        let (cut, block, sample) = (task % cuts, task / cuts % blocks, task / cuts / blocks);
        let start = cut * TASK_PIXELS;
        f(Piece {
            plane_start: sample * planes.sample_stride + block * LANES * planes.channel_stride + start,
            channel_stride: planes.channel_stride,
            block_start: ((sample * blocks + block) * planes.pixels + start) * LANES,
            channels: (planes.channels - block * LANES).min(LANES),
            pixels: (planes.pixels - start).min(TASK_PIXELS),
        });
    });
}

struct ToBlocked<A, B> {
    piece: Piece,
    from: *const A,
    to: *mut B,
}

impl<A: Lanes, B: Lanes> Kernel for ToBlocked<A, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let piece = self.piece;
        // SAFETY: the caller vouches for the piece's pixels and channels in both.
        unsafe {
            let from = self.from.add(piece.plane_start);
            let to = self.to.add(piece.block_start);
            let mut pixel = 0;
            while pixel < piece.pixels {
                let count = (piece.pixels - pixel).min(LANES);
                let mut rows = [simd.zero(); LANES];
                for (channel, row) in rows.iter_mut().enumerate().take(piece.channels) {
                    let at = from.add(channel * piece.channel_stride + pixel);
                    *row = A::load(simd, at, count);
                }
                simd.transpose(&mut rows);
                for (index, &row) in rows.iter().enumerate().take(count) {
                    B::store(simd, to.add((pixel + index) * LANES), LANES, row);
                }
                pixel += count;
            }
        }
    }
}

struct ToPlanes<A, B> {
    piece: Piece,
    from: *const A,
    to: *mut B,
}

impl<A: Lanes, B: Lanes> Kernel for ToPlanes<A, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let piece = self.piece;
        // SAFETY: the caller vouches for the piece's pixels and channels in both.
        unsafe {
            let from = self.from.add(piece.block_start);
            let to = self.to.add(piece.plane_start);
            let mut pixel = 0;
            while pixel < piece.pixels {
                let count = (piece.pixels - pixel).min(LANES);
                let mut rows = [simd.zero(); LANES];
                for (index, row) in rows.iter_mut().enumerate().take(count) {
                    *row = A::load(simd, from.add((pixel + index) * LANES), LANES);
                }
                simd.transpose(&mut rows);
                for (channel, &row) in rows.iter().enumerate().take(piece.channels) {
                    let at = to.add(channel * piece.channel_stride + pixel);
                    B::store(simd, at, count, row);
                }
                pixel += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (samples, channels, pixels) in [(1, 1, 1), (2, 16, 16), (3, 21, 49), (1, 40, 1030)] {
            let stride = pixels + 3;
            let planes = Planes {
                samples,
                channels,
                pixels,
                sample_stride: channels * stride + 5,
                channel_stride: stride,
            };
            let source: Vec<f32> = (0..planes.span()).map(|i| i as f32 + 1.0).collect();
            let mut blocked = vec![f32::NAN; planes.blocked_len()];
            nchw_to_blocked(planes, &source, &mut blocked, 2);
            for (i, &value) in blocked.iter().enumerate() {
                let (lane, pixel) = (i % LANES, i / LANES % pixels);
                let (block, sample) =
                    (i / LANES / pixels % planes.blocks(), i / LANES / pixels / planes.blocks());
                let channel = block * LANES + lane;
                let at = sample * planes.sample_stride + channel * stride + pixel;
                assert_eq!(value, if channel < channels { source[at] } else { 0.0 });
            }
            let mut back = vec![-1.0; planes.span()];
            blocked_to_nchw(planes, &blocked, &mut back, 1);
            for (i, (&value, &was)) in back.iter().zip(&source).enumerate() {
                let within = i % planes.sample_stride;
                let inside = within / stride < channels && within % stride < pixels;
                assert_eq!(value, if inside { was } else { -1.0 });
            }
        }
    }
}

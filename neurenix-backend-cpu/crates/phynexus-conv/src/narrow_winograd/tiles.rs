//! Tiles of pixels to positions, and sums at all positions to results.

use std::arch::x86_64::*;

use half::bf16;
use phynexus_simd::{Avx512, LANES, Simd};

use super::{NarrowWinograd, POSITIONS, TILE};
use crate::epilogue::Finish;
use crate::micro::conjure;

/// Pixels of a tile on an axis.
const REACH: usize = TILE + 2;

/// The four positions of an axis, from its four pixels.
#[inline(always)]
fn positions<S: Simd>(simd: S, [a, b, c, d]: [S::F32; REACH]) -> [S::F32; REACH] {
    [simd.sub(a, c), simd.add(b, c), simd.sub(c, b), simd.sub(b, d)]
}

/// The two results of an axis, from its four positions.
#[inline(always)]
fn results<S: Simd>(simd: S, [a, b, c, d]: [S::F32; REACH]) -> [S::F32; TILE] {
    [simd.add(simd.add(a, b), c), simd.sub(simd.sub(b, c), d)]
}

impl NarrowWinograd {
    /// Transforms tiles `first` and on, `count` of them, of one block of channels.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16; `x` is valid for the blocked input, `to` for the tiles, with `position_stride`
    /// elements between positions.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
    pub(super) unsafe fn transform_tiles(
        &self,
        x: *const bf16,
        block: usize,
        (first, count): (usize, usize),
        to: *mut bf16,
        position_stride: usize,
    ) {
        let [height, width] = self.in_size;
        // SAFETY: as the caller vouches; pixels outside are not read.
        unsafe {
            let simd = conjure::<Avx512>();
            for index in 0..count {
                let tile = self.tile(first + index);
                let plane = x.add((tile.sample * self.in_blocks() + block) * height * width * LANES);
                let top = tile.row as isize - self.padding[0] as isize;
                let left = tile.column as isize - self.padding[1] as isize;
                let mut rows = [[simd.zero(); REACH]; REACH];
                for (row, pixels) in rows.iter_mut().enumerate() {
                    let y = top + row as isize;
                    if y < 0 || y >= height as isize {
                        continue;
                    }
                    for (column, pixel) in pixels.iter_mut().enumerate() {
                        let x = left + column as isize;
                        if x >= 0 && x < width as isize {
                            let at = (y as usize * width + x as usize) * LANES;
                            *pixel = simd.load_bf16(plane.add(at).cast());
                        }
                    }
                }
                let rows = rows.map(|pixels| positions(simd, pixels));
                let to = to.add(index * LANES);
                for column in 0..REACH {
                    let values = positions(simd, rows.map(|row| row[column]));
                    for (row, value) in values.into_iter().enumerate() {
                        let narrow = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value));
                        _mm256_storeu_si256(to.add((row * REACH + column) * position_stride).cast(), narrow);
                    }
                }
            }
        }
    }

    /// Finishes tiles `first` and on, `count` of them, of one block of channels, from the sums at all positions,
    /// `position_stride` floats apart.
    ///
    /// # Safety
    /// The processor has AVX-512; the sums are those of the tiles, `y` and the epilogue's addresses are valid for the
    /// output.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub(super) unsafe fn finish_tiles(
        &self,
        sums: *const f32,
        position_stride: usize,
        block: usize,
        (first, count): (usize, usize),
        y: *mut bf16,
        finish: Finish<bf16>,
    ) {
        let [height, width] = self.out_size;
        // SAFETY: as the caller vouches; results outside are not stored.
        unsafe {
            let simd = conjure::<Avx512>();
            let bias = finish.bias(simd, 0);
            for index in 0..count {
                let tile = self.tile(first + index);
                let sums = sums.add(index * LANES);
                let mut points = [[simd.zero(); REACH]; REACH];
                for position in 0..POSITIONS {
                    points[position / REACH][position % REACH] =
                        simd.load(sums.add(position * position_stride));
                }
                let rows = points.map(|row| results(simd, row));
                let plane = (tile.sample * self.out_blocks() + block) * height * width;
                let start = (plane + tile.row * width + tile.column) * LANES;
                for column in 0..TILE.min(width - tile.column) {
                    let values = results(simd, rows.map(|row| row[column]));
                    for (row, &value) in values.iter().enumerate().take(height - tile.row) {
                        let at = start + (row * width + column) * LANES;
                        finish.at(at).store(simd, value, bias, true, y.add(at));
                    }
                }
            }
        }
    }
}

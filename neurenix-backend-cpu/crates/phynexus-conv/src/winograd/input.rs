//! Pixels to transformed tiles.

use phynexus_simd::{Kernel, LANES, Simd};

use super::{POSITIONS, TILE, Winograd, points};
use crate::element::Lanes;

/// Pixels of a tile on an axis.
pub(super) const SPAN: usize = TILE + 2;

/// Stands for rows outside the input.
pub(super) static ZERO_LINE: [u32; SPAN * LANES] = [0; SPAN * LANES];

/// Transforms some tiles of one block of channels.
pub struct TransformTiles<'a, T> {
    pub winograd: &'a Winograd,
    /// The blocked input, all samples.
    pub x: *const T,
    pub block: usize,
    /// The tiles: so many from the first.
    pub first: usize,
    pub count: usize,
    /// Where the first tile's first position goes; tiles follow each other.
    pub to: *mut f32,
    /// Floats between positions.
    pub position_stride: usize,
}

impl<T: Lanes> Kernel for TransformTiles<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let winograd = self.winograd;
        let [height, width] = winograd.in_size;
        for index in 0..self.count {
            let tile = winograd.tile(self.first + index);
            let top = tile.row as isize - winograd.padding[0] as isize;
            let left = tile.column as isize - winograd.padding[1] as isize;
            let plane = (tile.sample * winograd.in_blocks() + self.block) * height * width * LANES;
            let is_inside = top >= 0
                && left >= 0
                && top + SPAN as isize <= height as isize
                && left + SPAN as isize <= width as isize;
            // SAFETY: a tile inside has its pixels in the plane; lines outside are replaced, and columns outside are
            // not read. The caller vouches for the destination.
            unsafe {
                let plane = self.x.add(plane);
                let to = self.to.add(index * LANES);
                if is_inside {
                    let corner = plane.add((top as usize * width + left as usize) * LANES);
                    transform(
                        simd,
                        |row| corner.add(row * width * LANES),
                        |_| true,
                        to,
                        self.position_stride,
                    );
                } else {
                    let line = |row: usize| {
                        let row = top + row as isize;
                        if row < 0 || row >= height as isize {
                            return ZERO_LINE.as_ptr().cast();
                        }
                        plane.wrapping_offset((row * width as isize + left) * LANES as isize)
                    };
                    let is_held = |column: usize| (0..width as isize).contains(&(left + column as isize));
                    transform(simd, line, is_held, to, self.position_stride);
                }
            }
        }
    }
}

/// Transforms one tile.
///
/// # Safety
/// `line(row)` is the row's first pixel, valid where `is_held(column)`; `to` is valid for all positions.
#[inline(always)]
unsafe fn transform<S: Simd, T: Lanes>(
    simd: S,
    line: impl Fn(usize) -> *const T,
    is_held: impl Fn(usize) -> bool,
    to: *mut f32,
    position_stride: usize,
) {
    let lines: [*const T; SPAN] = std::array::from_fn(line);
    let mut columns = [[simd.zero(); SPAN]; SPAN];
    for (column, points) in columns.iter_mut().enumerate() {
        if is_held(column) {
            // SAFETY: as the caller vouches.
            let pixels = lines.map(|line| unsafe { T::load(simd, line.add(column * LANES), LANES) });
            *points = points::pixels(simd, pixels);
        }
    }
    #[allow(clippy::needless_range_loop)] // a row of columns, not one of them
    for row in 0..SPAN {
        let points = points::pixels(simd, std::array::from_fn(|column| columns[column][row]));
        for (column, &point) in points.iter().enumerate() {
            debug_assert!(row * SPAN + column < POSITIONS);
            // SAFETY: as the caller vouches.
            unsafe { simd.store(to.add((row * SPAN + column) * position_stride), point) };
        }
    }
}

//! The part of the input that some rows of results need, with the padding in place.

use phynexus_simd::LANES;

use super::Direct;
use crate::memory::Plain;

/// How rows of pixels lie: in the activation itself, or in a copy.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Whether it is a copy.
    pub is_copy: bool,
    /// The least row and column that a tap adds.
    low: [isize; 2],
    /// Pixels of a row.
    row_pixels: usize,
    /// Input rows that the taps span.
    span: usize,
    /// Columns of which every `phases`-th lie side by side; 1: all do.
    phases: usize,
    /// Whether neighbouring results read pixels two apart.
    pub twice: bool,
    /// Columns of the input that are read.
    columns: usize,
}

impl Window {
    pub fn of(direct: &Direct) -> Self {
        let reach = |axis: usize| {
            let offsets = direct.taps.iter().map(|tap| tap[axis]);
            (offsets.clone().min().unwrap_or(0), offsets.max().unwrap_or(0))
        };
        let ((low_y, high_y), (low_x, high_x)) = (reach(0), reach(1));
        let last = |axis: usize, high: isize| ((direct.grid[axis] - 1) * direct.stride[axis]) as isize + high;
        let inside = low_y >= 0
            && low_x >= 0
            && last(0, high_y) < direct.in_size[0] as isize
            && last(1, high_x) < direct.in_size[1] as isize;
        let is_copy = !inside || direct.stride[1] > 2;
        let columns = (last(1, high_x) - low_x + 1) as usize;
        let phases = if direct.stride[1] > 2 { direct.stride[1] } else { 1 };
        Self {
            is_copy,
            low: if is_copy { [low_y, low_x] } else { [0, 0] },
            row_pixels: if is_copy { columns.next_multiple_of(phases) } else { direct.in_size[1] },
            span: (high_y - low_y + 1) as usize,
            phases,
            twice: direct.stride[1] == 2,
            columns,
        }
    }

    /// Rows that a copy for `rows` rows of results has.
    pub fn rows(&self, direct: &Direct, rows: usize) -> usize {
        (rows - 1) * direct.stride[0] + self.span
    }

    /// Elements of a block of channels in a copy for so many rows of results.
    pub fn plane_len(&self, direct: &Direct, rows: usize) -> usize {
        self.rows(direct, rows) * self.row_pixels * LANES
    }

    /// Elements from the window's start to the first pixel under result (`row`, `column`).
    pub fn pixel(&self, direct: &Direct, row: usize, column: usize) -> usize {
        let column = if self.phases > 1 { column } else { column * direct.stride[1] };
        (row * direct.stride[0] * self.row_pixels + column) * LANES
    }

    /// For every run of 16 k, where it starts from the first pixel under a result.
    pub fn runs(&self, direct: &Direct, plane_len: usize) -> Vec<isize> {
        let mut runs = Vec::with_capacity(direct.runs());
        for tap in &direct.taps {
            let [row, column] = [(tap[0] - self.low[0]) as usize, (tap[1] - self.low[1]) as usize];
            let (phase, place) = (column % self.phases, column / self.phases);
            let column = phase * (self.row_pixels / self.phases) + place;
            for block in 0..direct.in_blocks {
                runs.push((block * plane_len + (row * self.row_pixels + column) * LANES) as isize);
            }
        }
        runs
    }

    /// Copies what the results from row `first` on need, of one block of channels, with `padding` around.
    ///
    /// # Safety
    /// `plane` is a plane of the input, `to` has [`plane_len`](Self::plane_len) elements for `rows` rows of results.
    pub unsafe fn copy<E: Plain>(
        &self,
        direct: &Direct,
        plane: *const E,
        (first, rows): (usize, usize),
        to: *mut E,
        padding: E,
    ) {
        let [height, width] = direct.in_size;
        let top = (first * direct.stride[0]) as isize + self.low[0];
        let line_len = self.row_pixels * LANES;
        for row in 0..self.rows(direct, rows) {
            // SAFETY: the row lies within the copy.
            let line = unsafe { std::slice::from_raw_parts_mut(to.add(row * line_len), line_len) };
            let in_row = top + row as isize;
            if in_row < 0 || in_row >= height as isize {
                line.fill(padding);
                continue;
            }
            // SAFETY: the row lies within the plane.
            let from = unsafe {
                std::slice::from_raw_parts(plane.add(in_row as usize * width * LANES), width * LANES)
            };
            if self.phases == 1 {
                self.copy_row(from, line, padding);
            } else {
                self.copy_phases(from, line, padding);
            }
        }
    }

    /// Columns of the copy that hold pixels of a row of `width`.
    fn held(&self, width: usize) -> std::ops::Range<usize> {
        let left = (-self.low[1]).max(0) as usize;
        let start = left.min(self.columns);
        let end = (width as isize - self.low[1]).clamp(start as isize, self.columns as isize) as usize;
        start..end
    }

    fn copy_row<E: Plain>(&self, from: &[E], line: &mut [E], padding: E) {
        let held = self.held(from.len() / LANES);
        line[..held.start * LANES].fill(padding);
        line[held.end * LANES..].fill(padding);
        if !held.is_empty() {
            let first = (held.start as isize + self.low[1]) as usize * LANES;
            line[held.start * LANES..held.end * LANES].copy_from_slice(&from[first..][..held.len() * LANES]);
        }
    }

    fn copy_phases<E: Plain>(&self, from: &[E], line: &mut [E], padding: E) {
        line.fill(padding);
        let places = self.row_pixels / self.phases;
        for column in self.held(from.len() / LANES) {
            let at = (column % self.phases * places + column / self.phases) * LANES;
            let pixel = (column as isize + self.low[1]) as usize * LANES;
            line[at..at + LANES].copy_from_slice(&from[pixel..pixel + LANES]);
        }
    }
}

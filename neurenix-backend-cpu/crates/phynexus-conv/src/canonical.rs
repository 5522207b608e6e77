//! Canonical weights, `[out_channels][in_channels / groups][rows][columns]`, read 16 channels at a time.

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::groups;
use crate::memory::{Aligned, OutOfMemory, Plain};
use crate::shape::ConvShape;

/// Which convolution the weights are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From input to output.
    Forward,
    /// From the output's gradient to the input's: input and output channels change places.
    Transposed,
}

/// Canonical weights of a convolution, seen as those of a convolution whose groups fill whole blocks.
#[derive(Clone, Copy)]
pub struct Canonical<'a> {
    values: &'a [f32],
    shape: &'a ConvShape,
    direction: Direction,
    /// Groups of the convolution that are one here.
    joined: usize,
}

impl<'a> Canonical<'a> {
    /// Reads `values`, as many as the shape has weights.
    pub fn new(values: &'a [f32], shape: &'a ConvShape, direction: Direction) -> Self {
        assert_eq!(values.len(), shape.weight_len(), "weights of the shape");
        Self { values, shape, direction, joined: shape.groups / groups::join(shape).groups }
    }

    /// Whether [`each_vector`](Self::each_vector) tells all weights of whole blocks of channels that are read: memory
    /// for them need not be cleared.
    pub fn fills_blocks(&self) -> bool {
        let reads = match self.direction {
            Direction::Forward => self.shape.group_in(),
            Direction::Transposed => self.shape.group_out(),
        };
        self.joined == 1 && reads.is_multiple_of(LANES)
    }

    /// Memory for so many packed weights: of any value where all of them are written, else zeros.
    pub fn memory<W: Plain>(&self, len: usize) -> Result<Aligned<W>, OutOfMemory> {
        if self.fills_blocks() { Aligned::any(len) } else { Aligned::zeroed(len) }
    }

    /// Calls `f(k, tap, values)` for each channel `k` that a group reads and each tap (in canonical order), with the
    /// weights of the 16 channels that block `block` of this group writes; zeros past the last channel. Leaves out
    /// some that are all zero.
    pub fn each_vector(&self, group: usize, block: usize, f: impl FnMut(usize, usize, &[f32; LANES])) {
        if self.joined > 1 {
            self.each_joined(group, block, f);
        } else if self.direction == Direction::Forward {
            self.each_forward(group, block, f);
        } else {
            self.each_transposed(group, block, f);
        }
    }

    fn each_forward(&self, group: usize, block: usize, mut f: impl FnMut(usize, usize, &[f32; LANES])) {
        let taps = self.shape.taps();
        let row_len = self.shape.group_in() * taps;
        let first = group * self.shape.group_out() + block * LANES;
        let lanes = (self.shape.group_out() - block * LANES).min(LANES);
        let rows = &self.values[first * row_len..][..lanes * row_len];
        let mut columns = [[0.0; LANES]; LANES];
        let (mut k, mut tap) = (0, 0);
        for start in (0..row_len).step_by(LANES) {
            let count = (row_len - start).min(LANES);
            dispatch(Turn { rows: &rows[start..], row_stride: row_len, lanes, count, columns: &mut columns });
            for column in &columns[..count] {
                f(k, tap, column);
                tap += 1;
                if tap == taps {
                    (k, tap) = (k + 1, 0);
                }
            }
        }
    }

    fn each_transposed(&self, group: usize, block: usize, mut f: impl FnMut(usize, usize, &[f32; LANES])) {
        let (inner, outer, taps) = (self.shape.group_in(), self.shape.group_out(), self.shape.taps());
        let lanes = (inner - block * LANES).min(LANES);
        let mut columns = [[0.0; LANES]; LANES];
        for k in 0..outer {
            let rows = &self.values[((group * outer + k) * inner + block * LANES) * taps..][..lanes * taps];
            if taps == 1 {
                columns[0][..lanes].copy_from_slice(rows);
                f(k, 0, &columns[0]);
                continue;
            }
            for start in (0..taps).step_by(LANES) {
                let count = (taps - start).min(LANES);
                dispatch(Turn {
                    rows: &rows[start..],
                    row_stride: taps,
                    lanes,
                    count,
                    columns: &mut columns,
                });
                for (tap, column) in columns[..count].iter().enumerate() {
                    f(k, start + tap, column);
                }
            }
        }
    }

    fn each_joined(&self, group: usize, block: usize, mut f: impl FnMut(usize, usize, &[f32; LANES])) {
        let (inner, outer, taps) = (self.shape.group_in(), self.shape.group_out(), self.shape.taps());
        let (reads, writes) = match self.direction {
            Direction::Forward => (inner, outer),
            Direction::Transposed => (outer, inner),
        };
        for k in 0..reads * self.joined {
            for tap in 0..taps {
                let vector = std::array::from_fn(|lane| {
                    let channel = block * LANES + lane;
                    if channel >= writes * self.joined || channel / writes != k / reads {
                        return 0.0;
                    }
                    let first = (group * self.joined + channel / writes) * outer;
                    let (out_channel, in_channel) = match self.direction {
                        Direction::Forward => (first + channel % writes, k % reads),
                        Direction::Transposed => (first + k % reads, channel % writes),
                    };
                    self.values[(out_channel * inner + in_channel) * taps + tap]
                });
                f(k, tap, &vector);
            }
        }
    }
}

/// Turns up to 16 rows of up to 16 columns into columns.
struct Turn<'a> {
    rows: &'a [f32],
    row_stride: usize,
    lanes: usize,
    count: usize,
    columns: &'a mut [[f32; LANES]; LANES],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        assert!((self.lanes - 1) * self.row_stride + self.count <= self.rows.len());
        let mut vectors = [simd.zero(); LANES];
        for (lane, vector) in vectors.iter_mut().enumerate().take(self.lanes) {
            // SAFETY: so many columns of so many rows are in the slice.
            unsafe {
                let row = self.rows.as_ptr().add(lane * self.row_stride);
                *vector = if self.count == LANES { simd.load(row) } else { simd.load_first(row, self.count) };
            }
        }
        simd.transpose(&mut vectors);
        for (column, &vector) in self.columns.iter_mut().zip(&vectors) {
            // SAFETY: a column has 16 elements.
            unsafe { simd.store(column.as_mut_ptr(), vector) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every weight appears at its place, whatever the direction and the groups.
    #[test]
    fn every_weight_is_read() {
        for (groups, inner, outer, kernel) in
            [(1, 20, 35, 3), (2, 16, 32, 1), (1, 18, 17, 5), (3, 5, 7, 2), (4, 8, 4, 1)]
        {
            let channels = (groups * inner, groups * outer);
            let shape = ConvShape { groups, ..ConvShape::square(1, channels, [9, 9], kernel, 1, 0) };
            let values: Vec<f32> = (0..shape.weight_len()).map(|i| i as f32 + 1.0).collect();
            let joined = crate::groups::join(&shape);
            for direction in [Direction::Forward, Direction::Transposed] {
                let canonical = Canonical::new(&values, &shape, direction);
                let (reads, writes) = match direction {
                    Direction::Forward => (inner, outer),
                    Direction::Transposed => (outer, inner),
                };
                let mut found = vec![0; values.len()];
                let mut told = 0;
                let writes_joined = writes * groups / joined.groups;
                for group in 0..joined.groups {
                    for block in 0..writes_joined.div_ceil(LANES) {
                        canonical.each_vector(group, block, |k, tap, vector| {
                            told += 1;
                            for (lane, &value) in
                                vector.iter().enumerate().filter(|(_, value)| **value != 0.0)
                            {
                                let index = value as usize - 1;
                                found[index] += 1;
                                let channel = group * writes_joined + block * LANES + lane;
                                let k = group * (reads * groups / joined.groups) + k;
                                let (o, i) =
                                    if direction == Direction::Forward { (channel, k) } else { (k, channel) };
                                assert_eq!(o / outer, i / inner);
                                assert_eq!(index, (o * inner + i % inner) * kernel * kernel + tap);
                            }
                        });
                    }
                }
                assert!(found.iter().all(|&count| count == 1));
                let blocks = (reads * groups / joined.groups).div_ceil(LANES);
                let written = writes_joined.div_ceil(LANES);
                let all = joined.groups * blocks * LANES * kernel * kernel * written;
                assert!(!canonical.fills_blocks() || told == all);
            }
        }
    }
}

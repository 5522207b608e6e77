//! Operands at random places, and the product of them in f64.
#![allow(dead_code, missing_docs)]

use phynexus_gemm::{Activation, Epilogue, MatRef};
use phynexus_simd::Isa;

/// A small generator; its numbers need no more than to differ.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn float(&mut self) -> f32 {
        (self.next() % 4001) as f32 / 2000.0 - 1.0
    }

    pub fn floats(&mut self, many: usize) -> Vec<f32> {
        (0..many).map(|_| self.float()).collect()
    }
}

/// A matrix within a longer buffer: where it starts and how its elements lie.
#[derive(Clone, Debug)]
pub struct Operand {
    pub data: Vec<f32>,
    pub start: usize,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl Operand {
    /// Rows or columns adjacent, or neither; a random offset and gaps between rows.
    pub fn random(random: &mut Random, rows: usize, cols: usize) -> Self {
        let gap = [0, 0, 1, 7, 16][random.below(5)];
        let (row_stride, col_stride) = match random.below(5) {
            0 | 1 => (cols + gap, 1),
            2 | 3 => (1, rows + gap),
            _ => (2 * cols + gap, 2),
        };
        Self::new(random, rows, cols, row_stride, col_stride)
    }

    pub fn new(random: &mut Random, rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Self {
        let start = random.below(18);
        let last = rows.saturating_sub(1) * row_stride + cols.saturating_sub(1) * col_stride;
        let after = random.below(4);
        let data = random.floats(start + last + 1 + after);
        Self { data, start, rows, cols, row_stride, col_stride }
    }

    pub fn index(&self, row: usize, col: usize) -> usize {
        self.start + row * self.row_stride + col * self.col_stride
    }

    pub fn at(&self, row: usize, col: usize) -> f32 {
        self.data[self.index(row, col)]
    }

    pub fn view(&self) -> MatRef<'_> {
        MatRef::with_strides(&self.data[self.start..], self.rows, self.cols, self.row_stride, self.col_stride)
    }

    /// The elements row by row.
    pub fn dense(&self) -> Vec<f32> {
        (0..self.rows).flat_map(|i| (0..self.cols).map(move |j| self.at(i, j))).collect()
    }

    /// The elements of the buffer that are not the matrix's.
    pub fn outside(&self) -> Vec<f32> {
        let mut is_inside = vec![false; self.data.len()];
        for i in 0..self.rows {
            for j in 0..self.cols {
                is_inside[self.index(i, j)] = true;
            }
        }
        self.data.iter().zip(is_inside).filter(|(_, inside)| !inside).map(|(x, _)| *x).collect()
    }
}

/// The instruction sets of this processor.
pub fn isas() -> Vec<Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
}

/// Those that have a fused multiply-add.
pub fn fused_isas() -> Vec<Isa> {
    isas().into_iter().filter(|&isa| isa != Isa::Portable).collect()
}

/// One result in f64, and what rounding in f32 may change of it.
pub fn expected(
    a: &Operand,
    b: &Operand,
    c: &Operand,
    epilogue: &Epilogue<'_>,
    i: usize,
    j: usize,
) -> (f64, f64) {
    let (mut sum, mut size) = (0.0f64, 0.0f64);
    let mut add = |x: f64| {
        sum += x;
        size += x.abs();
    };
    if epilogue.accumulate {
        add(c.at(i, j).into());
    }
    for k in 0..a.cols {
        add(f64::from(a.at(i, k)) * f64::from(b.at(k, j)));
    }
    if let Some(bias) = epilogue.col_bias {
        add(bias[j].into());
    }
    if let Some(bias) = epilogue.row_bias {
        add(bias[i].into());
    }
    if let Some(residual) = epilogue.residual {
        let offset = i as isize * residual.row_stride() + j as isize * residual.col_stride();
        // SAFETY: an element of the residual.
        add(unsafe { *residual.as_ptr().offset(offset) }.into());
    }
    let sum = match epilogue.activation {
        Activation::None => sum,
        Activation::Relu => sum.max(0.0),
        Activation::Clamp { low, high } => sum.max(low.into()).min(high.into()),
    };
    (sum, size * f64::from(f32::EPSILON) * (4.0 + a.cols as f64).sqrt() + 1e-30)
}

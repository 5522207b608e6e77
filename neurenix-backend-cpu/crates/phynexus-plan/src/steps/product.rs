//! Products of matrices: linear layers, whose weights may be kept packed, and `matmul`.

use phynexus_gemm::{Activation, Batch, Epilogue, MatMut, MatRef, PackedB, gemm, gemm_packed, matmul};
use phynexus_kernels::KernelError;

use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Pack, Weights};

/// A matrix in memory.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// Its first element.
    pub place: Place,
    /// Its extents.
    pub rows: usize,
    /// Its extents.
    pub cols: usize,
    /// From a row to the next, in elements.
    pub row_stride: isize,
    /// From a column to the next, in elements.
    pub col_stride: isize,
}

impl Matrix {
    /// Rows one after the other.
    pub fn dense(place: Place, rows: usize, cols: usize) -> Self {
        Self { place, rows, cols, row_stride: cols as isize, col_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// # Safety
    /// The plan's memory is valid, and nobody writes the matrix meanwhile.
    unsafe fn read<'m>(&self, memory: &'m Memory<'_>) -> MatRef<'m> {
        // SAFETY: as the caller vouches.
        unsafe {
            MatRef::from_raw(memory.at(self.place), self.rows, self.cols, self.row_stride, self.col_stride)
        }
    }

    /// # Safety
    /// The plan's memory is valid, and nobody else touches the matrix meanwhile.
    unsafe fn write<'m>(&self, memory: &'m Memory<'_>) -> MatMut<'m> {
        // SAFETY: as the caller vouches.
        unsafe {
            MatMut::from_raw(memory.at(self.place), self.rows, self.cols, self.row_stride, self.col_stride)
        }
    }
}

/// Packs the right operand of products.
#[derive(Debug)]
pub struct PackMatrix(pub Matrix);

impl Pack for PackMatrix {
    type Packed = PackedB;

    fn pack(&self, memory: &Memory<'_>) -> Result<PackedB, KernelError> {
        // SAFETY: weights lie in external memory, which is valid while they are packed.
        Ok(PackedB::new(unsafe { self.0.read(memory) }))
    }
}

/// `activation(x weight^T + bias + residual)`
#[derive(Debug)]
pub struct Linear {
    /// The input's rows.
    pub x: Matrix,
    /// The transposed weights.
    pub weight: Matrix,
    /// Where the packed ones are.
    pub weights: Weights,
    /// An element a column.
    pub bias: Option<Place>,
    /// Added to the result.
    pub residual: Option<Matrix>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// The result.
    pub out: Matrix,
}

impl Step for Linear {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let epilogue = Epilogue {
                col_bias: self.bias.map(|place| memory.slice(place, self.out.cols)),
                residual: self.residual.map(|matrix| matrix.read(memory)),
                activation: if self.relu { Activation::Relu } else { Activation::None },
                ..Epilogue::NONE
            };
            let (x, out) = (self.x.read(memory), self.out.write(memory));
            match self.weights {
                Weights::Kept(slot) => gemm_packed(x, memory.kept::<PackedB>(slot), out, &epilogue),
                Weights::Anew => gemm(x, self.weight.read(memory), out, &epilogue),
            }
        }
        Ok(())
    }
}

/// Products of many matrices.
#[derive(Debug)]
pub struct Matmul {
    /// The first left one.
    pub a: Matrix,
    /// The first right one.
    pub b: Matrix,
    /// The first result.
    pub out: Matrix,
    /// Extents of the batch.
    pub dims: Vec<usize>,
    /// Strides of the batch: of left and right operands and results.
    pub strides: [Vec<isize>; 3],
}

impl Step for Matmul {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let [a, b, c] = &self.strides;
        let batch = Batch { dims: &self.dims, a, b, c };
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            matmul(batch, self.a.read(memory), self.b.read(memory), self.out.write(memory), &Epilogue::NONE);
        }
        Ok(())
    }
}

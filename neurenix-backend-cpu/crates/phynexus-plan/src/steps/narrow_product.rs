//! Linear layers of bfloat16 and of 8-bit integers, from floats to floats.

use half::bf16;
use phynexus_conv::int8::{Quantization, quantize};
use phynexus_conv::layout::from_f32;
use phynexus_gemm::{
    Activation, Bf16Epilogue, Bf16Out, Int8Out, MatMut, MatRef, PackedBf16, PackedInt8, Requantize,
    gemm_bf16, gemm_int8,
};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;

use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Pack, Weights};

/// Sizes of a linear layer, all of whose tensors are dense.
#[derive(Clone, Copy, Debug)]
pub struct Extents {
    /// Rows of the input and of the result.
    pub rows: usize,
    /// Elements of a row of the input and of the weights.
    pub depth: usize,
    /// Rows of the weights; elements of a row of the result.
    pub cols: usize,
}

/// Rounds and packs weights.
#[derive(Clone, Copy, Debug)]
pub struct PackBf16Matrix {
    /// `[cols][depth]`
    pub weight: Place,
    /// Its sizes.
    pub extents: Extents,
}

/// Quantizes weights, each of their rows by its largest, and packs them.
#[derive(Clone, Copy, Debug)]
pub struct PackInt8Matrix {
    /// `[cols][depth]`
    pub weight: Place,
    /// Its sizes.
    pub extents: Extents,
}

impl Pack for PackBf16Matrix {
    type Packed = PackedBf16;

    fn pack(&self, memory: &Memory<'_>) -> Result<PackedBf16, KernelError> {
        let Extents { depth, cols, .. } = self.extents;
        let mut narrow = vec![bf16::ZERO; depth * cols];
        // SAFETY: the memory holds the weights, and nobody writes them meanwhile.
        from_f32(unsafe { memory.slice(self.weight, depth * cols) }, &mut narrow, threads());
        Ok(PackedBf16::new(MatRef::new(&narrow, cols, depth).t()))
    }
}

impl Pack for PackInt8Matrix {
    /// With what one in each column is worth.
    type Packed = (PackedInt8, Vec<f32>);

    fn pack(&self, memory: &Memory<'_>) -> Result<Self::Packed, KernelError> {
        let Extents { depth, cols, .. } = self.extents;
        // SAFETY: the memory holds the weights, and nobody writes them meanwhile.
        let weights: &[f32] = unsafe { memory.slice(self.weight, depth * cols) };
        let mut narrow = Vec::with_capacity(depth * cols);
        let mut steps = Vec::with_capacity(cols);
        for row in weights.chunks_exact(depth.max(1)) {
            let largest = row.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
            let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            narrow.extend(row.iter().map(|weight| (weight / step).round_ties_even() as i8));
            steps.push(step);
        }
        Ok((PackedInt8::new(MatRef::new(&narrow, cols, depth).t()), steps))
    }
}

/// `activation(x weight^T + bias)`, where `P` makes the weights narrow.
#[derive(Debug)]
pub struct NarrowLinear<P> {
    /// How weights are packed.
    pub pack: P,
    /// Where the packed ones are.
    pub weights: Weights,
    /// Sizes.
    pub extents: Extents,
    /// Dense rows of floats.
    pub x: Place,
    /// Room for the same rows, narrow.
    pub narrow: Place,
    /// What the integers of these stand for; of no account for bfloat16.
    pub input: Quantization,
    /// An element a column.
    pub bias: Option<Place>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Dense rows of floats.
    pub out: Place,
}

impl<P: Pack> NarrowLinear<P> {
    fn activation(&self) -> Activation {
        if self.relu { Activation::Relu } else { Activation::None }
    }

    /// # Safety
    /// As for a step.
    unsafe fn bias<'m>(&self, memory: &'m Memory<'_>) -> Option<&'m [f32]> {
        // SAFETY: as the caller vouches.
        self.bias.map(|place| unsafe { memory.slice(place, self.extents.cols) })
    }

    /// The rows of the input, once `narrow` has made them so.
    ///
    /// # Safety
    /// As for a step.
    unsafe fn rows<'m, T>(
        &self,
        memory: &'m Memory<'_>,
        narrow: impl FnOnce(&[f32], &mut [T]),
    ) -> MatRef<'m, T> {
        let Extents { rows, depth, .. } = self.extents;
        // SAFETY: as the caller vouches; nobody writes the narrow rows any more.
        unsafe {
            narrow(memory.slice(self.x, rows * depth), memory.slice_mut(self.narrow, rows * depth));
            MatRef::new(memory.slice(self.narrow, rows * depth), rows, depth)
        }
    }

    /// # Safety
    /// As for a step.
    unsafe fn out<'m>(&self, memory: &'m Memory<'_>) -> MatMut<'m> {
        let Extents { rows, cols, .. } = self.extents;
        // SAFETY: as the caller vouches.
        MatMut::new(unsafe { memory.slice_mut(self.out, rows * cols) }, rows, cols)
    }
}

impl Step for NarrowLinear<PackBf16Matrix> {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let rows = self.rows::<bf16>(memory, |from, to| from_f32(from, to, threads()));
            let epilogue =
                Bf16Epilogue { col_bias: self.bias(memory), residual: None, activation: self.activation() };
            let out = Bf16Out::F32(self.out(memory));
            self.weights.with(&self.pack, memory, |weights| {
                gemm_bf16(rows, weights, out, &epilogue);
                Ok(())
            })
        }
    }
}

impl Step for NarrowLinear<PackInt8Matrix> {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let rows = self.rows::<u8>(memory, |from, to| quantize(from, self.input, to, threads()));
            let (bias, out) = (self.bias(memory), self.out(memory));
            self.weights.with(&self.pack, memory, |(weights, steps)| {
                let scale: Vec<f32> = steps.iter().map(|step| step * self.input.scale).collect();
                let requantize = Requantize {
                    a_zero: self.input.zero_point,
                    scale: &scale,
                    col_bias: bias,
                    residual: None,
                    activation: self.activation(),
                };
                gemm_int8(rows, weights, Int8Out::F32(out, requantize));
                Ok(())
            })
        }
    }
}

//! Arrays of random values, and running an op on them in every way that must not matter.

use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use phynexus_kernels::{Axes, DType, Operation, TensorMut, TensorRef};
use phynexus_simd::{Isa, set_isa};

/// Elements before the first one of an array: memory is aligned to elements only.
const SHIFT: usize = 3;

/// Instruction set and threads are the process's.
static SETTINGS: Mutex<()> = Mutex::new(());

/// A small generator of random numbers (xorshift).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// From `low` to `high`, both included.
    pub fn size(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }

    /// From -3 to 3.
    pub fn value(&mut self) -> f64 {
        (self.next() % (1 << 20)) as f64 / (1 << 20) as f64 * 6.0 - 3.0
    }
}

/// A dense array in memory of its own.
#[derive(Clone)]
pub struct Array {
    memory: Vec<u64>,
    pub dtype: DType,
    pub sizes: Vec<usize>,
}

impl Array {
    pub fn empty(dtype: DType, sizes: &[usize]) -> Self {
        let count: usize = sizes.iter().product();
        let memory = vec![0x7ffa_5a5a_7ffa_5a5a; ((count + SHIFT) * dtype.size()).div_ceil(8)];
        Self { memory, dtype, sizes: sizes.to_vec() }
    }

    /// The values, rounded to the dtype.
    pub fn new(dtype: DType, sizes: &[usize], values: impl IntoIterator<Item = f64>) -> Self {
        let mut array = Self::empty(dtype, sizes);
        let (count, mut values, base) = (array.count(), values.into_iter(), array.address());
        for index in 0..count {
            let x = values.next().expect("a value for each element");
            // SAFETY: the memory has room for `count` elements.
            unsafe {
                match dtype {
                    DType::F32 => *base.cast::<f32>().add(index) = x as f32,
                    DType::F64 => *base.cast::<f64>().add(index) = x,
                    DType::F16 => *base.cast::<f16>().add(index) = f16::from_f64(x),
                    DType::Bf16 => *base.cast::<bf16>().add(index) = bf16::from_f64(x),
                    DType::I64 => *base.cast::<i64>().add(index) = x as i64,
                    DType::I32 => *base.cast::<i32>().add(index) = x as i32,
                    _ => *base.add(index) = x as u8,
                }
            }
        }
        array
    }

    pub fn random(rng: &mut Rng, dtype: DType, sizes: &[usize]) -> Self {
        let count: usize = sizes.iter().product();
        let values: Vec<f64> = (0..count).map(|_| rng.value()).collect();
        Self::new(dtype, sizes, values)
    }

    pub fn count(&self) -> usize {
        self.sizes.iter().product()
    }

    fn address(&mut self) -> *mut u8 {
        // SAFETY: the memory has as many elements more.
        unsafe { self.memory.as_mut_ptr().cast::<u8>().add(SHIFT * self.dtype.size()) }
    }

    pub fn values(&self) -> Vec<f64> {
        let mut copy = self.clone();
        let base = copy.address();
        // SAFETY: there are as many elements.
        let one = |index: usize| unsafe {
            match self.dtype {
                DType::F32 => f64::from(*base.cast::<f32>().add(index)),
                DType::F64 => *base.cast::<f64>().add(index),
                DType::F16 => (*base.cast::<f16>().add(index)).to_f64(),
                DType::Bf16 => (*base.cast::<bf16>().add(index)).to_f64(),
                DType::I64 => *base.cast::<i64>().add(index) as f64,
                DType::I32 => f64::from(*base.cast::<i32>().add(index)),
                _ => f64::from(*base.add(index)),
            }
        };
        (0..self.count()).map(one).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut copy = self.clone();
        let (base, count) = (copy.address(), self.count() * self.dtype.size());
        // SAFETY: there are as many bytes.
        unsafe { std::slice::from_raw_parts(base, count) }.to_vec()
    }

    /// The first `count` of the first axis.
    pub fn head(&self, count: usize) -> Self {
        let mut sizes = self.sizes.clone();
        sizes[0] = count;
        Self::new(self.dtype, &sizes, self.values())
    }

    fn as_ref(&mut self) -> TensorRef<'_> {
        let axes = Axes::dense(&self.sizes).unwrap();
        // SAFETY: the memory has the elements, and is borrowed.
        unsafe { TensorRef::new(self.address(), self.dtype, axes) }
    }

    fn as_mut(&mut self) -> TensorMut<'_> {
        let axes = Axes::dense(&self.sizes).unwrap();
        // SAFETY: as above.
        unsafe { TensorMut::new(self.address(), self.dtype, axes) }
    }
}

/// What an output is to be.
pub type Meta<'a> = (DType, &'a [usize]);

fn run_once(op: &dyn Operation, metas: &[Meta<'_>], inputs: &[Option<&Array>]) -> Vec<Array> {
    let mut outputs: Vec<Array> = metas.iter().map(|(dtype, sizes)| Array::empty(*dtype, sizes)).collect();
    let mut copies: Vec<Option<Array>> = inputs.iter().map(|input| input.cloned()).collect();
    let tensors: Vec<_> = copies.iter_mut().map(|copy| copy.as_mut().map(Array::as_ref)).collect();
    let targets: Vec<_> = outputs.iter_mut().map(Array::as_mut).collect();
    op.run(&targets, &tensors).unwrap();
    outputs
}

/// Runs an op on one thread and on two, on every instruction set, and compares the bits; without a
/// fused multiply-add, the values. Returns the results.
pub fn run(op: &dyn Operation, metas: &[Meta<'_>], inputs: &[Option<&Array>]) -> Vec<Array> {
    let _guard = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    phynexus_runtime::set_threads(1).unwrap();
    set_isa(Some(Isa::best())).unwrap();
    let results = run_once(op, metas, inputs);
    let same = |others: &[Array], what: &str| {
        for (index, (ours, theirs)) in results.iter().zip(others).enumerate() {
            assert!(ours.bytes() == theirs.bytes(), "output {index} of {op:?} differs on {what}");
        }
    };
    phynexus_runtime::set_threads(2).unwrap();
    same(&run_once(op, metas, inputs), "two threads");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        set_isa(Some(isa)).unwrap();
        let others = run_once(op, metas, inputs);
        if isa != Isa::Portable {
            same(&others, isa.name());
            continue;
        }
        for (ours, theirs) in results.iter().zip(&others) {
            close(
                &format!("{op:?} without fused multiply-adds"),
                &theirs.values(),
                &ours.values(),
                ours.dtype,
            );
        }
    }
    set_isa(Some(Isa::best())).unwrap();
    results
}

/// Asserts that values are those wanted, to a part of the largest.
pub fn close(what: &str, found: &[f64], wanted: &[f64], dtype: DType) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().filter(|x| x.is_finite()).fold(1.0f64, |most, x| most.max(x.abs()));
    let tolerance = largest
        * match dtype {
            DType::F64 => 1e-12,
            DType::F32 => 2e-5,
            DType::F16 => 4e-3,
            DType::Bf16 => 3e-2,
            _ => 0.0,
        };
    for (index, (x, y)) in found.iter().zip(wanted).enumerate() {
        let is_close = (x - y).abs() <= tolerance || x == y || (x.is_nan() && y.is_nan());
        assert!(is_close, "{what}: element {index} is {x}, should be {y} (within {tolerance:.2e})");
    }
}

/// Asserts that the results of the first samples do not depend on those behind them.
pub fn batch_invariant(
    op: &dyn Operation,
    metas: &[Meta<'_>],
    inputs: &[Option<&Array>],
    batched: &[bool],
    results: &[Array],
) {
    let samples = metas[0].1[0];
    let few = samples.div_ceil(2);
    let cut: Vec<Option<Array>> = inputs
        .iter()
        .zip(batched)
        .map(|(input, &is_batched)| input.map(|x| if is_batched { x.head(few) } else { x.clone() }))
        .collect();
    let sizes: Vec<Vec<usize>> = metas.iter().map(|(_, sizes)| [&[few], &sizes[1..]].concat()).collect();
    let metas: Vec<Meta<'_>> =
        metas.iter().zip(&sizes).map(|((dtype, _), sizes)| (*dtype, &**sizes)).collect();
    let inputs: Vec<Option<&Array>> = cut.iter().map(Option::as_ref).collect();
    for (ours, whole) in run(op, &metas, &inputs).iter().zip(results) {
        assert!(ours.bytes() == whole.head(few).bytes(), "{op:?} depends on the batch");
    }
}

pub const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::Bf16];

/// The error that an op gives.
pub fn error(
    op: &dyn Operation,
    metas: &[Meta<'_>],
    inputs: &[Option<&Array>],
) -> phynexus_kernels::KernelError {
    let mut outputs: Vec<Array> = metas.iter().map(|(dtype, sizes)| Array::empty(*dtype, sizes)).collect();
    let mut copies: Vec<Option<Array>> = inputs.iter().map(|input| input.cloned()).collect();
    let tensors: Vec<_> = copies.iter_mut().map(|copy| copy.as_mut().map(Array::as_ref)).collect();
    let targets: Vec<_> = outputs.iter_mut().map(Array::as_mut).collect();
    op.run(&targets, &tensors).unwrap_err()
}

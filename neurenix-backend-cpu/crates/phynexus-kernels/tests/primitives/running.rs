//! Running ops on every instruction set, and comparing what they give.

use std::sync::Mutex;

use phynexus_kernels::{DType, KernelError, Operation};
use phynexus_simd::{Isa, set_isa};

use crate::memory::{Memory, Random, same};

pub const ALL: [DType; 10] = [
    DType::F32,
    DType::F64,
    DType::F16,
    DType::Bf16,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::U8,
    DType::Bool,
];

/// The instruction set is the process's: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub fn on_all(mut check: impl FnMut(Isa)) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        set_isa(Some(isa)).unwrap();
        check(isa);
    }
}

/// Runs an op into a dense output, and sees that nothing around it was written.
pub fn run(
    op: &dyn Operation,
    dtype: DType,
    sizes: &[usize],
    inputs: &[&Memory],
) -> Result<Memory, KernelError> {
    let mut out = Memory::dense(dtype, sizes);
    let given: Vec<_> = inputs.iter().map(|input| input.input()).collect();
    op.run(&[out.output()], &given)?;
    assert!(out.is_clean(), "{op:?} of {dtype} writes beside its output of shape {sizes:?}");
    Ok(out)
}

pub fn assert_values(isa: Isa, op: &dyn Operation, out: &Memory, wanted: &[f64], inputs: &[&Memory]) {
    let found = out.values();
    if !same(&found, wanted) {
        let place =
            found.iter().zip(wanted).position(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).unwrap_or(0);
        let layouts: Vec<_> = inputs.iter().map(|x| (x.dtype, x.axes.sizes(), x.axes.strides())).collect();
        panic!(
            "{op:?} on {isa}: element {place} is {}, not {}; inputs {layouts:?}",
            found[place], wanted[place]
        );
    }
}

/// Numbers of both signs without a pattern.
pub fn numbers(dtype: DType, sizes: &[usize]) -> Memory {
    let mut random = Random::new(7);
    let mut memory = Memory::dense(dtype, sizes);
    for place in 0..memory.axes.count() {
        memory.set(place as isize, random.below(1 << 20) as f64 / f64::from(1 << 19) - 0.937);
    }
    memory
}

//! Filling, counting, copying.

use std::sync::Arc;

use super::elementwise::{FOR_CASTS, LONG, convert};
use super::{COMPUTED, Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::memory;
use crate::recorder::Copy;
use crate::shader::{Driver, Kernel};
use crate::tensor::Tensor;

static COPY: Kernel = Kernel {
    name: "copy",
    text: include_str!("../../wgsl/movement/copy.wgsl"),
    driver: Driver::Elements,
    scalars: &[],
    parts: &[],
};
static FILL: Kernel = Kernel {
    name: "fill",
    text: include_str!("../../wgsl/movement/fill.wgsl"),
    driver: Driver::Elements,
    scalars: &["low", "high"],
    parts: &[],
};
static IOTA: Kernel = Kernel {
    name: "iota",
    text: include_str!("../../wgsl/movement/iota.wgsl"),
    driver: Driver::Elements,
    scalars: &["start_low", "start_high", "step_low", "step_high"],
    parts: &[&LONG],
};
static IOTA_FLOAT: Kernel = Kernel {
    name: "iota_float",
    text: include_str!("../../wgsl/movement/iota_float.wgsl"),
    driver: Driver::Elements,
    scalars: &["start_high", "start_low", "step_high", "step_low"],
    parts: &[],
};

impl Call<'_> {
    /// A new dense tensor of a shape, for values between two dispatches.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn scratch(&self, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let bytes = shape.iter().product::<usize>() * dtype.bytes();
        let block = memory::allocate(self.device, bytes as u64)?;
        Tensor::new(Arc::new(block), dtype, shape.to_vec(), None, 0)
    }
}

fn copy(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    if Arc::ptr_eq(&out.block, &x.block) {
        // They may overlap.
        let between = call.scratch(x.dtype, &x.shape)?;
        copied(call, &between, x)?;
        return copied(call, out, &between);
    }
    copied(call, out, x)
}

/// Records that `out` becomes `x`; they share no memory.
pub fn copied(call: &Call<'_>, out: &Tensor, x: &Tensor) -> Result<()> {
    let size = (x.count() * x.dtype.bytes()) as u64;
    let (from, to) = ((x.offset * x.dtype.bytes()) as u64, (out.offset * out.dtype.bytes()) as u64);
    if out.shape == x.shape && out.is_dense() && x.is_dense() && (size | from | to).is_multiple_of(4) {
        if size != 0 {
            let (from, to) = ((x.block.buffer().clone(), from), (out.block.buffer().clone(), to));
            call.device.recorder().copy(Copy { from, to, size });
        }
        return Ok(());
    }
    Launch::new(&COPY, &out.as_bits()).input("x", &x.as_bits()).run(call.device)
}

fn fill(call: &Call<'_>) -> Result<()> {
    let value = call.attributes.get("value")?;
    filled(call.device, call.out(), value)
}

/// Records that every element becomes a value.
pub fn filled(device: &'static crate::device::Device, out: &Tensor, value: &Value) -> Result<()> {
    let function = match out.dtype.kind() {
        Kind::Float => "as_float",
        Kind::Int => "as_int",
        Kind::Long => "as_long",
    };
    let bits = bits_of(out.dtype, value)?;
    Launch::new(&FILL, out)
        .function(function, &[])
        .scalar(bits as u32)
        .scalar((bits >> 32) as u32)
        .run(device)
}

/// The bits of a number as shaders have values of a dtype: in one word, or in two.
///
/// # Errors
/// It is no number.
pub fn bits_of(dtype: DType, value: &Value) -> Result<u64> {
    Ok(match dtype.kind() {
        Kind::Float => u64::from((number(value)? as f32).to_bits()),
        Kind::Int if dtype == DType::Bool => u64::from(number(value)? != 0.0),
        Kind::Int | Kind::Long => integer(value)? as u64,
    })
}

fn iota(call: &Call<'_>) -> Result<()> {
    let out = call.out();
    let (start, step) = (call.attributes.get("start")?, call.attributes.get("step")?);
    let whole = matches!((start, step), (Value::Int(_), Value::Int(_)));
    if out.dtype.kind() != Kind::Float && whole {
        let function = if out.dtype.kind() == Kind::Long { "long_to_long" } else { "long_to_int" };
        let mut launch = Launch::new(&IOTA, out).function(function, FOR_CASTS);
        for value in [integer(start)? as u64, integer(step)? as u64] {
            launch = launch.scalar(value as u32).scalar((value >> 32) as u32);
        }
        return launch.run(call.device);
    }
    let floats =
        if out.dtype.kind() == Kind::Float { out.clone() } else { call.scratch(DType::F32, &out.shape)? };
    let (start, step) = (number(start)?, number(step)?);
    let (start_high, step_high) = (start as f32, upper_half(step));
    let launch = Launch::new(&IOTA_FLOAT, &floats)
        .float(start_high.into())
        .float(start - f64::from(start_high))
        .float(step_high)
        .float(step - step_high);
    launch.run(call.device)?;
    if out.dtype.kind() == Kind::Float { Ok(()) } else { convert(call, &floats) }
}

/// A number cut to 12 bits: its products with others of 12 bits are exact in float32.
fn upper_half(value: f64) -> f64 {
    f64::from(f32::from_bits((value as f32).to_bits() & 0xffff_f000))
}

fn number(value: &Value) -> Result<f64> {
    match *value {
        Value::Float(value) => Ok(value),
        Value::Int(value) => Ok(value as f64),
        Value::Bool(value) => Ok(f64::from(u8::from(value))),
        ref other => Err(Error::Value(format!("{other:?} is no number"))),
    }
}

fn integer(value: &Value) -> Result<i64> {
    match *value {
        Value::Int(value) => Ok(value),
        ref other => number(other).map(|value| value as i64),
    }
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: false };
    vec![row("copy", copy, &DType::ALL), row("fill", fill, COMPUTED), row("iota", iota, COMPUTED)]
}

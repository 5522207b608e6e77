//! Tensors one after the other, and with a border.

use super::movement::{copied, filled};
use super::{COMPUTED, Call, Operation};
use crate::attributes::Value;
use crate::dtype::DType;
use crate::error::{Error, Result};

fn concat(call: &Call<'_>) -> Result<()> {
    let axis = call.attributes.size("axis")?;
    let mut start = 0;
    for number in 0..call.inputs.len() {
        let x = call.input(number)?;
        copied(call, &call.out().narrow(axis, start, x.shape[axis]), x)?;
        start += x.shape[axis];
    }
    Ok(())
}

fn pad(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    let before = befores(call.attributes.get("widths")?)?;
    let interior = call.attributes.sizes("interior")?;
    filled(call.device, out, call.attributes.get("value")?)?;
    let mut inside = out.clone();
    inside.shape.clone_from(&x.shape);
    for (axis, (start, between)) in before.iter().zip(&interior).enumerate() {
        inside.offset += start * out.strides[axis];
        inside.strides[axis] *= between + 1;
    }
    copied(call, &inside, x)
}

/// The first of each pair of widths.
fn befores(widths: &Value) -> Result<Vec<usize>> {
    let first = |pair: &Value| match pair {
        Value::List(pair) => match pair.first() {
            Some(Value::Int(before)) => usize::try_from(*before).ok(),
            _ => None,
        },
        _ => None,
    };
    let found = match widths {
        Value::List(pairs) => pairs.iter().map(first).collect(),
        _ => None,
    };
    found.ok_or_else(|| Error::Value(format!("the widths {widths:?} are not pairs of sizes")))
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: false };
    vec![row("concat", concat, &DType::ALL), row("pad", pad, COMPUTED)]
}

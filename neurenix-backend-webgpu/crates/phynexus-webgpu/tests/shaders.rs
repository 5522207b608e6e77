//! Every op in every dtype and in several layouts, on the device that runs nothing: each shader is
//! composed, and wgpu validates it and what is bound to it. It takes no GPU.

use std::sync::Arc;

use phynexus_webgpu::attributes::{Attributes, Value};
use phynexus_webgpu::device::Device;
use phynexus_webgpu::dtype::DType;
use phynexus_webgpu::memory;
use phynexus_webgpu::ops::{COMPUTED, Call, operations};
use phynexus_webgpu::tensor::{Tensor, dense_strides};

/// How a tensor lies in memory.
#[derive(Clone, Copy)]
enum Layout {
    Dense,
    /// At an odd offset, its axes in reverse order.
    Permuted,
}

fn tensor(dtype: DType, shape: &[usize], layout: Layout) -> Tensor {
    let device = Device::offline().expect("it needs no driver");
    let count: usize = shape.iter().product();
    let block = Arc::new(memory::allocate(device, ((count + 5) * dtype.bytes()) as u64).expect("memory"));
    let (strides, offset) = match layout {
        Layout::Dense => (None, 0),
        Layout::Permuted => {
            let backwards: Vec<usize> = shape.iter().rev().copied().collect();
            (Some(dense_strides(&backwards).into_iter().rev().collect()), 5)
        }
    };
    Tensor::new(block, dtype, shape.to_vec(), strides, offset).expect("it fits")
}

/// A call: outputs, inputs, attributes.
type Sample = (Vec<Tensor>, Vec<Option<Tensor>>, Attributes);

fn attributes(named: &[(&str, Value)]) -> Attributes {
    let mut made = Attributes::new();
    for (name, value) in named {
        made.add(*name, value.clone());
    }
    made
}

fn sample(out: Tensor, inputs: &[Tensor], named: &[(&str, Value)]) -> Sample {
    (vec![out], inputs.iter().cloned().map(Some).collect(), attributes(named))
}

const SHAPE: &[usize] = &[3, 4, 5];

fn samples(op: &str, dtype: DType, layout: Layout) -> Vec<Sample> {
    let x = |shape: &[usize]| tensor(dtype, shape, layout);
    let dense = |dtype, shape: &[usize]| tensor(dtype, shape, Layout::Dense);
    let int = |value| Value::Int(value);
    match op {
        "neg" | "sign" | "abs" | "floor" | "ceil" | "round" | "relu" | "exp" | "log" | "sqrt" | "sin"
        | "cos" | "tanh" | "erf" | "sigmoid" | "silu" => {
            let whole = x(SHAPE);
            // In place, where the layout is that of an output.
            let out = if whole.is_dense() { whole.clone() } else { dense(dtype, SHAPE) };
            vec![sample(out, &[whole], &[]), sample(dense(dtype, SHAPE), &[x(SHAPE)], &[])]
        }
        "logical_not" => vec![sample(dense(DType::Bool, SHAPE), &[x(SHAPE)], &[])],
        "add" | "sub" | "mul" | "div" | "floor_div" | "mod" | "pow" | "maximum" | "minimum"
        | "bitwise_and" | "bitwise_or" | "bitwise_xor" | "shift_right" => vec![
            sample(dense(dtype, SHAPE), &[x(SHAPE), x(SHAPE)], &[]),
            sample(dense(dtype, SHAPE), &[x(SHAPE), x(&[5])], &[]),
            sample(dense(dtype, SHAPE), &[x(&[]), x(SHAPE)], &[]),
        ],
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => {
            vec![sample(dense(DType::Bool, SHAPE), &[x(SHAPE), x(&[4, 1])], &[])]
        }
        "where" => {
            vec![sample(dense(dtype, SHAPE), &[tensor(DType::Bool, SHAPE, layout), x(SHAPE), x(&[5])], &[])]
        }
        "cast" => COMPUTED
            .iter()
            .map(|&target| sample(dense(target, SHAPE), &[x(SHAPE)], &[("dtype", Value::DType(target))]))
            .collect(),
        "copy" => vec![sample(x(SHAPE), &[x(SHAPE)], &[]), sample(dense(dtype, SHAPE), &[x(SHAPE)], &[])],
        "fill" => vec![sample(dense(dtype, SHAPE), &[], &[("value", int(1))])],
        "iota" => vec![
            sample(dense(dtype, &[7]), &[], &[("start", int(3)), ("step", int(-1))]),
            sample(dense(dtype, &[7]), &[], &[("start", Value::Float(0.5)), ("step", Value::Float(0.25))]),
        ],
        "sum" | "prod" | "max" | "min" | "argmax" | "argmin" => {
            let result = match (op, dtype) {
                ("argmax" | "argmin", _) => DType::I64,
                ("max" | "min", _) | (_, DType::F32 | DType::F16 | DType::Bf16) => dtype,
                _ => DType::I64,
            };
            // Few elements, columns, long ones, many elements, more than one workgroup takes.
            [
                (&[3, 4][..], 1, 3),
                (&[4, 3], 0, 3),
                (&[9000, 3], 0, 3),
                (&[3, 400], 1, 3),
                (&[2, 40_000], 1, 2),
            ]
            .into_iter()
            .map(|(shape, axis, left)| {
                let axes = Value::List(vec![int(axis)]);
                sample(dense(result, &[left]), &[x(shape)], &[("axes", axes)])
            })
            .collect()
        }
        "gather" => [DType::I32, DType::I64]
            .map(|index| {
                let index = tensor(index, &[2, 3], layout);
                sample(dense(dtype, &[2, 3]), &[x(&[4, 3]), index], &[("axis", int(0))])
            })
            .to_vec(),
        "scatter" | "scatter_add" => [DType::I32, DType::I64]
            .map(|index| {
                // Few indices, which reach a part; many, which reach all.
                let (few, many) = (tensor(index, &[2, 2], layout), tensor(index, &[40, 3], layout));
                [
                    sample(dense(dtype, &[4, 3]), &[x(&[4, 3]), few, x(&[2, 2])], &[("axis", int(0))]),
                    sample(dense(dtype, &[4, 3]), &[x(&[4, 3]), many, x(&[40, 3])], &[("axis", int(0))]),
                ]
            })
            .concat(),
        "random_bits" => vec![sample(dense(DType::I32, &[7]), &[dense(DType::I32, &[3])], &[])],
        // Few rows, and as many as tiles are for.
        "matmul" => vec![
            sample(dense(dtype, &[2, 3, 5]), &[x(&[2, 3, 4]), x(&[4, 5])], &[]),
            sample(dense(dtype, &[2, 7, 5]), &[x(&[2, 7, 4]), x(&[4, 5])], &[]),
        ],
        "linear" => vec![
            sample(dense(dtype, &[2, 5]), &[dense(dtype, &[2, 4]), dense(dtype, &[5, 4])], &[]),
            sample(
                dense(dtype, &[2, 7, 5]),
                &[dense(dtype, &[2, 7, 4]), dense(dtype, &[5, 4]), dense(dtype, &[5])],
                &[],
            ),
        ],
        _ if op.contains("conv2d") || op.contains("pool2d") => images::samples(op, dtype),
        _ => composites::samples(op, dtype, layout),
    }
}

#[path = "shaders/images.rs"]
mod images;

#[path = "shaders/composites.rs"]
mod composites;

fn run_all(layout: Layout) {
    let device = Device::offline().expect("it needs no driver");
    for operation in operations() {
        for &dtype in operation.dtypes {
            let made = samples(operation.op, dtype, layout);
            assert!(!made.is_empty(), "{} has no sample for {}", operation.op, dtype.name());
            for (outputs, inputs, attributes) in made {
                let call = Call {
                    op: operation.op,
                    device,
                    outputs: &outputs,
                    inputs: &inputs,
                    attributes: &attributes,
                };
                let outcome = (operation.run)(&call).and_then(|()| device.synchronize());
                assert_eq!(outcome, Ok(()), "{} of {}", operation.op, dtype.name());
            }
        }
    }
}

#[test]
fn shaders_of_dense_tensors_are_valid() {
    run_all(Layout::Dense);
}

#[test]
fn shaders_that_compute_with_float16_are_valid() {
    let device = Device::offline().expect("it needs no driver");
    device.set_half(true);
    assert!(device.uses_half());
    run_all(Layout::Dense);
    device.set_half(false);
}

#[test]
fn shaders_with_subgroups_are_valid() {
    let device = Device::offline().expect("it needs no driver");
    for lanes in [4, 32, 128] {
        device.set_lanes(Some(lanes));
        run_all(Layout::Dense);
    }
    device.set_lanes(Some(0));
}

#[test]
fn shaders_of_strided_tensors_are_valid() {
    run_all(Layout::Permuted);
}

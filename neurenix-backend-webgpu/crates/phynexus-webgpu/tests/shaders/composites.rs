//! Calls of composite ops.

use phynexus_webgpu::attributes::Value;
use phynexus_webgpu::dtype::DType;
use phynexus_webgpu::tensor::Tensor;

use super::{Layout, Sample, attributes, sample, tensor};

/// The calls of a composite op; none of an op that has no sample yet, which fails the test.
pub fn samples(op: &str, dtype: DType, layout: Layout) -> Vec<Sample> {
    let dense = |shape: &[usize]| tensor(dtype, shape, Layout::Dense);
    match op {
        "gelu" => ["none", "tanh"]
            .map(|way| {
                let named = [("approximate", Value::Text(way.to_owned()))];
                sample(dense(&[3, 5]), &[tensor(dtype, &[3, 5], layout)], &named)
            })
            .to_vec(),
        "softmax" | "log_softmax" | "softmax_backward" | "log_softmax_backward" => {
            // A row an invocation, by columns, and three sizes of teams.
            [(&[3, 4][..], 1), (&[2, 30, 3], 1), (&[3, 100], 1), (&[3, 500], 1), (&[3, 2000], 1)]
                .into_iter()
                .map(|(shape, axis)| {
                    let count = if op.ends_with("backward") { 2 } else { 1 };
                    let inputs: Vec<Tensor> = (0..count).map(|_| dense(shape)).collect();
                    sample(dense(shape), &inputs, &[("axis", Value::Int(axis))])
                })
                .collect()
        }
        "chain" => chains(dtype, layout),
        "put" => {
            let x = tensor(dtype, &[3, 4, 5], Layout::Dense); // in place
            let value = tensor(dtype, &[2, 3, 5], Layout::Dense);
            let [rows, columns] = [DType::I32, DType::I64].map(|dtype| tensor(dtype, &[2, 3], Layout::Dense));
            vec![sample(x.clone(), &[x, value, rows, columns], &[])]
        }
        "sort" | "topk" => sorted(op, dtype),
        "scaled_dot_product_attention" => attention(dtype, layout),
        "softmax_cross_entropy" | "softmax_cross_entropy_backward" => classes(op, dtype),
        "batch_norm_inference" | "batch_norm_train" | "batch_norm_backward" => batch_norm(op, dtype),
        "layer_norm" | "layer_norm_backward" => layer_norm(op, dtype),
        "running_average" => {
            vec![sample(dense(&[5]), &[dense(&[5]), dense(&[5])], &[("momentum", Value::Float(0.1))])]
        }
        "sgd_step" | "sgd_momentum_step" | "adam_step" => vec![optimizer(op, dtype)],
        "take" => [DType::I32, DType::I64]
            .map(|index| {
                let index = tensor(index, &[2, 3], Layout::Dense);
                sample(dense(&[2, 3, 5]), &[dense(&[4, 5]), index], &[])
            })
            .to_vec(),
        "take_backward" => taken(dtype),
        "concat" => {
            let inputs = [tensor(dtype, &[2, 3], layout), tensor(dtype, &[2, 1], layout)];
            vec![sample(dense(&[2, 4]), &inputs, &[("axis", Value::Int(1))])]
        }
        "pad" => {
            let pair = |before, after| Value::List(vec![Value::Int(before), Value::Int(after)]);
            let named = [
                ("widths", Value::List(vec![pair(1, 0), pair(0, 2)])),
                ("interior", Value::List(vec![Value::Int(0), Value::Int(1)])),
                ("value", Value::Int(1)),
            ];
            vec![sample(dense(&[3, 7]), &[tensor(dtype, &[2, 3], layout)], &named)]
        }
        _ => Vec::new(),
    }
}

/// A truth, a value of the dtype and a float32, of two tensors and a number.
fn chains(dtype: DType, layout: Layout) -> Vec<Sample> {
    let list = |numbers: &[i64]| Value::List(numbers.iter().map(|&number| Value::Int(number)).collect());
    let step = |op: &str, dtype, operands: &[i64]| {
        Value::List(vec![Value::Text(op.to_owned()), Value::DType(dtype), list(operands), Value::None])
    };
    let number = Value::List(vec![Value::DType(dtype), Value::Int(1)]);
    let named = attributes(&[
        ("numbers", Value::List(vec![number])),
        (
            "steps",
            Value::List(vec![
                step("add", dtype, &[0, 1]),
                step("maximum", dtype, &[3, 2]),
                step("lt", DType::Bool, &[4, 0]),
                step("where", dtype, &[5, 4, 1]),
                step("cast", DType::F32, &[6]),
                step("relu", DType::F32, &[7]),
            ]),
        ),
        ("results", list(&[5, 6, 8])),
    ]);
    let shape = &[3, 4, 5];
    let outputs = [DType::Bool, dtype, DType::F32].map(|dtype| tensor(dtype, shape, Layout::Dense)).to_vec();
    let inputs = vec![Some(tensor(dtype, shape, layout)), Some(tensor(dtype, &[4, 1], layout))];
    vec![(outputs, inputs, named)]
}

/// In one workgroup; in several, by way of steps between them.
fn sorted(op: &str, dtype: DType) -> Vec<Sample> {
    let flag = if op == "sort" { "descending" } else { "largest" };
    [(40, true), (40, false), (5000, true)]
        .into_iter()
        .map(|(size, backwards)| {
            let kept = if op == "sort" { size } else { 7 };
            let outputs = [dtype, DType::I64].map(|dtype| tensor(dtype, &[3, kept, 2], Layout::Dense));
            let named = attributes(&[("axis", Value::Int(1)), (flag, Value::Bool(backwards))]);
            (outputs.to_vec(), vec![Some(tensor(dtype, &[3, size, 2], Layout::Dense))], named)
        })
        .collect()
}

/// Without a mask, with one of truths, and of floats.
fn attention(dtype: DType, layout: Layout) -> Vec<Sample> {
    let float = if dtype == DType::Bool { DType::F32 } else { dtype };
    let x = |shape: &[usize]| Some(tensor(float, shape, layout));
    let named = attributes(&[("scale", Value::Float(0.5)), ("is_causal", Value::Bool(dtype != DType::F32))]);
    [None, Some(DType::Bool), Some(float)]
        .into_iter()
        .map(|mask| {
            let mask = mask.map(|dtype| tensor(dtype, &[3, 5, 6], layout));
            let inputs = vec![x(&[2, 3, 5, 4]), x(&[3, 6, 4]), x(&[2, 1, 6, 7]), mask];
            (vec![tensor(float, &[2, 3, 5, 7], Layout::Dense)], inputs, named.clone())
        })
        .collect()
}

/// Floats of a dtype, or float32 where it is one of indices.
fn floats(dtype: DType) -> DType {
    if matches!(dtype, DType::I32 | DType::I64) { DType::F32 } else { dtype }
}

/// Indices of a dtype, or int64 where it is one of floats.
fn indices(dtype: DType) -> DType {
    if matches!(dtype, DType::I32 | DType::I64) { dtype } else { DType::I64 }
}

fn classes(op: &str, dtype: DType) -> Vec<Sample> {
    let float = |shape: &[usize]| tensor(floats(dtype), shape, Layout::Dense);
    let target = tensor(indices(dtype), &[3], Layout::Dense);
    if op == "softmax_cross_entropy" {
        let inputs = vec![Some(float(&[3, 4])), Some(target)];
        return vec![(vec![float(&[3]), float(&[3, 4])], inputs, attributes(&[]))];
    }
    vec![sample(float(&[3, 4]), &[float(&[3]), float(&[3, 4]), float(&[3, 4]), target], &[])]
}

fn batch_norm(op: &str, dtype: DType) -> Vec<Sample> {
    let dense = |shape: &[usize]| tensor(dtype, shape, Layout::Dense);
    let wide = || Some(tensor(DType::F32, &[3], Layout::Dense));
    let x = || Some(dense(&[2, 3, 4, 5]));
    let named = attributes(&[("eps", Value::Float(1e-5))]);
    [Some(dense(&[3])), None]
        .into_iter()
        .map(|weight| {
            let bias = weight.clone();
            let statistics = || wide().expect("there is one");
            let (outputs, inputs) = match op {
                "batch_norm_inference" => {
                    (vec![dense(&[2, 3, 4, 5])], vec![x(), wide(), wide(), weight, bias])
                }
                "batch_norm_train" => {
                    let outputs = vec![dense(&[2, 3, 4, 5]), statistics(), statistics(), statistics()];
                    (outputs, vec![x(), weight, bias])
                }
                _ => {
                    let outputs = vec![dense(&[2, 3, 4, 5]), dense(&[3]), dense(&[3])];
                    (outputs, vec![x(), x(), weight, wide(), wide()])
                }
            };
            (outputs, inputs, named.clone())
        })
        .collect()
}

fn layer_norm(op: &str, dtype: DType) -> Vec<Sample> {
    let dense = |shape: &[usize]| tensor(dtype, shape, Layout::Dense);
    let named = attributes(&[("eps", Value::Float(1e-5)), ("axes", Value::Int(1))]);
    let mut made = Vec::new();
    for width in [4, 100, 500, 2000] {
        for weight in [Some(dense(&[width])), None] {
            let bias = weight.clone();
            let shape = [2, 3, width];
            let rows = || tensor(DType::F32, &[2, 3], Layout::Dense);
            let (outputs, inputs) = if op == "layer_norm" {
                (vec![dense(&shape), rows(), rows()], vec![Some(dense(&shape)), weight, bias])
            } else {
                let outputs = vec![dense(&shape), dense(&[width]), dense(&[width])];
                let x = || Some(dense(&shape));
                (outputs, vec![x(), x(), weight, Some(rows()), Some(rows())])
            };
            made.push((outputs, inputs, named.clone()));
        }
    }
    made
}

/// In place, as steps are.
fn optimizer(op: &str, dtype: DType) -> Sample {
    let dense = || tensor(dtype, &[3, 5], Layout::Dense);
    let number = || Some(tensor(DType::F32, &[], Layout::Dense));
    let (param, first, second) = (dense(), dense(), dense());
    let mut named = vec![("weight_decay", Value::Float(0.1))];
    let (outputs, inputs) = match op {
        "sgd_step" => (vec![param.clone()], vec![Some(param), Some(dense()), number()]),
        "sgd_momentum_step" => {
            named.extend([("momentum", Value::Float(0.9)), ("dampening", Value::Float(0.0))]);
            named.extend([("nesterov", Value::Bool(true)), ("first_step", Value::Bool(false))]);
            (vec![param.clone(), first.clone()], vec![Some(param), Some(dense()), Some(first), number()])
        }
        _ => {
            named.extend([("beta1", Value::Float(0.9)), ("beta2", Value::Float(0.999))]);
            named.extend([("eps", Value::Float(1e-8)), ("decoupled", Value::Bool(true))]);
            let outputs = vec![param.clone(), first.clone(), second.clone()];
            (outputs, vec![Some(param), Some(dense()), Some(first), Some(second), number(), number()])
        }
    };
    (outputs, inputs, attributes(&named))
}

/// Few indices, and more than are compared with each other.
fn taken(dtype: DType) -> Vec<Sample> {
    let float = |shape: &[usize]| tensor(floats(dtype), shape, Layout::Dense);
    [6, 40_000]
        .into_iter()
        .map(|count| {
            let index = tensor(indices(dtype), &[count], Layout::Dense);
            sample(float(&[4, 2]), &[float(&[count, 2]), index], &[("rows", Value::Int(4))])
        })
        .collect()
}

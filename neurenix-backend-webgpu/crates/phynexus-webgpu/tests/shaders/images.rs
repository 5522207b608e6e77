//! Calls of ops on images: convolutions and pooling.

use phynexus_webgpu::attributes::Value;
use phynexus_webgpu::dtype::DType;

use super::{Layout, Sample, sample, tensor};

fn list(sizes: &[i64]) -> Value {
    Value::List(sizes.iter().map(|&size| Value::Int(size)).collect())
}

fn padding(top: i64, left: i64) -> Value {
    Value::List(vec![list(&[top, 1]), list(&[left, 1])])
}

/// The calls of an op on images.
pub fn samples(op: &str, dtype: DType) -> Vec<Sample> {
    let x = |shape: &[usize]| tensor(dtype, shape, Layout::Dense);
    if op.starts_with("conv2d") { convolutions(op, x) } else { pools(op, dtype, x) }
}

/// Of groups that are too narrow for tiles, and of wider ones.
fn convolutions(op: &str, x: impl Fn(&[usize]) -> phynexus_webgpu::tensor::Tensor) -> Vec<Sample> {
    [(2, 3), (9, 10)].into_iter().flat_map(|sizes| of_groups(op, &x, sizes)).collect()
}

fn of_groups(
    op: &str,
    x: impl Fn(&[usize]) -> phynexus_webgpu::tensor::Tensor,
    (channels, features): (usize, usize),
) -> Vec<Sample> {
    // Two groups, windows of 3 x 2.
    let (images, weight) = ([2, 2 * channels, 5, 6], [2 * features, channels, 3, 2]);
    let outputs = [2, 2 * features, 3, 7];
    let shared = [
        ("stride", list(&[2, 1])),
        ("padding", padding(1, 1)),
        ("dilation", list(&[1, 1])),
        ("groups", Value::Int(2)),
    ];
    let with = |name, value| [&shared[..], &[(name, value)]].concat();
    let shape = |sizes: &[usize]| list(&sizes.iter().map(|&size| size as i64).collect::<Vec<_>>());
    match op {
        "conv2d" => vec![
            sample(x(&outputs), &[x(&images), x(&weight)], &shared),
            sample(x(&outputs), &[x(&images), x(&weight), x(&[2 * features])], &shared),
        ],
        "conv2d_fused" => ["relu", "none"]
            .into_iter()
            .flat_map(|activation| {
                let attributes = with("activation", Value::Text(activation.to_owned()));
                let inputs = [x(&images), x(&weight), x(&[2 * features]), x(&outputs)];
                let mut without_bias = sample(x(&outputs), &inputs, &attributes);
                without_bias.1[2] = None;
                [without_bias, sample(x(&outputs), &inputs, &attributes)]
            })
            .collect(),
        "conv2d_grad_input" => {
            vec![sample(x(&images), &[x(&outputs), x(&weight)], &with("input_shape", shape(&images)))]
        }
        // Of few outputs, and of so many that the sum has parts.
        _ => [2, 80]
            .map(|batch| {
                let inputs = [x(&[batch, 2 * features, 3, 7]), x(&[batch, 2 * channels, 5, 6])];
                sample(x(&weight), &inputs, &with("weight_shape", shape(&weight)))
            })
            .to_vec(),
    }
}

fn pools(op: &str, dtype: DType, x: impl Fn(&[usize]) -> phynexus_webgpu::tensor::Tensor) -> Vec<Sample> {
    let (images, outputs) = (x(&[2, 3, 5, 6]), x(&[2, 3, 3, 6]));
    let windows = [
        ("kernel_size", list(&[3, 2])),
        ("stride", list(&[2, 1])),
        ("padding", padding(1, 0)),
        ("dilation", list(&[1, 1])),
    ];
    let means = [&windows[..3], &[("count_include_pad", Value::Bool(dtype == DType::F32))]].concat();
    let places = tensor(DType::I64, &[2, 3, 3, 6], Layout::Dense);
    match op {
        "max_pool2d" => {
            let (_, inputs, attributes) = sample(outputs.clone(), &[images], &windows);
            vec![(vec![outputs, places], inputs, attributes)]
        }
        "max_pool2d_values" => vec![sample(outputs, &[images], &windows)],
        "max_pool2d_backward" => vec![sample(images, &[outputs, places], &[])],
        "avg_pool2d" => vec![sample(outputs, &[images], &means)],
        "avg_pool2d_backward" => vec![sample(images, &[outputs], &means)],
        "adaptive_avg_pool2d" => vec![sample(outputs, &[images], &[("output_size", list(&[3, 6]))])],
        _ => vec![sample(images, &[outputs], &[])],
    }
}

//! Scaled dot-product attention: scores of queries and keys as a product of matrices, a softmax that
//! knows the mask, and the product with the values.

use super::elementwise::EXP;
use super::matmul::float_product;
use super::team::{ROWS, Rows};
use super::{Call, Launch, Operation};
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

macro_rules! part {
    ($name:ident, $file:literal) => {
        static $name: Part =
            Part { text: include_str!(concat!("../../wgsl/attention/", $file, ".wgsl")), needs: &[] };
    };
}

part!(WITHOUT_MASK, "without_mask");
part!(WITH_TRUTHS, "with_truths");
part!(WITH_FLOATS, "with_floats");
static FOR_NONE: &[&Part] = &[&EXP, &WITHOUT_MASK];
static FOR_TRUTHS: &[&Part] = &[&EXP, &WITH_TRUTHS];
static FOR_FLOATS: &[&Part] = &[&EXP, &WITH_FLOATS];

static WEIGHTS: Kernel = Kernel {
    name: "attention/weights",
    text: include_str!("../../wgsl/attention/weights.wgsl"),
    driver: Driver::Own,
    scalars: &[ROWS[0], ROWS[1], ROWS[2], "queries", "scale"],
    parts: &[],
};

fn attention(call: &Call<'_>) -> Result<()> {
    let (out, query, key, value) = (call.out(), call.input(0)?, call.input(1)?, call.input(2)?);
    let mask = call.inputs.get(3).and_then(Option::as_ref);
    if query.dtype.kind() != Kind::Float {
        return Err(Error::Value(format!("attention is of floats, not of {}", query.dtype.name())));
    }
    if out.count() == 0 {
        return Ok(());
    }
    let axes = query.shape.len().max(key.shape.len());
    let (queries, keys) = (query.shape[query.shape.len() - 2], key.shape[key.shape.len() - 2]);
    let leading = |tensor: &Tensor, axis: usize| {
        let missing = axes - tensor.shape.len();
        if axis < missing { 1 } else { tensor.shape[axis - missing] }
    };
    let mut shape: Vec<usize> = (0..axes - 2)
        .map(|axis| if leading(query, axis) == 1 { leading(key, axis) } else { leading(query, axis) })
        .collect();
    shape.extend([queries, keys]);
    let scores = call.scratch(DType::F32, &shape)?;
    if keys > 0 {
        let mut order: Vec<usize> = (0..key.shape.len()).collect();
        order.swap(key.shape.len() - 2, key.shape.len() - 1);
        float_product(call, &scores, query, &key.permuted(&order), None)?;
        weigh(call, &scores, mask, queries)?;
    }
    float_product(call, out, &scores, value, None)
}

/// Records that scores become weights.
fn weigh(call: &Call<'_>, scores: &Tensor, mask: Option<&Tensor>, queries: usize) -> Result<()> {
    let mut launch = Launch::new(&WEIGHTS, scores).free("x", scores);
    let (score, key, parts) = match mask.map(|mask| mask.dtype.kind()) {
        None => ("any_score", "any_key", FOR_NONE),
        Some(Kind::Float) => ("raised_score", "any_key", FOR_FLOATS),
        Some(_) => ("any_score", "true_key", FOR_TRUTHS),
    };
    if let Some(mask) = mask {
        let strides = mask.broadcast(&scores.shape).strides;
        launch = launch.free("mask", mask).place("mask", &scores.shape, &strides);
    }
    let launch = launch
        .function(score, parts)
        .named("ALLOWED", key)
        .constant("CAUSAL", call.attributes.bool("is_causal")?.into());
    Rows::along(&scores.shape, scores.shape.len() - 1)
        .launch(launch, call)
        .size(queries)
        .float(call.attributes.float("scale")?)
        .run(call.device)
}

/// Floats, and the truths of a mask.
const WITH_TRUTH: &[DType] = &[DType::F32, DType::F16, DType::Bf16, DType::Bool];

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    vec![Operation {
        op: "scaled_dot_product_attention",
        run: attention,
        dtypes: WITH_TRUTH,
        strided: true,
        in_place: false,
    }]
}

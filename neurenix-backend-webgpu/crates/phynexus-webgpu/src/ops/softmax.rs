//! Softmax, its logarithm, the cross entropy of classes, and their gradients.

use super::elementwise::{EXP, FLOAT, LOG};
use super::indexing::{INDEX, place_of};
use super::team::{Floats, ROWS, Rows};
use super::{Call, FLOATS, Launch, Operation};
use crate::dtype::DType;
use crate::error::Result;
use crate::faults;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

static FOR_ROWS: &[&Part] = &[&EXP, &LOG];
static FOR_LOSS: &[&Part] = &[&INDEX, &FLOAT];
static FOR_EXP: &[&Part] = &[&EXP];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("softmax/", $file),
            text: include_str!(concat!("../../wgsl/softmax/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: &[],
        };
    };
}

kernel!(SOFTMAX, "softmax", Own, &ROWS);
kernel!(BACKWARD, "backward", Own, &ROWS);
kernel!(LOSS, "loss", Elements, &["op", "classes"]);
kernel!(LOSS_BACKWARD, "loss_backward", Elements, &["classes"]);

fn softmax(call: &Call<'_>) -> Result<()> {
    let floats = Floats::of(call)?;
    let (out, x) = (&floats.outputs()[0], call.input(0)?);
    let axis = call.attributes.size("axis")?;
    record(call, out, x, axis, call.op == "log_softmax")?;
    floats.finish()
}

fn record(call: &Call<'_>, out: &Tensor, x: &Tensor, axis: usize, logarithm: bool) -> Result<()> {
    let (function, divisor) = if logarithm { ("log_share", "log_float") } else { ("share", "itself") };
    let launch =
        Launch::new(&SOFTMAX, out).free("x", x).function(function, FOR_ROWS).named("DIVISOR", divisor);
    Rows::along(&x.shape, axis).launch(launch, call).run(call.device)
}

fn backward(call: &Call<'_>) -> Result<()> {
    let floats = Floats::of(call)?;
    let (grad, y) = (call.input(0)?, call.input(1)?);
    let (function, term) = match call.op {
        "softmax_backward" => ("of_share", "product"),
        _ => ("of_log_share", "only_grad"),
    };
    let launch = Launch::new(&BACKWARD, &floats.outputs()[0])
        .free("grad", grad)
        .free("y", y)
        .function(function, FOR_ROWS)
        .named("TERM", term);
    Rows::along(&y.shape, call.attributes.size("axis")?).launch(launch, call).run(call.device)?;
    floats.finish()
}

fn cross_entropy(call: &Call<'_>) -> Result<()> {
    let floats = Floats::of(call)?;
    let [loss, log_probs] = floats.outputs() else { unreachable!("the op has two outputs") };
    let (logits, target) = (call.input(0)?, call.input(1)?);
    record(call, log_probs, logits, 1, true)?;
    Launch::new(&LOSS, loss)
        .output("fault", &faults::words(call.device)?)
        .free("log_probs", log_probs)
        .free("target", target)
        .function(place_of(target)?, FOR_LOSS)
        .scalar(faults::number_of("cross_entropy"))
        .size(logits.shape[1])
        .run(call.device)?;
    floats.finish()
}

fn cross_entropy_backward(call: &Call<'_>) -> Result<()> {
    let (grad, log_probs, target) = (call.input(0)?, call.input(2)?, call.input(3)?);
    let class = if place_of(target)? == "place_int" { "class_of_int" } else { "class_of_long" };
    Launch::new(&LOSS_BACKWARD, call.out())
        .input("log_probs", log_probs)
        .free("grad", grad)
        .free("target", target)
        .function(class, FOR_EXP)
        .size(log_probs.shape[1])
        .run(call.device)
}

/// Floats, and the integers that name classes.
const WITH_CLASSES: &[DType] = &[DType::F32, DType::F16, DType::Bf16, DType::I32, DType::I64];

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: false, in_place: false };
    vec![
        row("softmax", softmax, FLOATS),
        row("log_softmax", softmax, FLOATS),
        row("softmax_backward", backward, FLOATS),
        row("log_softmax_backward", backward, FLOATS),
        row("softmax_cross_entropy", cross_entropy, WITH_CLASSES),
        row("softmax_cross_entropy_backward", cross_entropy_backward, WITH_CLASSES),
    ]
}

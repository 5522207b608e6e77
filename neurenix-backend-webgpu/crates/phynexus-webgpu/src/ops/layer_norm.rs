//! Layer normalisation and its gradients.

use super::movement::filled;
use super::team::{Floats, ROWS, Rows, optional};
use super::{Call, FLOATS, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::DType;
use crate::error::Result;
use crate::shader::{Driver, Kernel};
use crate::tensor::Tensor;

/// Rows that one workgroup adds up for the gradients of the parameters.
const CHUNK: u32 = 256;
/// Columns of a workgroup.
const COLUMNS: usize = 32;

const ROWS_AND_EPS: &[&str] = &[ROWS[0], ROWS[1], ROWS[2], "eps"];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr, $parts:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("norm/", $file),
            text: include_str!(concat!("../../wgsl/norm/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: $parts,
        };
    };
}

kernel!(LAYER_NORM, "layer_norm", Own, ROWS_AND_EPS, &[]);
kernel!(TO_INPUT, "layer_norm_input", Own, &ROWS, &[]);
kernel!(TO_PARAMETERS, "layer_norm_parameters", Own, &["rows", "width", "blocks", "turns"], &[]);
kernel!(SUM_PARTS, "sum_parts", Elements, &["parts", "step"], &[]);

fn layer_norm(call: &Call<'_>) -> Result<()> {
    let x = call.input(0)?;
    let [weight, bias] = [1, 2].map(|number| call.inputs.get(number).and_then(Option::as_ref));
    let floats = Floats::of(call)?;
    let [y, mean, rstd] = floats.outputs() else { unreachable!("the op has three outputs") };
    if x.count() == 0 {
        return [mean, rstd].iter().try_for_each(|out| filled(call.device, out, &Value::Float(f64::NAN)));
    }
    let mut launch = Launch::new(&LAYER_NORM, y).output("mean", mean).output("rstd", rstd).free("x", x);
    launch = optional(launch, "weight", "HAS_WEIGHT", weight, x);
    launch = optional(launch, "bias", "HAS_BIAS", bias, x);
    Rows::of_last(&x.shape, call.attributes.size("axes")?)
        .launch(launch, call)
        .float(call.attributes.float("eps")?)
        .run(call.device)?;
    floats.finish()
}

fn backward(call: &Call<'_>) -> Result<()> {
    let (grad, x, mean, rstd) = (call.input(0)?, call.input(1)?, call.input(3)?, call.input(4)?);
    let [_, dweight, dbias] = call.outputs else { unreachable!("the op has three outputs") };
    let rows = Rows::of_last(&x.shape, call.attributes.size("axes")?);
    if x.count() == 0 {
        return [dweight, dbias].iter().try_for_each(|out| filled(call.device, out, &Value::Float(0.0)));
    }
    let to_input = Call { outputs: &call.outputs[..1], ..*call };
    let floats = Floats::of(&to_input)?;
    let launch = Launch::new(&TO_INPUT, &floats.outputs()[0])
        .free("grad", grad)
        .free("x", x)
        .free("mean", mean)
        .free("rstd", rstd);
    let launch = optional(launch, "weight", "HAS_WEIGHT", call.inputs[2].as_ref(), x);
    rows.launch(launch, call).run(call.device)?;
    floats.finish()?;
    let chunks = rows.count.div_ceil(CHUNK as usize);
    let blocks = rows.width.div_ceil(COLUMNS);
    let parts = call.scratch(DType::F32, &[chunks, 2, rows.width])?;
    Launch::new(&TO_PARAMETERS, &parts)
        .free("grad", grad)
        .free("x", x)
        .free("mean", mean)
        .free("rstd", rstd)
        .constant("CHUNK", CHUNK)
        .flat_groups(call.device, chunks * blocks)
        .size(rows.count)
        .size(rows.width)
        .size(blocks)
        .size(chunks * blocks)
        .run(call.device)?;
    let sum = |out: &Tensor, half| {
        Launch::new(&SUM_PARTS, out)
            .free("parts", &parts.narrow(1, half, 1))
            .size(chunks)
            .size(2 * rows.width)
            .run(call.device)
    };
    sum(dweight, 0)?;
    sum(dbias, 1)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run| Operation { op, run, dtypes: FLOATS, strided: false, in_place: false };
    vec![row("layer_norm", layer_norm), row("layer_norm_backward", backward)]
}

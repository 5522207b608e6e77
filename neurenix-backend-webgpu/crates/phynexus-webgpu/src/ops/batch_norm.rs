//! Batch normalisation and its gradients.
//!
//! Statistics of a channel are taken by chunks of a fixed number of elements, each in two passes, and then
//! joined; no chunk depends on how many there are.

use super::elementwise::FLOAT;
use super::movement::filled;
use super::team::{Floats, groups, optional, teams};
use super::{Call, FLOATS, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::DType;
use crate::error::Result;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Elements of a channel that one workgroup takes.
const CHUNK: u32 = 4096;
/// Invocations that join the chunks of a channel.
const JOINING: u32 = 32;

static FOR_ROOTS: &[&Part] = &[&FLOAT];

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

kernel!(NORMALISE, "normalise", Elements, &["eps"], FOR_ROOTS);
kernel!(MOMENTS, "moments", Own, &["inner", "reduced", "chunks", "turns"], &[]);
kernel!(JOIN_MOMENTS, "join_moments", Own, &["reduced", "chunks", "channels", "eps"], &[]);
kernel!(PRODUCTS, "products", Own, &["inner", "reduced", "chunks", "turns"], &[]);
kernel!(JOIN_PRODUCTS, "join_products", Own, &["chunks", "channels"], &[]);
kernel!(TO_INPUT, "batch_norm_input", Elements, &["reduced"], &[]);
kernel!(RUNNING_AVERAGE, "running_average", Elements, &["momentum"], &[]);

/// A dense tensor `(N, C, …)`, seen as its channels.
struct Channels {
    shape: Vec<usize>,
    samples: usize,
    count: usize,
    /// Neighbouring elements of a channel.
    inner: usize,
    /// Elements of a channel.
    reduced: usize,
    chunks: usize,
}

impl Channels {
    fn of(x: &Tensor) -> Self {
        let (samples, count) = (x.shape[0], x.shape[1]);
        let inner: usize = x.shape[2..].iter().product();
        let reduced = samples * inner;
        let chunks = reduced.div_ceil(CHUNK as usize);
        Self { shape: x.shape.clone(), samples, count, inner, reduced, chunks }
    }

    /// The function from the number of an element to its channel.
    fn place(&self, launch: Launch) -> Launch {
        let mut strides = vec![0; self.shape.len()];
        strides[1] = 1;
        launch.place("channel", &self.shape, &strides)
    }

    /// A launch of a workgroup for every chunk.
    fn chunked(&self, launch: Launch, call: &Call<'_>) -> Launch {
        let turns = self.count * self.chunks;
        groups(launch, call, turns)
            .constant("CHUNK", CHUNK)
            .place("reduced", &[self.samples, self.inner], &[self.count * self.inner, 1])
            .size(self.inner)
            .size(self.reduced)
            .size(self.chunks)
            .size(turns)
    }
}

fn inference(call: &Call<'_>) -> Result<()> {
    let (mean, variance) = (call.input(1)?, call.input(2)?);
    normalise(call, call.out(), mean, variance, [3, 4], "of_variance")
}

/// Records that `out` becomes the first input, normalised; the inputs of some numbers are weight and bias.
fn normalise(
    call: &Call<'_>,
    out: &Tensor,
    mean: &Tensor,
    spread: &Tensor,
    affine: [usize; 2],
    factor: &'static str,
) -> Result<()> {
    let x = call.input(0)?;
    let [weight, bias] = affine.map(|number| call.inputs.get(number).and_then(Option::as_ref));
    let mut launch = Launch::new(&NORMALISE, out)
        .input("x", x)
        .free("mean", mean)
        .free("spread", spread)
        .function(factor, FOR_ROOTS);
    launch = optional(launch, "weight", "HAS_WEIGHT", weight, mean);
    launch = optional(launch, "bias", "HAS_BIAS", bias, mean);
    Channels::of(x).place(launch).float(call.attributes.float("eps")?).run(call.device)
}

fn train(call: &Call<'_>) -> Result<()> {
    let x = call.input(0)?;
    let [y, mean, rstd, variance] = call.outputs else { unreachable!("the op has four outputs") };
    let channels = Channels::of(x);
    if channels.reduced == 0 {
        return [mean, rstd, variance]
            .iter()
            .try_for_each(|out| filled(call.device, out, &Value::Float(f64::NAN)));
    }
    let parts = call.scratch(DType::F32, &[channels.count, channels.chunks, 2])?;
    channels.chunked(Launch::new(&MOMENTS, &parts).free("x", x), call).run(call.device)?;
    let launch = Launch::new(&JOIN_MOMENTS, mean)
        .output("rstd", rstd)
        .output("variance", variance)
        .free("parts", &parts)
        .constant("CHUNK", CHUNK);
    teams(launch, call, channels.count, JOINING)
        .size(channels.reduced)
        .size(channels.chunks)
        .size(channels.count)
        .float(call.attributes.float("eps")?)
        .run(call.device)?;
    normalise(call, y, mean, rstd, [1, 2], "as_it_is")
}

fn backward(call: &Call<'_>) -> Result<()> {
    let (grad, x, mean, rstd) = (call.input(0)?, call.input(1)?, call.input(3)?, call.input(4)?);
    let weight = call.inputs[2].as_ref();
    let [dx, dweight, dbias] = call.outputs else { unreachable!("the op has three outputs") };
    let channels = Channels::of(x);
    if channels.reduced == 0 {
        return [dweight, dbias].iter().try_for_each(|out| filled(call.device, out, &Value::Float(0.0)));
    }
    // The gradients of the parameters are sums that the input's is made of, in float32.
    let sums = Call { outputs: &call.outputs[1..], ..*call };
    let floats = Floats::of(&sums)?;
    let [products, total] = floats.outputs() else { unreachable!("they are two") };
    let parts = call.scratch(DType::F32, &[channels.count, channels.chunks, 2])?;
    let launch = Launch::new(&PRODUCTS, &parts).free("grad", grad).free("x", x).free("mean", mean);
    channels.chunked(launch, call).run(call.device)?;
    let launch =
        Launch::new(&JOIN_PRODUCTS, products).output("bias", total).free("parts", &parts).free("rstd", rstd);
    teams(launch, call, channels.count, JOINING)
        .size(channels.chunks)
        .size(channels.count)
        .run(call.device)?;
    let launch = Launch::new(&TO_INPUT, dx)
        .input("grad", grad)
        .input("x", x)
        .free("mean", mean)
        .free("rstd", rstd)
        .free("products", products)
        .free("bias", total);
    let launch = optional(launch, "weight", "HAS_WEIGHT", weight, mean);
    channels.place(launch).size(channels.reduced).run(call.device)?;
    floats.finish()
}

fn running_average(call: &Call<'_>) -> Result<()> {
    Launch::new(&RUNNING_AVERAGE, call.out())
        .input("running", call.input(0)?)
        .input("value", call.input(1)?)
        .float(call.attributes.float("momentum")?)
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run| Operation { op, run, dtypes: FLOATS, strided: false, in_place: false };
    vec![
        row("batch_norm_inference", inference),
        row("batch_norm_train", train),
        row("batch_norm_backward", backward),
        row("running_average", running_average),
    ]
}

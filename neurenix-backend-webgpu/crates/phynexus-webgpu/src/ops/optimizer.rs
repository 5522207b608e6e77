//! Steps of optimizers, in place. The learning rate and the number of the step are tensors.

use super::elementwise::EXP;
use super::team::Floats;
use super::{Call, FLOATS, Launch, Operation};
use crate::error::Result;
use crate::shader::{Driver, Kernel, Part};

static DECAYED: Part = Part { text: include_str!("../../wgsl/optimizer/decayed.wgsl"), needs: &[] };

macro_rules! kernel {
    ($name:ident, $file:literal, $scalars:expr, $parts:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("optimizer/", $file),
            text: include_str!(concat!("../../wgsl/optimizer/", $file, ".wgsl")),
            driver: Driver::Elements,
            scalars: $scalars,
            parts: $parts,
        };
    };
}

const FOR_MOMENTUM: &[&str] = &["weight_decay", "momentum", "share", "first_step", "nesterov"];
const FOR_ADAM: &[&str] =
    &["weight_decay", "share1", "beta2", "share2", "log_beta1", "log_beta2", "eps", "decoupled_decay"];
kernel!(SGD, "sgd", &["weight_decay"], &[&DECAYED]);
kernel!(MOMENTUM, "momentum", FOR_MOMENTUM, &[&DECAYED]);
kernel!(ADAM, "adam", FOR_ADAM, &[&DECAYED, &EXP]);

fn sgd(call: &Call<'_>) -> Result<()> {
    Launch::new(&SGD, call.out())
        .input("param", call.input(0)?)
        .input("grad", call.input(1)?)
        .input("rate", call.input(2)?)
        .float(call.attributes.float("weight_decay")?)
        .run(call.device)
}

fn momentum(call: &Call<'_>) -> Result<()> {
    let number = |name| call.attributes.float(name);
    let floats = Floats::of(call)?;
    let [param, average] = floats.outputs() else { unreachable!("the op has two outputs") };
    Launch::new(&MOMENTUM, param)
        .output("average", average)
        .input("param", call.input(0)?)
        .input("grad", call.input(1)?)
        .input("old", call.input(2)?)
        .input("rate", call.input(3)?)
        .float(number("weight_decay")?)
        .float(number("momentum")?)
        .float(1.0 - number("dampening")?)
        .scalar(call.attributes.bool("first_step")?.into())
        .scalar(call.attributes.bool("nesterov")?.into())
        .run(call.device)?;
    floats.finish()
}

fn adam(call: &Call<'_>) -> Result<()> {
    let number = |name| call.attributes.float(name);
    let floats = Floats::of(call)?;
    let [param, first, second] = floats.outputs() else { unreachable!("the op has three outputs") };
    let (decay, beta1, beta2) = (number("weight_decay")?, number("beta1")?, number("beta2")?);
    let decoupled = call.attributes.bool("decoupled")?;
    Launch::new(&ADAM, param)
        .output("first", first)
        .output("second", second)
        .input("param", call.input(0)?)
        .input("grad", call.input(1)?)
        .input("old_first", call.input(2)?)
        .input("old_second", call.input(3)?)
        .input("rate", call.input(4)?)
        .input("step", call.input(5)?)
        .float(if decoupled { 0.0 } else { decay })
        .float(1.0 - beta1)
        .float(beta2)
        .float(1.0 - beta2)
        .float(beta1.ln())
        .float(beta2.ln())
        .float(number("eps")?)
        .float(if decoupled { decay } else { 0.0 })
        .run(call.device)?;
    floats.finish()
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run| Operation { op, run, dtypes: FLOATS, strided: false, in_place: false };
    vec![row("sgd_step", sgd), row("sgd_momentum_step", momentum), row("adam_step", adam)]
}

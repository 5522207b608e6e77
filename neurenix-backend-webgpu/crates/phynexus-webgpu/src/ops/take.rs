//! Slices that an index names along the first axis, and the sums of their gradients.

use super::indexing::{INDEX, place_of};
use super::movement::filled;
use super::scatter::add_rows;
use super::team::Floats;
use super::{Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::DType;
use crate::error::Result;
use crate::faults;
use crate::shader::{Driver, Kernel, Part};

/// Invocations of a workgroup: the columns that it adds up, and the indices that it compares at a time.
const GROUP: u32 = 128;
/// Indices that every one of them may be compared with.
const COMPARED: usize = 1 << 12;

static FOR_INDEX: &[&Part] = &[&INDEX];

static TAKE: Kernel = Kernel {
    name: "take",
    text: include_str!("../../wgsl/indexing/take.wgsl"),
    driver: Driver::Elements,
    scalars: &["op", "size", "width"],
    parts: &[],
};
static TAKE_BACKWARD: Kernel = Kernel {
    name: "take_backward",
    text: include_str!("../../wgsl/indexing/take_backward.wgsl"),
    driver: Driver::Own,
    scalars: &["op", "size", "width", "count", "blocks"],
    parts: &[],
};

fn take(call: &Call<'_>) -> Result<()> {
    let (x, index) = (call.input(0)?, call.input(1)?);
    Launch::new(&TAKE, &call.out().as_bits())
        .output("fault", &faults::words(call.device)?)
        .free("x", &x.as_bits())
        .free("index", index)
        .function(place_of(index)?, FOR_INDEX)
        .scalar(faults::number_of("take"))
        .size(x.shape[0])
        .size(x.shape[1..].iter().product())
        .run(call.device)
}

fn backward(call: &Call<'_>) -> Result<()> {
    let (grad, index) = (call.input(0)?, call.input(1)?);
    let floats = Floats::of(call)?;
    let out = &floats.outputs()[0];
    let (rows, count) = (out.shape[0], index.count());
    let width: usize = out.shape[1..].iter().product();
    if count > COMPARED {
        let named = Call { op: "take", ..*call };
        let out = out.reshaped(&[rows, width]);
        add_rows(&named, &out, &grad.reshaped(&[count, width]), &index.reshaped(&[count]))?;
        return floats.finish();
    }
    filled(call.device, out, &Value::Float(0.0))?;
    let blocks = width.div_ceil(GROUP as usize);
    if count * blocks != 0 {
        Launch::new(&TAKE_BACKWARD, out)
            .output("fault", &faults::words(call.device)?)
            .free("grad", grad)
            .free("index", index)
            .function(place_of(index)?, FOR_INDEX)
            .constant("GROUP", GROUP)
            .scalar(faults::number_of("take"))
            .size(rows)
            .size(width)
            .size(count)
            .size(blocks)
            .flat_groups(call.device, count * blocks)
            .run(call.device)?;
    }
    floats.finish()
}

/// Floats, and the integers that are indices.
const WITH_INDICES: &[DType] = &[DType::F32, DType::F16, DType::Bf16, DType::I32, DType::I64];

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: false, in_place: false };
    vec![row("take", take, &DType::ALL), row("take_backward", backward, WITH_INDICES)]
}

//! Writing at places that several indices name along the first axes.

use super::indexing::{INDEX, place_of};
use super::movement::{copied, filled};
use super::{Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::DType;
use crate::error::Result;
use crate::faults;
use crate::shader::{Driver, Kernel, Part};

static FOR_INDEX: &[&Part] = &[&INDEX];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("put/", $file),
            text: include_str!(concat!("../../wgsl/put/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: &[],
        };
    };
}

kernel!(PLACE, "place", Elements, &["op", "size"]);
kernel!(NOTE, "note", Own, &["entries"]);
kernel!(PICK, "pick", Elements, &["width"]);

fn put(call: &Call<'_>) -> Result<()> {
    let (out, value) = (call.out().as_bits(), call.input(1)?.as_bits());
    let mut x = call.input(0)?.as_bits();
    let axes = call.inputs.len() - 2;
    let entries = call.input(2)?.count();
    let width: usize = x.shape[axes..].iter().product();
    if entries * width == 0 || out.count() == 0 {
        return Ok(());
    }
    if !out.is_dense() && out.dtype.lanes() > 1 {
        // Words that several invocations change cannot be read as values beside.
        let copy = call.scratch(x.dtype, &x.shape)?;
        copied(call, &copy, &x)?;
        x = copy;
    }
    let places = call.scratch(DType::I32, &[entries])?;
    filled(call.device, &places, &Value::Int(0))?;
    for axis in 0..axes {
        let index = call.input(2 + axis)?;
        Launch::new(&PLACE, &places)
            .output("fault", &faults::words(call.device)?)
            .input("index", &index.reshaped(&[entries]))
            .input("before", &places)
            .function(place_of(index)?, FOR_INDEX)
            .scalar(faults::number_of("put"))
            .size(x.shape[axis])
            .run(call.device)?;
    }
    let last = call.scratch(DType::I32, &[out.count() / width])?;
    filled(call.device, &last, &Value::Int(0))?;
    Launch::atomic(&NOTE, &last)
        .free("place", &places)
        .size(entries)
        .flat_groups(call.device, entries.div_ceil(256))
        .run(call.device)?;
    Launch::new(&PICK, &out)
        .input("x", &x)
        .free("last", &last)
        .free("value", &value)
        .size(width)
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    vec![Operation { op: "put", run: put, dtypes: &DType::ALL, strided: false, in_place: false }]
}

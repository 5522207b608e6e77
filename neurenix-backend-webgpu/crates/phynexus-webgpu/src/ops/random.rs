//! Random bits.

use super::{Call, Launch, Operation};
use crate::dtype::DType;
use crate::error::Result;
use crate::shader::{Driver, Kernel};

static BITS: Kernel = Kernel {
    name: "random_bits",
    text: include_str!("../../wgsl/random/bits.wgsl"),
    driver: Driver::Elements,
    scalars: &["step"],
    parts: &[],
};

fn random_bits(call: &Call<'_>) -> Result<()> {
    let key = call.input(0)?;
    Launch::new(&BITS, call.out()).free("key", key).size(key.strides[0]).run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    vec![Operation {
        op: "random_bits",
        run: random_bits,
        dtypes: &[DType::I32],
        strided: true,
        in_place: false,
    }]
}

//! What kernels find wrong with values, such as an index out of range.
//!
//! A kernel runs long after its call has returned. It notes a fault in four words of device memory,
//! and the host looks at them when it next waits for the device.

use std::sync::Arc;

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::memory;
use crate::readback;
use crate::tensor::Tensor;

/// The ops that note faults; the number of one is its place here plus 1.
const OPS: &[&str] =
    &["gather", "scatter", "scatter_add", "take", "put", "cross_entropy", "embedding", "max_pool2d_backward"];

const WORDS: usize = 4;

/// The number under which an op notes its faults.
pub fn number_of(op: &str) -> u32 {
    OPS.iter().position(|known| *known == op).map_or(0, |place| place as u32 + 1)
}

/// The words, for a kernel to write: the op's number, the lower and the upper word of the index, and
/// the size of the axis.
///
/// # Errors
/// Memory is exhausted.
pub fn words(device: &'static Device) -> Result<Tensor> {
    let block = match device.faults().get() {
        Some(block) => Arc::clone(block),
        None => {
            let fresh = Arc::new(memory::allocate(device, 4 * WORDS as u64)?);
            device.recorder().upload(device, &fresh, &[0; 4 * WORDS]);
            Arc::clone(device.faults().get_or_init(|| fresh))
        }
    };
    device.recorder().expect_faults();
    Tensor::new(block, DType::I32, vec![WORDS], None, 0)
}

/// Waits for the device, and reports the fault that work has noted.
///
/// # Errors
/// There is one.
pub fn check(device: &Device) -> Result<()> {
    let Some(block) = device.faults().get() else { return Ok(()) };
    let mut bytes = [0; 4 * WORDS];
    readback::read(block, 0, &mut bytes)?;
    report(device, &bytes)
}

/// Reports a fault, if the words hold one, and makes room for the next.
fn report(device: &Device, bytes: &[u8]) -> Result<()> {
    let word = |place: usize| {
        u32::from_le_bytes([
            bytes[4 * place],
            bytes[4 * place + 1],
            bytes[4 * place + 2],
            bytes[4 * place + 3],
        ])
    };
    let Some(op) = (word(0) as usize).checked_sub(1).and_then(|place| OPS.get(place)) else { return Ok(()) };
    if let Some(block) = device.faults().get() {
        device.recorder().upload(device, block, &[0; 4 * WORDS]);
    }
    let index = i64::from(word(1)) | (i64::from(word(2)) << 32);
    let size = word(3);
    Err(Error::Index(format!(
        "{op} got the index {index}, but the axis has {size} elements; indices must be from 0 to {}. (It was \
         found on the device, and is reported by the first call that waits for it.)",
        i64::from(size) - 1
    )))
}

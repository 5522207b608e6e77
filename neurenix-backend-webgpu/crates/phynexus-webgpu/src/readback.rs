//! Reading device memory on the host.

use std::sync::mpsc;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::faults;
use crate::memory::Block;
use crate::recorder::Copy;

/// A staging buffer up to this size is kept for the next reading.
const KEPT_BYTES: u64 = 1 << 26;

/// Reads bytes of a block from `offset` on, after all work that was recorded before.
///
/// # Errors
/// The device is of no use, waiting for it failed, or work before has found a fault.
pub fn read(block: &Block, offset: u64, into: &mut [u8]) -> Result<()> {
    let device = block.device();
    device.check()?;
    if into.is_empty() {
        return Ok(());
    }
    // Copies start and end at whole words.
    let skipped = offset % 4;
    let size = (skipped + into.len() as u64).next_multiple_of(4);
    let staging = staging(device, size);
    let (index, checks) = {
        let mut recorder = device.recorder();
        recorder.copy(Copy {
            from: (block.buffer().clone(), offset - skipped),
            to: (staging.clone(), 0),
            size,
        });
        (recorder.flush(device), recorder.take_checks())
    };
    let (sender, receiver) = mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, ..size, move |outcome| {
        let _ = sender.send(outcome);
    });
    device.wait(index)?;
    device.check()?;
    match receiver.try_recv() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Error::Device(format!("{:?} cannot be read: {error}", device.name()))),
        Err(_) => return Err(Error::Internal("a buffer was not mapped after its submission".into())),
    }
    let view = staging.get_mapped_range(..size).map_err(|error| Error::Internal(error.to_string()))?;
    into.copy_from_slice(&view[skipped as usize..skipped as usize + into.len()]);
    drop(view);
    staging.unmap();
    if staging.size() <= KEPT_BYTES {
        device.spare().push(staging);
    }
    if checks { faults::check(device) } else { Ok(()) }
}

/// A buffer to copy to and map: a spare one that is large enough, or a new one.
fn staging(device: &Device, size: u64) -> wgpu::Buffer {
    if let Some(spare) = device.spare().pop().filter(|spare| spare.size() >= size) {
        return spare;
    }
    device.gpu().create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size: size.next_power_of_two().max(4096),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

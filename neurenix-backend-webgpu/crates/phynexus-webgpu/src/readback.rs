//! Reading device memory on the host.

use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::memory::Block;
use crate::recorder::Copy;

/// A staging buffer up to this size is kept for the next reading.
const KEPT_BYTES: u64 = 1 << 26;

/// Staging buffers that are not in use, of all devices, with the name of theirs.
static SPARE: Mutex<Vec<(usize, wgpu::Buffer)>> = Mutex::new(Vec::new());

/// Reads bytes of a block from `offset` on, after all work that was recorded before.
///
/// # Errors
/// The device is of no use, or waiting for it failed.
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
    let index = {
        let mut recorder = device.recorder();
        recorder.copy(Copy {
            from: (block.buffer().clone(), offset - skipped),
            to: (staging.clone(), 0),
            size,
        });
        recorder.flush(device)
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
        spare().push((key(device), staging));
    }
    Ok(())
}

fn spare() -> std::sync::MutexGuard<'static, Vec<(usize, wgpu::Buffer)>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(device: &Device) -> usize {
    std::ptr::from_ref(device).addr()
}

fn staging(device: &Device, size: u64) -> wgpu::Buffer {
    let mut spare = spare();
    let mine = spare.iter().position(|(owner, _)| *owner == key(device));
    if let Some(place) = mine {
        let (_, buffer) = spare.swap_remove(place);
        if buffer.size() >= size {
            return buffer;
        }
    }
    drop(spare);
    device.gpu().create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size: size.next_power_of_two().max(4096),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

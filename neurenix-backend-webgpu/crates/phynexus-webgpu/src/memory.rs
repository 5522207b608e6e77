//! Device memory: blocks, and the pool that they come from and go back to.
//!
//! Work is recorded and carried out in one order. A block may therefore be handed out again as
//! soon as nobody refers to it: what is recorded later runs later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::recording;

/// The smallest block: as many bytes as a pool hands out at least.
const SMALLEST_BYTES: u64 = 256;

/// A piece of device memory; it returns to its pool when the last reference to it is dropped.
#[derive(Debug)]
pub struct Block {
    buffer: Option<wgpu::Buffer>,
    id: u64,
    size: u64,
    device: &'static Device,
    /// Where it returns to, if not to the pool.
    reserve: Option<Arc<Reserve>>,
}

impl Block {
    /// The buffer on the device.
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.buffer.as_ref().expect("it is taken out in drop alone")
    }

    /// A number that tells the buffer from all others of the device.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many bytes were asked for, rounded up to whole words.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The device it is on.
    pub fn device(&self) -> &'static Device {
        self.device
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        if let Some(reserve) = &self.reserve {
            reserve.free().push((buffer, self.id));
        } else if self.device.is_ours() {
            self.device.pool().take_back(buffer, self.id);
        } else {
            // After a fork, the locks and threads of the driver are not in a state to be used.
            std::mem::forget(buffer);
        }
    }
}

/// Memory that ops take for themselves while they are recorded. What they free is theirs to take
/// again, and nobody else's until the recording is dropped.
#[derive(Debug)]
pub struct Reserve {
    device: &'static Device,
    free: Mutex<Vec<(wgpu::Buffer, u64)>>,
}

impl Reserve {
    pub(crate) fn new(device: &'static Device) -> Self {
        Self { device, free: Mutex::new(Vec::new()) }
    }

    fn free(&self) -> MutexGuard<'_, Vec<(wgpu::Buffer, u64)>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, capacity: u64) -> Option<(wgpu::Buffer, u64)> {
        let mut free = self.free();
        let place = free.iter().rposition(|(buffer, _)| buffer.size() == capacity)?;
        Some(free.swap_remove(place))
    }

    /// How many bytes it has, of those that no op holds.
    pub fn bytes(&self) -> u64 {
        self.free().iter().map(|(buffer, _)| buffer.size()).sum()
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        for (buffer, id) in self.free().drain(..) {
            if self.device.is_ours() {
                self.device.pool().take_back(buffer, id);
            } else {
                std::mem::forget(buffer);
            }
        }
    }
}

/// What a pool holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// In blocks that somebody refers to.
    pub in_use: u64,
    /// In buffers that wait to be used again.
    pub cached: u64,
    /// The most that was in use at once.
    pub peak: u64,
    /// The most that may be in use and wait at once, where somebody has set it.
    pub budget: Option<u64>,
}

/// Buffers by size, kept for reuse.
#[derive(Debug, Default)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By capacity, the last used on top.
    free: HashMap<u64, Vec<(wgpu::Buffer, u64)>>,
    statistics: Statistics,
    limit: u64,
    next_id: u64,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how many bytes of freed buffers are kept.
    pub fn set_limit(&self, bytes: u64) {
        self.state().limit = bytes;
        self.trim_to(bytes);
    }

    /// Sets how many bytes the buffers may have at most; nothing leaves that to the driver.
    pub fn set_budget(&self, bytes: Option<u64>) {
        self.state().statistics.budget = bytes;
    }

    /// Whether another buffer is within the budget; cached ones are let go where they are in its way.
    fn admits(&self, capacity: u64) -> bool {
        let Statistics { in_use, cached, budget, .. } = self.statistics();
        let Some(budget) = budget else { return true };
        if in_use + cached + capacity <= budget {
            return true;
        }
        self.trim_to(budget.saturating_sub(in_use + capacity));
        in_use + capacity <= budget
    }

    /// What the pool holds.
    pub fn statistics(&self) -> Statistics {
        self.state().statistics
    }

    /// Gives cached buffers back to the driver, down to so many bytes.
    pub fn trim_to(&self, bytes: u64) {
        let mut dropped = Vec::new();
        let mut state = self.state();
        while state.statistics.cached > bytes {
            // The largest first: few calls free much.
            let Some(&capacity) = state.free.keys().max() else { break };
            if let Some(buffers) = state.free.remove(&capacity) {
                state.statistics.cached -= capacity * buffers.len() as u64;
                dropped.push(buffers);
            }
        }
        drop(state);
    }

    fn take(&self, capacity: u64) -> Option<(wgpu::Buffer, u64)> {
        let mut state = self.state();
        let buffers = state.free.get_mut(&capacity)?;
        let found = buffers.pop();
        if buffers.is_empty() {
            state.free.remove(&capacity);
        }
        if found.is_some() {
            state.statistics.cached -= capacity;
            state.used(capacity);
        }
        found
    }

    fn take_back(&self, buffer: wgpu::Buffer, id: u64) {
        let capacity = buffer.size();
        let mut state = self.state();
        state.statistics.in_use -= capacity;
        if state.statistics.cached + capacity > state.limit {
            drop(state);
            return; // the driver frees it once the work that uses it is done
        }
        state.statistics.cached += capacity;
        state.free.entry(capacity).or_default().push((buffer, id));
    }
}

impl State {
    fn used(&mut self, capacity: u64) {
        self.statistics.in_use += capacity;
        self.statistics.peak = self.statistics.peak.max(self.statistics.in_use);
    }
}

/// The capacity of the buffer for so many bytes: at most a quarter more, one of four sizes between
/// powers of two.
fn capacity_for(bytes: u64) -> u64 {
    if bytes <= SMALLEST_BYTES {
        return SMALLEST_BYTES;
    }
    let step = (bytes.next_power_of_two() / 8).max(64);
    bytes.div_ceil(step) * step
}

/// Allocates a block of uninitialised memory.
///
/// # Errors
/// There is not enough memory, or no buffer may be so large; the message has the sizes.
pub fn allocate(device: &'static Device, bytes: u64) -> Result<Block> {
    device.check()?;
    let size = bytes.next_multiple_of(4);
    let largest = device.limits().max_buffer_size;
    if size > largest {
        return Err(Error::Memory(format!(
            "a tensor of {bytes} bytes was asked for, but the adapter {:?} has no buffers of more than \
             {largest} bytes (max_buffer_size)",
            device.name()
        )));
    }
    let capacity = capacity_for(size).min(largest & !3);
    let pool = device.pool();
    let reserve = recording::reserve();
    let held = reserve.as_ref().and_then(|reserve| reserve.take(capacity));
    let (buffer, id) = match held.or_else(|| pool.take(capacity)) {
        Some(found) => found,
        None => {
            if !pool.admits(capacity) {
                return Err(exhausted(device, bytes));
            }
            let buffer = match device.create_buffer(capacity) {
                Some(buffer) => buffer,
                None => {
                    // What is cached may be what is missing; it is free once its work is done.
                    pool.trim_to(0);
                    device.synchronize()?;
                    device.create_buffer(capacity).ok_or_else(|| exhausted(device, bytes))?
                }
            };
            let mut state = pool.state();
            state.used(capacity);
            state.next_id += 1;
            (buffer, state.next_id)
        }
    };
    Ok(Block { buffer: Some(buffer), id, size, device, reserve })
}

fn exhausted(device: &Device, bytes: u64) -> Error {
    let statistics = device.pool().statistics();
    let budget = statistics.budget.map_or_else(String::new, |budget| {
        format!("; {budget} may be taken in all (NEURENIX_WEBGPU_MEMORY_BYTES)")
    });
    Error::Memory(format!(
        "out of memory on the adapter {:?}: {bytes} bytes were asked for; tensors hold {} bytes, and {} are kept \
         for reuse{budget}",
        device.name(),
        statistics.in_use,
        statistics.cached
    ))
}

#[cfg(test)]
mod tests {
    use super::capacity_for;

    #[test]
    fn capacities_are_whole_words_and_waste_little() {
        for bytes in (4..100_000).step_by(4).chain([1 << 20, (1 << 20) + 4, (1 << 31) + 4]) {
            let capacity = capacity_for(bytes);
            assert!(capacity >= bytes && capacity.is_multiple_of(64), "{bytes}: {capacity}");
            assert!(bytes <= 256 || capacity <= bytes + (bytes / 4).max(64), "{bytes}: {capacity}");
        }
    }
}
